"""What was measured, as a table, as figures, and as a section of a page."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from recipe import Found, Learnt
from rich.table import Table
from workloads import Counts, Workload

KEYS = (
    *("tool_vs_trl_default", "tool_vs_trl_best", "short_vs_trl_best", "rag_vs_trl_best", "turns_vs_trl_best"),
    *("memory_share_of_trl_best", "loss_gap", "mfu_of_measured_gemm"),
)
SADARI, DEFAULTS, BEST = "sadari", "TRL default", "TRL best"
COLUMNS = ("workload", "ideal", "trained by", "tokens/s", "sadari is", "s per step", "timed", "peak GiB", "loss", "MFU")

Figures = dict[str, float | None]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table: a workload under one tool.

    Args:
        setting: Of TRL, in words.
        counts: Tokens of the first step.
        mfu: Operations needed after sharing, in the time that was taken, as a share of the rate of matrix products.
    """

    workload: Workload
    tool: str
    setting: str
    counts: Counts
    found: Found
    mfu: float

    @property
    def tokens_per_s(self) -> float:
        """Useful tokens per second: those of all rows, before sharing."""
        return self.counts.total / self.found.step_s


def figures_of(lines: Sequence[Line], lessons: Mapping[str, Learnt]) -> Figures:
    """The figures of the last line, by `KEYS`; None for what was not measured."""
    figures: Figures = dict.fromkeys(KEYS)
    by_place = {(line.workload.name, line.tool): line for line in lines}
    for (name, tool), line in by_place.items():
        key = f"{name}_vs_{tool.lower().replace(' ', '_')}"
        if key in figures:
            figures[key] = by_place[name, SADARI].tokens_per_s / line.tokens_per_s
    ours, best = by_place.get(("tool", SADARI)), by_place.get(("tool", BEST))
    if ours:
        figures["mfu_of_measured_gemm"] = ours.mfu
    if ours and best:
        figures["memory_share_of_trl_best"] = ours.found.peak_bytes / best.found.peak_bytes
    if len(lessons) == 2:
        figures["loss_gap"] = abs(lessons["sadari"].after - lessons["trl"].after) / lessons["trl"].after
    return {name: None if value is None else round(value, 4) for name, value in figures.items()}


def table_rows(lines: Sequence[Line]) -> list[tuple[str, ...]]:
    """Cells as text, by `COLUMNS`. Losses are those of the last step that all tools of a workload took."""
    rows = []
    for line in lines:
        others = [other for other in lines if other.workload == line.workload]
        ours = next(other for other in others if other.tool == SADARI)
        step = min(len(other.found.losses) for other in others)
        rows.append(
            (
                f"{line.workload.name} ({line.counts.total:,} tokens, {line.counts.supervised:,} learnt)",
                f"{line.counts.ideal:.2f}x",
                line.tool + (f": {line.setting}" if line.setting else ""),
                f"{line.tokens_per_s:,.0f}",
                "" if line is ours else f"{ours.tokens_per_s / line.tokens_per_s:.2f}x",
                f"{line.found.step_s:.1f}",
                str(len(line.found.seconds)),
                f"{line.found.peak_bytes / 2**30:.2f}",
                f"{line.found.losses[step - 1]:.4f}",
                f"{line.mfu:.0%}",
            )
        )
    return rows


def rich_table(rows: Sequence[Sequence[str]]) -> Table:
    """The table for a terminal."""
    table = Table(*COLUMNS, title="one LoRA step: useful tokens per second, counted before sharing", title_justify="left")
    for row in rows:
        table.add_row(*row)
    return table


def told_lessons(lessons: Mapping[str, Learnt], steps: int) -> str:
    """What both have learnt, in a sentence."""
    if len(lessons) < 2:
        return "What both learn was not compared: TRL is not installed, or failed."
    trl, ours = lessons["trl"], lessons["sadari"]
    return (
        f"The bundled model after {steps} steps on examples/mall, validation loss {ours.before:.4f} before: TRL {trl.after:.4f} in "
        f"{sum(trl.training.seconds):.0f} s, sadari {ours.after:.4f} in {sum(ours.training.seconds):.0f} s."
    )


def write_record(page: Path, rows: Sequence[Sequence[str]], told: Sequence[str], figures: Figures) -> None:
    """Put the table between the page's `training:start` and `training:end` marks.

    Raises:
        SystemExit: If the page has no such marks.
    """
    lines = [
        f"## {datetime.now().date().isoformat()}: training against TRL",
        "",
        *[f"- {line}" for line in told],
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "| --- | ---: | --- |" + " ---: |" * (len(COLUMNS) - 3),
        *["| " + " | ".join(row) + " |" for row in rows],
        "",
        "```json",
        json.dumps(figures),
        "```",
    ]
    text = page.read_text(encoding="utf-8")
    start, end = "<!-- training:start -->\n", "<!-- training:end -->"
    before, _, rest = text.partition(start)
    _, found, after = rest.partition(end)
    if not found:
        raise SystemExit(f"{page} has no {start.strip()} before {end}: put them where the tables belong.")
    page.write_text(before + start + "\n".join(lines) + "\n" + end + after, encoding="utf-8")
