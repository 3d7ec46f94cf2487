"""`sadari check`: is the data fit to learn from and to judge with, is tuning the right tool, and what will it cost?"""

from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from sadari.cli.show import output, print_json

if TYPE_CHECKING:
    from sadari.check import Checkup, Remark

SHOWN_ROWS = 3
SHOWN_LABELS = 5
_STYLES = {"error": "bold red", "warning": "yellow", "info": "cyan"}


class Licence(Enum):
    """What the licence of a base model must allow at least."""

    any = "any"
    commercial = "commercial"
    open = "open"


def check(
    task: Annotated[Path, typer.Argument(help="Task folder, or its sadari.yaml.")] = Path("."),
    json: Annotated[bool, typer.Option("--json", help="Print the findings, with all their rows, as one JSON document.")] = False,
    deep: Annotated[bool, typer.Option("--deep", help="Also measure a learning curve and this machine's speed.")] = False,
    models: Annotated[bool, typer.Option("--models", help="Suggest base models that this machine can run.")] = False,
    licence: Annotated[Licence, typer.Option(help="What the licences of suggested models must allow at least.")] = Licence.any,
) -> None:
    """Read the whole task and say what is wrong with it, all at once, before anything is spent.

    Rows, lengths, labels, duplicates, contradictions, leaks, personal data; whether tuning is the right tool; what the test set can
    prove; and what each rung will take.
    """
    from sadari.check import CheckOptions, check_task
    from sadari.task import load_task

    found = check_task(load_task(task), CheckOptions(deep, models, licence.value))
    if json:
        print_json(found.as_json())
        return
    _say(f"[bold]{escape(found.task.name)}[/]: model {_model(found)}, scored by {found.scorer}, {_holdings(found)}")
    output.print(_splits_table(found))
    if found.labels:
        _say(f"[dim]train rows by label:[/] {_label_line(found)}")
    for remark in found.remarks:
        _print_remark(remark)
    output.print(_costs_table(found))
    if found.bases:
        output.print(_bases_table(found))
    for note in found.task.notes:
        output.print(note, markup=False, highlight=False, style="dim", overflow="ellipsis", no_wrap=True)


def _table(title: str | None = None) -> Table:
    return Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False, title=title, title_justify="left")


def _say(text: str) -> None:
    output.print(text, highlight=False, soft_wrap=True)


def _model(found: "Checkup") -> str:
    return found.task.model if found.context is None else f"{found.task.model} (context {found.context:,} tokens)"


def _holdings(found: "Checkup") -> str:
    counts = found.task.counts
    return ", ".join(f"{counts[what]} {what}" for what in ("documents", "labels") if counts[what]) or "no documents, no labels"


def _splits_table(found: "Checkup") -> Table:
    table = _table()
    for name in ("split", "file", "rows as"):
        table.add_column(name, overflow="ellipsis", max_width=44, no_wrap=True)
    for name in ("rows", "tokens (median)", "95 %", "longest", "too long", "abstain"):
        table.add_column(name, justify="right", no_wrap=True)
    for s in found.splits:
        numbers = (s.rows, s.median_tokens, s.p95_tokens, s.longest_tokens, s.too_long, s.abstain)
        table.add_row(s.name, s.file, s.shape, *(f"{n:,}" for n in numbers))
    return table


def _label_line(found: "Checkup") -> str:
    shown = [f"{escape(c.label)} {c.train:,}" for c in found.labels]
    if len(shown) > 2 * SHOWN_LABELS:
        shown = [*shown[:SHOWN_LABELS], f"({len(shown) - 2 * SHOWN_LABELS} others)", *shown[-SHOWN_LABELS:]]
    return ", ".join(shown)


def _print_remark(remark: "Remark") -> None:
    output.print(f"[{_STYLES[remark.level]}]{remark.level}[/] [dim]{remark.about}[/]", end=" ", highlight=False)
    output.print(remark.sentence, markup=False, highlight=False, soft_wrap=True)
    if remark.remedy:
        output.print(f"    -> {remark.remedy}", markup=False, highlight=False, soft_wrap=True)
    if remark.rows:
        more = f" (+{len(remark.rows) - SHOWN_ROWS})" if len(remark.rows) > SHOWN_ROWS else ""
        shown = f"    {'; '.join(remark.rows[:SHOWN_ROWS])}{more}"
        output.print(shown, markup=False, highlight=False, style="dim", soft_wrap=True)


def _costs_table(found: "Checkup") -> Table:
    currency = found.task.money.currency
    how = "measured" if found.speed and found.speed.is_measured else "guessed from a matrix product"
    place = f"{found.machine.name}, {found.machine.memory_gib:.0f} GiB"
    title = f"What each rung will take, about ({place}; speed {how})" if found.speed else "What each rung will take, about"
    table = _table(title)
    table.add_column("rung")
    for name in ("answers", "tokens read", "tokens written", "tokens trained", "passes", "time", currency, "memory"):
        table.add_column(name, justify="right", no_wrap=True)
    for c in found.costs:
        if not c.is_estimated:
            table.add_row(c.rung, *["-"] * 8)
            continue
        w = c.work
        table.add_row(
            c.rung,
            f"{w.answers:,}",
            *(_short(n) for n in (w.prompt_tokens, w.new_tokens, w.trained_tokens)),
            "-" if c.passes is None else f"{c.passes:.1f}",
            "elsewhere" if c.seconds is None else _duration(c.seconds),
            "not priced" if c.money is None else f"{c.money:,.0f}" if c.money >= 10 else f"{c.money:.2g}",
            "elsewhere" if c.memory_gib is None else f"{c.memory_gib:.1f} GiB",
        )
    return table


def _short(tokens: float) -> str:
    if not tokens:
        return "-"
    return f"{tokens / 1e6:.1f} M" if tokens >= 1e6 else f"{tokens / 1e3:.0f} k" if tokens >= 1e3 else f"{tokens:.0f}"


def _duration(seconds: float) -> str:
    if seconds >= 5400:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


def _bases_table(found: "Checkup") -> Table:
    from sadari.model.choices import AS_OF

    title = (
        f"Base models, as of {AS_OF}: 1.5-3 B first, larger when the gain is proven.\nGiB needed of the "
        f"{found.machine.memory_gib:.0f} here, to answer (bf16, int4) and to tune (LoRA in bf16; in float32, as now, about twice)"
    )
    table = _table(title)
    for name in ("try", "model", "licence", "Korean"):
        table.add_column(name, no_wrap=True)
    for name in ("size", "context", "bf16", "int4", "LoRA", "QLoRA", "full"):
        table.add_column(name, justify="right", no_wrap=True)
    for base in found.bases:
        m = base.model
        needs: Sequence[float] = (base.answer_bfloat16, base.answer_int4, base.lora, base.qlora, base.full)
        fits = (f"{n:.1f}" if n <= found.machine.memory_gib else "-" for n in needs)
        size = f"{m.shape.parameters / 1e9:.1f} B"
        korean = "-" if m.korean == "not listed" else m.korean
        table.add_row(m.order, m.name, m.licence, korean, size, f"{m.context // 1024} k", *fits)
    return table
