"""What the two languages must be able to say for a tool conversation to be written without a teacher."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Literal, Protocol

from sadari.task.generate.schema import Path
from sadari.types import ToolSpec

Outcome = Literal["done", "found", "unknown"]
"""What a tool gives back: that it is done, how many it found, or what nobody can make up without a teacher."""

MOST_DESCRIPTION = 400
"""Characters of a description that are read."""


@dataclass(frozen=True, slots=True)
class Deed:
    """What a tool does, from its description.

    Args:
        words: In Korean what stands before the verb ("새로운 연락처를"), in English the whole phrase ("register a new contact").
        stem: The Korean verb as morphemes with their tags; () in English.
    """

    words: str
    outcome: Outcome
    stem: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Detail:
    """One argument as people speak of it: what it is called, and its value in words."""

    path: Path
    label: str
    said: str


def in_words(name: str) -> str:
    """`friendName` and `friend_name` as words."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[_.-]+", " ", name).strip().lower() or name


class Speech(Protocol):
    """One language."""

    def deed(self, tool: ToolSpec) -> Deed | None:
        """What the tool does; None if its description does not tell in a form that is understood."""
        ...

    def label(self, tool: ToolSpec, path: Path) -> str:
        """What the argument at `path` is called."""
        ...

    def request(self, deed: Deed, details: Sequence[Detail], left_out: Sequence[Detail], rng: Random) -> str:
        """A user asks for the deed and gives the details; those of `left_out` are not even hinted at."""
        ...

    def ask_back(self, missing: Sequence[Detail], rng: Random) -> str:
        """The assistant asks for what is missing."""
        ...

    def give(self, details: Sequence[Detail], rng: Random) -> str:
        """The user says what was asked for."""
        ...

    def tell(self, deed: Deed, result: Mapping[str, Any], rng: Random) -> str:
        """The assistant tells what came back."""
        ...

    def refuse(self, able: Sequence[Deed], rng: Random) -> str:
        """The assistant has no tool for it, and says what it can do."""
        ...

    def not_found(self, detail: Detail, rng: Random) -> str:
        """The assistant tells that the value is unknown, and asks for the right one."""
        ...

    def correct(self, detail: Detail, rng: Random) -> str:
        """The user gives the right value."""
        ...

    def retry(self, rng: Random) -> str:
        """The assistant tries once more after an error that passes."""
        ...

    def wrong_result(self, rng: Random) -> str:
        """The assistant saw that the result is about something else, and calls again."""
        ...

    def errors(self) -> Mapping[str, str]:
        """What a tool says when it is busy (`busy`) and when it does not know a value (`unknown`)."""
        ...

    def elsewhere(self) -> Sequence[str]:
        """Requests that hardly any tool fits."""
        ...
