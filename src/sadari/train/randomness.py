"""The random numbers of torch, numpy and Python: seeded for a run, written down, put back."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor


def random_state() -> dict[str, Any]:
    """Where all generators stand, as JSON values."""
    kind, keys, *place = np.random.get_state()
    version, words, gauss = random.getstate()
    return {
        "torch": _to_hex(torch.get_rng_state()),
        "cuda": [_to_hex(state) for state in torch.cuda.get_rng_state_all()] if torch.cuda.is_available() else [],
        "numpy": [kind, np.asarray(keys).tolist(), *place],
        "python": [version, list(words), gauss],
    }


def restore_random_state(state: dict[str, Any]) -> None:
    """Put all generators back to where they stood; those of accelerators as far as there are as many."""
    torch.set_rng_state(_from_hex(state["torch"]))
    if state["cuda"] and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([_from_hex(each) for each in state["cuda"]])
    kind, keys, *place = state["numpy"]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), *place))
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Within it, all generators begin at `seed`; afterwards they stand where they stood before."""
    before = random_state()
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)
    try:
        yield
    finally:
        restore_random_state(before)


def _to_hex(state: Tensor) -> str:
    return bytes(state.tolist()).hex()


def _from_hex(text: str) -> Tensor:
    return torch.tensor(list(bytes.fromhex(text)), dtype=torch.uint8)
