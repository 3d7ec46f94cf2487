"""Keys, passwords and code words in answers: what nobody is told, whatever the model was talked into.

Covered: credentials whose form gives them away (`sadari.text.credentials`); those that stand in the conversation, the values of
named secrets, and texts that are never told, whole or in pieces of half their length: with other spacing, signs, letter case or
invisible characters between their letters, backwards, in rot13, and inside base64, hexadecimal, percent signs, character
references, `\\u` escapes or lists of character codes, three deep.

Not covered: other ciphers, translations, letters spelt as words, one letter per line of a poem, pieces shorter than half over
several answers.
"""

import base64
import binascii
import codecs
import hashlib
import html
import re
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import unquote

from pydantic import BaseModel, Field

from sadari.agent.filters.edits import REFUSALS, Edit, Handling, handled
from sadari.agent.guard import Checked
from sadari.errors import ConfigError
from sadari.text.credentials import find_credentials
from sadari.text.findings import read
from sadari.types import Answer, Caller, Message

LEAST_CHARS = 8
"""Letters and digits that a text needs to be looked for; shorter ones stand everywhere."""

MOST_DEEP = 3
"""Encodings inside encodings that are opened."""

_NAMES = {"ko": "비밀", "en": "secret"}


class SecretsOptions(BaseModel, frozen=True, extra="forbid"):
    """What becomes of secrets, as written under `agent: filters: secrets:`."""

    action: Handling = Field(
        default="mask", description="Put a placeholder, say behind it that it is secret, or refuse the answer."
    )
    names: tuple[str, ...] = Field(default=(), description="Environment variables whose values are never told.")
    never: tuple[str, ...] = Field(default=(), description="Texts that are never told, such as a code word in the instructions.")


class SecretsFilter:
    """A `Filter` for secrets.

    Args:
        values: Secrets by name, those of the environment.

    Raises:
        ConfigError: If a text that is never to be told is too short to be looked for, or a named secret is not set.
    """

    needs_whole = False

    def __init__(self, options: SecretsOptions, values: Mapping[str, str]) -> None:
        missing = [name for name in options.names if not values.get(name)]
        if missing:
            raise ConfigError(
                f"filters: secrets: {missing[0]} is not set. Set the environment variable, or take it out of `names`."
            )
        self._options = options
        self._pieces = tuple(_Pieces(text) for text in (*options.never, *(values[name] for name in options.names)))
        self.version = hashlib.sha256(options.model_dump_json().encode()).hexdigest()[:16]

    def check(self, answer: Answer, caller: Caller, messages: Sequence[Message]) -> Checked:
        """The answer without secrets."""
        mask = f"[{_NAMES[caller.language]}]"
        seen = dict.fromkeys(f.text for m in messages if m.role != "assistant" for f in find_credentials(m.content))
        known = (*self._pieces, *(_Pieces(text) for text in seen if _size(text) >= LEAST_CHARS))

        def find(text: str) -> list[Edit]:
            return [Edit(*span, "secret", mask, f" {mask}") for span in _spans(text, known)]

        return handled(answer, find, self._options.action, REFUSALS[caller.language])


def _spans(text: str, known: Sequence["_Pieces"], depth: int = 0) -> Iterator[tuple[int, int]]:
    for finding in find_credentials(text):
        yield finding.start, finding.end
    squeezed = _Squeezed(text)
    for pieces in known:
        yield from squeezed.find(pieces)
    if depth < MOST_DEEP:
        for start, end, said in _decoded(text):
            if any(True for _ in _spans(said, known, depth + 1)):
                yield start, end


def _size(text: str) -> int:
    return sum(1 for _ in _plain(text))


class _Pieces:
    """The pieces of a text by which it is known, forwards, backwards and in rot13; each has half its letters."""

    def __init__(self, text: str) -> None:
        plain = "".join(_plain(text))
        if len(plain) < LEAST_CHARS:
            raise ConfigError(f"filters: secrets: a text of {len(plain)} letters stands everywhere. Give {LEAST_CHARS} or more.")
        size = max(LEAST_CHARS, (len(plain) + 1) // 2)
        forms = (plain, plain[::-1], codecs.encode(plain, "rot13"))
        self.size = size
        self.pieces = frozenset(form[at : at + size] for form in forms for at in range(len(form) - size + 1))


class _Squeezed:
    """The letters and digits of a text alone, and where they stand in it."""

    def __init__(self, text: str) -> None:
        self._reading = read(text)
        self._at = [i for i, c in enumerate(self._reading.text) if c.isalnum()]
        self._text = "".join(_folded(self._reading.text[i]) for i in self._at)

    def find(self, pieces: _Pieces) -> Iterator[tuple[int, int]]:
        for at in range(len(self._text) - pieces.size + 1):
            if self._text[at : at + pieces.size] in pieces.pieces:
                yield self._reading.span(self._at[at], self._at[at + pieces.size - 1] + 1)


def _plain(text: str) -> Iterator[str]:
    return (_folded(c) for c in read(text).text if c.isalnum())


def _folded(character: str) -> str:
    """In lower case, still one character."""
    lower = character.lower()
    return lower if len(lower) == 1 else character


_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{11,}={0,2}")
_HEX = re.compile(r"(?:(?:0x|\\x)?[0-9A-Fa-f]{2}[ :,-]{0,2}){8,}")
_CODES = re.compile(r"(?:\b[0-9]{2,3}\b[ ,;]{1,2}){7,}[0-9]{2,3}")
_PERCENT = re.compile(r"(?:[\w.~-]{0,40}%[0-9A-Fa-f]{2}){1,400}[\w.~-]{0,40}")
_REFERENCES = re.compile(r"(?:\w{0,40}&#?\w{1,8};){1,400}\w{0,40}")
_ESCAPES = re.compile(r"(?:\w{0,40}\\u[0-9A-Fa-f]{4}){1,400}\w{0,40}")


def _decoded(text: str) -> Iterator[tuple[int, int, str]]:
    """What is encoded in a text, with its place."""
    for match in _BASE64.finditer(text):
        blob = match[0].translate({ord("-"): "+", ord("_"): "/"}).rstrip("=")
        for offset in range(4):  # it may stand glued to something else
            yield *match.span(), _from_base64(blob[offset:])
    for match in _HEX.finditer(text):
        digits = re.sub(r"0x|\\x|[ :,-]", "", match[0])
        yield *match.span(), bytes.fromhex(digits[: len(digits) // 2 * 2]).decode("utf-8", "ignore")
    for match in _CODES.finditer(text):
        yield *match.span(), "".join(chr(int(code)) for code in re.findall("[0-9]+", match[0]))
    for match in _PERCENT.finditer(text):
        yield *match.span(), unquote(match[0], errors="ignore")
    for match in _REFERENCES.finditer(text):
        yield *match.span(), html.unescape(match[0])
    for match in _ESCAPES.finditer(text):
        yield *match.span(), re.sub(r"\\u([0-9A-Fa-f]{4})", lambda code: chr(int(code[1], 16)), match[0])


def _from_base64(blob: str) -> str:
    try:
        return base64.b64decode(blob[: len(blob) // 4 * 4], validate=True).decode("utf-8", "ignore")
    except (ValueError, binascii.Error):
        return ""
