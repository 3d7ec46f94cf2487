"""From answers to a scorecard: one score per example, its interval, latency, tokens and cost."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TypeVar

import numpy as np

from sadari.errors import DataError
from sadari.measure.money.cost import Money, cost_per_request
from sadari.measure.scorers import score_answers
from sadari.measure.seeds import resample_seeds_and_items
from sadari.measure.statistics import mean_interval, percentile
from sadari.types import Answer, Device, Example, Scorecard, Scorer

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Asked:
    """Answers, and what it took to get them.

    Args:
        answers: One per example, in file order.
        seconds: Wall time of all of them.
        device: Where they came from.
    """

    answers: Sequence[Answer]
    seconds: float
    device: Device = "machine"


def make_scorecard(rung: str, scorer: Scorer, examples: Sequence[Example], asked: Asked, money: Money | None = None) -> Scorecard:
    """Score one answer per example, in file order.

    Args:
        money: Prices; without them `cost_per_request` is 0 and stands for "not priced" (see `cost.is_priced`).

    Raises:
        DataError: If there is not one answer per example, an id stands twice, or the scorer fails.
        SadariError: What the scorer itself raises, such as a judge that cannot be reached.
    """
    answers, seconds = asked.answers, asked.seconds
    if len(examples) != len(answers):
        raise DataError(f"rung {rung}: {len(answers)} answers to {len(examples)} examples. Every example needs one.")
    ids = tuple(example.id for example in examples)
    if len(set(ids)) != len(ids):
        twice = next(name for index, name in enumerate(ids) if name in ids[:index])
        raise DataError(f"rung {rung}: two examples have the id {twice}. Give each its own.")
    scores = score_answers(scorer, list(zip(examples, answers, strict=True)))
    values = tuple(float(score.value) for score in scores)
    groups = tuple(example.group for example in examples) if any(example.group for example in examples) else ()
    low, high = mean_interval(values, groups)
    prompt_tokens = tuple(answer.usage.prompt_tokens for answer in answers)
    completion_tokens = tuple(answer.usage.completion_tokens for answer in answers)
    cost = cost_per_request(
        money,
        requests=len(answers),
        seconds=seconds,
        prompt_tokens=sum(prompt_tokens),
        completion_tokens=sum(completion_tokens),
        device=asked.device,
    )
    return Scorecard(
        rung=rung,
        scorer=scorer.name,
        ids=ids,
        scores=values,
        reasons=tuple(score.reason for score in scores),
        latencies_s=tuple(answer.latency_s for answer in answers),
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        failures=sum(answer.error is not None for answer in answers),
        low=low,
        high=high,
        throughput=len(answers) / seconds if seconds > 0 else 0.0,
        cost_per_request=cost or 0.0,
        groups=groups,
        device=asked.device,
    )


def mean_of_seeds(cards: Sequence[Scorecard]) -> Scorecard:
    """One scorecard of a technique that was trained with several seeds: every score is the mean over the seeds.

    Reasons are those of the first seed, failures of all; what a request costs is the mean. The interval is that of the mean over
    other examples and other seeds. One card comes back as it is.
    """
    if len(cards) == 1:
        return cards[0]
    by_seed = tuple(card.scores for card in cards)
    scores = tuple(fmean(of_one) for of_one in zip(*by_seed, strict=True))
    low, high = _interval(scores, cards[0].groups, by_seed)
    return replace(
        cards[0],
        scores=scores,
        low=low,
        high=high,
        failures=sum(card.failures for card in cards),
        cost_per_request=fmean(card.cost_per_request for card in cards),
        by_seed=by_seed,
    )


def served(card: Scorecard) -> Scorecard:
    """The scorecard of the seed that is served, the first one; it is what answers, reasons and predictions belong to."""
    if not card.by_seed:
        return card
    low, high = mean_interval(card.by_seed[0], card.groups)
    return replace(card, scores=card.by_seed[0], low=low, high=high, by_seed=())


def part_of(card: Scorecard, positions: Sequence[int]) -> Scorecard:
    """The scorecard of some of the examples, such as those with one tag; what was measured over all (latency, throughput) stays."""

    def some(values: tuple[T, ...]) -> tuple[T, ...]:
        return tuple(values[i] for i in positions) if values else ()

    scores, by_seed = some(card.scores), tuple(some(seed) for seed in card.by_seed)
    low, high = _interval(scores, some(card.groups), by_seed)
    return replace(
        card,
        ids=some(card.ids),
        scores=scores,
        reasons=some(card.reasons),
        prompt_tokens=some(card.prompt_tokens),
        completion_tokens=some(card.completion_tokens),
        failures=sum(reason.startswith("error: ") for reason in some(card.reasons)),
        low=low,
        high=high,
        groups=some(card.groups),
        by_seed=by_seed,
    )


def _interval(scores: Sequence[float], groups: Sequence[str], by_seed: Sequence[Sequence[float]]) -> tuple[float, float]:
    if not by_seed or not scores:
        return mean_interval(scores, groups)
    over_nothing = resample_seeds_and_items(by_seed, np.zeros(len(scores)), groups or None)
    return max(0.0, over_nothing.low), min(1.0, over_nothing.high)


def p50_latency_s(card: Scorecard) -> float:
    """Median seconds per answer."""
    return percentile(card.latencies_s, 0.5)


def p95_latency_s(card: Scorecard) -> float:
    """Seconds within which 95 % of the answers came."""
    return percentile(card.latencies_s, 0.95)
