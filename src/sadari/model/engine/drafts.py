"""Guesses at what comes next, copied from what stands before: exact, since every guess is verified by the scores of a step.

Source:
    Prompt lookup decoding: Saxena (2023); verification without loss: Leviathan et al. (2023), arXiv 2211.17192, in the greedy case.
"""

from collections.abc import Sequence

NGRAM = 3
"""Tokens that have to stand before, as they do at the end, for what followed them to be guessed again."""

LONGEST = 8
"""Tokens of a guess."""

TRIES, LEAST_SHARE = 4, 0.25
"""After so many guesses of a row of which a smaller share was right, no more are made."""


class PromptLookup:
    """Guesses for one row."""

    def __init__(self) -> None:
        self._after: dict[tuple[int, ...], int] = {}
        self._indexed = NGRAM
        self._tries = self._guessed = self._right = 0

    @property
    def pays(self) -> bool:
        """Whether guesses have been right often enough."""
        return self._tries < TRIES or self._right >= LEAST_SHARE * self._guessed

    def guess(self, tokens: Sequence[int], most: int) -> tuple[int, ...]:
        """Up to `most` tokens that followed when the last ones stood before; () if they never did."""
        for end in range(self._indexed, len(tokens)):
            self._after[tuple(tokens[end - NGRAM : end])] = end
        self._indexed = max(self._indexed, len(tokens))
        at = self._after.get(tuple(tokens[-NGRAM:]))
        return () if at is None else tuple(tokens[at : at + min(most, LONGEST)])

    def note(self, guessed: int, right: int) -> None:
        """Learn how a guess went."""
        self._tries += 1
        self._guessed += guessed
        self._right += right
