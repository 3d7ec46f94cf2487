"""Where a JSON value ends, known while it is written: brackets and strings are followed, nothing is built."""

from collections.abc import Sequence
from typing import Literal

DEPTH = 100
"""Deepest nesting of brackets that is followed; calls of tools need a handful."""

Verdict = Literal["open", "whole", "foreign", "broken"]
"""The value goes on; has ended; meets a character that no value holds outside a string; cannot become a value any more."""

_CLOSERS = {"{": "}", "[": "]"}
_PLAIN = frozenset(" \t\r\n,:.+-_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


class Nesting:
    """The brackets and strings of one value, JSON or nearly so.

    Single quotes count as quotes and words need not be known: what is merely misspelt can still be mended, if its end is found.

    Args:
        quote: What stands around a text, beside the quotes of JSON and Python; nothing is escaped within.
    """

    def __init__(self, quote: str = '"') -> None:
        self._quote = quote if quote != '"' else ""
        self._closers: list[str] = []
        self._string = ""  # what ends the string under way
        self._is_escaped = False

    def follow(self, chars: Sequence[str], at: int, stop: int) -> tuple[int, Verdict]:
        """Go on from `at` to the end of the value, to trouble, or to `stop`; where that is, and what it is."""
        while at < stop:
            c = chars[at]
            if self._string:
                if self._is_escaped:
                    self._is_escaped = False
                elif c == "\\" and self._string != self._quote:
                    self._is_escaped = True
                elif c == self._string[0]:
                    ends = stands_at(chars, at, self._string)
                    if ends is None:
                        return at, "open"
                    if ends:
                        at += len(self._string) - 1
                        self._string = ""
            elif c in _CLOSERS:
                if len(self._closers) == DEPTH:
                    return at, "broken"
                self._closers.append(_CLOSERS[c])
            elif c in "}]":
                if self._closers.pop() != c:
                    return at, "broken"
                if not self._closers:
                    return at + 1, "whole"
            elif c in "\"'":
                self._string = c
            elif self._quote and c == self._quote[0]:
                begins = stands_at(chars, at, self._quote)
                if begins is None:
                    return at, "open"
                if not begins:
                    return at, "foreign"
                at += len(self._quote) - 1
                self._string = self._quote
            elif c not in _PLAIN and not (self._quote and c.isalnum()):
                return at, "foreign"
            at += 1
        return at, "open"


def stands_at(chars: Sequence[str], at: int, marker: str) -> bool | None:
    """Whether `marker` begins at `at`; None if what is there so far is only its beginning."""
    if at < len(chars) and chars[at] != marker[0]:
        return False
    there = "".join(chars[at : at + len(marker)])
    if len(there) < len(marker):
        return None if marker.startswith(there) else False
    return there == marker
