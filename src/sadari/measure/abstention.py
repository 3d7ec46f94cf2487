"""Whether a system says "not in the documents" where, and only where, that is right."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sadari.errors import DataError
from sadari.types import Answer, Example

Refusal = Literal["right", "missed", "false", "answered"]
"""What one answer is, as `AbstentionReport` counts it."""


@dataclass(frozen=True, slots=True)
class AbstentionReport:
    """Counts of a two by two table: does the answer abstain, and should it?

    Args:
        right: Abstains, and should.
        missed: Should abstain, but answers; an error counts as an answer.
        false: Abstains, though the documents say it.
        answered: Answers, and should; nothing is said about whether the answer is right. Errors are among them.
    """

    right: int
    missed: int
    false: int
    answered: int

    @property
    def precision(self) -> float | None:
        """Share of the abstentions that are right, in [0, 1]; None if there are none."""
        return self.right / (self.right + self.false) if self.right + self.false else None

    @property
    def recall(self) -> float | None:
        """Share of the unanswerable questions on which it abstains, in [0, 1]; None if there are none."""
        return self.right / (self.right + self.missed) if self.right + self.missed else None

    @property
    def false_rate(self) -> float | None:
        """Share of the answerable questions on which it abstains, in [0, 1]; None if there are none."""
        return self.false / (self.false + self.answered) if self.false + self.answered else None


def abstention_report(examples: Sequence[Example], answers: Sequence[Answer]) -> AbstentionReport:
    """Count right, missed and false abstentions over one answer per example.

    Raises:
        DataError: If there is not one answer per example.
    """
    if len(examples) != len(answers):
        raise DataError(f"{len(answers)} answers to {len(examples)} examples. Every example needs one.")
    found = [refusal_of(example, answer) for example, answer in zip(examples, answers, strict=True)]
    return AbstentionReport(found.count("right"), found.count("missed"), found.count("false"), found.count("answered"))


def refusal_of(example: Example, answer: Answer) -> Refusal:
    """Whether one answer abstains, and whether it should."""
    if answer.abstained and answer.error is None:
        return "right" if example.reference.abstain else "false"
    return "missed" if example.reference.abstain else "answered"
