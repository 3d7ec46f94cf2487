"""How the blocks of a model are executed while it trains: compiled, or with their activations computed twice instead of kept."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

from sadari.errors import ConfigError
from sadari.model.bottleneck import blocks_of
from sadari.train.attention import NAME, attend
from sadari.train.config import TuneConfig
from sadari.train.learner import Learner


def execution_of(learner: Learner, config: TuneConfig) -> Callable[[], AbstractContextManager[None]]:
    """Gives contexts in which the blocks run as the settings ask; outside of them, as when answering, they are as they were.

    With `checkpointing`, a block keeps nothing but its input and is computed again for the gradient. With `compile`, each block is
    compiled, all by the same code; attention over the trie is left out, since its pieces change with every batch.

    Raises:
        ConfigError: If activations cannot be recomputed, since keys and values are learnt.

    Source:
        Recomputing: Chen et al. (2016), arXiv 1604.06174.
    """
    if not config.checkpointing and not config.compile:
        return nullcontext
    if config.checkpointing and learner.prefix is not None and learner.prefix.key_values is not None:
        raise ConfigError(
            "checkpointing: true does not go with prefix tuning, whose keys and values would be put in twice. "
            "Set `checkpointing: false` and lower `packed_tokens` instead."
        )
    forwards = {block: _executed(block.forward, config) for block in blocks_of(learner.model)}

    @contextmanager
    def running() -> Iterator[None]:
        try:
            for block, forward in forwards.items():
                block.forward = forward
            if config.compile:
                _leave_attention_out()
            yield
        finally:
            for block in forwards:
                del block.forward  # the class's own again

    return running


def _executed(forward: Callable[..., Any], config: TuneConfig) -> Callable[..., Any]:
    if config.compile:
        forward = torch.compile(forward, dynamic=True)
    if config.checkpointing:
        forward = partial(checkpoint, forward, use_reentrant=False)
    return forward


def _leave_attention_out() -> None:
    # Marked only here: the mark loads the compiler, which takes a second.
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, torch.compiler.disable(attend))
