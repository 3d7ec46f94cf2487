"""How many tokens prompts have in full, and where what they begin with alike is computed once."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

from sadari.mini import MINI_PATH
from sadari.model.chat import render_prompt
from sadari.types import Message, ToolSpec

Asked = tuple[Sequence[Message], Sequence[ToolSpec]]
"""A conversation, and the tools it is shown."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Prompt tokens, summed over requests.

    Args:
        alone: Every prompt in full.
        shared: Every beginning that prompts share once, as the best prefix cache would: the nodes of their trie.
        longest: Of the longest prompt.
    """

    alone: int
    shared: int
    longest: int


def prompt_tokens(requests: Sequence[Asked]) -> Tokens:
    """Tokens of the prompts by mini's template and tokenizer."""
    prompts = sorted(render_prompt(_tokenizer(), messages, tools) for messages, tools in requests)
    alone = sum(map(len, prompts))
    # In sorted order a prompt shares most with its neighbour.
    return Tokens(alone, alone - sum(_shared(a, b) for a, b in pairwise(prompts)), max(map(len, prompts)))


def _shared(left: list[int], right: list[int]) -> int:
    return next((i for i, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))


@cache
def _tokenizer() -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(MINI_PATH)
