"""The loss over the learnt tokens against the model's own logits and plain cross-entropy. Tolerance: 1e-5 relative."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from one_by_one import FAMILIES, assert_same_gradients, rows_of, tiny
from sadari.train import loss as module
from sadari.train.loss import prediction_losses, summed_loss
from sadari.train.rows import Row
from sadari.train.trie import Trie, build_trie

SIZE = 32
POSTPROCESSED = ("granite", "cohere2", "Gemma2", "HyperCLOVAX")


@pytest.fixture(params=["all", 3], ids=["one chunk", "chunks of 3"], autouse=True)
def chunk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The size of a chunk is one of memory, never of the result."""
    if request.param != "all":
        monkeypatch.setattr(module, "_chunk_rows", lambda model: request.param)
    return


@pytest.fixture
def trie() -> Trie:
    return build_trie(rows_of("abCDEF", "abCDGH", "xyZabcD", "abCDEF"))


def head_of(family: str) -> Any:
    more: dict[str, Any] = {"HyperCLOVAX": {"logits_scaling": 3.0}, "Gemma2": {"final_logit_softcapping": 5.0, "head_dim": 8}}
    return tiny(family, num_hidden_layers=1, layer_types=["full_attention"], **more.get(family, {}))


def hidden_for(trie: Trie) -> Tensor:
    return torch.randn(len(trie.at), SIZE, generator=torch.Generator().manual_seed(0)).requires_grad_()


def own_scores(model: Any, hidden: Tensor) -> Tensor:
    """By hand, as the source of each family has it."""
    scores = model.lm_head(hidden)
    kind, config = model.config.model_type, model.config
    if kind == "granite":
        return scores / config.logits_scaling
    if kind == "hyperclovax":
        return scores * config.logits_scaling
    if kind == "cohere2":
        return scores * config.logit_scale
    if kind == "gemma2":
        return config.final_logit_softcapping * torch.tanh(scores / config.final_logit_softcapping)
    return scores


def by_hand(model: Any, hidden: Tensor, trie: Trie) -> Tensor:
    """Cross-entropy of each prediction."""
    out = []
    for i, scores in enumerate(own_scores(model, hidden)):
        among = list(trie.among[i]) if trie.among and trie.among[i] else list(range(len(scores)))
        normaliser = scores[among].logsumexp(0)
        wanted = [
            share * (scores[token] - normaliser) for token, share in zip(trie.targets[i], trie.shares[i], strict=True) if share
        ]
        out.append(-torch.stack([torch.as_tensor(term) for term in wanted]).sum())
    return torch.stack(out)


def gradients(model: Any, hidden: Tensor, loss: Tensor) -> dict[str, Tensor]:
    model.zero_grad(set_to_none=True)
    hidden.grad = None
    loss.backward()
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    assert hidden.grad is not None
    return {**found, "hidden": hidden.grad.clone()}


def assert_exact(model: Any, trie: Trie) -> None:
    hidden, weights = hidden_for(trie), torch.as_tensor(trie.weights)
    expected = by_hand(model, hidden, trie)
    total = (expected * weights).sum()
    wanted = gradients(model, hidden, total)
    torch.testing.assert_close(prediction_losses(model, hidden, trie), expected, rtol=1e-5, atol=1e-6)
    assert_same_gradients(gradients(model, hidden, (prediction_losses(model, hidden, trie) * weights).sum()), wanted)
    found = summed_loss(model, hidden, trie)
    assert found.item() == pytest.approx(total.item(), rel=1e-5)
    assert_same_gradients(gradients(model, hidden, 2.5 * summed_loss(model, hidden, trie)), {n: 2.5 * g for n, g in wanted.items()})


@pytest.mark.parametrize("family", [*FAMILIES, "Gemma2", "HyperCLOVAX"])
def test_loss_and_gradients_equal_those_of_the_familys_own_scores(family: str, trie: Trie) -> None:
    """Granite divides by the setting by which HyperCLOVA X multiplies; others cap."""
    model = head_of(family)
    assert module._is_plain(model) == (family not in POSTPROCESSED)
    assert_exact(model, trie)


