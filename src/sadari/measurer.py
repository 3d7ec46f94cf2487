"""Measuring a system: its answers, kept in pieces as they come, and the scorecard made of them."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from sadari.answer import Engine
from sadari.files import kept, to_json
from sadari.measure import Asked, make_scorecard
from sadari.measure.judging.llm_judge import JudgeScorer, check_tally, tally_reasons
from sadari.task import Task
from sadari.types import Answer, Device, Example, Scorecard, Scorer, System

PIECE = 32
"""Predictions that are made, and kept, together."""

ALONE = 12
"""Test examples asked one at a time, to learn what one user waits."""

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Prediction:
    """One answer with its score, as kept in `predictions/`."""

    id: str
    answer: Answer
    score: float
    reason: str


@dataclass(frozen=True, slots=True)
class _Piece:
    answers: tuple[Answer, ...]
    seconds: float


@dataclass(slots=True)
class Measurer:
    """Scores systems on examples; answers are kept in pieces, so a killed measurement goes on where it was."""

    engine: Engine
    scorer: Scorer
    task: Task
    folder: Path
    tell: Tell = field(default=lambda line: None)

    def __call__(self, rung: str, system: System, examples: Sequence[Example]) -> Scorecard:
        """The scorecard of `system`; the same arguments give the same one.

        Latencies are of a few examples asked one at a time: in a batch everybody waits for the slowest.
        """
        card = self.in_batches(rung, system, examples)
        if system.is_remote:
            return card  # its requests do not wait for each other, and each costs money
        alone = kept(self.folder / _key(system, examples) / "alone.json", _Piece, lambda: self._alone(system, examples))
        return replace(card, latencies_s=tuple(a.latency_s for a in alone.answers))

    def in_batches(self, rung: str, system: System, examples: Sequence[Example]) -> Scorecard:
        """The scorecard with the latencies of batches, for choosing on validation.

        Raises:
            ModelError: If a judge failed so often that the scores say nothing; what it has judged is kept.
        """
        answers, seconds = self.answers(rung, system, examples)
        card = make_scorecard(rung, self.scorer, examples, Asked(answers, seconds, device_of(system)), self.task.money)
        if isinstance(self.scorer, JudgeScorer):
            check_tally(tally_reasons(card.reasons))
        return card

    def answers(self, rung: str, system: System, examples: Sequence[Example]) -> tuple[list[Answer], float]:
        """The answers, in order, and the wall seconds they took."""
        key = _key(system, examples)
        answers: list[Answer] = []
        seconds = 0.0
        for start in range(0, len(examples), PIECE):
            some = examples[start : start + PIECE]
            piece = kept(self.folder / key / f"{start:06}.json", _Piece, lambda some=some: self._piece(system, some))  # type: ignore[misc]
            answers += piece.answers
            seconds += piece.seconds
            self.tell(f"{rung}: {len(answers)} of {len(examples)} answered")
        return answers, seconds

    def _piece(self, system: System, examples: Sequence[Example]) -> _Piece:
        answers, seconds = self.engine.answer(system, examples)
        return _Piece(tuple(answers), seconds)

    def _alone(self, system: System, examples: Sequence[Example]) -> _Piece:
        apart = max(1, len(examples) // ALONE)
        asked = [self.engine.answer(system, [e]) for e in examples[::apart][:ALONE]]
        answers = [replace(answer, latency_s=seconds) for (answer,), seconds in asked]
        return _Piece(tuple(answers), sum(a.latency_s for a in answers))


def device_of(system: System) -> Device:
    """Where a system answers, and so what is paid for it."""
    if system.is_remote:
        return "remote"
    if system.model.startswith("scripted:"):
        return "machine"
    import torch

    return "accelerator" if torch.cuda.is_available() else "machine"


def _key(system: System, examples: Sequence[Example]) -> str:
    """A name for the answers of a system to these examples."""
    return hashlib.sha256((to_json(system) + "\n".join(e.id for e in examples)).encode()).hexdigest()[:16]
