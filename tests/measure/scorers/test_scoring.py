"""Asking a scorer, one answer at a time or all at once."""

from collections.abc import Sequence

import pytest

from sadari.errors import DataError, ModelError
from sadari.measure.scorers import LabelScorer, NumberScorer, score_answer, score_answers
from sadari.types import Answer, Example, Message, Reference, Score


def example(*texts: str, name: str = "test-7") -> Example:
    return Example(name, (Message("user", "질문"),), Reference(texts))


class Broken:
    name = "broken"

    def score(self, example: Example, answer: Answer) -> Score:
        if answer.text == "nan":
            return Score(float("nan"))
        if answer.text == "unreachable":
            raise ModelError("the judge cannot be reached.")
        if answer.text == "fine":
            return Score(1.0)
        raise KeyError("field")


class Batches(Broken):
    """Scores all at once; keeps how it was asked."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def score_all(self, pairs: Sequence[tuple[Example, Answer]]) -> list[Score]:
        self.asked.append(len(pairs))
        if any(answer.text == "short" for _, answer in pairs):
            return []
        return [self.score(*pair) for pair in pairs]


def pairs(*said: str) -> list[tuple[Example, Answer]]:
    return [
        (example(name=f"e{at}"), Answer("fine", error="timeout") if text == "error" else Answer(text))
        for at, text in enumerate(said)
    ]


def test_an_answer_with_an_error_scores_0_and_its_scorer_is_not_asked() -> None:
    assert score_answer(Broken(), example("a"), Answer("a", error="timeout")) == Score(0.0, "error: timeout")


def test_a_scorer_that_fails_or_gives_nan_names_the_example() -> None:
    with pytest.raises(DataError, match="example test-7: the scorer 'broken' failed: KeyError"):
        score_answer(Broken(), example("a"), Answer("a"))
    with pytest.raises(DataError, match=r"example test-7: .* gave nan"):
        score_answer(Broken(), example("a"), Answer("nan"))
    with pytest.raises(DataError, match=r"example test-7: the scorer 'number .*holds no number"):
        score_answer(NumberScorer(), example("없음"), Answer("3"))
    with pytest.raises(DataError, match=r"^example test-7: it has no reference"):
        score_answer(LabelScorer(), example(), Answer("3"))


def test_a_batch_scorer_is_asked_once_for_all_answers_without_an_error() -> None:
    scorer = Batches()
    scores = score_answers(scorer, pairs("fine", "error", "fine"))
    assert scores == [Score(1.0), Score(0.0, "error: timeout"), Score(1.0)]
    assert scorer.asked == [2]
    assert score_answers(Batches(), pairs("error")) == [Score(0.0, "error: timeout")]
    assert score_answers(Batches(), []) == []


def test_a_batch_that_fails_still_names_its_example() -> None:
    with pytest.raises(DataError, match="example e1: the scorer 'broken' failed: KeyError"):
        score_answers(Batches(), pairs("fine", "bad", "fine"))
    with pytest.raises(DataError, match=r"example e2: .* gave nan"):
        score_answers(Batches(), pairs("fine", "fine", "nan"))
    with pytest.raises(DataError, match="gave 0 scores to 2 answers"):
        score_answers(Batches(), pairs("fine", "short"))


@pytest.mark.parametrize("scorer", [Broken(), Batches()])
def test_what_a_judge_cannot_help_is_not_blamed_on_the_example(scorer: Broken) -> None:
    with pytest.raises(ModelError, match=r"^the judge cannot be reached"):
        score_answers(scorer, pairs("fine", "unreachable"))
