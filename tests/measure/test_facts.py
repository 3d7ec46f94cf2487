"""The rule of answers that must stand in documents, broken one clause at a time."""

import pytest

from sadari.measure.facts import FactsScorer
from sadari.types import Answer, Example, Message, Reference, Span

QUESTION = "무선 청소기를 5월 2일에 샀는데 교환은 며칠 안에 해야 하나요?"
QUOTE = "교환 신청은 수령일로부터 30일 이내에 가능하며 왕복 배송비는 6,000원입니다."
REFERENCE = Reference(("30일 이내, 6,000원",), facts=(("30일", "한 달"), ("6,000원",)))


def score(text: str, *quotes: str, reference: Reference = REFERENCE, abstained: bool = False) -> tuple[float, str]:
    citations = tuple(Span("exchange.md", 0, len(quote), quote) for quote in quotes)
    scored = FactsScorer("ko").score(Example("q", (Message("user", QUESTION),), reference), Answer(text, (), citations, abstained))
    return scored.value, scored.reason


def test_an_answer_with_every_fact_said_and_cited_is_correct() -> None:
    assert score("수령 후 30 일 이내에 신청하시면 되고, 배송비는 6천 원입니다.", QUOTE) == (1.0, "")
    assert score("5월 2일에 사셨으니 30일 이내, 6000원입니다.", "30일 이내에 가능", "배송비는 6,000원") == (1.0, "")


@pytest.mark.parametrize(
    ("text", "quotes", "reason"),
    [
        ("수령 후 30일 이내에 신청하세요.", [QUOTE], "빠진 사실: 6,000원"),
        ("130일 이내, 6,000원입니다.", [QUOTE], "빠진 사실: 30일"),
        ("30일 이내, 6,000원입니다.", [], "인용문에 없는 사실: 30일"),
        ("30일 이내, 6,000원입니다.", ["교환 신청은 30일 이내"], "인용문에 없는 사실: 6,000원"),
        ("30일 이내, 6,000원입니다. 제주는 9,000원입니다.", [QUOTE], "인용문과 질문에 없는 숫자: 9000원"),
        ("30일 이내, 6,000원, 6월 3일까지입니다.", [QUOTE], "인용문과 질문에 없는 숫자: 06-03"),
    ],
)
def test_a_broken_clause_scores_0_and_is_named(text: str, quotes: list[str], reason: str) -> None:
    assert score(text, *quotes) == (0.0, reason)


def test_abstaining_is_right_only_where_the_reference_abstains() -> None:
    unanswerable = Reference(abstain=True)
    assert score("문서에서 확인할 수 없습니다.", reference=unanswerable, abstained=True) == (1.0, "")
    assert score("30일 이내입니다.", QUOTE, reference=unanswerable) == (0.0, "문서에 없는 내용인데 답함")
    assert score("문서에서 확인할 수 없습니다.", QUOTE, abstained=True) == (0.0, "문서에 있는 내용인데 답하지 않음")
    assert score("문서에 없지만 30일일 것입니다.", QUOTE, reference=unanswerable, abstained=True)[0] == 0
