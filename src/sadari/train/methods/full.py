"""Full fine-tuning: every weight, or those of the last layers."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from sadari.errors import ConfigError, ModelError
from sadari.model.bottleneck import blocks_of
from sadari.train.config import FullConfig, TuneConfig
from sadari.train.methods.attached import Attached, count_weights, trained_parameters
from sadari.train.methods.learning_rate import default_learning_rate
from sadari.train.methods.saving import write_model


def attach_full(model: Any, config: TuneConfig, prompt_ids: Sequence[int]) -> Attached:
    """Train the model itself: all of it, or its last `last_layers` blocks and the norm after them.

    Raises:
        ModelError: If the model is in four bits.
        ConfigError: If it has fewer blocks than are to be trained.
    """
    assert isinstance(config, FullConfig)
    if getattr(model, "is_loaded_in_4bit", False):
        raise ModelError(f"{model.name_or_path}: weights in four bits cannot be trained. Use qlora, or load it in bfloat16.")
    for module in [model] if config.last_layers is None else _top(model, config.last_layers):
        module.requires_grad_(True)
    parameters = trained_parameters(model)
    before = _sums(parameters)
    return Attached(
        "full",
        model,
        parameters,
        total := count_weights(model),
        default_learning_rate("full", total, config),
        write=lambda folder, tokenizer: write_model(model, tokenizer, folder),
        is_identity=lambda: _sums(parameters) == before,
    )


def _top(model: Any, count: int) -> list[nn.Module]:
    blocks = blocks_of(model)
    if count > len(blocks):
        raise ConfigError(f"last_layers: {count} are to be trained, but the model has {len(blocks)}. Set fewer, or null for all.")
    children = list(model.get_decoder().children())
    after = children[children.index(blocks) + 1 :]
    return [*list(blocks)[-count:], *[module for module in after if all(p.ndim == 1 for p in module.parameters())]]


def _sums(parameters: dict[str, nn.Parameter]) -> list[tuple[float, float]]:
    """Two sums for each parameter that change when it is trained."""
    return [_two_sums(p.detach()) for p in parameters.values()]


def _two_sums(weights: Tensor) -> tuple[float, float]:
    exact = weights.double()
    return float(exact.sum()), float(exact.square().sum())
