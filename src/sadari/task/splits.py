"""Splits by group: rows that belong together, or say the same, never stand on two sides.

A split depends on the seed and on what the rows say, never on their order in the file.
"""

import hashlib
from collections import defaultdict
from collections.abc import Sequence

from sadari.task.duplicates import NearIndex, question_text
from sadari.task.text import fold
from sadari.types import Example

GENERATED = "generated"
"""Tag of a row that was made, not collected; its `group` is the id of the row it was made from, if there is one."""

NEAR = 0.8
"""Questions at least this similar (Jaccard of five-character pieces) are joined into one group before a split."""

TEST_SHARE = 0.2
"""Share of a single file that becomes the test set."""


AUDIT_FROM = 400
"""Test sets smaller than this are not cut: every example is needed to judge the rungs."""

AUDIT_SHARE, AUDIT_MOST = 0.25, 1000
"""Share of a large test set that is kept for one last look, and how many at most.

With 100 of 400 the last look is within 8 points (80 % right), and the 300 that judge prove gains only 1.15 times as large as 400
would. Beyond 1,000 (within 2.5 points) more would only weaken the verdicts.
"""


def join_groups(examples: Sequence[Example], *, threshold: float = NEAR) -> list[list[int]]:
    """Positions of the examples that must stay on one side, group by group.

    Two examples are joined if they name the same `group`, if one was generated from the other (its `group` is then the
    other's id), or if their questions are exact or near duplicates; so are all that hang
    together through others.
    """
    parents = list(range(len(examples)))

    def root(at: int) -> int:
        while parents[at] != at:
            parents[at] = parents[parents[at]]
            at = parents[at]
        return at

    named = {example.id: at for at, example in enumerate(examples)}
    first: dict[tuple[str, str], int] = {}
    unique: list[int] = []
    for at, example in enumerate(examples):
        if example.group:
            parents[root(at)] = root(first.setdefault(("group", example.group), at))
        if GENERATED in example.tags and example.group in named:
            parents[root(at)] = root(named[example.group])
        question = ("question", fold(question_text(example)))
        if question not in first:
            unique.append(at)
        parents[root(at)] = root(first.setdefault(question, at))
    near = NearIndex([question_text(examples[at]) for at in unique], threshold=threshold)
    for at in unique:
        for other, _ in near.alike(question_text(examples[at])):
            parents[root(at)] = root(unique[other])
    joined: dict[int, list[int]] = defaultdict(list)
    for at in range(len(examples)):
        joined[root(at)].append(at)
    return list(joined.values())


def cut(examples: Sequence[Example], count: int, *, seed: int) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """Take about `count` examples, whole groups at a time: `(rest, taken)`, both in file order.

    Groups are taken in the order of a seeded hash of what they hold. A group that would overshoot is passed over, but at least one
    group is taken and at least one is left. If all examples form one group nothing is taken.
    """
    groups = join_groups(examples)
    if len(groups) < 2:
        return tuple(examples), ()
    keyed = sorted((min(_hash(examples[at], seed) for at in group), group) for group in groups)
    taken: set[int] = set()
    for _, group in keyed:
        if len(taken) + len(group) <= min(count, len(examples) - 1):
            taken.update(group)
    if not taken:
        taken.update(min(keyed, key=lambda entry: (len(entry[1]), entry[0]))[1])
    return (
        tuple(example for at, example in enumerate(examples) if at not in taken),
        tuple(example for at, example in enumerate(examples) if at in taken),
    )


def _hash(example: Example, seed: int) -> str:
    name = f"group {example.group}" if example.group else f"question {fold(question_text(example))}"
    return hashlib.sha256(f"{seed} {name}".encode("utf-8", "surrogatepass")).hexdigest()


def validation_count(rows: int) -> int:
    """How many of `rows` training rows are set aside for choosing: a tenth, 50 to 400, but never more than a fifth."""
    return max(1, min(400, max(50, round(rows * 0.1)), rows // 5))


def cut_validation(train: Sequence[Example], *, seed: int) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """`(train, validation)`, by group; validation is about as large as `validation_count` says."""
    return cut(train, validation_count(len(train)), seed=seed)


def cut_test(examples: Sequence[Example], *, seed: int) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """`(rest, test)`, by group; the test set is about a fifth."""
    return cut(examples, max(1, round(len(examples) * TEST_SHARE)), seed=seed + 1)  # another order than that of validation


def cut_audit(test: Sequence[Example], *, seed: int) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """`(test, audit)`, by group; audit is a quarter of `AUDIT_FROM` or more test examples, at most `AUDIT_MOST`."""
    if len(test) < AUDIT_FROM:
        return tuple(test), ()
    return cut(test, min(AUDIT_MOST, round(len(test) * AUDIT_SHARE)), seed=seed + 2)
