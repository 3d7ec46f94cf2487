"""Ends strings and numbers of JSON that have become too long, while they are written.

A grammar could say how long a string may be, but counting makes each mask some forty times slower; and JSON Schema has no word for
the digits of a number. So the tokens that go on are taken away once the limit is reached, as long as others are left: what the
schema demands (a long pattern, a large minimum) is never cut.
"""

import numpy as np
from numpy.typing import NDArray

from sadari.model.grammar.schema import Limits
from sadari.model.grammar.vocabulary import Vocabulary

EXPONENT_DIGITS = 2

SHORT = 16
"""Characters of a string once all strings together have become too long."""

_QUOTE, _BACKSLASH, _ZERO, _NINE = b'"\\09'
_EXPONENTS, _SIGNS = b"eE", b"+-"


class Brake:
    """Where in its strings and numbers a JSON text is, and which tokens would take it too far."""

    def __init__(self, vocabulary: Vocabulary, limits: Limits) -> None:
        self._vocabulary, self._limits = vocabulary, limits
        self._in_string = self._is_escaped = False
        self._length = self._total = 0
        self._digits = limits.digits

    def take(self, data: bytes) -> None:
        """Go on by what was written."""
        for byte in data:
            if self._in_string:
                self._take_in_string(byte)
            elif byte == _QUOTE:
                self._in_string, self._length = True, 0
            elif _ZERO <= byte <= _NINE:
                self._length += 1
            elif byte not in _SIGNS:
                self._length = 0
                self._digits = EXPONENT_DIGITS if byte in _EXPONENTS else self._limits.digits

    def fine(self) -> NDArray[np.bool_] | None:
        """Which tokens go no further than they may, shape (V,); None if all."""
        if self._in_string:
            most = self._limits.characters if self._total < self._limits.together else min(SHORT, self._limits.characters)
            return None if self._is_escaped or self._length < most else self._vocabulary.quotes
        room = self._digits - self._length
        return None if room >= self._vocabulary.most_digits else self._vocabulary.leading_digits <= room

    def _take_in_string(self, byte: int) -> None:
        if byte == _QUOTE and not self._is_escaped:
            self._in_string, self._length, self._digits = False, 0, self._limits.digits
            return
        self._is_escaped = byte == _BACKSLASH and not self._is_escaped
        begins = byte & 0xC0 != 0x80  # the bytes within a character do not count
        self._length += begins
        self._total += begins
