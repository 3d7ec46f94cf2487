"""Text as it is kept (NFC) and as it is compared (folded)."""

import re
import unicodedata
from typing import Any

_BETWEEN_DIGITS = re.compile(r"(?<=\d)[\W_]+(?=\d)")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_KEPT_PUNCTUATION = "%#"
_DROPPED_SYMBOLS = "~^`|"


def nfc(text: str) -> str:
    """The text with composed Hangul: what macOS file names and some exports hold decomposed would match nothing."""
    return unicodedata.normalize("NFC", text)


def nfc_deep(value: Any) -> Any:
    """JSON-like data with every string in it, keys included, in NFC."""
    if isinstance(value, str):
        return nfc(value)
    if isinstance(value, dict):
        return {nfc_deep(key): nfc_deep(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [nfc_deep(item) for item in value]
    return value


def fold(text: str) -> str:
    """The text as duplicates are compared: NFC, casefolded, without whitespace and punctuation.

    Kept is what changes the meaning: symbols such as `+`, `€` or an emoji, `%`, and a separator inside numbers, so that
    1.5 is not 15 (1,000 is 1000). A text of nothing but punctuation is compared as it stands.
    """
    plain = nfc(text).casefold().strip()
    numbers = _BETWEEN_DIGITS.sub(_POINT, _THOUSANDS.sub("", plain.replace(_POINT, "")))
    return numbers.translate(_FOLDING) or plain


class _Folding(dict[int, str | None]):
    """What each character becomes, worked out when it is first met."""

    def __missing__(self, point: int) -> str | None:
        char = chr(point)
        self[point] = folded = char if _is_kept(char) else None
        return folded


_POINT = "\x00"  # stands for a separator inside a number while the other punctuation is dropped
_FOLDING = _Folding({ord(_POINT): "."})


def _is_kept(char: str) -> bool:
    category = unicodedata.category(char)
    if category[0] in "LN":
        return True
    if category[0] == "S":
        return char not in _DROPPED_SYMBOLS
    return category in ("Mc", "Me") or char in _KEPT_PUNCTUATION or (category == "Mn" and char not in "\ufe0e\ufe0f")
