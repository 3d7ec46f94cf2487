"""What the test set can prove."""

from collections.abc import Sequence
from dataclasses import dataclass

from sadari.check.remark import Level, Remark, remark
from sadari.measure.power import smallest_provable_gain
from sadari.task import Task

DISAGREEMENTS = (0.05, 0.1, 0.2, 0.4)
"""Shares of the test answers that may turn from wrong to right or back when a rung is taken."""

LEVEL = 0.05


@dataclass(frozen=True, slots=True)
class ProvableGain:
    """The smallest gain that is proven four times in five, if `disagreement` of the answers change; None if none can be."""

    disagreement: float
    gain: float | None


def provable_gains(task: Task) -> tuple[ProvableGain, ...]:
    """The smallest provable gain of this test set, at the level that the number of rungs leaves (0.05/m)."""
    alpha = LEVEL / max(1, len(task.ladder))
    return tuple(ProvableGain(share, smallest_provable_gain(len(task.test), share, alpha)) for share in DISAGREEMENTS)


def remark_gains(task: Task, gains: Sequence[ProvableGain]) -> list[Remark]:
    """What the test set can prove, in one sentence."""
    language = task.language
    told = [_IF[language].format(gain=100 * g.gain, changed=g.disagreement) for g in gains if g.gain is not None]
    if not told:
        return [remark("power", "warning", _NOTHING, language, count=len(task.test), rungs=len(task.ladder))]
    level: Level = "warning" if len(told) < len(gains) else "info"
    return [remark("power", level, _PROVABLE, language, count=len(task.test), rungs=len(task.ladder), gains=", ".join(told))]


_IF = {"en": "{gain:.1f} points if {changed:.0%} of the answers change", "ko": "답의 {changed:.0%}가 바뀌면 {gain:.1f}점"}
_PROVABLE = {
    "en": ("The smallest gains that {count} test examples prove, with {rungs} rungs, four times in five: {gains}.", ""),
    "ko": ("테스트 {count}문항, {rungs}단계로 다섯 번에 네 번 입증할 수 있는 가장 작은 향상: {gains}.", ""),
}
_NOTHING = {
    "en": ("{count} test examples hardly prove any gain over {rungs} rungs.", "Collect 200 or more test rows."),
    "ko": ("테스트 {count}문항으로는 {rungs}단계에서 어떤 향상도 입증하기 어렵습니다.", "테스트 행을 200개 이상 모으세요."),
}
