"""One request under way: its tokens, how the next one is chosen, and when it ends."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from sadari.model.grammar.guide import Guide

SORTED = 1024
"""So many of the likeliest tokens nearly always hold what top-p asks for; to sort a whole vocabulary takes milliseconds."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a token is drawn; the fields are those of `Request`."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    seed: int = 0
    logprobs: int | None = None

    @property
    def is_plain(self) -> bool:
        """Whether the token with the highest score is taken, and nothing else is asked for."""
        return self.temperature <= 0 and self.repetition_penalty == 1.0 and self.logprobs is None


@dataclass(frozen=True, slots=True)
class Chosen:
    """One token with its log-probability, and the likeliest tokens there with theirs."""

    token: int
    log_probability: float
    likeliest: tuple[tuple[int, float], ...] = ()


@dataclass(slots=True, eq=False)
class Row:
    """One request under way.

    Args:
        prompt: Token ids; at least one.
        limit: Most tokens that are written.
        ends: Tokens that end the answer.
        guide: Keeps the answer within its constraint.
        stop_at: Given the tokens written and how many of them are new, the text before a stop string, if one stands there.
        scored: Nothing is written; the last so many tokens of the prompt are scored instead.
    """

    prompt: Sequence[int]
    limit: int = 0
    sampling: Sampling = Sampling()
    ends: frozenset[int] = frozenset()
    guide: Guide | None = None
    stop_at: Callable[[Sequence[int], int], str | None] | None = None
    scored: int = 0

    tokens: list[int] = field(init=False)
    """Of prompt and answer."""
    fed: int = field(init=False, default=0)
    """Tokens whose keys and values are held."""
    shared: int = field(init=False, default=0)
    """Tokens of the prompt that another waiting row begins with too."""
    is_begun: bool = field(init=False, default=False)
    """Whether what it shares was seen to."""
    told: int = field(init=False, default=0)
    """Tokens written that whoever reads along was told of."""
    place: Any = field(init=False, default=None)
    """Where the decoder holds the row."""
    finish: Literal["", "stop", "length", "truncated"] = field(init=False, default="")
    has_ended_itself: bool = field(init=False, default=False)
    """Whether a token that ends answers was drawn; it is not among the tokens."""
    error: str | None = field(init=False, default=None)
    text: str | None = field(init=False, default=None)
    """The answer, where a stop string cut it."""
    chosen: list[Chosen] = field(init=False, default_factory=list)
    """What was asked for of log-probabilities; of a scored row, its tokens."""
    times: dict[str, float] = field(init=False, default_factory=dict)
    """When it was submitted, when its first token was there, when it ended, by the scheduler's clock."""
    _generator: torch.Generator | None = field(init=False, default=None)
    _seen: Tensor | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.tokens = list(self.prompt)
        if self.guide is not None:
            self._take_forced()
            self._note_end(self.written)

    @property
    def out(self) -> list[int]:
        """Tokens written."""
        return self.tokens[len(self.prompt) :]

    @property
    def written(self) -> int:
        """How many tokens are written."""
        return len(self.tokens) - len(self.prompt)

    @property
    def is_done(self) -> bool:
        """Whether nothing more comes."""
        return bool(self.finish) or self.error is not None

    @property
    def first_wanted(self) -> int:
        """The first token after which scores are wanted, as an index into `tokens`."""
        return len(self.tokens) - 1 - self.scored

    def choose(self, scores: Tensor) -> int:
        """The next token.

        Args:
            scores: Shape (V,), float32, on the CPU; changed in place.
        """
        sampling = self.sampling
        told = torch.log_softmax(scores, dim=-1) if sampling.logprobs is not None else None
        if sampling.repetition_penalty != 1.0:
            self._penalise(scores)
        if self.guide is not None:
            self.guide.restrict(scores)
        token = int(scores.argmax()) if sampling.temperature <= 0 else self._draw(scores)
        if told is not None:
            self.chosen.append(_chosen(told, token, sampling.logprobs or 0))
        return token

    def take(self, token: int) -> None:
        """Go on with `token`, and with all that must follow it."""
        if token in self.ends and (self.guide is None or self.guide.is_complete):
            self.finish, self.has_ended_itself = "stop", True
            return
        if self.guide is not None:
            self.guide.accept(token)
        self._append(token)

    def score(self, scores: Tensor) -> None:
        """Note the log-probabilities of the tokens that follow those just fed, shape (n, V)."""
        told = torch.log_softmax(scores, dim=-1)
        first = len(self.tokens) - self.scored + len(self.chosen)
        for line, token in zip(told, self.tokens[first:], strict=False):
            self.chosen.append(Chosen(token, float(line[token])))
        if len(self.chosen) == self.scored:
            self.finish = "stop"

    def _append(self, token: int) -> None:
        before = self.written
        self.tokens.append(token)
        self._take_forced()
        self._note_end(self.written - before)

    def _take_forced(self) -> None:
        # Who asks for log-probabilities wants them of every token: the mask leaves the one that is forced.
        if self.guide is not None and self.sampling.logprobs is None:
            self.tokens += self.guide.forced()

    def _note_end(self, new: int) -> None:
        """Finish where what is written says so; the guide has taken all of it, and knows nothing of the limit."""
        if self.stop_at is not None and new and (cut := self.stop_at(self.out, new)) is not None:
            self.text = cut
            self.finish = "stop" if self.guide is None or self.guide.is_complete else "truncated"
        elif self.written > self.limit:
            del self.tokens[len(self.prompt) + self.limit :]
            self.finish = "truncated"
        elif self.guide is not None and self.guide.is_over:
            self.finish = "stop"
        elif self.written == self.limit:
            self.finish = "length" if self.guide is None or self.guide.is_complete else "truncated"

    def _penalise(self, scores: Tensor) -> None:
        """Source: Keskar et al. (2019), arXiv 1909.05858, with the sign of the score minded."""
        if self._seen is None:
            self._seen = torch.zeros(len(scores), dtype=torch.bool)
            self._seen[torch.tensor(list(self.prompt))] = True
        self._seen[torch.tensor(self.out, dtype=torch.long)] = True
        held, penalty = scores[self._seen], self.sampling.repetition_penalty
        scores[self._seen] = torch.where(held > 0, held / penalty, held * penalty)

    def _draw(self, scores: Tensor) -> int:
        """A draw by the row's own generator.

        Source:
            min-p: Nguyen et al. (2024), arXiv 2407.01082; top-p: Holtzman et al. (2019), arXiv 1904.09751.
        """
        if self._generator is None:
            self._generator = torch.Generator().manual_seed(self.sampling.seed)
        p, order = _likeliest(torch.softmax(scores.double() / self.sampling.temperature, dim=-1), self.sampling)
        total = p.cumsum(0)
        draw = torch.rand((), generator=self._generator, dtype=torch.float64) * total[-1]
        place = min(int(torch.searchsorted(total, draw, right=True)), len(total) - 1)
        return place if order is None else int(order[place])


