"""A `Guide` over a compiled grammar of llguidance."""

import re
from collections.abc import Sequence

import numpy as np
import torch
from llguidance import LLMatcher
from llguidance.numpy import allocate_token_bitmask, fill_next_token_bitmask
from numpy.typing import NDArray
from torch import Tensor

from sadari.errors import ModelError
from sadari.model.grammar.brake import Brake
from sadari.model.grammar.vocabulary import Vocabulary

MOST_FORCED = 256
"""Tokens that are taken at once: a grammar can force text without end."""

_LISTING = re.compile(r"\s*(\d+ \||\^\s*$)")

_BIAS = np.where(np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little"), 0, -np.inf).astype(np.float32)
"""From eight bits of a mask to eight numbers to be added to scores."""


class GrammarGuide:
    """Keeps one answer within a grammar.

    Args:
        matcher: At its start, and used by no one else.
        brake: Ends strings and numbers that become too long; None for grammars of other things than JSON.
    """

    def __init__(self, matcher: LLMatcher, vocabulary: Vocabulary, brake: Brake | None = None) -> None:
        self._matcher, self._vocabulary, self._brake = matcher, vocabulary, brake
        self._bits = allocate_token_bitmask(1, vocabulary.size)
        self._bias = np.empty((self._bits.nbytes, 8), dtype=np.float32)
        """By token: 0 for what may come next, else -inf; eight to a row."""
        self._is_prepared = False

    @property
    def _by_token(self) -> NDArray[np.float32]:
        return self._bias.reshape(-1)[: self._vocabulary.size]

    @property
    def is_complete(self) -> bool:
        """Whether the answer may end here."""
        return bool(self._matcher.is_accepting())

    @property
    def is_over(self) -> bool:
        """Whether nothing but the end may follow."""
        return bool(self._matcher.is_stopped())

    def prepare(self) -> None:
        """Compute what may come next, while the interpreter is free for others.

        Raises:
            ModelError: If no token can go on, or the grammar turns out to be too complex.
        """
        if self._is_prepared:
            return
        fill_next_token_bitmask(self._matcher, self._bits)
        self._check("go on")
        np.take(_BIAS, self._bits.view(np.uint8)[0], axis=0, out=self._bias, mode="clip")  # clip: the only mode without a copy
        bias = self._by_token
        bias[self._vocabulary.ends] = 0 if self.is_complete else -np.inf
        fine = self._brake.fine() if self._brake is not None else None
        if fine is not None and (bias[fine] == 0).any():
            bias[~fine] = -np.inf
        if np.bitwise_count(self._bits.view(np.uint32)).sum() <= len(self._vocabulary.ends) and bias.max() < 0:
            raise ModelError("the answer cannot go on under its constraint: only a token that ends answers would continue it.")
        self._is_prepared = True

    def restrict(self, scores: Tensor) -> None:
        """Set the scores of tokens that may not come next to -inf, in place."""
        self.prepare()
        known = scores[: self._vocabulary.size]
        known += torch.from_numpy(self._by_token[: len(known)])  # ten times faster than filling where a mask says so
        scores[self._vocabulary.size :] = float("-inf")

    def accept(self, token: int) -> None:
        """Take one token."""
        self._is_prepared = False
        if not 0 <= token < self._vocabulary.size or not self._matcher.consume_token(token):
            self._check(f"take token {token}")
            raise ModelError(f"token {token} was chosen, but this model's tokenizer does not have it.")
        if self._brake is not None:
            self._brake.take(self._vocabulary.bytes_of(token))

    def feed(self, text: bytes) -> None:
        """Take text that was written already, in whichever tokens.

        Raises:
            ModelError: If the grammar forbids it.
        """
        tokens = self._vocabulary.spelling(text)
        if tokens is None:
            raise ModelError(f"{text!r} cannot be spelt in this model's tokens.")
        for token in tokens:
            self.accept(token)

    def forced(self) -> Sequence[int]:
        """Take the tokens of text that has no alternative, as the tokenizer itself would split it.

        The last one is left to the model if what follows could become part of it.
        """
        if self.is_over:
            return ()
        tokens: list[int] = self._matcher.compute_ff_tokens()
        tokens = tokens[: min(MOST_FORCED, self._matcher.validate_tokens(tokens))] if tokens else []
        for token in tokens:
            self.accept(token)
        self._check("go on")
        return tokens

    def _check(self, what: str) -> None:
        if self._matcher.is_error():
            raise ModelError(f"the answer cannot {what} under its constraint: {reason_of(self._matcher)}")


def reason_of(matcher: LLMatcher) -> str:
    """Why a matcher is in its error state, in one line, without the grammar."""
    lines = str(matcher.get_error()).replace("<non-verbose/>", "").splitlines()
    reason = " ".join(line.strip() for line in lines if not _LISTING.match(line)).strip()
    return "nothing can be written that it accepts." if reason == "NoExtensionBias" else reason[:300]
