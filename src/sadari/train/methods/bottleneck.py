"""Bottleneck adapters in every block; the layers themselves are those of `sadari.model.bottleneck`, which serves them too."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sadari.files import write_text
from sadari.model.adapters import BOTTLENECK, CONFIG, WEIGHTS, write_base_record
from sadari.model.bottleneck import Bottleneck, put_in_bottlenecks
from sadari.train.config import AdapterConfig, TuneConfig
from sadari.train.methods.attached import Attached, count_weights, trained_parameters
from sadari.train.methods.learning_rate import default_learning_rate


def attach_bottlenecks(model: Any, config: TuneConfig, prompt_ids: Sequence[int]) -> Attached:
    """Put adapters into the blocks of a frozen model; they begin as the identity.

    Raises:
        ModelError: If the blocks of the model cannot be told.
    """
    assert isinstance(config, AdapterConfig)
    adapters = put_in_bottlenecks(model, config.width, config.style)
    ups = [p for adapter in adapters.values() for p in adapter.up.parameters()]
    settings = {
        "peft_type": BOTTLENECK,
        "base_model_name_or_path": model.name_or_path,
        "width": config.width,
        "style": config.style,
    }
    return Attached(
        "adapter",
        model,
        trained_parameters(model),
        total := count_weights(model),
        default_learning_rate("adapter", total, config),
        write=lambda folder, tokenizer: _write(adapters, settings, folder),
        is_identity=lambda: not any(bool(p.any()) for p in ups),
        off=lambda: _off(adapters),
    )


def _write(adapters: dict[str, Bottleneck], settings: dict[str, Any], folder: Path) -> None:
    from safetensors.torch import save_file

    weights = {f"{name}.{part}": p.detach().cpu() for name, adapter in adapters.items() for part, p in adapter.named_parameters()}
    write_text(folder / CONFIG, json.dumps(settings, indent=2, ensure_ascii=False) + "\n")
    save_file(weights, str(folder / WEIGHTS), metadata={"format": "pt"})
    write_base_record(settings["base_model_name_or_path"], folder)


@contextmanager
def _off(adapters: dict[str, Bottleneck]) -> Iterator[None]:
    for adapter in adapters.values():
        adapter.is_on = False
    try:
        yield
    finally:
        for adapter in adapters.values():
            adapter.is_on = True
