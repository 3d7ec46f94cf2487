"""From answers to a scorecard."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from sadari.errors import DataError
from sadari.measure.money.cost import Money
from sadari.measure.scorecard import Asked, make_scorecard, p50_latency_s, p95_latency_s
from sadari.measure.scorers import LabelScorer
from sadari.measure.statistics import wilson
from sadari.types import Answer, Example, Message, Reference, Score, Usage

EXAMPLES = [Example(f"e{i}", (Message("user", "q"),), Reference((label,))) for i, label in enumerate("abab")]


def test_a_scorecard_keeps_one_entry_per_example_and_counts_failures(shop: Money) -> None:
    answers = [
        Answer("a", usage=Usage(10, 2), latency_s=0.1),
        Answer("a", latency_s=0.2),
        Answer("", error="timeout", latency_s=0.3),
        Answer("b", latency_s=0.4),
    ]
    card = make_scorecard("prompt", LabelScorer(), EXAMPLES, Asked(answers, 2.0), shop)
    assert card.ids == ("e0", "e1", "e2", "e3")
    assert card.scores == (1.0, 0.0, 0.0, 1.0)
    assert card.reasons == ("", "a ≠ b", "error: timeout", "")
    assert (card.failures, card.throughput, card.cost_per_request) == (1, 2.0, 0.5)
    assert (card.low, card.high) == wilson(2, 4)
    assert (card.prompt_tokens[0], card.completion_tokens[0]) == (10, 2)
    assert p50_latency_s(card) == pytest.approx(0.25)
    assert p95_latency_s(card) == pytest.approx(0.385)


def test_every_example_needs_one_answer_and_its_own_id() -> None:
    with pytest.raises(DataError, match="1 answers to 4 examples"):
        make_scorecard("prompt", LabelScorer(), EXAMPLES, Asked([Answer("a")], 1.0))
    with pytest.raises(DataError, match="two examples have the id e0"):
        make_scorecard("prompt", LabelScorer(), [EXAMPLES[0]] * 2, Asked([Answer("a")] * 2, 1.0))


def test_groups_are_kept_where_there_are_any() -> None:
    grouped = [replace(EXAMPLES[0], group="policy.md"), EXAMPLES[1]]
    answers = [Answer("a"), Answer("b")]
    assert make_scorecard("prompt", LabelScorer(), grouped, Asked(answers, 1.0)).groups == ("policy.md", "")
    assert make_scorecard("prompt", LabelScorer(), EXAMPLES[:2], Asked(answers, 1.0)).groups == ()


def test_a_batch_scorer_is_asked_once() -> None:
    asked: list[int] = []

    class Batches(LabelScorer):
        def score_all(self, pairs: Sequence[tuple[Example, Answer]]) -> list[Score]:
            asked.append(len(pairs))
            return [self.score(*pair) for pair in pairs]

    answers = [Answer("a"), Answer("a"), Answer("", error="timeout"), Answer("b")]
    assert make_scorecard("prompt", Batches(), EXAMPLES, Asked(answers, 1.0)).scores == (1.0, 0.0, 0.0, 1.0)
    assert asked == [3]


def test_no_examples_give_an_empty_card() -> None:
    card = make_scorecard("prompt", LabelScorer(), [], Asked([], 0.0))
    assert (card.quality, card.low, card.high, card.throughput) == (0.0, 0.0, 1.0, 0.0)
