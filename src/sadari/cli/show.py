"""What several verbs print: tables on standard output, everything else on standard error."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from sadari.types import Answer, Scorecard, Step

if TYPE_CHECKING:
    from sadari.measure import Money


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr)
    # A pipe has no width; tables cut to 80 columns would lose their numbers.
    return console if console.is_terminal else Console(stderr=stderr, width=WIDTH)


WIDTH = 150
"""Columns of a table that goes to a file or a pipe."""

errors = _console(stderr=True)
output = _console(stderr=False)


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    print(json.dumps(value, ensure_ascii=False, indent=2))


class Progress:
    """The last line of progress, live in a terminal; a line every so often elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status = console.status("") if console.is_terminal else None
        self._last = ""

    def tell(self, line: str) -> None:
        """Show one line."""
        if self._status is not None:
            self._status.update(line)
        elif "answered" not in line:  # counts of answers are for eyes only
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def shown(self) -> Iterator["Progress"]:
        """Show progress while the block runs."""
        if self._status is None:
            yield self
        else:
            with self._status:
                yield self


def steps_table(steps: Sequence[Step], currency: str, *, priced: bool = True) -> Table:
    """One row per rung; what has no price is not shown as free."""
    from sadari.measure import format_p, p50_latency_s, p95_latency_s

    table = Table(header_style="bold", pad_edge=False)
    for name in (
        "rung",
        "quality (95 %)",
        "gain (95 %)",
        "p",
        "verdict",
        "build s",
        f"{currency}/1000",
        "p50 s",
        "p95 s",
        "failed",
    ):
        table.add_column(name, justify="left" if name in ("rung", "verdict") else "right", no_wrap=True)
    for step in steps:
        card, verdict = step.scorecard, step.verdict
        compared = verdict.p_value is not None
        table.add_row(
            step.rung,
            f"{card.quality:.1%} ({card.low:.1%}-{card.high:.1%})",
            f"{verdict.gain:+.1%} ({verdict.low:+.1%} to {verdict.high:+.1%})" if compared else "",
            format_p(verdict.p_value) if verdict.p_value is not None else "",
            f"{verdict.outcome.replace('_', ' ')}{', taken' if verdict.taken and compared else ''}",
            f"{step.built.cost.seconds:.0f}",
            f"{card.cost_per_request * 1000:,.2f}" if priced else "not priced",
            f"{p50_latency_s(card):.2f}",
            f"{p95_latency_s(card):.2f}",
            str(card.failures),
        )
    return table


def scorecard_json(card: Scorecard, money: "Money") -> dict[str, Any]:
    """A scorecard for machines; a cost that has no price is null."""
    from sadari.measure import is_priced, p50_latency_s, p95_latency_s

    return {
        "scorer": card.scorer,
        "examples": len(card.ids),
        "quality": card.quality,
        "quality_low": card.low,
        "quality_high": card.high,
        "failures": card.failures,
        "p50_latency_s": p50_latency_s(card),
        "p95_latency_s": p95_latency_s(card),
        "throughput": card.throughput,
        "cost_per_1000_requests": card.cost_per_request * 1000 if is_priced(money, card.device) else None,
        "scores": dict(zip(card.ids, card.scores, strict=True)),
        "groups": list(card.groups),
    }


def answer_json(answer: Answer) -> dict[str, Any]:
    """An answer for machines."""
    return {
        "answer": answer.text,
        "citations": [asdict(span) for span in answer.citations],
        "tool_calls": [{"name": c.name, "arguments": dict(c.arguments)} for c in answer.tool_calls],
        "usage": {"prompt_tokens": answer.usage.prompt_tokens, "completion_tokens": answer.usage.completion_tokens},
    }


def print_answer(answer: Answer) -> None:
    """An answer for a person, its sources under it."""
    from sadari.prompt.compose import language_of
    from sadari.retrieve.cite import citation_lines

    output.print(answer.text, markup=False, highlight=False, soft_wrap=True)
    for span in answer.citations:
        [place] = citation_lines([span], language_of(answer.text))
        line = f"  - {place.partition('] ')[2]} ({span.document} [{span.start}-{span.end}]): {span.quote}"
        output.print(line, markup=False, highlight=False, style="dim", soft_wrap=True)
