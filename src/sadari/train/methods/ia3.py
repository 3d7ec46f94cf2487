"""IA3: vectors that stretch keys, values and the inside of the feed-forward part, by PEFT."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from sadari.errors import ModelError
from sadari.train.config import TuneConfig
from sadari.train.methods.attached import Attached, count_weights, trained_parameters
from sadari.train.methods.learning_rate import default_learning_rate
from sadari.train.methods.saving import disabled, write_peft

ATTENTION = ("k_proj", "v_proj"), ("qkv_proj",), ("query_key_value",), ("c_attn",)
"""Layers that make keys and values, by what families call them; fused ones are stretched with their queries."""

FEED_FORWARD = ("down_proj",), ("dense_4h_to_h",), ("fc2",), ("w2",)
"""Layers whose input is the inside of the feed-forward part."""


def attach_ia3(model: Any, config: TuneConfig, prompt_ids: Sequence[int]) -> Attached:
    """Put stretching vectors into a frozen model; they begin at one.

    Raises:
        ModelError: If the layers that make keys and values, or the feed-forward part, cannot be told.

    Source:
        Liu et al. (2022), arXiv 2205.05638.
    """
    from peft import IA3Config, get_peft_model

    linear = {name.rpartition(".")[2] for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    attention = next((names for names in ATTENTION if linear.issuperset(names)), None)
    inside = next((names for names in FEED_FORWARD if linear.issuperset(names)), None)
    if attention is None or inside is None:
        raise ModelError(
            f"{model.name_or_path}: the layers that IA3 stretches cannot be told among {', '.join(sorted(linear))}. Use lora."
        )
    settings = IA3Config(target_modules=[*attention, *inside], feedforward_modules=list(inside), task_type="CAUSAL_LM")
    wrapped = get_peft_model(model, settings)
    parameters = trained_parameters(model)
    return Attached(
        "ia3",
        model,
        parameters,
        total := count_weights(model),
        default_learning_rate("ia3", total, config),
        write=lambda folder, tokenizer: write_peft(wrapped, folder),
        is_identity=lambda: all(bool((p == 1).all()) for p in parameters.values()),
        off=lambda: disabled(wrapped),
    )
