"""The first step of every comparison of text: one Unicode form, one width."""

import unicodedata

_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_FOLD = _FULL_WIDTH | {0x3000: " ", 0xA0: " ", 0xFFE6: "₩", 0xFFE5: "¥", 0x200B: None, 0xFEFF: None, 0x2019: "'", 0x2018: "'"}


def normalise(text: str) -> str:
    """`text` in NFC, with full-width letters, digits and signs folded and zero-width characters removed."""
    return unicodedata.normalize("NFC", text).translate(_FOLD)
