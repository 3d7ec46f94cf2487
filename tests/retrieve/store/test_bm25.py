"""BM25 over postings, against the formula written out."""

import numpy as np
import pytest

from sadari.retrieve.store.bm25 import AskedTerm, Postings, best_by_terms, length_norms

LENGTHS = np.array([2, 4, 2, 4], dtype=np.uint32)
NORMS = length_norms(LENGTHS, 3.0)


def term(weight: float, times: int, *held: tuple[int, int]) -> AskedTerm:
    positions, counts = zip(*held, strict=True)
    return AskedTerm(weight, times, Postings(np.array(positions, dtype=np.uint32), np.array(counts, dtype=np.uint16)))


def test_a_score_is_the_weights_times_the_saturated_counts() -> None:
    [first, second] = best_by_terms([term(2.0, 1, (0, 1), (1, 3)), term(5.0, 2, (1, 1))], NORMS, 9)
    norm = 1.2 * (0.25 + 0.75 * 4 / 3)
    assert (first.position, first.held) == (1, 7.0)
    assert first.score == pytest.approx(2 * 3 / (3 + norm) + 10 * 1 / (1 + norm))
    assert (second.position, second.held) == (0, 2.0)
    assert second.score == pytest.approx(2 / (1 + 1.2 * (0.25 + 0.75 * 2 / 3)))


def test_what_is_masked_gives_its_place_to_the_next() -> None:
    asked = [term(1.0, 1, (0, 9), (1, 5), (2, 1))]
    hidden = np.array([False, True, True, True])
    assert [hit.position for hit in best_by_terms(asked, NORMS, 1, hidden)] == [1]


def test_equal_scores_come_in_order() -> None:
    assert [hit.position for hit in best_by_terms([term(1.0, 1, (0, 1), (2, 1))], NORMS, 2)] == [0, 2]
