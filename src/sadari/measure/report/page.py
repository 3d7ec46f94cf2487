"""The report of a climb as one self-contained HTML page, which shows the numbers of the JSON document.

The page answers first, then shows its charts, tables and the answers that still fail. It loads nothing from a network and runs no
script. Charts need the extra `report`; without it the page holds the tables alone and says how to get the charts.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sadari.files import write_text
from sadari.measure.report.charts import draw_charts
from sadari.measure.report.data import FailingExample, RunData, gain_over_baseline, run_json
from sadari.measure.scorecard import served
from sadari.measure.verdict import format_p, reason_of
from sadari.measure.words import Words
from sadari.types import Step

_LONGEST_TEXT = 600


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
        loader=PackageLoader("sadari.measure", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    numbers = run_json(run)
    words = Words(run.language, run.currency)
    charts, missing = draw_charts(numbers, run.steps, words)
    winner = run.steps[run.winner]
    wrong = sum(score < 1 for score in served(winner.scorecard).scores)
    return environment.get_template("page.html.jinja").render(
        run=run,
        title=Path(run.task).name or run.task,  # a task is often named by its folder
        numbers=numbers,
        words=words,
        t=words.text,
        answer=answer_sentence(run, numbers, words),
        facts=_facts(run, numbers, words),
        rows=[
            step_row(*pair, words, index == run.winner) for index, pair in enumerate(zip(run.steps, numbers["steps"], strict=True))
        ],
        charts={chart.name: chart for chart in charts},
        charts_missing=missing,
        curves=[(step.rung, curve) for step in run.steps for curve in step.built.curves if curve.points],
        failing=[_shortened(row) for row in run.failing],
        wrong=wrong,
        total=len(winner.scorecard.scores),
        sections=run.sections,
        notes=[(step.rung, note) for step in run.steps for note in step.built.notes],
    )


# --- the pieces of the page --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Fact:
    """One figure at the head of the page."""

    label: str
    value: str
    detail: str


def answer_sentence(run: RunData, numbers: dict[str, Any], words: Words) -> str:
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
    over = gain_over_baseline(run)
    return str(words.text["answer"]).format(
        **said,
        baseline=numbers["steps"][0]["rung"],
        gain=words.points(over.gain).lstrip("+"),
        gain_interval=words.between(words.points(over.low, sign=False), words.points(over.high, sign=False)),
    )


def _facts(run: RunData, numbers: dict[str, Any], words: Words) -> list[_Fact]:
    t: dict[str, str] = words.text
    line, first = numbers["steps"][run.winner], numbers["steps"][0]
    over = gain_over_baseline(run)
    between = words.between
    facts = [
        _Fact(
            t["quality"],
            words.share(line["quality"]),
            f"{t['interval']} {between(words.share(line['quality_low']), words.share(line['quality_high']))}",
        )
    ]
    if run.winner:
        interval = between(words.points(over.low, sign=False), words.points(over.high, sign=False))
        detail = f"{interval}, p = {format_p(over.p_value or 0.0)}"
        facts.append(_Fact(t["gain_over"].format(rung=first["rung"]), words.points(over.gain), detail))
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


def step_row(step: Step, line: dict[str, Any], words: Words, won: bool) -> dict[str, Any]:
    """One row of the table of rungs, as it is read."""
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
        "reason": reason_of(verdict, step.scorecard, words.language),
        "holm": format_p(line["holm_p_value"]) if line["holm_p_value"] is not None else "",
    }


def _shortened(row: FailingExample) -> FailingExample:
    def cut(text: str) -> str:
        return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"

    return FailingExample(row.id, cut(row.question), cut(row.expected), cut(row.answer), cut(row.reason), row.score)
