"""Fused low-rank layers against PEFT's own forward pass."""

from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import Linear
from torch import Tensor

from one_by_one import assert_same_gradients, gradients, tiny
from sadari.train.lora_linear import fused_lora

IDS = torch.tensor([[5, 6, 7, 8, 9, 10]])


def with_lora(family: str = "qwen2", **more: Any) -> Any:
    torch.manual_seed(2)
    settings = {"r": 3, "lora_alpha": 2, "target_modules": "all-linear", "init_lora_weights": False, **more}
    return get_peft_model(tiny(family), LoraConfig(**settings)).eval()


def fused_layers(model: Any) -> list[Any]:
    with fused_lora(model):
        return [module for module in model.modules() if isinstance(module, Linear) and "forward" in vars(module)]


def outcome(model: Any, is_fused: bool) -> tuple[Tensor, dict[str, Tensor]]:
    model.zero_grad(set_to_none=True)
    target = torch.randn(1, IDS.shape[1], 97, generator=torch.Generator().manual_seed(4))
    if is_fused:
        with fused_lora(model):
            logits = model(IDS).logits
            (logits * target).sum().backward()
    else:
        logits = model(IDS).logits
        (logits * target).sum().backward()
    return logits.detach(), gradients(model)


def assert_equal(model: Any, rel: float = 1e-5) -> None:
    (found, ours), (expected, theirs) = outcome(model, is_fused=True), outcome(model, is_fused=False)
    assert float((found - expected).norm() / expected.norm()) < rel
    assert_same_gradients(ours, theirs, rel)


@pytest.mark.parametrize("more", [{}, {"use_rslora": True}, {"r": 1, "lora_alpha": 1}, {"rank_pattern": {"down_proj": 5}}])
@pytest.mark.parametrize("family", ["qwen2", "llama", "phi3"])
def test_output_and_gradients_equal_those_of_peft(family: str, more: dict[str, Any]) -> None:
    """Qwen2 has biases in its projections, Llama has none, Phi3 joins them."""
    model = with_lora(family, **more)
    assert len(fused_layers(model)) == sum(type(module) is Linear for module in model.modules())
    assert_equal(model)


def test_in_float64_they_are_equal_to_rounding() -> None:
    assert_equal(with_lora().double(), rel=1e-12)


def test_inputs_that_need_no_gradient_get_none() -> None:
    model = with_lora(target_modules=["q_proj"], layers_to_transform=[0])
    assert_equal(model)


@pytest.mark.filterwarnings("ignore:`lora_bias=True` was passed")
@pytest.mark.parametrize(
    "more",
    [
        {"use_dora": True},
        {"lora_dropout": 0.1},
        {"lora_bias": True},
        {"bias": "all"},
        {"bias": "lora_only"},
    ],
    ids=str,
)
def test_what_is_not_plain_runs_as_peft_runs_it(more: dict[str, Any]) -> None:
    """With `bias`, the biases of the frozen layers are trained: their gradient is not computed by the fused layer."""
    model = with_lora(**more)
    fused = [module for module in fused_layers(model) if any(p.requires_grad for p in module.base_layer.parameters())]
    assert not fused
    if "bias" not in more:
        assert not fused_layers(model)
    assert_equal(model)


def test_several_active_adapters_run_as_peft_runs_them() -> None:
    model = with_lora()
    model.add_adapter("second", LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False))
    model.base_model.set_adapter(["default", "second"])
    assert not fused_layers(model)
    assert_equal(model)


def test_merged_weights_are_not_added_twice() -> None:
    model = with_lora()
    model.merge_adapter()
    assert not fused_layers(model)


def test_an_adapter_that_is_switched_off_within_gives_the_base() -> None:
    """As the reference of a preference is computed."""
    model = with_lora()
    with torch.no_grad(), fused_lora(model), model.disable_adapter():
        off = model(IDS).logits
        expected = tiny("qwen2")(IDS).logits
    torch.testing.assert_close(off, expected)


def test_under_autocast_peft_runs_them() -> None:
    model = with_lora()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        expected = model(IDS).logits
        with fused_lora(model):
            assert torch.equal(model(IDS).logits, expected)


def test_afterwards_the_layers_are_as_before_even_if_an_error_ends_it() -> None:
    model = with_lora()
    with pytest.raises(KeyError), fused_lora(model), fused_lora(model):
        raise KeyError
    assert not [module for module in model.modules() if "forward" in vars(module)]


def test_a_forward_that_another_library_put_there_is_left_alone() -> None:
    model = with_lora()
    layer = next(module for module in model.modules() if type(module) is Linear)
    layer.forward = own = layer.forward
    with fused_lora(model):
        assert layer.forward is own
    assert layer.forward is own
