"""The loss and its gradients against `transformers`' own, in float32, on tiny random models. Tolerance: 1e-5 relative."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from sadari.train import Row, weighted_loss

LAYOUTS = ["llama", "qwen2", "qwen3", "gemma3", "mistral", "phi3", "exaone4"]
PAD = 0


@pytest.fixture(scope="module")
def load(checkpoint: Callable[[str], Path]) -> Callable[[str], Any]:
    return lambda layout: AutoModelForCausalLM.from_pretrained(checkpoint(layout), dtype=torch.float32).train()


def random_rows(seed: int, lengths: tuple[int, ...] = (40, 23, 31)) -> list[Row]:
    """Rows whose prompt weighs nothing and whose answer, of a third of the tokens, weighs 1."""
    draw = torch.Generator().manual_seed(seed)
    rows = []
    for i, length in enumerate(lengths):
        ids = torch.randint(5, 400, (length,), generator=draw).tolist()
        prompt = length - length // 3
        rows.append(Row(str(i), tuple(ids), (0.0,) * prompt + (1.0,) * (length - prompt)))
    return rows


def reference_loss(model: Any, rows: list[Row]) -> torch.Tensor:
    """What `transformers` computes from labels, padded on the right."""
    width = max(len(r.ids) for r in rows)
    ids = torch.tensor([list(r.ids) + [PAD] * (width - len(r.ids)) for r in rows])
    mask = torch.tensor([[1] * len(r.ids) + [0] * (width - len(r.ids)) for r in rows])
    labels = torch.full_like(ids, -100)
    for i, row in enumerate(rows):
        for j, weight in enumerate(row.weights):
            if weight:
                labels[i, j] = ids[i, j]
    loss: torch.Tensor = model(input_ids=ids, attention_mask=mask, labels=labels).loss
    return loss


def gradients(model: Any, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    model.zero_grad(set_to_none=True)
    loss.backward()
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_loss_and_every_gradient_equal_those_of_transformers(layout: str, load: Callable[[str], Any]) -> None:
    model, rows = load(layout), random_rows(1)
    ours, theirs = weighted_loss(model, rows, PAD), reference_loss(model, rows)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)
    mine, wanted = gradients(model, ours), gradients(model, theirs)
    assert mine.keys() == wanted.keys()
    for name, gradient in wanted.items():
        error = (mine[name] - gradient).norm() / gradient.norm().clamp_min(1e-12)
        assert error < 1e-5, f"{name}: {error}"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_padding_never_changes_the_loss(layout: str, load: Callable[[str], Any]) -> None:
    model, rows = load(layout), random_rows(2)
    with torch.no_grad():
        together = weighted_loss(model, rows, PAD).item()
        counts = [sum(r.weights) for r in rows]
        alone = [weighted_loss(model, [r], PAD).item() for r in rows]
    assert together == pytest.approx(sum(c * x for c, x in zip(counts, alone, strict=True)) / sum(counts), rel=1e-5)


def test_the_token_that_pads_does_not_matter(load: Callable[[str], Any]) -> None:
    model, rows = load("llama"), random_rows(3)
    with torch.no_grad():
        assert weighted_loss(model, rows, 0).item() == pytest.approx(weighted_loss(model, rows, 17).item(), rel=1e-6)


def test_weights_are_shares_of_each_token_in_the_mean(load: Callable[[str], Any]) -> None:
    """Hand calculation: two tokens of losses a and b with weights 1 and 0.25 give (a + b/4) / 1.25."""
    model = load("llama")
    ids = tuple(random_rows(4, (12,))[0].ids)
    blank = (0.0,) * 10

    def loss(*weights: float) -> float:
        with torch.no_grad():
            return weighted_loss(model, [Row("r", ids, (*blank, *weights))], PAD).item()

    assert loss(1.0, 0.25) == pytest.approx((loss(1.0, 0.0) + 0.25 * loss(0.0, 1.0)) / 1.25, rel=1e-5)


def test_a_weight_on_the_first_token_counts_nothing_because_nothing_predicts_it(load: Callable[[str], Any]) -> None:
    model, [row] = load("llama"), random_rows(5, (12,))
    with torch.no_grad():
        first = Row("r", row.ids, (1.0, *row.weights[1:]))
        assert weighted_loss(model, [first], PAD).item() == weighted_loss(model, [row], PAD).item()


def test_a_token_that_is_chosen_among_a_few_is_learnt_among_them(load: Callable[[str], Any]) -> None:
    """Hand calculation: minus the log of its share of exp(score) among those ids alone."""
    model = load("llama")
    ids = random_rows(6, (12,))[0].ids
    among = (ids[-1], 33, 44)
    row = Row("r", ids, (0.0,) * 11 + (1.0,), ((),) * 11 + (among,))
    with torch.no_grad():
        scores = model(torch.tensor([ids])).logits[0, -2]
        expected = -torch.log(scores[ids[-1]].exp() / sum(scores[i].exp() for i in among))
        assert weighted_loss(model, [row], PAD).item() == pytest.approx(expected.item(), rel=1e-5)
