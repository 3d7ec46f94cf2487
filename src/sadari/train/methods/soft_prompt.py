"""Prompt tuning and prefix tuning: vectors before every row are learnt while the model is frozen; the folders are those of PEFT.

Both begin as a prompt: with its embeddings, or with the keys and values that the frozen model computes for it. A model with such a
prefix answers, before any step, as the base does with that prompt in front. Vectors drawn at random score near zero for long.
"""

from collections.abc import Sequence
from math import ceil
from typing import Any

import torch
from torch import Tensor

from sadari.errors import ConfigError, ModelError
from sadari.model.adapters import key_value_shape, require_attention
from sadari.model.prefix import VirtualPrefix, computed_key_values, pack_key_values, unpack_key_values
from sadari.train.config import SoftPromptConfig, TuneConfig
from sadari.train.methods.attached import Attached, Method, count_weights, nothing_off
from sadari.train.methods.learning_rate import default_learning_rate
from sadari.train.methods.saving import write_peft


def attach_prompt(model: Any, config: TuneConfig, prompt_ids: Sequence[int]) -> Attached:
    """Learn input embeddings that begin as those of a prompt.

    Source:
        Lester et al. (2021), arXiv 2104.08691.
    """
    from peft import PromptTuningConfig

    assert isinstance(config, SoftPromptConfig)
    ids = _as_many(prompt_ids, config, model)
    with torch.no_grad():
        begun = model.get_input_embeddings()(torch.tensor(ids, device=model.device)).float()
    settings = PromptTuningConfig(num_virtual_tokens=config.tokens, prompt_tuning_init="RANDOM", task_type="CAUSAL_LM")
    table, wrapped = _learnt(model, settings, begun)
    prefix = VirtualPrefix(config.tokens, embeddings=lambda: table.to(model.dtype))
    return _attached("prompt_tuning", model, config, table, wrapped, prefix)


def attach_prefix(model: Any, config: TuneConfig, prompt_ids: Sequence[int]) -> Attached:
    """Learn keys and values of each layer that begin as those of a prompt.

    Source:
        Li and Liang (2021), arXiv 2101.00190; beginning with real activations is theirs too.
    """
    from peft import PrefixTuningConfig

    assert isinstance(config, SoftPromptConfig)
    ids = torch.tensor([_as_many(prompt_ids, config, model)], device=model.device)
    with torch.no_grad():
        pairs = computed_key_values(model, input_ids=ids)
    layers, heads, head_width = key_value_shape(model)
    if len(pairs) != layers or any(t.shape[1::2] != (heads, head_width) for pair in pairs for t in pair):
        raise ModelError(
            f"{model.name_or_path}: prefix tuning needs keys and values of one shape in all layers, and a {type(model).__name__} "
            "has several. Use prompt_tuning or lora."
        )
    settings = PrefixTuningConfig(num_virtual_tokens=config.tokens, task_type="CAUSAL_LM")
    table, wrapped = _learnt(model, settings, pack_key_values(pairs).float())
    prefix = VirtualPrefix(config.tokens, key_values=lambda: unpack_key_values(table.to(model.dtype), layers, heads))
    return _attached("prefix", model, config, table, wrapped, prefix)


def _as_many(prompt_ids: Sequence[int], config: SoftPromptConfig, model: Any) -> list[int]:
    """The prompt's tokens, cut or repeated to as many as are learnt; without a prompt, tokens drawn at random."""
    require_attention(model, "a learnt prompt")
    positions = getattr(model.config.get_text_config(decoder=True), "max_position_embeddings", None)
    if positions is not None and config.tokens >= positions:
        raise ConfigError(f"tokens: {config.tokens} learnt vectors leave no room in the context of {positions} tokens. Set fewer.")
    ids = list(prompt_ids) or torch.randint(model.get_input_embeddings().weight.shape[0], (config.tokens,)).tolist()
    return (ids * ceil(config.tokens / len(ids)))[: config.tokens]


def _learnt(model: Any, settings: Any, begun: Tensor) -> tuple[torch.nn.Parameter, Any]:
    """The parameter that is trained, float32, as PEFT holds it, and PEFT's model around the untouched one."""
    from peft import get_peft_model

    wrapped: Any = get_peft_model(model, settings)
    table: torch.nn.Parameter = wrapped.prompt_encoder["default"].embedding.weight
    assert table.shape == begun.shape, "PEFT holds these vectors in another shape than the model computes"
    with torch.no_grad():
        table.copy_(begun)
    return table, wrapped


def _attached(
    method: Method, model: Any, config: TuneConfig, table: torch.nn.Parameter, wrapped: Any, prefix: VirtualPrefix
) -> Attached:
    total = count_weights(model) + table.numel()
    size = float(table.detach().square().mean().sqrt())
    return Attached(
        method,
        model,
        {"prompt_embeddings": table},
        total,
        default_learning_rate(method, total, config, size=size),
        write=lambda folder, tokenizer: write_peft(wrapped, folder),
        is_identity=lambda: False,  # it stands before every row, whatever it holds
        prefix=prefix,
        off=nothing_off,
    )
