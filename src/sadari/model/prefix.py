"""Learnt vectors that stand before every row: extra input embeddings (prompt tuning), or extra keys and values (prefix tuning)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class VirtualPrefix:
    """What stands at the positions 0 ... length - 1 of every row; the row's own tokens begin at `length`, as they do in PEFT.

    One of the two is given. They are called anew whenever the vectors are needed, since training changes what they give.

    Args:
        length: P, how many positions.
        embeddings: Gives input embeddings, shape (P, D).
        key_values: Gives keys and values of each layer, shape (1, H_kv, P, D_head) each, keys with their rotation.
    """

    length: int
    embeddings: Callable[[], Tensor] | None = None
    key_values: Callable[[], list[tuple[Tensor, Tensor]]] | None = None


def unpack_key_values(packed: Tensor, layers: int, heads: int) -> list[tuple[Tensor, Tensor]]:
    """Keys and values of each layer, shape (1, H_kv, P, D_head) each, from the table in which PEFT keeps them.

    Args:
        packed: Shape (P, layers * 2 * H_kv * D_head).
        heads: H_kv, heads of keys and values.

    Source:
        Li and Liang (2021), arXiv 2101.00190, without their reparametrisation.
    """
    each = packed.view(len(packed), 2 * layers, heads, -1).permute(1, 2, 0, 3)[:, None]  # (2 * layers, 1, H_kv, P, D_head)
    return [(each[2 * i], each[2 * i + 1]) for i in range(layers)]


def pack_key_values(pairs: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """The table of PEFT, shape (P, layers * 2 * H_kv * D_head), from the keys and values of each layer."""
    together = torch.stack([t[0] for pair in pairs for t in pair])  # (2 * layers, H_kv, P, D_head)
    return together.permute(2, 0, 1, 3).flatten(1)
