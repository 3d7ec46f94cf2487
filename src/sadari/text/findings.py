"""What the searches for personal data, credentials and injected instructions share: a finding, and a text as it reads.

Numbers in full-width digits, decomposed Hangul, and words cut by characters that nobody sees are read as a person reads them;
findings still say where they stand in the text as it was given.
"""

import re
import unicodedata
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

Certainty = Literal["sure", "probable"]

INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufe00-\ufe0f"
    "\U000e0000-\U000e0fff"
)
"""Characters that take no room, as the inside of a character class."""

_SPACES = "\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000\u3164\uffa0\t"
_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2212\u30fc\ufe58\ufe63\uff70\u2500"
_DOTS = "\u2024\u3002\uff61"
_MIDDLE_DOTS = "\u2022\u2027\u2219\u22c5\u30fb\uff65\u318d\u119e"
_DIGITS = "٠۰०߀০੦๐᠐𝟎𝟘𝟢𝟬𝟶"  # the zeros; nine more follow each
_NUMBERED = ("⁰¹²³⁴⁵⁶⁷⁸⁹", "₀₁₂₃₄₅₆₇₈₉", "⓪①②③④⑤⑥⑦⑧⑨")
_UNSTEADY = re.compile(f"[{INVISIBLE}]+|[\u1100-\u115e][\u1161-\u11a7][\u11a8-\u11ff]?")


@dataclass(frozen=True, slots=True)
class Finding:
    """A piece of a text that somebody should look at: characters `[start, end)`.

    Args:
        kind: What it is: "phone", "api_key", "override".
        text: The piece itself. It is left out of `repr`, so that no log or traceback carries it.
        certainty: "sure" if its form or its check digit leaves little doubt, else "probable".
    """

    kind: str
    start: int
    end: int
    text: str = field(repr=False)
    certainty: Certainty = "sure"

    @property
    def shown(self) -> str:
        """What may be printed: at most its first four characters (a quarter of a short one), and its length."""
        return f"{self.text[: min(4, len(self.text) // 4)]}… ({len(self.text)} characters)"


@dataclass(frozen=True, slots=True)
class Reading:
    """A text as it reads, and where its characters stand in the text it was made from.

    `_breaks` are pairs of positions, in the reading and in the original, between which both run alike.
    """

    text: str
    _at: Sequence[int] = ()
    _from: Sequence[int] = ()

    def span(self, start: int, end: int) -> tuple[int, int]:
        """`[start, end)` of the reading as positions in the original; invisible characters at its rims stay outside."""
        if not self._at:
            return start, end
        before = bisect_right(self._at, start) - 1
        first = start if before < 0 else self._from[before] + start - self._at[before]
        after = bisect_left(self._at, end)
        if after < len(self._at) and self._at[after] == end:
            return first, self._from[after]
        return first, end if after == 0 else self._from[after - 1] + end - self._at[after - 1]


def read(text: str) -> Reading:
    """The text as a person reads it: half-width, composed, one kind of dash, dot and space, nothing invisible.

    Linear in the length of the text.
    """
    if text.isascii():
        return Reading(text.replace("\t", " "))
    plain = text.translate(_table())
    pieces: list[str] = []
    at: list[int] = []
    origin: list[int] = []
    written = done = 0
    for match in _UNSTEADY.finditer(plain):
        start, end = match.span()
        pieces.append(plain[done:start])
        written += start - done
        at.append(written)
        origin.append(start)
        if end > start and "\u1100" <= plain[start] <= "\u115e":
            pieces.append(unicodedata.normalize("NFC", match[0]))
            written += len(pieces[-1])
        at.append(written)
        origin.append(end)
        done = end
    if not at:
        return Reading(plain)
    pieces.append(plain[done:])
    return Reading("".join(pieces), at, origin)


