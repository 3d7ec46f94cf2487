"""What a service answered, made small: the parts that were asked for, lists and texts cut until it fits, secrets taken out."""

import base64
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from sadari.errors import ConfigError

_PATH = re.compile(r"(?:[^.\[\]]+|\[\*?\])(?:\.[^.\[\]]+|\[\*?\])*")
_TAKEN_OUT = "•••"
SHORTEST = 4
"""Characters of a secret; a shorter one would be taken out of half the answers."""
_CUTS = ((50, 1000), (20, 500), (10, 300), (5, 200), (3, 100), (1, 60))
"""Entries of a list and characters of a text that are kept, tried in turn."""

Paths = Mapping[str, "Paths"]


def paths_of(written: Iterable[str], shown: str) -> Paths:
    """Response paths such as `order.items[].name` as a tree of names; `$.` before them and `[*]` for `[]` are the same.

    Raises:
        ConfigError: If one is none.
    """
    tree: dict[str, Any] = {}
    whole: list[dict[str, Any]] = []  # where a path ends: what leads further in narrows nothing
    for path in sorted(written, key=lambda path: path.count(".")):
        rest = path.removeprefix("$").removeprefix(".")
        if not _PATH.fullmatch(rest):
            raise ConfigError(f"{shown}: {path!r} is no path of a response. Write it as `order.items[].name`.")
        node = tree
        for name in filter(None, re.split(r"\.|\[\*?\]", rest)):
            if any(node is end for end in whole):
                break
            node = node.setdefault(name, {})
        whole.append(node)
    return tree


def kept(value: Any, paths: Paths) -> Any:
    """The parts of a value that the paths name; all of it, where they end. Lists are gone through."""
    if not paths:
        return value
    if isinstance(value, list):
        return [kept(item, paths) for item in value]
    if isinstance(value, Mapping):
        return {name: kept(value[name], inner) for name, inner in paths.items() if name in value}
    return value


def fitted(value: Any, chars: int) -> tuple[str, bool]:
    """JSON of at most so many characters, and whether it is whole: long lists and texts are cut and say so, at last the end is."""
    text = _dumped(value)
    if len(text) <= chars:
        return text, True
    for entries, letters in _CUTS:
        text = _dumped(_cut(value, entries, letters))
        if len(text) <= chars:
            return text, False
    return f"{text[: chars - 1]}…", False


def _dumped(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _cut(value: Any, entries: int, letters: int) -> Any:
    if isinstance(value, list):
        more = [f"… +{len(value) - entries}"] if len(value) > entries else []
        return [_cut(item, entries, letters) for item in value[:entries]] + more
    if isinstance(value, Mapping):
        return {key: _cut(inner, entries, letters) for key, inner in value.items()}
    return f"{value[:letters]}…" if isinstance(value, str) and len(value) > letters else value


@dataclass(frozen=True, slots=True)
class Secrets:
    """Texts that must not come back from a service, in the spellings that services give them."""

    spellings: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return "Secrets(…)"

    @staticmethod
    def of(values: Iterable[str]) -> "Secrets":
        """The secrets with what they look like in an address, in base64 and behind a word such as Bearer."""
        found: set[str] = set()
        for value in values:
            for text in (value, *value.split(" ")[1:]):
                packed = base64.b64encode(text.encode()).decode()
                found |= {text, quote(text, safe=""), quote(text), packed, packed.rstrip("=")} if len(text) >= SHORTEST else set()
        return Secrets(tuple(sorted(found, key=len, reverse=True)))

    def without(self, value: Any) -> Any:
        """A JSON value in which none of them stands."""
        if isinstance(value, str):
            for spelling in self.spellings:
                value = value.replace(spelling, _TAKEN_OUT)
            return value
        if isinstance(value, list):
            return [self.without(item) for item in value]
        if isinstance(value, Mapping):
            return {self.without(key): self.without(inner) for key, inner in value.items()}
        return value
