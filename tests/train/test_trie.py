"""The trie against what it stands for: the prefixes of its rows, each once."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from one_by_one import row_sets, rows_of
from sadari.errors import TrainingError
from sadari.train.rows import Row
from sadari.train.trie import Trie, behind, build_trie, needed, shared_length

many = settings(max_examples=80, deadline=None)


def seen_from(trie: Trie, token: int) -> list[int]:
    """The tokens that one token sees, by the rule of the module."""
    return [k for k in range(len(trie)) if k <= token < trie.end[k]]


@many
@given(row_sets())
def test_every_token_sees_the_tokens_before_it_in_its_row_and_no_others(rows: list[Row]) -> None:
    trie = build_trie(rows)
    for token in range(len(trie)):
        seen = seen_from(trie, token)
        assert trie.depth[seen].tolist() == list(range(len(seen)))
        text = tuple(trie.ids[seen].tolist())
        assert any(row.ids[: len(text)] == text for row in rows)


@many
@given(row_sets())
def test_every_beginning_that_is_computed_stands_in_the_trie_once(rows: list[Row]) -> None:
    beginnings = {row.ids[:length] for row in rows for length in range(1, needed(row) + 1)}
    trie = build_trie(rows)
    assert sorted(tuple(trie.ids[seen_from(trie, token)].tolist()) for token in range(len(trie))) == sorted(beginnings)


@many
@given(row_sets(constrained=True))
def test_every_learnt_token_of_every_row_is_predicted_from_what_stands_before_it(rows: list[Row]) -> None:
    trie = build_trie(rows)
    found = []
    for row, prediction, weight in zip(trie.row_of, trie.prediction_of, trie.weight_of, strict=True):
        before = tuple(trie.ids[seen_from(trie, int(trie.at[prediction]))].tolist())
        place = len(before)
        assert before == rows[row].ids[:place]
        targets = [(int(t), float(s)) for t, s in zip(trie.targets[prediction], trie.shares[prediction], strict=True) if s]
        assert tuple(targets) == (rows[row].soft[place] if rows[row].soft else ((rows[row].ids[place], 1.0),))
        assert (trie.among[prediction] if trie.among else ()) == (rows[row].among[place] if rows[row].among else ())
        assert weight == rows[row].weights[place]
        found.append((int(row), place))
    assert sorted(found) == [(i, p) for i, row in enumerate(rows) for p in range(1, len(row.ids)) if row.weights[p]]


@many
@given(row_sets())
def test_the_weight_of_the_predictions_is_that_of_the_rows(rows: list[Row]) -> None:
    trie = build_trie(rows)
    assert trie.weights.sum() == pytest.approx(sum(sum(row.weights[1:]) for row in rows))
    by_prediction = [trie.weight_of[trie.prediction_of == i].sum() for i in range(len(trie.at))]
    np.testing.assert_allclose(trie.weights, by_prediction, rtol=1e-6)


@many
@given(row_sets())
def test_segments_are_runs_without_a_branch_and_cover_all_tokens(rows: list[Row]) -> None:
    trie = build_trie(rows)
    assert [s.start for s in trie.segments] == [0, *(s.end for s in trie.segments[:-1])]
    assert trie.segments[-1].end == len(trie)
    for segment in trie.segments:
        inside = range(segment.start, segment.end)
        assert {int(trie.end[token]) for token in inside} == {segment.stop}
        assert trie.depth[inside].tolist() == list(
            range(int(trie.depth[segment.start]), int(trie.depth[segment.start]) + len(inside))
        )


@many
@given(row_sets())
def test_without_sharing_the_rows_stand_side_by_side(rows: list[Row]) -> None:
    trie = build_trie(rows, share=False)
    assert trie.ids.tolist() == [token for row in rows for token in row.ids[: needed(row)]]
    assert [(s.start, s.stop) for s in trie.segments if s.stop != s.end] == []
    assert len(trie.segments) == len(rows)
    assert trie.weights.sum() == pytest.approx(sum(sum(row.weights[1:]) for row in rows))


def test_two_answers_to_one_prompt_share_it() -> None:
    """By hand: the prompt `ab`, then `CD` or `CE`; the last token of a row predicts nothing and is not computed."""
    trie = build_trie(rows_of("abCD", "abCE"))
    a, b, c, d, e = (ord(letter) - 30 for letter in "abcde")
    assert trie.ids.tolist() == [a, b, c]
    assert list(zip(trie.at.tolist(), trie.targets[:, 0].tolist(), trie.weights.tolist(), strict=True)) == [
        (1, c, 2.0),
        (2, d, 1.0),
        (2, e, 1.0),
    ]
    assert trie.tokens_before == 8


def test_one_token_with_two_teachers_is_learnt_from_both() -> None:
    row = Row("a", (1, 2, 3), (0, 0, 1), soft=((), (), ((3, 0.5), (4, 0.5))))
    other = replace(row, id="b", soft=((), (), ((3, 0.9), (5, 0.1))))
    trie = build_trie([row, other])
    assert trie.at.tolist() == [1, 1]
    np.testing.assert_allclose(trie.shares, [[0.5, 0.5], [0.9, 0.1]])


def test_a_token_without_a_teacher_is_learnt_as_it_stands() -> None:
    trie = build_trie([Row("a", (1, 2, 3), (0, 1, 1), soft=((), (), ((3, 0.5), (4, 0.5))))])
    assert trie.targets.tolist() == [[2, 0], [3, 4]]
    assert trie.shares.tolist() == [[1, 0], [0.5, 0.5]]


@pytest.mark.parametrize("weights", [(1.0, 0.0, 0.0), (0.0, 0.0, 0.0)])
def test_a_row_with_nothing_to_learn_is_named(weights: tuple[float, ...]) -> None:
    with pytest.raises(TrainingError, match=r"row b: no token after its first has a weight above 0"):
        build_trie([*rows_of("abC"), Row("b", (1, 2, 3), weights)])


def test_a_root_moves_all_tokens_below_itself() -> None:
    trie = behind(build_trie(rows_of("abCX", "aDEX")), 2)
    assert trie.depth.tolist() == [0, 1, 2, 3, 4, 3, 4]
    assert trie.end.tolist() == [7, 7, 7, 5, 5, 7, 7]
    assert [(s.start, s.end, s.stop) for s in trie.segments] == [(0, 2, 7), (2, 3, 7), (3, 5, 5), (5, 7, 7)]


@pytest.mark.parametrize(
    ("a", "b", "length"), [("", "abc", 0), ("abc", "abc", 3), ("ab", "abc", 2), ("xbc", "abc", 0), ("abx", "aby", 2)]
)
def test_shared_length_counts_the_common_beginning(a: str, b: str, length: int) -> None:
    assert shared_length(tuple(map(ord, a)), tuple(map(ord, b))) == length