@cache
def _table() -> Mapping[int, str]:
    """One character for one character, so that positions stay."""
    table = {point: chr(point - 0xFEE0) for point in range(0xFF01, 0xFF5F)}
    table |= {ord(char): " " for char in _SPACES}
    table |= {ord(char): "-" for char in _DASHES}
    table |= {ord(char): "." for char in _DOTS}
    table |= {ord(char): "\u00b7" for char in _MIDDLE_DOTS}
    table |= {ord(zero) + digit: str(digit) for zero in _DIGITS for digit in range(10)}
    table |= {ord(char): str(digit) for row in _NUMBERED for digit, char in enumerate(row)}
    return table


# --- looking for patterns ---------------------------------------------------------------------------------------------------

Judge = Callable[[re.Match[str]], tuple[str, Certainty] | None]


@dataclass(frozen=True, slots=True, eq=False)  # a key by identity: compared once per rule and text
class Gate:
    """A cheap pattern that says where it is worth looking: so many characters before and after each of its matches."""

    pattern: re.Pattern[str]
    before: int = 0
    after: int = 0

    def windows(self, text: str) -> Iterator[tuple[int, int]]:
        """Where to look, in order and without overlaps."""
        start = end = -1
        for match in self.pattern.finditer(text):
            first, last = max(0, match.start() - self.before), min(len(text), match.end() + self.after)
            if first > end:
                if end >= 0:
                    yield start, end
                start = first
            end = last
        if end >= 0:
            yield start, end


@dataclass(frozen=True, slots=True)
class Rule:
    """What to look for, and who decides what a match is: `judge` gives a kind and how certain it is, or None.

    The finding is the group called `it` where the pattern has one, else the whole match. `gate` says where to look; None is
    everywhere. Nearly every position of a long text fails at the first character, so a pattern is fast if it begins with one, and
    looks behind only after it.
    """

    pattern: re.Pattern[str]
    judge: Judge
    gate: Gate | None = None


def always(kind: str, certainty: Certainty = "sure") -> Judge:
    """A judge for patterns that need no second look."""
    return lambda match: (kind, certainty)


def search(text: str, rules: Iterable[Rule]) -> list[Finding]:
    """What the rules find, in the order of the text. Where findings overlap, that of the earlier rule stays."""
    reading = read(text)
    plain = reading.text
    windows: dict[Gate | None, list[tuple[int, int]]] = {None: [(0, len(plain))]}
    taken: list[tuple[int, int]] = []  # sorted, disjoint; positions of the reading
    found: list[tuple[int, Finding]] = []
    for rule in rules:
        if rule.gate not in windows and rule.gate is not None:
            windows[rule.gate] = list(rule.gate.windows(plain))
        group = "it" if "it" in rule.pattern.groupindex else 0
        for window in windows[rule.gate]:
            for match in rule.pattern.finditer(plain, *window):
                start, end = match.span(group)
                if start == end or _overlaps(taken, start, end):
                    continue
                verdict = rule.judge(match)
                if verdict is None:
                    continue
                insort(taken, (start, end))
                first, last = reading.span(start, end)
                found.append((start, Finding(verdict[0], first, last, text[first:last], verdict[1])))
    return [finding for _, finding in sorted(found, key=lambda entry: entry[0])]


def _overlaps(taken: Sequence[tuple[int, int]], start: int, end: int) -> bool:
    at = bisect_left(taken, (start, end))
    return (at < len(taken) and taken[at][0] < end) or (at > 0 and taken[at - 1][1] > start)


def words(*patterns: str) -> re.Pattern[str]:
    """One of these words, for `is_near`; written in lower case."""
    return re.compile("|".join(patterns))


def is_near(match: re.Match[str], said: re.Pattern[str], *, before: int = 24, after: int = 0) -> bool:
    """Whether one of the words stands in the same line, at most so many characters before or after the match."""
    text = match.string
    start, end = match.span("it" if "it" in match.re.groupindex else 0)
    left = text[max(0, start - before) : start].rpartition("\n")[2].lower()
    if said.search(left):
        return True
    return after > 0 and said.search(text[end : end + after].partition("\n")[0].lower()) is not None
