"""How fast this machine multiplies matrices of a model's own sizes: what a training step is held against."""

import time
from typing import Any

from workloads import Counts

from sadari.model.shape import ModelShape
from sadari.train.estimate import training_flops

TOKENS = 2048
"""Rows of the left matrix; more change nothing here."""


def gemm_rate(shape: ModelShape, *, seconds: float = 3.0) -> float:
    """Floating-point operations per second of the products of one layer and of a slice of the output layer.

    Args:
        seconds: For so long the products are repeated; the fastest round counts.
    """
    import torch
    from shapes import device

    kind: dict[str, Any] = {"device": device(), "dtype": torch.bfloat16 if device() == "cuda" else torch.float32}
    sizes = [
        *[(shape.hidden, shape.query_width), (shape.hidden, shape.key_value_width), (shape.query_width, shape.hidden)],
        *[(shape.hidden, shape.intermediate), (shape.intermediate, shape.hidden), (shape.hidden, min(shape.vocabulary, 16_384))],
    ]
    pairs = [(torch.randn(TOKENS, k, **kind), torch.randn(n, k, **kind)) for k, n in sizes]
    outs = [torch.empty(TOKENS, n, **kind) for _, n in sizes]
    work = 2.0 * TOKENS * sum(k * n for k, n in sizes)
    fastest, began = float("inf"), time.perf_counter()
    while time.perf_counter() - began < seconds or fastest == float("inf"):
        started = time.perf_counter()
        for (left, right), out in zip(pairs, outs, strict=True):
            torch.mm(left, right.T, out=out)
        if device() == "cuda":
            torch.cuda.synchronize()
        fastest = min(fastest, time.perf_counter() - started)
    return work / fastest


def needed_flops(shape: ModelShape, counts: Counts) -> float:
    """Operations that a LoRA step needs once shared beginnings are computed once; those of the update itself are left out."""
    # A token at depth d sees d others, as the mean token of a row of length 2 d does.
    length = 2 * counts.depth
    return training_flops(shape, "lora", counts.distinct, learnt_share=counts.predicting / counts.distinct, length=length)
