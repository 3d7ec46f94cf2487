"""The report as Markdown: the numbers of the page, for pull requests and wikis."""

from typing import Any

from sadari.measure.report.data import RunData, run_json
from sadari.measure.report.page import answer_sentence, step_row
from sadari.measure.report.sections import Section, Table, section_markdown
from sadari.measure.words import Words

COLUMNS = (
    *("rung", "quality", "interval", "gain", "gain_interval", "p"),
    *("verdict", "taken", "build", "cost", "p50", "p95", "failures"),
)
"""Of the table of rungs: keys of its rows, and of their names in every language."""


def report_markdown(run: RunData) -> str:
    """The whole report, charts left out."""
    words = Words(run.language, run.currency)
    t, numbers = words.text, run_json(run)
    name = run.task.rstrip("/").rpartition("/")[2]
    rows = [
        step_row(step, line, words, index == run.winner)
        for index, (step, line) in enumerate(zip(run.steps, numbers["steps"], strict=True))
    ]
    cells = tuple(tuple(_with_holm(row) if key == "p" else str(row[key]) for key in COLUMNS) for row in rows)
    table = Table(tuple(t[key] for key in COLUMNS), cells)
    if run.forgetting:
        forgotten = (run.forgetting.get(row["rung"], "–") for row in rows)
        table = Table((*table.columns, t["forgotten"]), tuple((*row, cell) for row, cell in zip(cells, forgotten, strict=True)))
    goal = (f"{t['goal']}: {run.goal}",) if run.goal else ()
    ended = (f"{t['ended']}: {run.end_reason}",) if run.end_reason else ()
    unpriced = () if run.priced else (str(t["not_priced_note"]),)
    sections = [
        Section("answer", f"{name} · {t['title']}", (answer_sentence(run, numbers, words), *goal, *ended, *unpriced)),
        Section("rungs", t["rungs"], (t["rule"],), tuple(f"{row['rung']}: {row['reason']}" for row in rows), (table,)),
        *run.sections,
        Section("notes", t["notes"], (), tuple(f"{s.rung}: {note}" for s in run.steps for note in s.built.notes)),
        Section("config", t["config"], (), (f"{t['scorer']}: {run.scorer}", *(f"{k}: {v}" for k, v in (run.config or {}).items()))),
    ]
    texts = [section_markdown(section, depth=2 if at else 1) for at, section in enumerate(sections)]
    return "\n\n".join([*texts, str(t["made_by"])]) + "\n"


def _with_holm(row: dict[str, Any]) -> str:
    return f"{row['p']} (Holm {row['holm']})" if row["holm"] else str(row["p"])