def test_settings_that_a_family_never_reads_change_nothing(trie: Trie) -> None:
    model = head_of("llama")
    model.config.logits_scaling, model.config.final_logit_softcapping, model.config.logit_scale = 3.0, 5.0, 0.1
    assert_exact(model, trie)


def test_an_output_layer_with_a_bias_has_its_gradient(trie: Trie) -> None:
    model = head_of("llama")
    model.lm_head.bias = torch.nn.Parameter(torch.randn(model.lm_head.out_features))
    assert_exact(model, trie)


def test_an_output_layer_with_an_adapter_has_its_gradients(trie: Trie) -> None:
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=2, target_modules=["lm_head"], init_lora_weights=False)
    model = get_peft_model(head_of("llama"), config).eval()
    assert_exact(model, trie)


def test_a_frozen_output_layer_gets_no_gradient(trie: Trie) -> None:
    model = head_of("llama").requires_grad_(False)
    hidden = hidden_for(trie)
    assert gradients(model, hidden, summed_loss(model, hidden, trie)).keys() == {"hidden"}


@pytest.mark.parametrize("family", ["llama", "granite"])
def test_tokens_are_learnt_among_those_they_are_chosen_among(family: str) -> None:
    a = Row("a", (5, 6, 7, 8), (0, 0, 1, 0.5), among=((), (), (7, 9, 11), ()))
    b = Row("b", (5, 6, 7, 8), (0, 0, 1, 1), among=((), (), (7, 9), (8, 1)))
    assert_exact(head_of(family), build_trie([a, b]))


@pytest.mark.parametrize("family", ["llama", "granite"])
def test_a_teachers_shares_are_learnt_instead_of_the_token(family: str) -> None:
    a = Row("a", (5, 6, 7), (0, 1, 1), soft=((), ((6, 0.5), (9, 0.3)), ((7, 1.0),)))
    b = Row("b", (5, 6, 8), (0, 0.25, 1), soft=((), ((6, 0.2), (1, 0.2), (2, 0.6)), ()))
    assert_exact(head_of(family), build_trie([a, b]))


def test_a_teachers_shares_may_be_learnt_among_a_few_ids() -> None:
    """The filling of shorter targets stands at id 0, which may be forbidden: 0 times infinity must not enter."""
    a = Row("a", (5, 6, 7), (0, 1, 1), among=((), (6, 9), (7, 8)), soft=((), ((6, 0.5), (9, 0.5)), ((7, 1.0),)))
    assert_exact(head_of("llama"), build_trie([a]))


def test_in_bfloat16_scores_are_summed_in_float32(trie: Trie) -> None:
    model = head_of("llama")
    hidden = hidden_for(trie)
    expected = (by_hand(model, hidden, trie) * torch.as_tensor(trie.weights)).sum()
    with torch.autocast("cpu", torch.bfloat16):
        found = summed_loss(model, hidden, trie)
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(expected.item(), rel=1e-2)
    found.backward()
    assert hidden.grad is not None
    assert hidden.grad.dtype == torch.float32


def test_scores_beyond_the_range_of_the_exponential_stay_finite(trie: Trie) -> None:
    model = head_of("llama")
    hidden = (300 * hidden_for(trie)).detach().requires_grad_()
    found = summed_loss(model, hidden, trie)
    assert found.item() == pytest.approx((by_hand(model, hidden, trie) * torch.as_tensor(trie.weights)).sum().item(), rel=1e-5)
    assert all(grad.isfinite().all() for grad in gradients(model, hidden, found).values())


def test_the_model_is_left_as_it_was(trie: Trie) -> None:
    model = head_of("granite")
    summed_loss(model, hidden_for(trie), trie)
    assert "forward" not in vars(model.get_decoder())
