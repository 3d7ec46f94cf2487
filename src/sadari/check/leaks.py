"""What the judging side shares with the learning side: rows of train (which few-shot examples are drawn from), and documents.

Exact leaks stop the reading of a task, or their train side is dropped; what is left to look at stands here, row by row.
"""

from collections.abc import Sequence

from sadari.check.lengths import where
from sadari.check.remark import Level, Remark, Wording, remark, split_name
from sadari.task import Row, Task, find_twins, fold
from sadari.types import Example

SHORTEST = 12
"""Folded characters from which a question that stands in a document is no accident."""

SHORTEST_ANSWER = 2
"""Folded characters of an answer that is looked for; a single one stands everywhere."""

CHARACTERS = 1_000_000_000
"""Most characters that are searched for questions and answers: a few seconds."""


def remark_leaks(task: Task) -> list[Remark]:
    """Near duplicates between splits, the same question about other passages, and test rows that stand in the documents."""
    found = []
    for side, judge in (("train", "validation"), ("train", "test"), ("validation", "test"), ("train", "audit"), ("test", "audit")):
        twins = find_twins(_rows(task, getattr(task, side)), _rows(task, getattr(task, judge)), threshold=task.leaks.near_threshold)
        near = [t for t in twins if not t.is_exact]
        passages = [t for t in twins if t.is_exact and not t.same_context]
        same = [t for t in twins if t.is_leak]  # only between test and audit: the others stop the reading
        for wording, pairs in ((_SAME, same), (_NEAR, near), (_PASSAGE, passages)):
            if pairs:
                rows = [f"{t.train.where} = {t.test.where}" for t in pairs]
                names = {"side": split_name(side, task.language), "judge": split_name(judge, task.language)}
                found.append(remark("leaks", "warning", wording, task.language, rows, count=len(pairs), **names))
    return [*found, *_in_documents(task)]


def stands_in(example: Example, documents: str) -> bool:
    """Whether the folded documents hold the answer: every required fact of it, or one of its accepted texts."""
    if not documents or example.reference.abstain:
        return False
    facts = example.reference.facts or (example.reference.texts,)
    return all(any(len(key := fold(spelling)) >= SHORTEST_ANSWER and key in documents for spelling in fact) for fact in facts)


def _rows(task: Task, examples: Sequence[Example]) -> list[Row]:
    return [Row(example, where(task, example)) for example in examples]


def _in_documents(task: Task) -> list[Remark]:
    if not task.documents:
        return []
    text = "\n".join(fold(d.text) for d in task.documents)
    asked = list(task.test[: max(50, CHARACTERS // max(1, len(text)))])
    questions = [e for e in asked if len(key := fold(e.question)) >= SHORTEST and key in text]
    answers = [e for e in asked if stands_in(e, text)]
    found = []
    kinds: tuple[tuple[Level, Wording, list[Example]], ...] = (("warning", _QUESTION, questions), ("info", _ANSWER, answers))
    for level, wording, examples in kinds:
        if examples:
            rows = [where(task, e) for e in examples]
            values = {"count": len(examples), "share": len(examples) / len(asked)}
            found.append(remark("leaks", level, wording, task.language, rows, **values))
    return found


_SAME = {
    "en": ("Rows of {side} that also stand in {judge}: {count}.", "Take them out of {side}: the last look would not be a new one."),
    "ko": ("{side} 행 {count}개가 {judge}에도 있습니다.", "{side}에서 빼세요. 그러지 않으면 마지막 확인이 새로운 확인이 아닙니다."),
}
_NEAR = {
    "en": (
        "Rows of {side} that are near duplicates of {judge} rows, which makes {judge} a little too easy: {count}.",
        "Look at the pairs; `leaks: {{near: drop_train}}` takes out the {side} side.",
    ),
    "ko": (
        "{side} 행 {count}개가 {judge} 행과 거의 같아 {judge} 점수가 조금 높게 나올 수 있습니다.",
        "쌍을 살펴보세요. `leaks: {{near: drop_train}}`으로 {side} 쪽을 뺄 수 있습니다.",
    ),
}
_PASSAGE = {
    "en": (
        "Rows of {side} that ask a question of {judge} about another passage: {count}.",
        "Look whether the answers are the same.",
    ),
    "ko": ("{side} 행 {count}개가 {judge}의 질문을 다른 지문에 대해 묻습니다.", "답까지 같은지 살펴보세요."),
}
_QUESTION = {
    "en": (
        "Test questions that stand word for word in the documents: {count} ({share:.1%}). They are found more easily than a "
        "customer's own words would be.",
        "If the documents are a list of questions and answers, test with questions in other words.",
    ),
    "ko": (
        "테스트 질문 {count}개({share:.1%})가 문서에 글자 그대로 있어, 실제 고객의 말보다 찾기 쉽습니다.",
        "문서가 질문과 답의 목록이라면 다른 말로 쓴 질문으로 테스트하세요.",
    ),
}
_ANSWER = {
    "en": ("Test answers that stand in the documents, where looking up can find them: {count} ({share:.1%}).", ""),
    "ko": ("테스트 정답 {count}개({share:.1%})가 문서 안에 있습니다. 검색으로 찾을 수 있는 답입니다.", ""),
}
