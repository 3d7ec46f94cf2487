"""Rows that say the same twice, and rows that contradict each other.

Two questions are duplicates if they are equal after NFC and folding, near duplicates if the Jaccard similarity of their
five-character pieces is at least `NEAR`. The search (`task.duplicates.NearIndex`) is exact, by prefix filtering: MinHash would
estimate the same similarity and miss some pairs, and at the sizes of a task (10,000 rows take seconds) it would not be faster.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sadari.check.lengths import where
from sadari.check.remark import Level, Remark, Wording, remark, split_name
from sadari.task import NearIndex, Task, fold, question_text
from sadari.task.splits import NEAR
from sadari.types import Example


@dataclass(frozen=True, slots=True)
class Repeats:
    """Pairs of examples of one split; the later row first, then the earlier one that it repeats.

    Args:
        exact: The same question in the same context with the same answer.
        near: Nearly the same question.
        conflicts: The same question in the same context with different answers.
        near_conflicts: Nearly the same question under different labels; only for label tasks.
    """

    exact: tuple[tuple[Example, Example], ...]
    near: tuple[tuple[Example, Example], ...]
    conflicts: tuple[tuple[Example, Example], ...]
    near_conflicts: tuple[tuple[Example, Example], ...]


def find_repeats(examples: Sequence[Example], *, has_labels: bool) -> Repeats:
    """Every row that repeats or contradicts an earlier one, each paired with one earlier row."""
    first: dict[str, Example] = {}
    firsts: dict[str, list[Example]] = defaultdict(list)  # by question and context, one for each different answer
    exact, conflicts = [], []
    unique: list[Example] = []
    for example in examples:
        earlier = firsts[_asked(example)]
        same = next((e for e in earlier if _agree(e, example)), None)
        if same is not None:
            exact.append((example, same))
            continue
        if earlier:
            conflicts.append((example, earlier[0]))
        earlier.append(example)
        question = fold(question_text(example))
        if question not in first:
            first[question] = example
            unique.append(example)
    near = _near_pairs(unique)
    agree = [not has_labels or _agree(*pair) for pair in near]
    alike = tuple(pair for pair, same in zip(near, agree, strict=True) if same)
    told_apart = tuple(pair for pair, same in zip(near, agree, strict=True) if not same)
    return Repeats(tuple(exact), alike, tuple(conflicts), told_apart)


def _near_pairs(unique: Sequence[Example]) -> list[tuple[Example, Example]]:
    """Each example with the most similar earlier one, if that is a near duplicate."""
    texts = [question_text(e) for e in unique]
    index = NearIndex(texts, threshold=NEAR)
    pairs = []
    for at, text in enumerate(texts):
        earlier = next((other for other, _ in index.alike(text) if other < at), None)
        if earlier is not None:
            pairs.append((unique[at], unique[earlier]))
    return pairs


def _asked(example: Example) -> str:
    """What two rows must share to be the same question: every turn before the answer, and the documents it is about."""
    turns = [f"{m.role} {fold(m.content)}" for m in example.prompt] or [fold(question_text(example))]
    return "\n".join([*turns, *sorted({s.document for s in example.reference.spans})])


def _agree(one: Example, other: Example) -> bool:
    left, right = one.reference, other.reference
    if left.abstain != right.abstain:
        return False
    if left.calls or right.calls:
        return [(c.name, dict(c.arguments)) for c in left.calls] == [(c.name, dict(c.arguments)) for c in right.calls]
    ours, theirs = ({fold(text) for text in r.texts} for r in (left, right))
    return bool(ours & theirs) or ours == theirs


def remark_repeats(task: Task) -> list[Remark]:
    """Duplicates and contradictions within each split."""
    found = []
    for split in ("train", "validation", "test", "audit"):
        repeats = find_repeats(getattr(task, split), has_labels=bool(task.labels))
        kinds: tuple[tuple[str, Level, Wording, Sequence[tuple[Example, Example]]], ...] = (
            ("conflicts", "warning", _CONFLICT, repeats.conflicts),
            ("conflicts", "warning", _NEAR_CONFLICT, repeats.near_conflicts),
            ("duplicates", "warning", _EXACT, repeats.exact),
            ("duplicates", "info", _NEAR, repeats.near),
        )
        for about, level, wording, pairs in kinds:
            if pairs:
                rows = [f"{where(task, a)} = {where(task, b)}" for a, b in pairs]
                name = split_name(split, task.language)
                found.append(remark(about, level, wording, task.language, rows, count=len(pairs), split=name, near=NEAR))
    return found


_CONFLICT = {
    "en": (
        "Rows of {split} that give another answer to the same question in the same context: {count}.",
        "Decide which answer is right, or add what tells the cases apart.",
    ),
    "ko": (
        "{split} 행 {count}개가 같은 맥락의 같은 질문에 다른 답을 줍니다.",
        "어느 답이 맞는지 정하거나, 두 경우를 구별하는 내용을 질문에 더하세요.",
    ),
}
_NEAR_CONFLICT = {
    "en": (
        "Rows of {split} that ask nearly the same as another row (similarity {near} or more) under another label: {count}.",
        "Look at these pairs first: many are labelled wrongly.",
    ),
    "ko": (
        "{split} 행 {count}개가 거의 같은 질문(유사도 {near} 이상)에 다른 라벨을 답니다.",
        "이 쌍부터 살펴보세요. 라벨이 잘못 붙은 경우가 많습니다.",
    ),
}
_EXACT = {
    "en": ("Rows of {split} that repeat another row: {count}.", "`sadari data clean` takes them out."),
    "ko": ("{split} 행 {count}개가 다른 행을 그대로 되풀이합니다.", "`sadari data clean`으로 지울 수 있습니다."),
}
_NEAR = {
    "en": ("Rows of {split} that ask nearly the same as another row (similarity {near} or more): {count}.", ""),
    "ko": ("{split} 행 {count}개가 다른 행과 거의 같은 질문입니다(유사도 {near} 이상).", ""),
}
