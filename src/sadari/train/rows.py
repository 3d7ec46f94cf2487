"""From examples to token rows and from rows to batches."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from sadari.answer import Answerer
from sadari.errors import TrainingError
from sadari.model.chat import render_prompt, render_training
from sadari.types import Example, OneOf, Request

if TYPE_CHECKING:
    from sadari.model.local import LocalModel


@dataclass(frozen=True, slots=True)
class Row:
    """One training row.

    Args:
        ids: Token ids.
        weights: For each token its weight in the loss (of predicting it), in [0, 1].
        among: For each token the ids it is chosen among when it is served; () stands for the whole vocabulary.
        soft: For each token a teacher's most probable ids with their probabilities, learnt instead of the token; () if there is
            no teacher.
    """

    id: str
    ids: tuple[int, ...]
    weights: tuple[float, ...]
    among: tuple[tuple[int, ...], ...] = ()
    soft: Sequence[Sequence[tuple[int, float]]] = ()


@dataclass(frozen=True, slots=True)
class Rendering:
    """Rows in the order of their examples; how many were too long, and how many have answers that the system could not give."""

    rows: tuple[Row, ...]
    cut: int
    unreachable: int


def render_rows(examples: Sequence[Example], answerer: Answerer, model: "LocalModel", max_cut_share: float) -> Rendering:
    """Rows rendered exactly as the system will be asked, with the answer to learn at the end.

    Where answers are constrained in serving (labels, quoted sentences), a token is learnt among the tokens that it will be chosen
    among, and a token that has no alternative is not learnt at all. An answer that the constraint cannot give (its sentence was
    not retrieved), or that it gives without a choice, teaches nothing and is left out.

    Args:
        answerer: Composes the prompts (retrieved passages included); the row itself and its near-duplicates are never shown.

    Raises:
        TrainingError: If more than `max_cut_share` of the rows do not fit the model's context, or none is left.
    """
    rows: list[Row] = []
    cut = unreachable = 0
    for example in examples:
        prepared = answerer.prepare(example, training=True)
        if prepared.request.constraint is None:
            row: Row | None = _free_row(example, prepared.request, model)
        else:
            said = prepared.said(example.target.content, answerer.system.abstention)
            row = None if said is None else _constrained_row(example, prepared.request, said, model)
        if row is None:
            unreachable += 1
        elif model.context is not None and len(row.ids) > model.context:
            cut += 1
        else:
            rows.append(row)
    if not rows or cut > max_cut_share * len(examples):
        raise TrainingError(
            f"{cut} of {len(examples)} training rows are longer than the context of {model.context} tokens, and the answers of "
            f"{unreachable} are none that the system could give. Retrieve fewer or shorter passages, shorten the rows, or raise "
            "`max_cut_share` to train without the long ones."
        )
    return Rendering(tuple(rows), cut, unreachable)


def _free_row(example: Example, request: Request, model: "LocalModel") -> Row:
    target = example.target
    answer = replace(target, weight=1.0 if target.weight is None else target.weight)
    name = f"training row {example.id}"
    rendered = render_training(model.tokenizer, (*request.messages, answer), request.tools, row=name)
    return Row(example.id, tuple(rendered.ids), tuple(rendered.weights))


def _constrained_row(example: Example, request: Request, said: str, model: "LocalModel") -> Row | None:
    assert isinstance(request.constraint, OneOf)
    decisions = model.decisions(request.constraint, said)
    if decisions is None:
        return None
    prompt = render_prompt(model.tokenizer, request.messages, request.tools)
    weight = 1.0 if example.target.weight is None else example.target.weight
    ids = (*prompt, *(token for token, _ in decisions))
    weights = (*(0.0 for _ in prompt), *(weight if len(among) > 1 else 0.0 for _, among in decisions))
    if not any(weights):  # one option alone, or a weight of 0: a batch of such rows would have no loss
        return None
    return Row(example.id, ids, weights, (*(() for _ in prompt), *(among for _, among in decisions)))


def batches_of(rows: Sequence[Row], batch_tokens: int, epochs: float, seed: int) -> list[list[int]]:
    """Row positions of every step of a run, in order.

    Rows of like length go together, so that little is padding; the order is drawn anew, from `seed`, for each epoch.
    """
    batches: list[list[int]] = []
    rng = np.random.default_rng(seed)
    for epoch in range(int(np.ceil(epochs))):
        order = rng.permutation(len(rows))
        drawn = []
        # Sorting inside pools of 256 rows keeps the batches random while lengths stay alike.
        for start in range(0, len(order), 256):
            pool = sorted((int(i) for i in order[start : start + 256]), key=lambda i: len(rows[i].ids))
            batch: list[int] = []
            for i in pool:
                if batch and (len(batch) + 1) * len(rows[i].ids) > batch_tokens:
                    drawn.append(batch)
                    batch = []
                batch.append(i)
            if batch:
                drawn.append(batch)
        drawn = [drawn[int(j)] for j in rng.permutation(len(drawn))]
        share = min(1.0, epochs - epoch)
        batches.extend(drawn[: max(1, round(share * len(drawn)))])
    return batches
