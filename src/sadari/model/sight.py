"""Own attention in the registry of `transformers`: how far a token sees is said in place of a mask."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sadari.errors import ModelError


@dataclass(frozen=True, slots=True)
class Sight:
    """What the model says of the mask of a layer, in place of the mask.

    Args:
        window: A token sees itself and so many before it, less one; None for all of them.
    """

    window: int | None


def register(name: str, attend: Callable[..., Any]) -> None:
    """Put an attention into the registry; a model takes it by `set_attn_implementation`, and is given a `Sight` for a mask."""
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface

    AttentionInterface.register(name, attend)
    AttentionMaskInterface.register(name, _sight)


def uncovered(module: Any, sight: Any, settings: dict[str, Any]) -> str:
    """What a layer asks for beside plain attention with a window; "" if nothing."""
    named = [name for name in ("softcap", "s_aux") if settings.get(name) is not None]
    if named:
        return ", ".join(named)
    if settings.get("dropout"):
        return "it drops attention weights at random"
    if not isinstance(sight, Sight):
        return "it has a mask of its own" if sight is not None else "it takes no mask"
    if sight.window is not None and sight.window == getattr(getattr(module, "config", None), "attention_chunk_size", None):
        return "it sees only its own chunk of the row"
    return ""


def _sight(*args: Any, local_size: int | None = None, use_vmap: bool = False, **kwargs: Any) -> Sight:
    if use_vmap:
        raise ModelError("the model shapes its mask by a function of its own")
    return Sight(local_size)
