"""Arithmetic from sizes, against what autograd really keeps and what the process really takes."""

from typing import Any

import pytest
import torch
import transformers

from sadari.model.shape import ModelShape, shape_of
from sadari.train import Row
from sadari.train.advice import Advice, Need, needs_by_sizes
from sadari.train.config import AdapterConfig, FullConfig, LoraConfig, SoftPromptConfig, TuneConfig
from sadari.train.estimate import (
    Method,
    Step,
    answering_flops,
    kept_bytes,
    scores_bytes,
    serving_memory,
    step_memory,
    trained_weights,
    training_flops,
    training_memory,
    weight_bytes,
)
from sadari.train.learner import Learner
from sadari.train.methods import attach

SIZES = {
    "vocab_size": 2048,
    "hidden_size": 256,
    "intermediate_size": 704,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "tie_word_embeddings": True,
}
SHAPE = ModelShape(3, 256, 704, 256, 128, 2048)
LARGE = ModelShape(28, 2048, 6144, 2048, 1024, 151936)  # Qwen3-1.7B
METHODS: dict[Method, TuneConfig] = {
    "lora": LoraConfig(rank=8),
    "adapter": AdapterConfig(width=32),
    "prompt_tuning": SoftPromptConfig(tokens=8),
    "prefix": SoftPromptConfig(tokens=8),
    "ia3": TuneConfig(),
    "full": FullConfig(),
}


def make(kind: str) -> Any:
    config = getattr(transformers, f"{kind}Config")(**SIZES)
    return getattr(transformers, f"{kind}ForCausalLM")(config).train()


