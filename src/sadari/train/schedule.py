"""What is settled before the first step: the learning rate of every step, and the precision of the arithmetic."""

import math
from typing import Any

import torch

from sadari.train.config import TuneConfig

FLOOR = 0.1
"""Share of the peak at which the rate ends."""


BFLOAT16_INSTRUCTIONS = ("amx_bf16", "avx512_bf16")
"""Of processors that multiply bfloat16 faster than float32; others convert to float32 and back."""


def learning_rate_at(step: int, steps: int, peak: float, config: TuneConfig) -> float:
    """The rate of one step: linear warm-up to the peak, then a cosine or a line to a tenth of it, or no fall at all.

    Args:
        step: Counted from 0, below `steps`.
        steps: Of the whole run.
        peak: The highest rate.

    Source:
        Cosine: Loshchilov and Hutter (2017), arXiv 1608.03983, equation 5, without restarts. A floor of a tenth: Hoffmann et al.
        (2022), arXiv 2203.15556, appendix B.
    """
    warmup = max(1, round(config.warmup_share * steps))
    if step < warmup:
        return peak * (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)  # in [0, 1)
    left = {"cosine": 0.5 * (1 + math.cos(math.pi * done)), "linear": 1 - done, "constant": 1.0}[config.schedule]
    return peak * (FLOOR + (1 - FLOOR) * left)


def precision_for(config: TuneConfig, device: torch.device) -> str:
    """What the model multiplies in: `float32` or `bfloat16`; `auto` takes bfloat16 only where the hardware is faster at it."""
    if config.precision != "auto":
        return config.precision
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        known: dict[str, Any] = dict(torch.cpu.get_capabilities()) if hasattr(torch.cpu, "get_capabilities") else {}
        fast = device.type == "cpu" and any(known.get(name) for name in BFLOAT16_INSTRUCTIONS)
    return "bfloat16" if fast else "float32"
