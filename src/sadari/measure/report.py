"""The report of a climb: the numbers as one JSON document, and one self-contained HTML page that shows the same numbers.

The page answers first, then shows its charts, tables and the answers that still fail. It loads nothing from a network and runs no
script. Charts need the extra `report`; without it the page holds the tables alone and says how to get the charts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sadari.errors import RunError
from sadari.files import write_text
from sadari.measure.charts import draw_charts
from sadari.measure.scorecard import p50_latency_s, p95_latency_s
from sadari.measure.scorers import accepted_texts
from sadari.measure.statistics import bootstrap_interval, paired_p
from sadari.measure.verdict import format_p
from sadari.measure.words import Words
from sadari.types import Answer, Example, Scorecard, Step

MOST_FAILING = 12
_LONGEST_TEXT = 600


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


def run_json(run: RunData) -> dict[str, Any]:
    """The run for machines: shares and p in [0, 1], times in seconds, cost in the currency or None where it is not priced."""
    if not run.steps or not 0 <= run.winner < len(run.steps):
        raise RunError(f"run {run.run}: {len(run.steps)} steps, winner number {run.winner}: nothing to report. Climb first.")
    steps = [_step_json(step, run.priced) for step in run.steps]
    winner = steps[run.winner]
    return {
        "run": run.run,
        "task": run.task,
        "steps": steps,
        "winner": {"rung": winner["rung"], "quality": winner["quality"], "bundle": run.bundle},
    }


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


def write_report(run: RunData, path: Path) -> Path:
    """Write the page to `path`, whole or not at all; returns `path`.

    Raises:
        RunError: If the run has no steps, or `path` cannot be written.
    """
    write_text(path, render_report(run))
    return path


def render_report(run: RunData) -> str:
    """The page itself."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("sadari.measure", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    numbers = run_json(run)
    words = Words(run.language, run.currency)
    charts, missing = draw_charts(numbers, run.steps, words)
    winner = run.steps[run.winner]
    wrong = sum(score < 1 for score in winner.scorecard.scores)
    return environment.get_template("report.html.jinja").render(
        run=run,
        title=Path(run.task).name or run.task,  # a task is often named by its folder
        numbers=numbers,
        words=words,
        t=words.text,
        answer=_answer(run, numbers, words),
        facts=_facts(run, numbers, words),
        rows=[_row(*pair, words, index == run.winner) for index, pair in enumerate(zip(run.steps, numbers["steps"], strict=True))],
        charts={chart.name: chart for chart in charts},
        charts_missing=missing,
        curves=[(step.rung, curve) for step in run.steps for curve in step.built.curves if curve.points],
        failing=[_shortened(row) for row in run.failing],
        wrong=wrong,
        total=len(winner.scorecard.scores),
        notes=[(step.rung, note) for step in run.steps for note in step.built.notes],
    )


# --- the pieces of the page --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Fact:
    """One figure at the head of the page."""

    label: str
    value: str
    detail: str


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
    }


def _gain_over_baseline(run: RunData) -> tuple[float, float, float, float]:
    """Gain, its 95 % interval and p, of the winner against the first step, in pairs."""
    first, best = run.steps[0].scorecard.scores, run.steps[run.winner].scorecard.scores
    differences = [b - a for a, b in zip(first, best, strict=True)]
    low, high = bootstrap_interval(differences)
    return sum(differences) / len(differences), low, high, paired_p(first, best)


def _answer(run: RunData, numbers: dict[str, Any], words: Words) -> str:
    """The verdict of the climb, in one sentence."""
    line = numbers["steps"][run.winner]
    said = {
        "rung": line["rung"],
        "count": f"{len(run.steps[run.winner].scorecard.scores):,}",
        "quality": words.share(line["quality"]),
        "interval": words.between(words.share(line["quality_low"]), words.share(line["quality_high"])),
        "cost": str(words.text["answer_cost"]).format(cost=words.money(line["cost_per_1000_requests"])) if run.priced else "",
    }
    if run.winner == 0:
        return str(words.text["answer_baseline"]).format(**said)
    gain, low, high, _ = _gain_over_baseline(run)
    return str(words.text["answer"]).format(
        **said,
        baseline=numbers["steps"][0]["rung"],
        gain=words.points(gain).lstrip("+"),
        gain_interval=words.between(words.points(low, sign=False), words.points(high, sign=False)),
    )


def _facts(run: RunData, numbers: dict[str, Any], words: Words) -> list[_Fact]:
    t: dict[str, str] = words.text
    line, first = numbers["steps"][run.winner], numbers["steps"][0]
    gain, low, high, p = _gain_over_baseline(run)
    between = words.between
    facts = [
        _Fact(
            t["quality"],
            words.share(line["quality"]),
            f"{t['interval']} {between(words.share(line['quality_low']), words.share(line['quality_high']))}",
        )
    ]
    if run.winner:
        interval = between(words.points(low, sign=False), words.points(high, sign=False))
        facts.append(_Fact(t["gain_over"].format(rung=first["rung"]), words.points(gain), f"{interval}, p = {format_p(p)}"))
    facts.append(
        _Fact(
            t["request_cost"],
            words.money(line["cost_per_1000_requests"]),
            f"{first['rung']}: {words.money(first['cost_per_1000_requests'])}" if run.winner and run.priced else "",
        )
    )
    facts.append(_Fact(t["latency"], words.seconds(line["p50_latency_s"]), f"p95 {words.seconds(line['p95_latency_s'])}"))
    built = sum(step.built.cost.seconds for step in run.steps[: run.winner + 1])
    facts.append(_Fact(t["built_in"], words.seconds(built), t["whole_run"].format(time=words.seconds(run.seconds))))
    verdict = run.steps[run.winner].verdict
    if verdict.monthly_gain is not None and run.winner:
        months = "" if verdict.payback_months is None else t["payback"].format(months=f"{verdict.payback_months:.1f}")
        facts.append(_Fact(t["monthly_gain"], words.money(verdict.monthly_gain), months))
    return facts


def _row(step: Step, line: dict[str, Any], words: Words, won: bool) -> dict[str, Any]:
    verdict = step.verdict
    compared = verdict.outcome != "baseline"
    interval = words.between(words.points(verdict.low, sign=False), words.points(verdict.high, sign=False))
    return {
        "rung": step.rung,
        "won": won,
        "quality": words.share(line["quality"]),
        "interval": words.between(words.share(line["quality_low"]), words.share(line["quality_high"])),
        "gain": words.points(verdict.gain) if compared else "–",
        "gain_interval": interval if compared else "",
        "p": format_p(line["p_value"]) if line["p_value"] is not None else "–",
        "outcome": verdict.outcome,
        "verdict": words.text["outcomes"][verdict.outcome],
        "taken": words.text["yes"] if line["taken"] else words.text["no"],
        "is_taken": line["taken"],
        "build": words.seconds(line["build_seconds"]),
        "cost": words.money(line["cost_per_1000_requests"]),
        "p50": words.seconds(line["p50_latency_s"]),
        "p95": words.seconds(line["p95_latency_s"]),
        "failures": line["failures"],
        "reason": line["reason"],
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


def _shortened(row: FailingExample) -> FailingExample:
    def cut(text: str) -> str:
        return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"

    return FailingExample(row.id, cut(row.question), cut(row.expected), cut(row.answer), cut(row.reason), row.score)