def kept_by_autograd(learner: Learner, rows: list[Row]) -> int:
    """Bytes kept for the backward pass, parameters left out, each storage once."""
    weights = {p.untyped_storage().data_ptr() for p in learner.model.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with learner.running(), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = learner.summed(rows)
        assert loss.requires_grad
    return sum(t.untyped_storage().nbytes() for at, t in kept.items() if at not in weights)


@pytest.mark.parametrize("kind", ["Qwen3", "Llama"])
def test_the_shape_of_a_model_counts_its_parameters(kind: str) -> None:
    model = make(kind)
    assert shape_of(model).parameters == sum(p.numel() for p in model.parameters())
    assert SHAPE.parameters == pytest.approx(shape_of(model).parameters, rel=0.002)  # norms are left out


@pytest.mark.parametrize("method", METHODS)
def test_the_trained_weights_of_each_method_are_counted_exactly(method: Method) -> None:
    attached = attach(method, make("Qwen3"), METHODS[method], seed=0)
    assert trained_weights(SHAPE, method, METHODS[method]) == pytest.approx(
        attached.trainable, rel=0 if method != "full" else 0.002
    )


def test_the_last_layers_alone_train_their_share_of_the_weights() -> None:
    config = FullConfig(last_layers=1)
    attached = attach("full", make("Qwen3"), config, seed=0)
    assert trained_weights(SHAPE, "full", config) == pytest.approx(attached.trainable, rel=0.003)


@pytest.mark.parametrize("method", [*METHODS, "last layer"])
def test_what_is_kept_for_each_token_is_what_autograd_keeps_within_15_percent(method: Any) -> None:
    config = FullConfig(last_layers=1) if method == "last layer" else METHODS[method]
    method = "full" if method == "last layer" else method
    attached = attach(method, make("Qwen3"), config, seed=0)
    learner = Learner(attached.model, prefix=attached.prefix)

    def rows(count: int) -> list[Row]:  # nothing shared, one token learnt
        return [Row(str(i), tuple(range(3 + i, 131 + i)), (0.0,) * 127 + (1.0,)) for i in range(count)]

    grown = kept_by_autograd(learner, rows(6)) - kept_by_autograd(learner, rows(2))
    assert kept_bytes(SHAPE, method, config, "float32") * 4 * 127 == pytest.approx(grown, rel=0.15)


def test_checkpointing_keeps_the_input_of_each_layer_and_one_layer() -> None:
    layer = kept_bytes(LARGE, "lora", LoraConfig(), "float32") / 4 - 2 * LARGE.hidden
    spared = kept_bytes(LARGE, "lora", LoraConfig(checkpointing=True), "float32") / 4 - 2 * LARGE.hidden
    assert spared == 28 * 2048 + layer / 28


def test_a_weight_that_is_trained_takes_sixteen_bytes() -> None:
    shape = ModelShape(1, 1, 1, 1, 1, 1, stated=1_000_000)
    memory = step_memory(shape, "full", Step(0, accumulates=True))
    assert memory.total - memory.overhead == 16_000_000


def test_scores_stop_growing_with_the_predictions() -> None:
    # 256 MiB hold 441 rows of 151,936 scores in float32, and two chunks are there at once.
    assert scores_bytes(151936, 100, leaves_holes=False) == 4 * 100 * 151936
    assert scores_bytes(151936, 10**6, leaves_holes=False) == 2 * 441 * 151936 * 4
    assert scores_bytes(151936, 10**6) == 2.5 * 441 * 151936 * 4


def test_quantised_weights_keep_their_embeddings_in_bfloat16() -> None:
    # 28 layers of 50.3 million and an embedding of 311 million.
    assert weight_bytes(LARGE, "int4") == pytest.approx(28 * 50.33e6 * 0.5625 + 311.2e6 * 2, rel=1e-3)
    assert weight_bytes(LARGE, "bfloat16") == 2 * LARGE.parameters


def test_qlora_needs_less_than_lora_and_lora_less_than_full_tuning() -> None:
    full, lora, qlora = (training_memory(LARGE, m, batch_tokens=2048, precision="bfloat16").gib for m in ("full", "lora", "qlora"))
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


# --- advice ----------------------------------------------------------------------------------------------------------------------

GIB = 2**30


def test_advice_says_that_it_fits_with_time_and_money() -> None:
    advice = Advice((Need("as set", 2 * GIB, 6.0),), 16 * GIB, steps=600, price_per_hour=4000, currency="KRW")
    assert advice.in_words("en") == (
        "Training needs about 2.0 GiB of memory and 16.0 GiB can be had: it fits. 600 steps then take about 60 min. "
        "That costs about 4,000 KRW."
    )
    assert advice.in_words("ko") == (
        "학습에는 메모리가 약 2.0 GiB 필요하고 16.0 GiB를 쓸 수 있으므로 들어갑니다. 그러면 600단계에 약 60분 걸립니다. "
        "비용은 약 4,000 KRW입니다."
    )


def test_advice_names_the_ways_in_which_it_would_fit() -> None:
    needs = Need("as set", 20 * GIB), Need("half packed", 15 * GIB), Need("checkpointing", 12 * GIB), Need("qlora", 8 * GIB)
    advice = Advice(needs, 16 * GIB, steps=100)
    assert not advice.fits
    assert [need.way for need in advice.ways] == ["checkpointing", "qlora"]  # above nine tenths is too near
    assert advice.in_words("en").endswith("It fits with `checkpointing: true` (12.0 GiB), `qlora` (8.0 GiB).")


def test_advice_says_that_nothing_fits_and_takes_no_time_for_it() -> None:
    advice = Advice((Need("as set", 20 * GIB, 1.0), Need("half packed", 18 * GIB, 1.0)), 16 * GIB, steps=100)
    assert advice.seconds is None
    assert "the least takes 18.0 GiB. Take a smaller model." in advice.in_words("en")


def test_each_way_of_the_sizes_needs_less_than_as_set() -> None:
    step = Step(8192, 1024, "bfloat16")
    as_set, *others = needs_by_sizes(LARGE, "lora", LoraConfig(), step)
    assert [need.way for need in others] == ["half packed", "checkpointing", "qlora", "qlora checkpointing"]
    assert all(need.peak_bytes < as_set.peak_bytes for need in others)
    assert others[-1].peak_bytes == min(need.peak_bytes for need in others)


def test_an_adapter_that_is_checkpointed_can_only_halve_what_is_packed() -> None:
    needs = needs_by_sizes(LARGE, "adapter", AdapterConfig(checkpointing=True), Step(4096))
    assert [need.way for need in needs] == ["as set", "half packed"]
