"""Is there enough data? A learning curve, measured with a stand-in that costs next to nothing.

The stand-in copies: it gives the answer of the most similar training question (for labels, the vote of the five most similar, by
BM25), and the task's own scorer judges it on validation. It trains nothing, so its level says little; whether it still rises says
whether the training rows cover what is asked. A task whose answers cannot be copied shows no rise, and then nothing is foretold.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sadari.check.remark import Remark, remark
from sadari.measure import score_answer
from sadari.measure.learning_curve import FURTHEST, Forecast, Refusal, fit_learning_curve
from sadari.retrieve import LexicalIndex, chunk_documents
from sadari.task import Task
from sadari.types import Answer, Example, Scorer

SHARES = (0.25, 0.5, 0.75, 1.0)
SEEDS = 3
NEIGHBOURS = 5
MOST_ITEMS = 400
"""Validation questions that are asked."""

LEAST_ITEMS = 30
MORE = 500
PASSAGES = 3
CHUNK_TOKENS = 200


@dataclass(frozen=True, slots=True)
class Growth:
    """What more examples would bring.

    Args:
        sizes, means: Training rows and mean score of the stand-in, point by point.
        more: How many rows `gain` is about.
        gain: What they would add to the stand-in's score, in [0, 1]; None if nothing is foretold.
        refusal: Why nothing is foretold; "" if it is.
        retrieval_hit: Share of the validation questions whose document is among the first three passages found; None without.
    """

    sizes: tuple[int, ...] = ()
    means: tuple[float, ...] = ()
    more: int = 0
    gain: Forecast | None = None
    refusal: str = ""
    retrieval_hit: float | None = None


def measure_growth(task: Task, scorer: Scorer) -> Growth:
    """Measure the stand-in on 25, 50, 75 and 100 % of train and foretell from the curve.

    Subsets grow: each holds the smaller ones. They are drawn with three seeds.
    """
    train = [e for e in task.train if e.kind == "chat"]
    asked = [e for e in task.validation if e.kind == "chat"][:MOST_ITEMS]
    hit = _retrieval_hit(task, asked)
    if task.score.by == "judge":
        return Growth(refusal=_JUDGED[task.language], retrieval_hit=hit)
    if len(asked) < LEAST_ITEMS or len(train) < len(SHARES) * NEIGHBOURS:
        return Growth(refusal=_FEW[task.language].format(train=len(train), asked=len(asked)), retrieval_hit=hit)
    orders = [np.random.default_rng(seed).permutation(len(train)) for seed in range(SEEDS)]
    sizes = [max(1, round(share * len(train))) for share in SHARES]
    scores = []
    for size in sizes:
        drawn = orders[:1] if size == len(train) else orders  # all of train is the same for every seed
        scores.append([_stand_in_scores([train[i] for i in order[:size]], asked, scorer, task) for order in drawn])
    curve = fit_learning_curve(sizes, scores, seed=task.seed, language=task.language)
    means = tuple(float(np.mean(s)) for s in scores)
    if isinstance(curve, Refusal):
        return Growth(tuple(sizes), means, refusal=curve.reason, retrieval_hit=hit)
    more = min(MORE, int((FURTHEST - 1) * len(train)))
    return Growth(tuple(sizes), means, more, curve.gain(more), retrieval_hit=hit)


def _stand_in_scores(pool: Sequence[Example], asked: Sequence[Example], scorer: Scorer, task: Task) -> list[float]:
    index = LexicalIndex([e.question for e in pool])
    return [score_answer(scorer, e, _copied(e, pool, index, bool(task.labels))).value for e in asked]


def _copied(example: Example, pool: Sequence[Example], index: LexicalIndex, votes: bool) -> Answer:
    """The answer of the most similar rows."""
    hits = index.search(example.question, NEIGHBOURS if votes else 1)
    if not hits:
        return Answer("")
    nearest = pool[hits[0].position]
    if not votes:
        target, reference = nearest.target, nearest.reference
        calls = target.tool_calls or reference.calls
        return Answer(target.content, calls, reference.spans, reference.abstain)
    weights: dict[str, float] = defaultdict(float)
    for hit in hits:
        weights[pool[hit.position].target.content] += hit.score
    return Answer(max(weights, key=lambda label: weights[label]))


def _retrieval_hit(task: Task, asked: Sequence[Example]) -> float | None:
    """How often the first passages found come from a document that holds the answer."""
    known = [e for e in asked if e.reference.spans]
    if not task.documents or not known:
        return None
    chunks = chunk_documents(task.documents, CHUNK_TOKENS)
    index = LexicalIndex([f"{c.title} {c.title} {c.text}" for c in chunks])
    hits = 0
    for example in known:
        wanted = {s.document for s in example.reference.spans}
        hits += any(chunks[h.position].document in wanted for h in index.search(example.question, PASSAGES))
    return hits / len(known)


def remark_growth(task: Task, growth: Growth) -> list[Remark]:
    """What the curve says, and how often retrieval finds the right document."""
    found, language = [], task.language
    if not growth.sizes:
        found.append(remark("data", "info", _UNMEASURED, language, reason=growth.refusal))
    points = ", ".join(f"{n}: {m:.1%}" for n, m in zip(growth.sizes, growth.means, strict=True))
    if growth.gain is not None:
        values = {"more": growth.more, "low": 100 * growth.gain.low, "high": 100 * growth.gain.high, "points": points}
        found.append(remark("data", "info", _RISES, language, **values))
    elif growth.sizes:
        found.append(remark("data", "info", _REFUSED, language, reason=growth.refusal, points=points))
    if growth.retrieval_hit is not None:
        found.append(remark("data", "info", _HIT, language, share=growth.retrieval_hit, passages=PASSAGES))
    return found


_FEW = {
    "en": "{train} train and {asked} validation rows are too few",
    "ko": "학습 {train}행, 검증 {asked}행은 너무 적습니다",
}
_JUDGED = {
    "en": "answers are judged by a model, which costs too much for thousands of copied answers",
    "ko": "모델이 채점하는 과제라 베낀 답 수천 개를 채점하기에는 비쌉니다",
}
_UNMEASURED = {
    "en": ("What more examples would bring is not measured: {reason}.", ""),
    "ko": ("예제를 더 모으면 얼마나 오를지 재지 않습니다: {reason}.", ""),
}
_RISES = {
    "en": (
        "+{more} examples -> {low:+.1f} to {high:+.1f} points, by a stand-in that copies the answers of the most similar training "
        "rows ({points}). A tuned model starts elsewhere, but profits where this rises.",
        "",
    ),
    "ko": (
        "예제 +{more}개 -> {low:+.1f}~{high:+.1f}점. 가장 비슷한 학습 행의 답을 그대로 베끼는 어림법으로 잰 값입니다({points}). "
        "튜닝한 모델의 점수와는 다르지만, 이것이 오르면 튜닝도 득을 봅니다.",
        "",
    ),
}
_REFUSED = {
    "en": (
        "What more examples would bring is not foretold: {reason}. Measured with a stand-in that copies the answers of the most "
        "similar training rows ({points}); a task whose answers cannot be copied shows no rise in it.",
        "",
    ),
    "ko": (
        "예제를 더 모으면 얼마나 오를지 예측하지 않습니다: {reason}. 가장 비슷한 학습 행의 답을 베끼는 어림법으로 쟀고({points}), "
        "베껴서 풀 수 없는 과제라면 여기서는 오르지 않습니다.",
        "",
    ),
}
_HIT = {
    "en": (
        "For {share:.1%} of the validation questions the right document is among the first {passages} passages found; more "
        "training rows do not change that, better documents and search do.",
        "",
    ),
    "ko": (
        "검증 질문의 {share:.1%}는 처음 찾은 문단 {passages}개 안에 맞는 문서가 있습니다. 학습 행이 아니라 문서와 검색이 좋아져야 "
        "오르는 값입니다.",
        "",
    ),
}
