"""What an answer stands on, example by example."""

from dataclasses import replace
from typing import Literal

import pytest

from sadari.errors import DataError
from sadari.measure.abstention import abstention_report, refusal_of
from sadari.measure.grounding import METRICS, AnswerMetrics, answer_metrics, context_overlap, grounding_of, in_pairs
from sadari.measure.report import grounding_section
from sadari.measure.statistics import mcnemar_mid_p
from sadari.measure.words import Words
from sadari.types import Answer, Chunk, Document, Example, Message, Reference, Span

TEXT = "교환은 30일 이내에 가능합니다. 배송비는 6,000원입니다. 신선식품은 교환할 수 없습니다."
POLICY = Document("exchange.md", "교환 규정", TEXT)


def span(quote: str) -> Span:
    return Span("exchange.md", TEXT.index(quote), TEXT.index(quote) + len(quote), quote)


WITHIN, POSTAGE = span("교환은 30일 이내에 가능합니다."), span("배송비는 6,000원입니다.")
ANSWERABLE = Example("q1", (Message("user", "교환은 언제까지 되나요?"),), Reference(("30일",), spans=(WITHIN,)))
UNANSWERABLE = Example("q2", (Message("user", "포인트는 언제 사라지나요?"),), Reference(abstain=True))


def chunk(quote: str) -> Chunk:
    found = span(quote)
    return Chunk(found.document, "교환 규정", found.start, found.end, quote)


def metrics(answer: Answer, example: Example = ANSWERABLE, context: tuple[Chunk, ...] | None = None) -> AnswerMetrics:
    [found] = answer_metrics([example], [answer], [POLICY], None if context is None else [context])
    return found


def test_groundedness_is_the_share_of_sentences_that_the_quotes_support() -> None:
    said = "안녕하세요. 교환은 30일 이내에 가능해요. 배송비는 9,000원입니다."
    found = metrics(Answer(said, citations=(WITHIN, POSTAGE)))
    assert found.groundedness == 1 / 2
    assert found.unsupported == ("배송비는 9,000원입니다.",)
    assert metrics(Answer("교환은 30일 이내에 가능합니다.")).groundedness == 0.0
    invented = Span("exchange.md", 0, 9, "교환은 90일 이내에 가능합니다.")
    assert metrics(Answer("교환은 90일 이내에 가능합니다.", citations=(invented,))).groundedness == 0.0


def test_an_abstention_claims_nothing_and_an_error_is_a_failure() -> None:
    abstained, failed = Answer("문서에 없습니다.", abstained=True), Answer("", error="timeout")
    assert (metrics(abstained).groundedness, metrics(failed).groundedness) == (None, 0.0)
    assert (metrics(abstained).citation_precision, metrics(abstained).citation_recall) == (0.0, 0.0)
    assert (metrics(abstained).abstention, metrics(abstained, UNANSWERABLE).abstention) == (0.0, 1.0)
    assert (metrics(failed).abstention, metrics(failed, UNANSWERABLE).abstention) == (0.0, 0.0)
    assert metrics(Answer("30일", citations=(WITHIN,))).abstention == 1.0


def test_citations_are_compared_with_the_gold_spans_by_characters() -> None:
    found = metrics(Answer("30일", citations=(WITHIN, POSTAGE)))
    assert found.citation_recall == 1.0
    assert found.citation_precision == pytest.approx(len(WITHIN.quote) / len(WITHIN.quote + POSTAGE.quote))
    assert metrics(Answer("7일"), UNANSWERABLE).citation_recall is None


def test_context_precision_falls_with_what_stands_before_the_relevant_chunk() -> None:
    right, other = chunk(WITHIN.quote), chunk(POSTAGE.quote)
    assert context_overlap([right, other], [WITHIN]) == (1.0, 1.0)
    assert context_overlap([other, right], [WITHIN]) == (1 / 2, 1.0)
    assert context_overlap([other, right, chunk("신선식품은 교환할 수 없습니다.")], [WITHIN, POSTAGE]) == (1.0, 1.0)
    assert context_overlap([other], [WITHIN]) == (0.0, 0.0)
    assert context_overlap([], [WITHIN]) == (0.0, 0.0)
    assert context_overlap([right], []) == (None, None)
    assert context_overlap(None, [WITHIN]) == (None, None)


def test_half_of_a_gold_span_makes_a_chunk_relevant() -> None:
    most, least = chunk(WITHIN.quote[:12]), chunk(WITHIN.quote[:5])
    assert context_overlap([most], [WITHIN]) == (1.0, pytest.approx(12 / len(WITHIN.quote)))
    assert context_overlap([least], [WITHIN])[0] == 0.0


