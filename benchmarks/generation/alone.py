"""Each request by itself through `transformers`: the answers that every tool should give, and how sure the model was of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asked import Asked, Tokens, Written
from peer import generation_settings, load

NEAR = 1e-4
"""Two scores closer than this may change places by rounding alone."""


@dataclass(frozen=True, slots=True)
class Alone:
    """One answer, and the places where its two best tokens were nearer to each other than `NEAR`."""

    ids: Tokens
    ties: Tokens


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of so many answers: how many are the same token for token, and how many first differ where two tokens were nearly tied."""

    of: int
    same: int
    tied: int

    def __str__(self) -> str:
        return f"{self.same} of {self.of}" + (f", {self.tied} at a near tie" if self.tied else "")


def answer_alone(folder: Path, asked: Sequence[Asked]) -> list[Alone]:
    """The answers in order."""
    model = load(folder)
    return [_answer(model, one) for one in asked]


def compare(written: Sequence[Written], alone: Sequence[Alone]) -> Agreement:
    """How far a tool's answers are those that each request gets by itself; those beyond the shorter of the two are not compared."""
    pairs = list(zip((answer.ids for answer in written), alone, strict=False))
    differ = [(first_difference(ids, one.ids), one) for ids, one in pairs if ids != one.ids]
    return Agreement(len(pairs), len(pairs) - len(differ), sum(place in one.ties for place, one in differ))


def first_difference(left: Tokens, right: Tokens) -> int:
    """The first place where they are not the same."""
    return next((i for i, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))


def _answer(model: Any, one: Asked) -> Alone:
    import torch

    ids = torch.tensor([one.prompt], device=model.device)
    settings = generation_settings(one.new_tokens, return_dict_in_generate=True, output_logits=True)
    out = model.generate(ids, attention_mask=torch.ones_like(ids), generation_config=settings)
    best = torch.stack(out.logits)[:, 0].float().topk(2).values  # (new_tokens, 2)
    near = (best[:, 0] - best[:, 1] < NEAR).nonzero()[:, 0].tolist()
    return Alone(tuple(out.sequences[0, ids.shape[1] :].tolist()), tuple(near))
