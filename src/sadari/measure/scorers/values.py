"""JSON values as they are compared: kinds apart, texts in one form, numbers by value, nesting bounded."""

import re
from collections.abc import Hashable, Iterator, Mapping
from typing import Any, Literal

from sadari.text.forms import normalise

DEEPEST = 100
"""Levels of lists and objects within each other that are compared; deeper values are equal to nothing."""

Strings = Literal["exact", "loose", "lenient"]
Numbers = Literal["value", "typed"]
Path = tuple[str | int, ...]

_LOOSE = re.compile(r" ")
_LENIENT = re.compile(r"[ ,./\-_*^]")


class TooDeepError(ValueError):
    """A value holds more than `DEEPEST` levels."""


def value_key(value: Any, strings: Strings = "exact", numbers: Numbers = "value", depth: int = 0) -> Hashable:
    """What is equal for equal values, and only for them: true is not 1, "1" is not 1, and the order of keys does not matter.

    Args:
        strings: "exact" compares texts in one Unicode form and width, runs of spaces as one; "loose" also ignores case and all
            spaces; "lenient" also ignores `,./-_*^` and the kind of quotes.
        numbers: "value" takes 1 and 1.0 for one number, "typed" does not.

    Raises:
        TooDeepError: If it is nested deeper than `DEEPEST`.
    """
    if depth > DEEPEST:
        raise TooDeepError(f"nested deeper than {DEEPEST} levels")
    if isinstance(value, Mapping):
        return "object", frozenset((normalise(str(k)), value_key(v, strings, numbers, depth + 1)) for k, v in value.items())
    if isinstance(value, list | tuple):
        return "list", tuple(value_key(item, strings, numbers, depth + 1) for item in value)
    if isinstance(value, bool) or value is None:
        return "constant", repr(value)
    if isinstance(value, int | float):
        if value != value:
            return "number", "NaN"
        return type(value).__name__ if numbers == "typed" else "number", value
    return "text", _text_key(str(value), strings)


def leaves(value: Any) -> Iterator[tuple[Path, Hashable]]:
    """Every value that holds no other, with its path of keys and places; an empty list or object is one too.

    Raises:
        TooDeepError: If it is nested deeper than `DEEPEST`.
    """
    waiting: list[tuple[Path, Any]] = [((), value)]
    while waiting:
        path, inner = waiting.pop()
        if len(path) > DEEPEST:
            raise TooDeepError(f"nested deeper than {DEEPEST} levels")
        if isinstance(inner, Mapping) and inner:
            waiting += [((*path, normalise(str(key))), item) for key, item in inner.items()]
        elif isinstance(inner, list) and inner:
            waiting += [((*path, at), item) for at, item in enumerate(inner)]
        else:
            yield path, value_key(inner)


def _text_key(text: str, strings: Strings) -> str:
    text = normalise(text)
    if strings == "exact":
        return " ".join(text.split())
    if strings == "loose":
        return _LOOSE.sub("", text).lower()
    return _LENIENT.sub("", text).lower().replace("'", '"')