def test_of_an_answer_in_json_every_value_is_a_claim() -> None:
    found = metrics(Answer('{"기한": "30일", "배송비": "9,000원", "회사": null}', citations=(WITHIN, POSTAGE)))
    assert (found.groundedness, found.unsupported) == (1 / 2, ("9,000원",))


def test_a_rung_is_told_with_its_means_and_what_differs_from_the_incumbent() -> None:
    examples = [replace(ANSWERABLE, id=f"q{i}") for i in range(12)]
    right = answer_metrics(examples, [Answer("30일", citations=(WITHIN,))] * 12, [POLICY])
    wrong = answer_metrics(examples, [Answer("30일", citations=(POSTAGE,))] * 12, [POLICY])
    found = grounding_of("lora", right, ("retrieval", wrong))
    assert found.means["citation_recall"] == (1.0, 12)
    assert "context_recall" not in found.means
    outcomes = {change.metric: (change.gain, change.outcome) for change in found.changes}
    assert outcomes["citation_recall"] == (1.0, "better")
    assert outcomes["abstention"] == (0.0, "cannot_tell")
    recall = next(change for change in found.changes if change.metric == "citation_recall")
    assert recall.p_value == pytest.approx(4 * mcnemar_mid_p(0, 12))  # Holm: four metrics were compared
    grouped = grounding_of("lora", right, ("retrieval", wrong), ["one"] * 12)
    assert all(change.outcome == "cannot_tell" for change in grouped.changes)


@pytest.mark.parametrize(
    ("language", "head", "line"),
    [
        ("ko", "인용 재현율", "retrieval와(과) 견준 lora: 근거"),
        ("en", "Citation recall", "lora against retrieval: "),
    ],
)
def test_the_section_names_every_metric_and_what_is_proven(language: Literal["ko", "en"], head: str, line: str) -> None:
    examples = [replace(ANSWERABLE, id=f"q{i}") for i in range(12)]
    right = answer_metrics(examples, [Answer("교환은 30일 이내에 가능합니다.", citations=(WITHIN,))] * 12, [POLICY])
    wrong = answer_metrics(examples, [Answer("교환은 30일 이내에 가능합니다.", citations=(POSTAGE,))] * 12, [POLICY])
    words = Words(language, "KRW")
    rungs = [grounding_of("retrieval", wrong), grounding_of("lora", right, ("retrieval", wrong))]
    section = grounding_section(rungs, words)
    assert section is not None
    [table] = section.tables
    assert head in table.columns
    assert [row[0] for row in table.rows] == ["retrieval", "lora"]
    assert table.rows[1][table.columns.index(head)] == "100.0% (12)"
    [point] = section.points
    assert point.startswith(line)
    assert grounding_section([], words) is None


def test_two_systems_are_paired_where_both_have_a_value() -> None:
    examples, answers = [ANSWERABLE, UNANSWERABLE], [Answer("30일", citations=(WITHIN,)), Answer("없음", abstained=True)]
    worse = [Answer("없음", abstained=True), Answer("없음", abstained=True)]
    first, second = (answer_metrics(examples, said, [POLICY]) for said in (answers, worse))
    assert in_pairs(first, second, "citation_recall") == ([1.0], [0.0])
    assert in_pairs(first, second, "abstention") == ([1.0, 1.0], [0.0, 1.0])
    assert in_pairs(first, second, "groundedness") == ([], [])
    assert all(first[0].value(metric) is None or 0 <= first[0].value(metric) <= 1 for metric in METRICS)
    with pytest.raises(DataError, match="same examples"):
        in_pairs(first, second[:1], "abstention")


def test_every_example_needs_one_answer_and_one_context() -> None:
    with pytest.raises(DataError, match="0 answers to 1 examples"):
        answer_metrics([ANSWERABLE], [], [])
    with pytest.raises(DataError, match="0 contexts to 1 examples"):
        answer_metrics([ANSWERABLE], [Answer("7일")], [], [])


def test_false_refusals_are_a_share_of_the_answerable_questions() -> None:
    refused, said = Answer("문서에 없습니다.", abstained=True), Answer("30일")
    report = abstention_report([ANSWERABLE, ANSWERABLE, ANSWERABLE, UNANSWERABLE], [refused, said, said, refused])
    assert report.false_rate == pytest.approx(1 / 3)
    assert abstention_report([UNANSWERABLE], [refused]).false_rate is None
    assert [refusal_of(e, a) for e in (ANSWERABLE, UNANSWERABLE) for a in (refused, said)] == [
        "false",
        "answered",
        "right",
        "missed",
    ]
