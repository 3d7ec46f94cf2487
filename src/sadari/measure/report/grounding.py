"""What the answers of each rung that cites stand on, as one table of the report."""

from collections.abc import Sequence

from sadari.measure.grounding import METRICS, Grounding, Metric, MetricChange
from sadari.measure.report.sections import Section, Table
from sadari.measure.verdict import format_p
from sadari.measure.words import Words

_NAMES: dict[Metric, tuple[str, str]] = {
    "context_precision": ("문맥 정밀도", "Context precision"),
    "context_recall": ("문맥 재현율", "Context recall"),
    "groundedness": ("근거 있는 문장", "Groundedness"),
    "citation_precision": ("인용 정밀도", "Citation precision"),
    "citation_recall": ("인용 재현율", "Citation recall"),
    "abstention": ("물러섬", "Abstention"),
}
_OUTCOMES = {"better": ("나아짐", "better"), "worse": ("나빠짐", "worse")}


def grounding_section(rungs: Sequence[Grounding], words: Words) -> Section | None:
    """The metrics of every rung, and under them what is proven to differ from the incumbent; None without a rung."""
    if not rungs:
        return None
    at = 0 if words.language == "ko" else 1
    text = (
        "인용하는 단계의 답이 무엇에 근거하는지를 테스트 문항마다 잰 평균입니다. 괄호는 잰 문항 수입니다. 문맥은 모델에 보인 글, "
        "근거 있는 문장은 인용문이 뒷받침하는 문장, 물러섬은 답할 질문과 답하지 않을 질문을 바르게 가린 것입니다. 잘못 물러선 답은 "
        "아무것도 인용하지 않은 것으로 셉니다.",
        "Means over the test examples of what the answers of each rung that cites stand on; in brackets the examples measured. The "
        "context is what was put to the model; groundedness is the share of sentences that the citations support; abstention is "
        "answering, and refusing, where that is right. Who refuses wrongly has cited nothing.",
    )[at]
    used = [metric for metric in METRICS if any(metric in rung.means for rung in rungs)]
    table = Table(
        (words.text["rung"], *(_NAMES[metric][at] for metric in used)),
        tuple((rung.rung, *(_mean(rung, metric, words) for metric in used)) for rung in rungs),
    )
    points = tuple(_changes(rung, words) for rung in rungs if rung.against)
    return Section("grounding", ("답의 근거", "What the answers stand on")[at], (text,), points, (table,))


def _mean(rung: Grounding, metric: Metric, words: Words) -> str:
    mean, count = rung.means.get(metric, (0.0, 0))
    return f"{words.share(mean)} ({count:,})" if count else "–"


def _changes(rung: Grounding, words: Words) -> str:
    korean = words.language == "ko"
    proven = "; ".join(_change(change, words) for change in rung.changes if change.outcome != "cannot_tell")
    nothing = "다르다고 입증된 것이 없습니다" if korean else "nothing is proven to differ"
    head = f"{rung.against}와(과) 견준 {rung.rung}" if korean else f"{rung.rung} against {rung.against}"
    return f"{head}: {proven or nothing}"


def _change(change: MetricChange, words: Words) -> str:
    at = 0 if words.language == "ko" else 1
    between = words.between(words.points(change.low, sign=False), words.points(change.high, sign=False))
    name, outcome = _NAMES[change.metric][at], _OUTCOMES[change.outcome][at]
    return f"{name} {words.points(change.gain)} ({between}), p = {format_p(change.p_value)} (Holm), {outcome}"
