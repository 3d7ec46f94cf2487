"""The low-rank layers of PEFT, computed with fewer passes over memory while they are trained.

PEFT adds `scaling * B(A(x))` to the frozen layer by three tensors of the layer's output size; here the update is added in place by
one matrix product, and only `x` and `A(x)` are kept for the gradient. The layers, their weights and what is saved stay PEFT's.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@contextmanager
def fused_lora(model: nn.Module) -> Iterator[None]:
    """Within it, plain LoRA layers of `model` run fused.

    DoRA, dropout, several adapters, bases that are trained or quantised, layers with a forward of their own stay as they are.
    """
    fused = [module for module in model.modules() if _is_plain(module)]
    for module in fused:
        module.forward = partial(_forward, module)
    try:
        yield
    finally:
        for module in fused:
            del module.forward  # the class's own again


def _is_plain(module: Any) -> bool:
    from peft.tuners.lora import Linear

    if type(module) is not Linear or type(module.base_layer) is not nn.Linear or len(module.active_adapters) != 1:
        return False
    if any(p.requires_grad for p in module.base_layer.parameters()) or "forward" in vars(module):
        return False  # the gradient of the base layer is not computed; a forward that was put there is another's
    name = module.active_adapters[0]
    if name not in module.lora_A or module.lora_variant.get(name) is not None or module.merged:
        return False
    layers = module.lora_A[name], module.lora_B[name]
    return isinstance(module.lora_dropout[name], nn.Identity) and all(
        layer.bias is None and layer.weight.dtype == module.base_layer.weight.dtype for layer in layers
    )


def _forward(module: Any, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    base = module.base_layer
    if module.disable_adapters:
        return base(x)
    if args or kwargs or torch.is_autocast_enabled(x.device.type):
        return type(module).forward(module, x, *args, **kwargs)
    name = module.active_adapters[0]
    down, up = module.lora_A[name].weight, module.lora_B[name].weight
    out: Tensor = _LowRank.apply(x.reshape(-1, x.shape[-1]), base.weight, base.bias, down, up, module.scaling[name])
    return out.view(*x.shape[:-1], out.shape[-1])


class _LowRank(torch.autograd.Function):
    """x W^T + b + scaling * (x A^T) B^T, for a frozen W."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, down: Tensor, up: Tensor, scaling: float) -> Tensor:
        out = F.linear(x, weight, bias)
        low = x @ down.T
        out.addmm_(low, up.T, alpha=scaling)
        ctx.save_for_backward(x, weight, down, up, low)
        ctx.scaling = scaling
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, down, up, low = ctx.saved_tensors
        grad_low = (grad @ up).mul_(ctx.scaling)
        grad_up = (grad.T @ low).mul_(ctx.scaling)
        grad_down = grad_low.T @ x
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = grad @ weight
            grad_x.addmm_(grad_low, down)
        return grad_x, None, None, grad_down, grad_up, None