def _likeliest(p: Tensor, sampling: Sampling) -> tuple[Tensor, Tensor | None]:
    """What top-k, and of that top-p and min-p, leave of the probabilities, and which tokens they are; None for all."""
    if not sampling.top_k and sampling.top_p >= 1 and sampling.min_p <= 0:
        return p, None
    most = min(sampling.top_k or SORTED, len(p))
    kept, order = p.topk(most)
    if not sampling.top_k and most < len(p) and (sampling.min_p > 0 or float(kept.sum()) < sampling.top_p):
        kept, order = p.sort(descending=True, stable=True)
    # Shares are of all that top-k leaves, of everything without it.
    whole = kept.sum() if sampling.top_k else p.sum()
    count = int((kept.cumsum(0) - kept < sampling.top_p * whole).sum()) or 1
    count = max(1, min(count, int((kept >= sampling.min_p * kept[0]).sum())))
    return kept[:count], order[:count]


def _chosen(log_probabilities: Tensor, token: int, count: int) -> Chosen:
    values, order = log_probabilities.topk(count) if count else (torch.empty(0), torch.empty(0))
    likeliest = tuple((int(t), float(v)) for t, v in zip(order, values, strict=True) if math.isfinite(v))
    return Chosen(token, float(log_probabilities[token]), likeliest)
