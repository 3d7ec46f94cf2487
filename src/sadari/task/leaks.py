"""Test rows that also stand in train.

An exact leak (question and context equal after folding) makes every figure of a climb too good, so it stops the run or its train
side is dropped; the test set is never changed. Near duplicates, and the same question with another passage, are notes.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sadari.task.config import LeaksConfig
from sadari.task.duplicates import NearIndex, question_text
from sadari.task.readers import Row
from sadari.task.text import fold
from sadari.types import Example

_LISTED = 5


@dataclass(frozen=True, slots=True)
class Twin:
    """A row of the train side and the row of the test side that it repeats.

    `similarity` is 1.0 and `is_exact` true if the questions are equal after folding; `same_context` tells whether the passages are.
    """

    train: Row
    test: Row
    similarity: float
    is_exact: bool
    same_context: bool

    @property
    def is_leak(self) -> bool:
        """The same question in the same context."""
        return self.is_exact and self.same_context


@dataclass(frozen=True, slots=True)
class LeakCheck:
    """What a comparison found.

    Args:
        kept: Train-side rows that remain.
        dropped: Train-side rows that were taken out, in file order.
        problems: One line for each leak that stops the run.
        notes: What was dropped, and what a person should look at.
    """

    kept: tuple[Row, ...]
    dropped: tuple[Row, ...] = ()
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def find_twins(train: Sequence[Row], test: Sequence[Row], *, threshold: float = 0.9) -> list[Twin]:
    """The closest test row of every train row that has an exact or near duplicate there, in the order of `train`.

    Closest means: the same question in the same context first, then the same question, then the most similar one.
    """
    index = NearIndex([question_text(row.example) for row in test], threshold=threshold)
    exact: dict[str, list[int]] = defaultdict(list)
    for at, row in enumerate(test):
        exact[fold(question_text(row.example))].append(at)
    twins: list[Twin] = []
    for row in train:
        question = question_text(row.example)
        same = exact.get(fold(question), [])
        found = [Twin(row, test[at], 1.0, True, _same_context(row.example, test[at].example)) for at in same]
        if not found:
            near = index.alike(question)[:1]
            found = [Twin(row, test[at], similarity, False, False) for at, similarity in near]
        if found:
            twins.append(max(found, key=lambda twin: twin.same_context))
    return twins


def check_leaks(
    train: Sequence[Row], test: Sequence[Row], leaks: LeaksConfig, *, sides: tuple[str, str] = ("train", "test")
) -> LeakCheck:
    """Compare the train side with the test side and apply the policy of `leaks`.

    Args:
        train: Rows that are learnt from or chosen on.
        test: Rows that judge; never changed.
        sides: What messages call the two.
    """
    twins = find_twins(train, test, threshold=leaks.near_threshold)
    policies = {
        "exact": (leaks.exact, [twin for twin in twins if twin.is_leak]),
        "near": (leaks.near, [twin for twin in twins if not twin.is_exact]),
    }
    dropped: dict[int, Row] = {}
    problems: list[str] = []
    notes: list[str] = []
    for kind, (policy, hits) in policies.items():
        if policy == "drop_train" and hits:
            dropped |= {id(twin.train): twin.train for twin in hits}
            what = "also stand" if kind == "exact" else "have a near duplicate"
            notes.append(f"{len(hits)} {sides[0]} rows dropped because they {what} in {sides[1]} (leaks: drop_train).")
        elif policy == "stop":
            problems += [_leak_line(twin, sides) for twin in hits]
        elif hits:
            notes.append(_note(hits, f"{len(hits)} {sides[0]} rows have a near duplicate in {sides[1]} and were kept"))
    passages = [twin for twin in twins if twin.is_exact and not twin.same_context]
    if passages:
        notes.append(
            _note(passages, f"{len(passages)} {sides[0]} rows ask a question of {sides[1]} about another passage and were kept")
        )
    kept = tuple(row for row in train if id(row) not in dropped)
    return LeakCheck(kept, tuple(dropped.values()), tuple(problems), tuple(notes))


def _same_context(one: Example, other: Example) -> bool:
    """Equal passages after folding; a side without any passage may have any."""
    left, right = _context(one), _context(other)
    return not left or not right or left == right


def _context(example: Example) -> str:
    turns = [fold(message.content) for message in example.prompt if message.role in ("system", "tool") and message.content]
    return "\n".join([*turns, *sorted({span.document for span in example.reference.spans})])


def _leak_line(twin: Twin, sides: tuple[str, str]) -> str:
    how = "the same question as" if twin.is_exact else f"a near duplicate ({twin.similarity:.2f}) of"
    remedy = f"Remove it from {sides[0]}, or set `leaks: drop_train`."
    if not twin.is_exact:
        remedy = f"Remove it from {sides[0]}, or set `leaks: {{near: drop_train}}`."
    return f"{twin.train.where} (id {twin.train.example.id}): {how} {twin.test.where} (id {twin.test.example.id}). {remedy}"


def _note(twins: Sequence[Twin], claim: str) -> str:
    pairs = [f"{twin.train.where} and {twin.test.where}" for twin in twins[:_LISTED]]
    more = f", and {len(twins) - _LISTED} more" if len(twins) > _LISTED else ""
    return f"{claim}: {'; '.join(pairs)}{more}."
