"""What was measured, as a table, as figures, and as a section of a page."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from alone import Agreement
from asked import Found
from rich.table import Table

KEYS = (
    *("shared_vs_transformers", "shared_vs_llamacpp_f16", "rag_vs_transformers", "ttft_p95_share_at_16"),
    *("schema_valid_share", "schema_valid_unmasked", "mask_overhead", "demo_seconds_before", "demo_seconds_after"),
)
SADARI, GENERATE, CONTINUOUS, F16, Q8 = (
    *("sadari", "transformers generate", "transformers continuous", "llama.cpp F16", "llama.cpp Q8_0"),
)
COLUMNS = (
    *("model", "workload", "answered by", "requests/s", "tokens/s", "a stream", "sadari is", "first token p50 / p95, s"),
    *("answer p50 / p95, s", "peak GiB", "as alone", "of bandwidth"),
)
USERS_JUDGED = 16

Figures = dict[str, float | None]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table: a part of a workload under one tool.

    Args:
        workload: By its name.
        users: Of the chat workload, else 0.
        agreement: With what each request gets by itself; None where that was not asked.
        bandwidth: Bytes that writing must read, in the time it took, as a share of the rate at which memory is copied; None where
            more than writing was timed.
    """

    shape: str
    workload: str
    tool: str
    setting: str
    found: Found
    users: int = 0
    agreement: Agreement | None = None
    bandwidth: float | None = None

    @property
    def part(self) -> tuple[str, str, int, int]:
        """What it is compared within; streams that write alone are compared by their number."""
        return self.shape, self.workload, self.users, len(self.found.written) if self.workload == "decode" else 0


def figures_of(lines: Sequence[Line], masks: Mapping[str, Any], demo: tuple[float | None, float | None]) -> Figures:
    """The figures of the last line, by `KEYS`; of several models the worst. None for what was not measured.

    Args:
        masks: `valid`, `unmasked` and `overhead`, as far as they were measured.
        demo: Seconds of `make demo`, before and after.
    """
    figures: Figures = dict.fromkeys(KEYS)
    figures["shared_vs_transformers"] = _least_ratio(lines, "shared", GENERATE)
    figures["shared_vs_llamacpp_f16"] = _least_ratio(lines, "shared", F16)
    figures["rag_vs_transformers"] = _least_ratio(lines, "rag", GENERATE)
    figures["ttft_p95_share_at_16"] = _largest_share(lines)
    figures["schema_valid_share"], figures["schema_valid_unmasked"] = masks.get("valid"), masks.get("unmasked")
    figures["mask_overhead"] = masks.get("overhead")
    figures["demo_seconds_before"], figures["demo_seconds_after"] = demo
    return {name: None if value is None else round(value, 4) for name, value in figures.items()}


def table_rows(lines: Sequence[Line]) -> list[tuple[str, ...]]:
    """Cells as text, by `COLUMNS`."""
    rows: list[tuple[str, ...]] = []
    for line in lines:
        found = line.found
        what = f"{line.users} user{'s' * (line.users > 1)}, " if line.users else ""
        rows.append(
            (
                line.shape,
                f"{line.workload}: {what}{len(found.written)} requests",
                line.tool + (f": {line.setting}" if line.setting else ""),
                _short(found.requests_per_s),
                f"{found.tokens_per_s:,.0f}",
                _short(1 / found.step_s),
                _compared(line, _ours(lines, line)),
                f"{_short(found.first_s(50))} / {_short(found.first_s(95))}",
                f"{_short(found.last_s(50))} / {_short(found.last_s(95))}",
                f"{found.peak_bytes / 2**30:.2f}",
                str(line.agreement or ""),
                "" if line.bandwidth is None else f"{line.bandwidth:.0%}",
            )
        )
    return rows


def rich_table(rows: Sequence[Sequence[str]]) -> Table:
    """The table for a terminal."""
    table = Table(*COLUMNS, title="the same prompts, greedy, exactly as many tokens as asked for", title_justify="left")
    for row in rows:
        table.add_row(*row)
    return table


def write_record(page: Path, rows: Sequence[Sequence[str]], told: Sequence[str], figures: Figures) -> None:
    """Put the table between the page's `generation:start` and `generation:end` marks.

    Raises:
        SystemExit: If the page has no such marks.
    """
    lines = [
        f"## {datetime.now().date().isoformat()}: generation against transformers and llama.cpp",
        "",
        *[f"- {line}" for line in told],
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "| --- | --- | --- |" + " ---: |" * (len(COLUMNS) - 3),
        *["| " + " | ".join(row) + " |" for row in rows],
        "",
        "```json",
        json.dumps(figures),
        "```",
    ]
    text = page.read_text(encoding="utf-8")
    start, end = "<!-- generation:start -->\n", "<!-- generation:end -->"
    before, _, rest = text.partition(start)
    _, found, after = rest.partition(end)
    if not found:
        raise SystemExit(f"{page} has no {start.strip()} before {end}: put them where the table belongs.")
    page.write_text(before + start + "\n".join(lines) + "\n" + end + after, encoding="utf-8")


def _ours(lines: Sequence[Line], line: Line) -> Line | None:
    return next((other for other in lines if other.part == line.part and other.tool == SADARI), None)


def _compared(line: Line, ours: Line | None) -> str:
    """Answers a second against answers a second; with users, who decide how many there are, first tokens at the 95th percentile."""
    if ours is None or ours is line:
        return ""
    if line.users:
        return f"{line.found.first_s(95) / ours.found.first_s(95):.2f}x sooner"
    return f"{ours.found.requests_per_s / line.found.requests_per_s:.2f}x"


def _least_ratio(lines: Sequence[Line], workload: str, tool: str) -> float | None:
    pairs = [(line, _ours(lines, line)) for line in lines if line.workload == workload and line.tool == tool]
    return min((ours.found.requests_per_s / line.found.requests_per_s for line, ours in pairs if ours), default=None)


def _largest_share(lines: Sequence[Line]) -> float | None:
    """The share of `transformers`' 95th percentile to the first token, the better of its two ways."""
    theirs: dict[str, float] = {}
    for line in lines:
        if line.users == USERS_JUDGED and line.tool in (GENERATE, CONTINUOUS):
            theirs[line.shape] = min(theirs.get(line.shape, float("inf")), line.found.first_s(95))
    ours = {line.shape: line.found.first_s(95) for line in lines if line.users == USERS_JUDGED and line.tool == SADARI}
    return max((ours[shape] / theirs[shape] for shape in ours if shape in theirs), default=None)


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"
