"""What is trained: a low-rank update beside the model, or the model itself. Folders are those of PEFT and `transformers`."""

from pathlib import Path
from typing import Any

from sadari.errors import ModelError
from sadari.files import whole_folder
from sadari.train.config import TuneConfig


def attach_adapter(model: Any, config: TuneConfig, seed: int) -> Any:
    """Put LoRA layers into every linear layer of `model` and freeze the rest; returns the PEFT model around it.

    Source:
        Hu et al. (2021), arXiv 2106.09685; scaling by the square root of the rank: Kalajdzievski (2023), arXiv 2312.03732.
    """
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    settings = LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=0.0,
        target_modules="all-linear",
        use_rslora=True,
        task_type="CAUSAL_LM",
    )
    try:
        return get_peft_model(model, settings)
    except ValueError as error:
        raise ModelError(f"LoRA cannot be put into {type(model).__name__}: {error}") from error


def save_adapter(peft_model: Any, folder: Path) -> None:
    """Save as a PEFT adapter folder, whole or not at all."""
    with whole_folder(folder) as draft:
        peft_model.save_pretrained(draft)


def save_model(model: Any, tokenizer: Any, folder: Path) -> None:
    """Save as a `transformers` model folder, tokenizer and chat template included, whole or not at all."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    with whole_folder(folder) as draft:
        model.save_pretrained(draft)
        tokenizer.save_pretrained(draft)


def default_learning_rate(parameters: int, *, low_rank: bool, rank: int) -> float:
    """Peak learning rate for AdamW by model size: 1e-3 at 7 M parameters, 2e-5 at 7 B, straight in the logarithms between.

    A low-rank update takes ten times that, less for high ranks, since rsLoRA keeps the update's scale but more columns move.
    """
    full: float = min(1e-3, max(1e-5, 1e-3 * (7e6 / parameters) ** 0.566))
    if not low_rank:
        return full
    scale: float = min(1.0, (16 / rank) ** 0.5)
    return min(5e-3, 10 * full) * scale
