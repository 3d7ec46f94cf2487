"""LoRA, and QLoRA over a base in four bits: a low-rank update beside linear layers, by PEFT."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from sadari.errors import ConfigError, ModelError
from sadari.train.config import LoraConfig, TuneConfig
from sadari.train.methods.attached import Attached, Method, count_weights, trained_parameters
from sadari.train.methods.learning_rate import default_learning_rate
from sadari.train.methods.saving import disabled, write_peft


def attach_lora(model: Any, config: TuneConfig, prompt_ids: Sequence[int], *, method: Method = "lora") -> Attached:
    """Put low-rank layers beside the linear layers of a frozen model; they begin at zero.

    Source:
        Hu et al. (2021), arXiv 2106.09685; DoRA: Liu et al. (2024), arXiv 2402.09353.
    """
    from peft import LoraConfig as Settings
    from peft import get_peft_model

    assert isinstance(config, LoraConfig)
    settings = Settings(
        r=config.rank,
        lora_alpha=config.alpha,  # PEFT computes with it as a float
        lora_dropout=0.0,
        target_modules=list(config.targets) or "all-linear",
        use_rslora=config.rslora,
        use_dora=config.dora,
        task_type="CAUSAL_LM",
    )
    linear = {name.rpartition(".")[2] for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    unknown = sorted({target.rpartition(".")[2] for target in config.targets} - linear)
    if unknown:
        raise ConfigError(f"lora.targets: the model has no linear layer {unknown[0]!r}. It has {', '.join(sorted(linear))}.")
    try:
        wrapped = get_peft_model(model, settings)
    except ValueError as error:
        raise ModelError(f"LoRA cannot be put into {type(model).__name__}: {error} Name other layers in `targets`.") from error
    parameters = trained_parameters(model)
    ups = [p for name, p in parameters.items() if ".lora_B." in name or ".lora_embedding_B." in name]
    return Attached(
        method,
        model,
        parameters,
        total := count_weights(model),
        default_learning_rate(method, total, config),
        write=lambda folder, tokenizer: write_peft(wrapped, folder),
        # With DoRA the lengths of the columns may have moved: then nothing is sure.
        is_identity=lambda: not config.dora and not any(bool(p.any()) for p in ups),
        off=lambda: disabled(wrapped),
    )


def attach_qlora(model: Any, config: TuneConfig, prompt_ids: Sequence[int]) -> Attached:
    """LoRA beside layers in four bits.

    Raises:
        ModelError: If the model was not loaded in four bits.

    Source:
        Dettmers et al. (2023), arXiv 2305.14314.
    """
    if not getattr(model, "is_loaded_in_4bit", False):
        raise ModelError(f"{model.name_or_path}: qlora needs a base in four bits. Load the model with precision nf4, or use lora.")
    return attach_lora(model, config, prompt_ids, method="qlora")
