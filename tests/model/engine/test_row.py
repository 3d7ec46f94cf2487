"""How the next token is chosen, against the processors of `transformers`."""

import pytest
import torch
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from sadari.model.engine import Row, Sampling

SCORES = torch.randn(200, generator=torch.Generator().manual_seed(3)) * 3


@pytest.mark.parametrize(
    ("sampling", "processors"),
    [
        (Sampling(0.7), [TemperatureLogitsWarper(0.7)]),
        (Sampling(1.0, top_k=5), [TopKLogitsWarper(5)]),
        (Sampling(1.0, top_p=0.6), [TopPLogitsWarper(0.6)]),
        (Sampling(1.0, min_p=0.1), [MinPLogitsWarper(0.1)]),
        (Sampling(1.3, top_p=0.9, top_k=20), [TemperatureLogitsWarper(1.3), TopKLogitsWarper(20), TopPLogitsWarper(0.9)]),
        (Sampling(1.0, repetition_penalty=1.8), [RepetitionPenaltyLogitsProcessor(1.8)]),
    ],
    ids=["temperature", "top k", "top p", "min p", "all together", "repetition"],
)
def test_tokens_are_drawn_as_often_as_transformers_finds_them_likely(sampling, processors):
    prompt, count = [3, 5, 8, int(SCORES.argmax())], 4000
    expected = torch.softmax(LogitsProcessorList(processors)(torch.tensor([prompt]), SCORES[None].clone())[0].double(), -1)
    row = Row(prompt, limit=1, sampling=sampling)

    drawn = torch.bincount(torch.tensor([row.choose(SCORES.clone()) for _ in range(count)]), minlength=len(SCORES)) / count

    assert not (drawn[expected == 0] > 0).any(), "nothing is drawn that was cut off"
    error = (expected * (1 - expected) / count).sqrt()
    assert ((drawn - expected).abs() <= 5 * error + 3 / count).all(), "of the rarest tokens a draw or two is no deviation"


def test_the_repetition_penalty_holds_for_greedy_answers_and_counts_what_was_written():
    scores = torch.tensor([0.0, 2.0, 1.9, -1.0])
    row = Row([3], limit=3, sampling=Sampling(repetition_penalty=1.5))
    taken = []
    for _ in range(2):
        taken.append(row.choose(scores.clone()))
        row.take(taken[-1])
    assert taken == [1, 2], "2.0 / 1.5 is less than 1.9"


def test_log_probabilities_are_those_before_penalties_and_constraints():
    row = Row([1], limit=1, sampling=Sampling(repetition_penalty=5.0, logprobs=2))
    token = row.choose(SCORES.clone())
    expected = SCORES.log_softmax(-1)

    assert row.chosen[0].token == token
    assert row.chosen[0].log_probability == pytest.approx(float(expected[token]))
    assert row.chosen[0].likeliest == tuple((int(i), pytest.approx(float(expected[i]))) for i in expected.topk(2).indices)


def test_a_token_that_ends_an_answer_is_not_part_of_it():
    row = Row([1], limit=5, ends=frozenset({7}))
    for token in (4, 7):
        row.take(token)
    assert (row.out, row.finish) == ([4], "stop")


class Spelling:
    """A guide for one given answer, all of it forced after the first token."""

    def __init__(self, tokens: list[int]) -> None:
        self._left = tokens
        self.is_complete = self.is_over = False

    def accept(self, token: int) -> None:
        assert token == self._left.pop(0)

    def forced(self) -> list[int]:
        taken, self._left = self._left, []
        self.is_complete = self.is_over = True
        return taken


CUTS = [(9, [3, 4, 5, 6], "stop"), (4, [3, 4, 5, 6], "stop"), (2, [3, 4], "truncated")]


@pytest.mark.parametrize(("limit", "out", "finish"), CUTS)
def test_forced_tokens_are_all_written_unless_the_limit_cuts_them(limit, out, finish):
    row = Row([1], limit=limit, guide=Spelling([3, 4, 5, 6]))
    assert (row.out, row.finish) == (out, finish)
