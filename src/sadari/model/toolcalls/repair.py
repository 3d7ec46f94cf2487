"""Nearly-JSON made JSON: what a small model misspells is mended before it is asked again.

Covered: Python spelling (single quotes, True, False, None), bare keys, trailing commas, raw line breaks in strings, brackets left
open after a whole value; on request, values that were cut off.
Not covered: anything that would need a value to be made up, and anything that would need code to be run.
"""

import json
from typing import Any

from sadari.model.toolcalls.nesting import DEPTH

_WORDS = {"True": "true", "False": "false", "None": "null"}
_PAIRS = {"}": "{", "]": "["}


def load_json(text: str) -> Any:
    """The value of strict JSON that can be written down again.

    Raises:
        ValueError: If it is not JSON, holds NaN, an infinite number or half a character, or nests too deep.
    """
    try:
        value = json.loads(text, parse_constant=_refuse, parse_float=_finite)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()  # a UnicodeEncodeError is a ValueError
    except RecursionError as e:
        raise ValueError("nested too deep") from e
    return value


def mend(text: str, *, quote: str = '"', unclosed: int = 0, cut: bool = False) -> tuple[Any, tuple[str, ...]] | None:
    """The object or list that `text` nearly is, and what was mended; None if it cannot be.

    Args:
        quote: What stands around a text beside the quotes of JSON and Python; with another than `"`, bare keys need no mending.
        unclosed: So many brackets may be missing at the end.
        cut: The text was cut off somewhere: close its last string, which may be incomplete, and drop a key without a value.
    """
    mender = _Mender(text, quote, cut)
    try:
        value = load_json(mender.mended(unclosed))
    except ValueError:
        return None
    return value, tuple(mender.notes)


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"{digits} is too large a number")
    return number


class _Level:
    """An open bracket: which, where its last member begins in what is written, and whether that has its colon."""

    __slots__ = ("bracket", "has_colon", "member")

    def __init__(self, bracket: str, member: int) -> None:
        self.bracket, self.member, self.has_colon = bracket, member, False


class _Mender:
    """Goes over a text once and writes JSON; raises ValueError where it cannot."""

    def __init__(self, text: str, quote: str, cut: bool) -> None:
        self.text, self.quote, self.cut = text, quote, cut
        self.at = 0
        self.out: list[str] = []
        self.levels: list[_Level] = []
        self.notes: dict[str, None] = {}

    def mended(self, unclosed: int) -> str:
        while self.at < len(self.text):
            c = self.text[self.at]
            if self.out and not self.levels and not c.isspace():
                raise ValueError("more than one value")
            self._token(c)
        self._close(unclosed)
        return "".join(self.out)

    def _token(self, c: str) -> None:
        if c.isspace():
            self.at += 1
        elif c in "{[":
            if len(self.levels) == DEPTH:
                raise ValueError("nested too deep")
            self._write(c)
            self.levels.append(_Level(c, len(self.out)))
        elif not self.levels:
            raise ValueError("neither an object nor a list")
        elif c in "}]":
            if self.levels.pop().bracket != _PAIRS[c]:
                raise ValueError("brackets cross")
            self._drop_comma()
            self._write(c)
        elif c in ",:":
            self._write(c)
            self.levels[-1].has_colon = c == ":"
            if c == ",":
                self.levels[-1].member = len(self.out)
        elif self.quote != '"' and self.text.startswith(self.quote, self.at):
            self._plain_string()
        elif c in "\"'":
            self._string(c)
        else:
            self._word()

    def _write(self, c: str) -> None:
        self.out.append(c)
        self.at += 1

    def _drop_comma(self) -> None:
        if self.out[-1] == "," and self.out[-2] not in "{[,:":
            self.out.pop()
            self.notes["dropped a trailing comma"] = None

    def _plain_string(self) -> None:
        start = self.at + len(self.quote)
        end = self.text.find(self.quote, start)
        if end < 0:
            raise ValueError("a text does not end")
        self.out.append(json.dumps(self.text[start:end], ensure_ascii=False))
        self.at = end + len(self.quote)

    def _string(self, ends: str) -> None:
        if ends == "'":
            self.notes["read single quotes as double quotes"] = None
        out, text, at = ['"'], self.text, self.at + 1
        while at < len(text) and text[at] != ends:
            c = text[at]
            if c == "\\":
                pair = text[at : at + 2]
                if len(pair) < 2 or (pair == "\\u" and len(text) < at + 6):  # cut within
                    at = len(text)
                    break
                out.append("'" if pair == "\\'" else pair)
                at += 1
            elif c == '"':
                out.append('\\"')
            elif c < " ":
                out.append(json.dumps(c)[1:-1])
                self.notes["escaped a control character in a text"] = None
            else:
                out.append(c)
            at += 1
        if at >= len(text):
            if not self.cut:
                raise ValueError("a text does not end")
            self.notes["closed a text that was cut off"] = None
        self.out.append("".join(out) + '"')
        self.at = at + 1

    def _word(self) -> None:
        end = self.at + 1
        stops = ",:{}[]\"'" + self.quote[:1]
        while end < len(self.text) and self.text[end] not in stops and not self.text[end].isspace():
            end += 1
        word, self.at = self.text[self.at : end], end
        level = self.levels[-1]
        if level.bracket == "{" and not level.has_colon:
            self.out.append(json.dumps(word, ensure_ascii=False))
            self._note_spelling("put quotes around a key")
        elif word in _WORDS:
            self.out.append(_WORDS[word])
            self._note_spelling("read Python's True, False or None as JSON")
        elif not (self.cut and end == len(self.text) and not _is_json(word)):  # half a word: the key is dropped with it
            self.out.append(word)

    def _note_spelling(self, note: str) -> None:
        if self.quote == '"':
            self.notes[note] = None

    def _close(self, unclosed: int) -> None:
        missing = len(self.levels)
        if not missing:
            return
        if missing > unclosed:
            raise ValueError("brackets are missing")
        last = self.levels[-1]
        if self.cut and last.bracket == "{" and 0 < len(self.out) - last.member < 3:  # a key, or a key and its colon
            del self.out[last.member :]
            self.notes["dropped a key without a value"] = None
        self._drop_comma()
        self.out.extend("}" if level.bracket == "{" else "]" for level in reversed(self.levels))
        self.notes[f"closed {missing} bracket{'s' * (missing > 1)}"] = None


def _is_json(word: str) -> bool:
    try:
        load_json(word)
    except ValueError:
        return False
    return True
