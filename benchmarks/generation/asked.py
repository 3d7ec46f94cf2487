"""What every tool is asked, what it gives back, and the clock both run on."""

import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

Tokens = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """A prompt that comes `at_s` seconds after the start and wants exactly `new_tokens` tokens; an end token is one like others."""

    prompt: Tokens
    new_tokens: int
    at_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Written:
    """The tokens of one answer, and when the first and the last of them were there, in seconds after the prompt came."""

    ids: Tokens
    first_s: float
    last_s: float


@dataclass(frozen=True, slots=True)
class Found:
    """What one process measured.

    Args:
        seconds: From the start to the last token of all; of the chat workload most of it is waiting for users.
        written: In the order of the prompts.
        peak_bytes: The most it held (on an accelerator: its allocator), weights included.
        told: What only the tool itself can say, its build for one.
    """

    seconds: float
    written: tuple[Written, ...]
    peak_bytes: int
    told: str = ""

    @property
    def requests_per_s(self) -> float:
        """Answers per second."""
        return len(self.written) / self.seconds

    @property
    def tokens_per_s(self) -> float:
        """Output tokens per second, of all answers together."""
        return sum(len(answer.ids) for answer in self.written) / self.seconds

    @property
    def step_s(self) -> float:
        """Mean seconds between two tokens of an answer."""
        return float(np.mean([(answer.last_s - answer.first_s) / (len(answer.ids) - 1) for answer in self.written]))

    def first_s(self, percentile: float) -> float:
        """Seconds to the first token that so many per cent of the answers stay below."""
        return float(np.percentile([answer.first_s for answer in self.written], percentile))

    def last_s(self, percentile: float) -> float:
        """Seconds to the last token that so many per cent of the answers stay below."""
        return float(np.percentile([answer.last_s for answer in self.written], percentile))


class Engine(Protocol):
    """One tool with the model loaded."""

    @property
    def told(self) -> str:
        """What only the tool itself can say."""
        ...

    def serve(self, asked: Sequence[Asked]) -> list[Written]:
        """Answer everything, greedily; nothing of a request is looked at before it has come. The clock starts with the call."""
        ...


class Queue:
    """The requests as they come, on a clock that starts now. Of those that come together the longest is first."""

    def __init__(self, asked: Sequence[Asked]) -> None:
        order = sorted(range(len(asked)), key=lambda i: (asked[i].at_s, -len(asked[i].prompt)))
        self._asked, self._coming = asked, deque(order)
        self._started = time.perf_counter()

    def __len__(self) -> int:
        """How many have not been taken."""
        return len(self._coming)

    def wait(self) -> None:
        """Return once the next request has come."""
        if self._coming:
            time.sleep(max(0.0, self._next_s - self._now_s))

    def take(self, most: int) -> list[int]:
        """The places of the requests that have come and are not taken yet, at most so many."""
        taken: list[int] = []
        while self._coming and len(taken) < most and self._next_s <= self._now_s:
            taken.append(self._coming.popleft())
        return taken

    def written(self, place: int, ids: Iterable[int], first: float, last: float) -> Written:
        """The answer to a request, its first and last token timed by `time.perf_counter`."""
        came = self._started + self._asked[place].at_s
        return Written(tuple(ids), first - came, last - came)

    @property
    def _next_s(self) -> float:
        return self._asked[self._coming[0]].at_s

    @property
    def _now_s(self) -> float:
        return time.perf_counter() - self._started


def shared_beginning(asked: Sequence[Asked]) -> Tokens:
    """What all prompts begin with, the last token of none of them."""
    low, high = min(one.prompt for one in asked), max(one.prompt for one in asked)
    most = min(len(one.prompt) for one in asked) - 1
    same = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), most)
    return low[: min(same, most)]
