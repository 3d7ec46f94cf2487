"""The part of a conversation that a model is shown: within a budget of tokens, and never a call without its result."""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from sadari.agent.teaching import cut_to
from sadari.types import Message

SHORT = 200
"""Characters that are left of a tool's result which is shortened."""

Count = Callable[[Sequence[Message]], int]
"""Tokens of a conversation as the model reads it."""


@dataclass(frozen=True, slots=True)
class Window:
    """What is shown, and what left: the older messages, in order."""

    messages: tuple[Message, ...]
    left: tuple[Message, ...] = ()


@dataclass(frozen=True, slots=True)
class _Cut:
    """Messages `[start, end)` leave, or the one result at `start` is shortened."""

    start: int
    end: int
    leaves: bool


def fit(messages: Sequence[Message], tokens: int, count: Count, language: Literal["ko", "en"] = "ko") -> Window:
    """The conversation within `tokens`, or as near to it as it gets.

    Results of tools in earlier turns are shortened first, oldest first; then the oldest turns leave whole; then the same is done
    within the turn that is being answered, whose question and last step stay. System messages stay as they are.
    """
    cuts = list(_cuts(messages))
    enough = bisect_left(
        range(len(cuts)), True, key=lambda n: count(_cut(messages, cuts[:n], language).messages) <= tokens
    )  # len(cuts): every cut is made
    return _cut(messages, cuts[:enough], language)


def _cut(messages: Sequence[Message], cuts: Sequence[_Cut], language: Literal["ko", "en"]) -> Window:
    gone = {at for cut in cuts if cut.leaves for at in range(cut.start, cut.end) if messages[at].role != "system"}
    shortened = {cut.start for cut in cuts if not cut.leaves}
    kept = [
        replace(message, content=cut_to(message.content, SHORT, language)) if at in shortened else message
        for at, message in enumerate(messages)
        if at not in gone
    ]
    return Window(tuple(kept), tuple(messages[at] for at in sorted(gone)))


def _cuts(messages: Sequence[Message]) -> Iterator[_Cut]:
    """What is given up, in this order."""
    asked = [at for at, message in enumerate(messages) if message.role == "user"]
    now = asked[-1] if asked else 0
    begins = sorted({0, *asked})
    yield from _shortenings(messages, 0, now)
    for start, end in pairwise(begins):
        yield _Cut(start, end, leaves=True)
    steps = [at for at, message in enumerate(messages) if at > now and message.role == "assistant"]
    last = steps[-1] if steps else len(messages)
    yield from _shortenings(messages, now, last)
    for start, end in pairwise(steps):
        yield _Cut(start, end, leaves=True)
    yield from _shortenings(messages, last, len(messages))


def _shortenings(messages: Sequence[Message], start: int, end: int) -> Iterator[_Cut]:
    for at in range(start, end):
        if messages[at].role == "tool" and len(messages[at].content) > SHORT:
            yield _Cut(at, at + 1, leaves=False)
