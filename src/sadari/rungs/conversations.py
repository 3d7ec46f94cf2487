"""The conversations among the training rows, for every rung that learns from them, here or elsewhere."""

from collections.abc import Sequence

import numpy as np

from sadari.errors import TrainingError
from sadari.types import Example


def conversations(train: Sequence[Example], most: int | None, seed: int, *, called: str = "training row") -> list[Example]:
    """The conversations among the rows, at most so many, drawn with the seed.

    Args:
        called: What an error calls a row.

    Raises:
        TrainingError: If there are none.
    """
    chats = [e for e in train if e.kind == "chat"]
    if not chats:
        raise TrainingError(f"no {called} is a conversation. Raw text and preference pairs are learnt by other rungs.")
    if most is None or most >= len(chats):
        return chats
    drawn = sorted(np.random.default_rng(seed).permutation(len(chats))[:most])
    return [chats[int(i)] for i in drawn]
