"""Learning from preferences: of two answers to one conversation, the chosen one becomes likelier than the rejected one.

The reference is the model with its trained part off. It never changes, so it is asked once, before training, and of a pair one
number is kept: passes over the pairs then cost what plain training costs, and a run that is continued sees the very same numbers.
In the trie the chosen and the rejected answer share their conversation, so a pair costs little more than one of its rows.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from sadari.answer import Answerer
from sadari.errors import TrainingError
from sadari.train.batching import Item
from sadari.train.learner import Learner
from sadari.train.rows import render_rows
from sadari.types import Example, Message

if TYPE_CHECKING:
    from sadari.model.local import LocalModel

PAIRS_AT_ONCE = 256
"""Pairs that the reference is asked about between two looks at the clock."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of (chosen, rejected) rows, in the order of their examples; `left_out` had no two rows that could be learnt from."""

    items: tuple[Item, ...]
    left_out: int


@dataclass(frozen=True, slots=True)
class Preference:
    """Direct preference optimisation: -log sigmoid(beta * (margin - reference margin)), in nats per pair.

    The margin of a pair is the log-probability of its chosen answer minus that of its rejected one, in nats, summed over tokens.

    Args:
        beta: How strongly the model is held to its reference, above 0.
        reference: The reference's margin of each pair, by the id of its rows.

    Source:
        Rafailov et al. (2023), arXiv 2305.18290, equation 7.
    """

    beta: float
    reference: Mapping[str, float]

    def weight(self, items: Sequence[Item]) -> float:
        """The number of pairs."""
        return float(len(items))

    def summed(self, learner: Learner, items: Sequence[Item]) -> Tensor:
        """Sum of the loss of each pair."""
        found = margins(learner, items)
        before = torch.tensor([self.reference[chosen.id] for chosen, _ in items], device=found.device)
        return -F.logsigmoid(self.beta * (found - before)).sum()


def margins(learner: Learner, items: Sequence[Item]) -> Tensor:
    """How much likelier the model finds the chosen answer of each pair than the rejected one, in nats, shape (P,)."""
    found = learner.log_probabilities([row for pair in items for row in pair]).view(-1, 2)
    return found[:, 0] - found[:, 1]


def reference_margins(
    learner: Learner,
    items: Sequence[Item],
    off: Callable[[], AbstractContextManager[None]],
    *,
    time_s: float | None = None,
) -> dict[str, float]:
    """The reference's margin of each pair, by the id of its rows, in nats.

    Args:
        items: Pairs, in the order in which they are asked about; ids differ.
        off: Within it the model is its reference (`Attached.off`).
        time_s: Wall seconds after which no more pairs are begun. The first `PAIRS_AT_ONCE` are always asked about.
    """
    found: dict[str, float] = {}
    started = time.perf_counter()
    with off(), learner.running(), torch.no_grad():
        for start in range(0, len(items), PAIRS_AT_ONCE):
            if start and time_s is not None and time.perf_counter() - started > time_s:
                break
            some = items[start : start + PAIRS_AT_ONCE]
            for batch in learner.cut(some):
                pairs = [some[i] for i in batch]
                for (chosen, _), margin in zip(pairs, margins(learner, pairs).tolist(), strict=True):
                    found[chosen.id] = margin
    return found


def pair_rows(examples: Sequence[Example], answerer: Answerer, model: "LocalModel", max_cut_share: float) -> Pairs:
    """Pairs rendered exactly as the system will be asked, once with the chosen and once with the rejected answer at the end.

    Only the answers are in the loss, each token with weight 1.

    Args:
        examples: Of the kind "preference".
        answerer: Composes the prompts.
        max_cut_share: See `TuneConfig`.

    Raises:
        TrainingError: If more than this share of the rows do not fit the model's context, or no pair is left.
    """
    chosen, rejected = (
        {row.id: row for row in render_rows(sides, answerer, model, max_cut_share).rows}
        for sides in ([_with_answer(e, replace(e.target, weight=None)) for e in examples], [_rejected(e) for e in examples])
    )
    items = tuple(
        (chosen[e.id], rejected[e.id])
        for e in examples
        if e.id in chosen and e.id in rejected and chosen[e.id].ids != rejected[e.id].ids
    )
    if not items:
        raise TrainingError(
            f"of {len(examples)} preference pairs, none has two different answers that the system could give. Look whether it may "
            "only say labels or quote sentences, and whether chosen and rejected differ."
        )
    return Pairs(items, len(examples) - len(items))


def _rejected(example: Example) -> Example:
    return _with_answer(example, Message("assistant", example.rejected or ""))


def _with_answer(example: Example, answer: Message) -> Example:
    return replace(example, messages=(*example.prompt, answer))
