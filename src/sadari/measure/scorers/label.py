"""One of a few labels: the scorer, and what a confusion table tells beside accuracy."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from sadari.errors import DataError
from sadari.measure.scorers.scoring import accepted_texts, shorten
from sadari.text.forms import compared
from sadari.types import Answer, Example, Score


@dataclass(frozen=True, slots=True)
class LabelScorer:
    """1 if the answer is one of the accepted labels, apart from case, spaces, underscores, quotes and a final stop."""

    name: str = "label (exact after normalisation)"

    def score(self, example: Example, answer: Answer) -> Score:
        accepted = accepted_texts(example)
        if _label_key(answer.text) in map(_label_key, accepted):
            return Score(1.0)
        return Score(0.0, f"{shorten(answer.text)} ≠ {shorten(accepted[0])}")


@dataclass(frozen=True, slots=True)
class LabelQuality:
    """How one label was met.

    Args:
        precision, recall, f1: In [0, 1]; 0 where there is nothing to divide by.
        support: Examples whose right answer is this label.
    """

    label: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True, slots=True)
class LabelReport:
    """Which labels were taken for which.

    Args:
        accuracy: Share of right answers, in [0, 1]; 0 of none.
        macro_f1: Mean F1 of the labels that are right or were said at least once.
        per_label: In the order of `labels`.
        confusion: One row per right label, one column per label said and a last one for answers that are no label, both in the
            order of `labels`.
    """

    labels: tuple[str, ...]
    accuracy: float
    macro_f1: float
    per_label: tuple[LabelQuality, ...]
    confusion: tuple[tuple[int, ...], ...]

    @property
    def no_label(self) -> int:
        """Answers that are none of the labels, errors included."""
        return sum(row[-1] for row in self.confusion)


def label_report(examples: Sequence[Example], answers: Sequence[Answer], labels: Sequence[str] = ()) -> LabelReport:
    """The confusion table of one answer per example, and what follows from it.

    An example with several accepted labels counts for the one that was said, else for its first.

    Args:
        labels: The label set, in the order of the report; labels that only references name come after it, sorted.

    Raises:
        DataError: If there is not one answer per example, or an example has no label.

    Source:
        Macro F1 as scikit-learn computes it: over the labels that occur, F1 = 0 where it is undefined.
    """
    if len(examples) != len(answers):
        raise DataError(f"{len(answers)} answers to {len(examples)} examples. Every example needs one.")
    accepted = [accepted_texts(example) for example in examples]
    spelled: dict[str, str] = {}
    for label in (*labels, *sorted({text for texts in accepted for text in texts})):
        spelled.setdefault(_label_key(label), label)
    order = {key: at for at, key in enumerate(spelled)}
    table = [[0] * (len(order) + 1) for _ in order]
    for texts, answer in zip(accepted, answers, strict=True):
        right = [_label_key(text) for text in texts]
        said = _label_key(answer.text) if answer.error is None else None
        row, column = order[said if said in right else right[0]], len(order) if said is None else order.get(said, len(order))
        table[row][column] += 1
    per_label = tuple(_quality(spelled[key], table, at) for key, at in order.items())
    occurring = [quality.f1 for at, quality in enumerate(per_label) if quality.support or _said(table, at)]
    return LabelReport(
        labels=tuple(spelled.values()),
        accuracy=sum(table[at][at] for at in range(len(order))) / len(examples) if examples else 0.0,
        macro_f1=fmean(occurring) if occurring else 0.0,
        per_label=per_label,
        confusion=tuple(map(tuple, table)),
    )


def _quality(label: str, table: list[list[int]], at: int) -> LabelQuality:
    hits, support, said = table[at][at], sum(table[at]), _said(table, at)
    return LabelQuality(
        label=label,
        precision=hits / said if said else 0.0,
        recall=hits / support if support else 0.0,
        f1=2 * hits / (support + said) if support + said else 0.0,
        support=support,
    )


def _said(table: list[list[int]], at: int) -> int:
    return sum(row[at] for row in table)


def _label_key(text: str) -> str:
    return re.sub(r"[\s_]+", " ", compared(text)).strip(" \"'`.").casefold()
