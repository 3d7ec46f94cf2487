"""Are the labels of a label task fit to be learnt and judged?"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sadari.check.lengths import where
from sadari.check.remark import Level, Remark, remark
from sadari.task import Task, fold
from sadari.types import Example

FEW = 5
"""Train rows below which a label can hardly be learnt."""

LOPSIDED = 0.5
"""Share of test above which always giving one label looks good."""

NAMED = 5
"""Labels that a sentence names."""


@dataclass(frozen=True, slots=True)
class LabelCount:
    """How often a label stands in each split."""

    label: str
    train: int
    validation: int
    test: int


def count_labels(task: Task) -> tuple[LabelCount, ...]:
    """Every label of a label task with its rows, the most frequent first; () for other tasks."""
    if not task.labels:
        return ()
    train, validation, test = (Counter(map(_label, split)) for split in (task.train, task.validation, task.test))
    labels = dict.fromkeys((*task.labels, *sorted(set(test) - set(task.labels) - {""})))
    counts = [LabelCount(label, train[label], validation[label], test[label]) for label in labels]
    return tuple(sorted(counts, key=lambda c: (-c.train, c.label)))


def remark_labels(task: Task, counts: Sequence[LabelCount]) -> list[Remark]:
    """One label only, a majority that wins by itself, labels that are rare, unseen, unasked, or spelt in two ways."""
    if not counts:
        return _one_answer(task)
    language, found = task.language, []
    tests = sum(c.test for c in counts)
    top = max(counts, key=lambda c: c.test)
    if tests:
        share = top.test / tests
        level: Level = "warning" if share > LOPSIDED else "info"
        found.append(remark("labels", level, _MAJORITY, language, label=top.label, share=share, labels=len(counts)))
    rows = _rows_by_label(task)
    for wording, chosen, split in (
        (_RARE, [c for c in counts if 0 < c.train < FEW], "train"),
        (_UNSEEN, [c for c in counts if c.test and not c.train], "test"),
        (_UNLEARNT, [c for c in counts if not c.test and not c.train], "train"),
        (_UNASKED, [c for c in counts if c.train and not c.test], "test"),
    ):
        if chosen:
            lines = [line for c in chosen for line in rows[split, c.label]]
            level = "info" if wording is _UNASKED else "warning"
            found.append(remark("labels", level, wording, language, lines, count=len(chosen), few=FEW, names=_named(chosen)))
    alike = defaultdict(list)
    for c in counts:
        alike[fold(c.label)].append(c.label)
    twice = [names for names in alike.values() if len(names) > 1]
    if twice:
        lines = [line for names in twice for name in names[1:] for line in rows["train", name]]
        names = "; ".join(" = ".join(f"“{n}”" for n in names) for names in twice[:NAMED])
        found.append(remark("labels", "warning", _SPELT, language, lines, count=len(twice), names=names))
    return found


def _one_answer(task: Task) -> list[Remark]:
    answers = {fold(_label(e)) for e in (*task.train, *task.validation) if e.reference.texts and not e.reference.calls}
    if len(answers) != 1 or not task.train:
        return []
    return [remark("labels", "error", _SAME, task.language, answer=_label(task.train[0])[:60])]


def _label(example: Example) -> str:
    return example.reference.texts[0] if example.reference.texts else ""


def _rows_by_label(task: Task) -> dict[tuple[str, str], list[str]]:
    rows: dict[tuple[str, str], list[str]] = defaultdict(list)
    for split in ("train", "test"):
        for example in getattr(task, split):
            rows[split, _label(example)].append(where(task, example))
    return rows


def _named(counts: Sequence[LabelCount]) -> str:
    shown = ", ".join(c.label for c in counts[:NAMED])
    return shown + (", ..." if len(counts) > NAMED else "")


_SAME = {
    "en": (
        "Every answer of train is “{answer}”: there is nothing to learn, and any score would mislead.",
        "Add rows with other answers.",
    ),
    "ko": ("학습 데이터의 답이 모두 “{answer}”입니다. 배울 것이 없고 점수도 믿을 수 없습니다.", "답이 다른 행을 추가하세요."),
}
_MAJORITY = {
    "en": ("{labels} labels; always answering “{label}” would be right on {share:.1%} of test.", ""),
    "ko": ("라벨 {labels}개. 늘 “{label}”만 답해도 테스트의 {share:.1%}가 맞습니다.", ""),
}
_RARE = {
    "en": (
        "Labels with fewer than {few} train rows ({count}): {names}.",
        "Add rows for them, or join them with a neighbouring label.",
    ),
    "ko": ("라벨 {count}개는 학습 행이 {few}개보다 적습니다: {names}.", "행을 더하거나 가까운 라벨과 합치세요."),
}
_UNSEEN = {
    "en": ("Labels of test that stand in no train row ({count}): {names}.", "Add train rows for them, or take the test rows out."),
    "ko": ("라벨 {count}개는 테스트에만 있고 학습 데이터에 없습니다: {names}.", "학습 행을 더하거나 그 테스트 행을 빼세요."),
}
_UNLEARNT = {
    "en": ("Listed labels that stand in no row of train or test ({count}): {names}.", "Add rows, or take them out of `labels`."),
    "ko": ("목록에 있는 라벨 {count}개는 학습에도 테스트에도 없습니다: {names}.", "행을 더하거나 `labels`에서 빼세요."),
}
_UNASKED = {
    "en": ("Labels that are learnt but never tested ({count}): {names}.", "Add test rows if these labels matter."),
    "ko": ("라벨 {count}개는 배우지만 테스트하지 않습니다: {names}.", "중요한 라벨이면 테스트 행을 더하세요."),
}
_SPELT = {
    "en": ("Labels that differ in spaces, case or punctuation alone ({count}): {names}.", "Write each label in one way."),
    "ko": ("라벨 {count}쌍은 띄어쓰기, 대소문자, 문장 부호만 다릅니다: {names}.", "라벨 표기를 하나로 통일하세요."),
}
