from typing import Any

import pytest
import torch
import transformers

from sadari.model.shape import ModelShape, shape_of
from sadari.train import Row, TuneConfig, attach_adapter, weighted_loss
from sadari.train.estimate import (
    answering_flops,
    serving_memory,
    training_flops,
    training_memory,
    weight_bytes,
)

SIZES = {
    "vocab_size": 4096,
    "hidden_size": 256,
    "intermediate_size": 704,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "tie_word_embeddings": True,
}
SHAPE = ModelShape(3, 256, 704, 256, 128, 4096)


def make(kind: str) -> Any:
    config = getattr(transformers, f"{kind}Config")(**SIZES)
    return getattr(transformers, f"{kind}ForCausalLM")(config).train()


def kept_bytes(model: Any, rows: list[Row]) -> int:
    """What autograd keeps for the backward pass, parameters left out, each storage once."""
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        weighted_loss(model, rows, 0)
    return sum(t.untyped_storage().nbytes() for at, t in kept.items() if at not in weights)


@pytest.mark.parametrize("kind", ["Qwen3", "Llama"])
def test_the_shape_of_a_model_counts_its_parameters_and_those_of_lora(kind: str) -> None:
    model = make(kind)
    shape = shape_of(model)
    assert shape.parameters == sum(p.numel() for p in model.parameters())
    assert SHAPE.parameters == pytest.approx(shape.parameters, rel=0.002)  # norms are left out
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    attach_adapter(model, TuneConfig(rank=8), seed=0)
    assert shape.low_rank_parameters(8) == sum(p.numel() for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize("kind", ["Qwen3", "Llama"])
def test_activations_are_estimated_to_a_quarter_of_what_autograd_keeps(kind: str) -> None:
    rows = [Row(str(i), tuple(range(3, 67)), (0.0,) * 63 + (1.0,)) for i in range(8)]
    estimate = training_memory(SHAPE, "full", batch_tokens=8 * 64, learnt_tokens=8)
    assert estimate.activations + estimate.logits == pytest.approx(kept_bytes(make(kind), rows), rel=0.25)


def test_a_weight_that_is_trained_takes_twenty_bytes() -> None:
    shape = ModelShape(1, 1, 1, 1, 1, 1, stated=1_000_000)
    memory = training_memory(shape, "full", batch_tokens=0)
    assert memory.total - memory.overhead == 20_000_000


def test_quantised_weights_keep_their_embeddings_in_bfloat16() -> None:
    # Qwen3-1.7B: 28 layers of 50.3 million and an embedding of 311 million.
    shape = ModelShape(28, 2048, 6144, 2048, 1024, 151936)
    assert weight_bytes(shape, "int4") == pytest.approx(28 * 50.33e6 * 0.5625 + 311.2e6 * 2, rel=1e-3)
    assert weight_bytes(shape, "bfloat16") == 2 * shape.parameters


def test_qlora_needs_less_than_lora_and_lora_less_than_full_tuning() -> None:
    shape = ModelShape(28, 2048, 6144, 2048, 1024, 151936)
    full, lora, qlora = (training_memory(shape, m, batch_tokens=2048, precision="bfloat16").gib for m in ("full", "lora", "qlora"))
    assert qlora < lora < full


def test_the_cache_holds_a_key_and_a_value_per_layer_and_token() -> None:
    empty, full = serving_memory(SHAPE), serving_memory(SHAPE, held_tokens=100)
    assert full.total - empty.total == 100 * 3 * 2 * 128 * 4


def test_training_takes_six_operations_per_weight_and_token_and_a_low_rank_update_four() -> None:
    weights = SHAPE.layers * SHAPE.layer_matrices + SHAPE.embedding
    assert training_flops(SHAPE, "full", 10) == 60 * weights
    assert training_flops(SHAPE, "lora", 10) == 40 * weights
    assert training_flops(SHAPE, "full", 10, learnt_share=0) == 60 * (weights - SHAPE.embedding)


def test_reading_and_writing_take_two_operations_per_weight_and_only_writing_meets_the_output_layer() -> None:
    layers = SHAPE.layers * SHAPE.layer_matrices
    assert answering_flops(SHAPE, 100, 0) == 200 * layers
    assert answering_flops(SHAPE, 0, 10) == 20 * (layers + SHAPE.embedding)
