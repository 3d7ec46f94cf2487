from math import log2

import pytest

from sadari.measure.ranking import holds, ndcg_at, ranks_of_documents, ranks_of_spans, recall_at, reciprocal_rank
from sadari.types import Chunk, Span


def chunk(document: str, start: int, end: int) -> Chunk:
    return Chunk(document, "", start, end, "x" * (end - start))


def test_a_span_is_found_in_the_first_chunk_that_holds_half_of_it() -> None:
    found = [chunk("a", 0, 14), chunk("b", 10, 30), chunk("a", 14, 40), chunk("a", 10, 40)]
    # The first holds 4 of the 10 characters, the third 6.
    assert ranks_of_spans(found, [Span("a", 10, 20, ""), Span("c", 10, 20, "")]) == [3, None]


def test_a_sentence_of_a_gold_paragraph_holds_it() -> None:
    assert holds(chunk("a", 50, 60), Span("a", 0, 500, ""))
    assert not holds(chunk("a", 496, 510), Span("a", 0, 500, ""))


def test_documents_count_where_they_first_appear() -> None:
    assert ranks_of_documents(["b", "a", "a"], ["a", "z"]) == [2, None]


def test_measures_by_hand() -> None:
    ranks = [2, None, 4]
    assert recall_at(ranks, 1) == 0
    assert recall_at(ranks, 2) == pytest.approx(1 / 3)
    assert recall_at(ranks, 5) == pytest.approx(2 / 3)
    assert reciprocal_rank(ranks) == 0.5
    best = 1 + 1 / log2(3) + 1 / log2(4)
    assert ndcg_at(ranks) == pytest.approx((1 / log2(3) + 1 / log2(5)) / best)
    assert ndcg_at(ranks, 3) == pytest.approx((1 / log2(3)) / best)


def test_nothing_found_scores_0_and_the_best_order_1() -> None:
    assert (recall_at([None], 5), reciprocal_rank([None]), ndcg_at([None])) == (0, 0, 0)
    assert (recall_at([1], 1), reciprocal_rank([1]), ndcg_at([1])) == (1, 1, 1)
    assert ndcg_at([1, 1]) == 1  # one chunk that holds both spans


@pytest.mark.parametrize("measure", [reciprocal_rank, ndcg_at, lambda ranks: recall_at(ranks, 5)])
def test_a_question_without_an_answer_has_no_measure(measure: object) -> None:
    with pytest.raises(ValueError, match="Leave out questions"):
        measure([])  # type: ignore[operator]
