"""Bottleneck adapters: small feed-forward layers that stand in every block of a frozen decoder and add to what flows through it.

Each computes x + up(relu(down(x / rms(x)))). `up` begins at zero, so that a model is what it was until it is trained. They are put
in by forward hooks, so that any decoder of `transformers` takes them. They stand at the output of each block, after feed-forward
part and residual (Pfeiffer), or there and at the output of its attention before the residual (Houlsby).

Source:
    Houlsby et al. (2019), arXiv 1902.00751; Pfeiffer et al. (2021), arXiv 2005.00247. The input is normalised since the residual
    stream of a decoder that normalises before its layers grows with depth, by orders of magnitude in some families.
"""

from typing import Any, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from sadari.errors import ModelError

Style = Literal["pfeiffer", "houlsby"]

NAME = "bottleneck"
"""Of the module inside the one at whose output it stands."""


class Bottleneck(nn.Module):
    """One adapter, float32 whatever the model is.

    Args:
        hidden: D, width of the model.
        width: Of the bottleneck.
    """

    def __init__(self, hidden: int, width: int) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(hidden, width), nn.Linear(width, hidden)
        self.is_on = True
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Shape (..., D) to shape (..., D)."""
        if not self.is_on:
            return x
        normed = F.rms_norm(x.to(self.down.weight.dtype), x.shape[-1:])
        return x + self.up(F.relu(self.down(normed))).to(x.dtype)


def put_in_bottlenecks(model: Any, width: int, style: Style) -> dict[str, Bottleneck]:
    """Put adapters into every block of a causal language model; returns them by their names in it.

    Raises:
        ModelError: If the blocks of the model, or with `houlsby` their attention, cannot be told.
    """
    hidden = model.config.get_text_config(decoder=True).hidden_size
    names = {module: name for name, module in model.named_modules()}
    put_in = {}
    for block in blocks_of(model):
        for place in (block,) if style == "pfeiffer" else (_attention_of(block), block):
            adapter = Bottleneck(hidden, width).to(model.device)
            place.add_module(NAME, adapter)
            place.register_forward_hook(_pass_through)
            put_in[f"{names[place]}.{NAME}"] = adapter
    return put_in


def blocks_of(model: Any) -> nn.ModuleList:
    """The decoder layers of a causal language model, first to last.

    Raises:
        ModelError: If there is no list of as many modules as the model has layers.
    """
    count = model.config.get_text_config(decoder=True).num_hidden_layers
    for module in model.get_decoder().modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return module
    raise ModelError(
        f"{model.name_or_path}: the blocks of a {type(model).__name__} cannot be told. Use lora: it needs only linear layers."
    )


def _attention_of(block: nn.Module) -> nn.Module:
    for child in block.children():
        if "attention" in type(child).__name__.lower():
            return child
    raise ModelError(
        f"a {type(block).__name__} has no attention for an adapter to stand behind. Set `style: pfeiffer`, which needs none."
    )


def _pass_through(place: Any, inputs: Any, output: Any) -> Any:
    """Forward hook: the output, or its first part, through the adapter that stands in the module."""
    if isinstance(output, tuple):
        return (place.bottleneck(output[0]), *output[1:])
    return place.bottleneck(output)
