"""The first system: the base model, asked plainly. Everything else must beat it."""

from collections.abc import Sequence
from pathlib import Path

from sadari.prompt.instructions import zero_shot
from sadari.types import Built, Decoding, Example, Prompt, System, Workshop


class BaselineRung:
    """Zero-shot: the task's goal as instruction; a label task also lists its labels, and its answer is one of them."""

    name = "baseline"

    def __init__(self, start: System, workshop: Workshop) -> None:
        self._start, self._workshop = start, workshop

    def build(self, incumbent: System, train: Sequence[Example], validation: Sequence[Example], workdir: Path) -> Built:
        """The starting system; nothing is learnt."""
        return Built(baseline_system(self._start, self._workshop))


class IncumbentRung:
    """What a climb that goes on from an earlier one begins with: the system that was won or is served, as it is."""

    name = "incumbent"

    def __init__(self, start: System) -> None:
        self._start = start

    def build(self, incumbent: System, train: Sequence[Example], validation: Sequence[Example], workdir: Path) -> Built:
        """The starting system; nothing is learnt."""
        return Built(self._start)


def baseline_system(start: System, workshop: Workshop) -> System:
    """`start` asked with the goal alone."""
    prompt = Prompt(instruction=zero_shot(workshop.goal).text, labels=workshop.labels)
    asked = start.decoding
    decoding = Decoding(asked.max_new_tokens, asked.temperature, choices=workshop.labels, schema=asked.schema)
    return start.with_(prompt=prompt, decoding=decoding, tools=workshop.tools)
