"""What a report tells of one climb, and the same numbers as one JSON document."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sadari.errors import RunError
from sadari.measure.report.sections import Section
from sadari.measure.scorecard import p50_latency_s, p95_latency_s
from sadari.measure.scorers import accepted_texts
from sadari.measure.statistics import holm
from sadari.measure.verdict import Rule, judge
from sadari.types import Answer, Example, Scorecard, Step, Verdict

MOST_FAILING = 12


@dataclass(frozen=True, slots=True)
class FailingExample:
    """One test example that the winner still gets wrong."""

    id: str
    question: str
    expected: str
    answer: str
    reason: str
    score: float = 0.0


@dataclass(frozen=True, slots=True)
class RunData:
    """What a report tells of one climb.

    Args:
        run: Name or folder of the run.
        priced: Whether requests have a price; without one the report says "not priced" and never 0.
        steps: Every rung that was built, in order; the first is the baseline.
        winner: Index of the winning step in `steps`.
        bundle: Folder of the winner.
        end_reason: Why the climb ended, in words.
        failing: From `failing_examples`.
        seconds: Wall time of the whole climb.
        config: What was set, as the report lists it.
        rungs: How many rungs the ladder declares, for Holm's correction; those that were not climbed count with p = 1.
        forgetting: By tuned rung, what it forgot of general language, in a few words; with none there is no column.
        sections: What else is told, after the rungs.
        more: The same for machines.
    """

    run: str
    task: str
    goal: str
    language: Literal["ko", "en"]
    currency: str
    priced: bool
    scorer: str
    steps: Sequence[Step]
    winner: int
    bundle: str
    end_reason: str = ""
    failing: Sequence[FailingExample] = ()
    seconds: float = 0.0
    config: Mapping[str, str] | None = None
    rungs: int = 0
    forgetting: Mapping[str, str] = field(default_factory=dict)
    sections: Sequence[Section] = ()
    more: Mapping[str, Any] = field(default_factory=dict)


def run_json(run: RunData) -> dict[str, Any]:
    """The run for machines: shares and p in [0, 1], times in seconds, cost in the currency or None where it is not priced."""
    if not run.steps or not 0 <= run.winner < len(run.steps):
        raise RunError(f"run {run.run}: {len(run.steps)} steps, winner number {run.winner}: nothing to report. Climb first.")
    steps = [_step_json(step, run.priced) for step in run.steps]
    for step, p in zip(steps[1:], _holm(run), strict=False):
        step["holm_p_value"] = p
    winner = steps[run.winner]
    over = gain_over_baseline(run)
    return {
        "run": run.run,
        "task": run.task,
        "steps": steps,
        "winner": {
            "rung": winner["rung"],
            "quality": winner["quality"],
            "bundle": run.bundle,
            "gain_over_baseline": over.gain,
            "gain_low": over.low,
            "gain_high": over.high,
            "gain_p_value": over.p_value,
        },
        "scorer": run.scorer,
        "examples": len(run.steps[0].scorecard.ids),
        **run.more,
    }


def _holm(run: RunData) -> list[float]:
    """Holm's p-value of every step after the baseline."""
    tested = [step.verdict.p_value for step in run.steps[1:]]
    not_climbed = [1.0] * max(0, run.rungs - len(tested))
    return list(holm([1.0 if p is None else p for p in tested] + not_climbed))[: len(tested)]


def gain_over_baseline(run: RunData) -> Verdict:
    """The winner against the first step, in pairs; its own verdict where that is what it was judged against."""
    if run.winner and not any(step.verdict.taken for step in run.steps[1 : run.winner]):
        return run.steps[run.winner].verdict
    return judge(run.steps[0].scorecard, run.steps[run.winner].scorecard, Rule(language=run.language))


def failing_examples(
    card: Scorecard, examples: Sequence[Example], answers: Sequence[Answer], most: int = MOST_FAILING
) -> tuple[FailingExample, ...]:
    """The worst answers of a system, worst first and then in file order, at most `most`; an answer that scores 1 is never one."""
    rows = sorted(
        (
            FailingExample(example.id, example.question, _expected(example), answer.text, reason, score)
            for example, answer, score, reason in zip(examples, answers, card.scores, card.reasons, strict=True)
            if score < 1
        ),
        key=lambda row: row.score,
    )
    return tuple(rows[:most])


def _step_json(step: Step, priced: bool) -> dict[str, Any]:
    card, verdict = step.scorecard, step.verdict
    return {
        "rung": step.rung,
        "quality": card.quality,
        "quality_low": card.low,
        "quality_high": card.high,
        "p_value": verdict.p_value,
        "verdict": verdict.outcome,
        "taken": verdict.taken,
        "reason": verdict.reason,
        "build_seconds": step.built.cost.seconds,
        "cost_per_1000_requests": 1000 * card.cost_per_request if priced else None,
        "p50_latency_s": p50_latency_s(card),
        "p95_latency_s": p95_latency_s(card),
        "failures": card.failures,
        "gain": verdict.gain,
        "gain_low": verdict.low,
        "gain_high": verdict.high,
        "level": verdict.level,
        "smallest_gain_that_pays": verdict.needed,
        "more_examples": verdict.more_examples,
        "holm_p_value": None,
        "seeds": max(1, len(card.by_seed)),
    }


def _expected(example: Example) -> str:
    reference = example.reference
    if reference.texts:
        return reference.texts[0]
    if reference.facts:
        return ", ".join(fact[0] for fact in reference.facts)
    if reference.calls:
        return "; ".join(f"{call.name}({', '.join(f'{k}={v!r}' for k, v in call.arguments.items())})" for call in reference.calls)
    return "" if reference.abstain else accepted_texts(example)[0]
