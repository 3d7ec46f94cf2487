"""The first step of every comparison of text: one Unicode form, one width, a bounded length."""

import unicodedata

MOST_CHARS = 20_000
"""Characters of a text that are compared, about 10,000 tokens; what follows is not read. So an endless answer costs seconds."""

_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_FOLD = _FULL_WIDTH | {0x3000: " ", 0xA0: " ", 0xFFE6: "₩", 0xFFE5: "¥", 0x200B: None, 0xFEFF: None, 0x2019: "'", 0x2018: "'"}


def normalise(text: str) -> str:
    """`text` in NFC, with full-width letters, digits and signs folded and zero-width characters removed."""
    return unicodedata.normalize("NFC", text).translate(_FOLD)


def compared(text: str) -> str:
    """The part of `text` that is compared: normalised, and cut after `MOST_CHARS` characters."""
    return normalise(text[: 4 * MOST_CHARS])[:MOST_CHARS]  # a decomposed syllable has up to three characters
