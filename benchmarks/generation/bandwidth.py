"""How fast this machine moves memory: what writing a token is held against, since it reads every weight once."""

import time

from asked import Found
from shapes import device

from sadari.model.shape import ModelShape

COPIED_BYTES = 2**30
"""More than any cache holds."""

WEIGHT_BYTES = {"llama.cpp F16": 2.0, "llama.cpp Q8_0": 34 / 32}
"""Of tools that do not compute in the type the machine is given: Q8_0 has a float16 scale for 32 weights."""


def copy_rate(seconds: float = 2.0) -> float:
    """Bytes read and written per second by a copy; the fastest counts."""
    import torch

    left = torch.zeros(COPIED_BYTES, dtype=torch.uint8, device=device())
    right = torch.ones_like(left)
    fastest, began = float("inf"), time.perf_counter()
    while time.perf_counter() - began < seconds or fastest == float("inf"):
        started = time.perf_counter()
        right.copy_(left)
        if device() == "cuda":
            torch.cuda.synchronize()
        fastest = min(fastest, time.perf_counter() - started)
    return 2 * COPIED_BYTES / fastest


def share_of_bandwidth(tool: str, shape: ModelShape, found: Found, length: float, rate: float) -> float:
    """Bytes that a step of writing has to read, per second, as a share of `rate`.

    Args:
        length: Mean tokens held for each stream, whose keys and values are read too.
    """
    usual = 2.0 if device() == "cuda" else 4.0
    per_weight = WEIGHT_BYTES.get(tool, usual)
    held = (
        len(found.written) * length * 2 * shape.layers * shape.key_value_width * min(usual, 2.0 if tool in WEIGHT_BYTES else usual)
    )
    return (shape.parameters * per_weight + held) / found.step_s / rate
