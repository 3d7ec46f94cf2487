"""`sadari report`: a finished run, read again."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from sadari.cli.show import output, print_json


class Language(Enum):
    """The languages that reports are written in."""

    ko = "ko"
    en = "en"


def report(
    run: Annotated[Path, typer.Argument(help="Run folder (TASK/runs/1), or a task folder: its newest finished run.")],
    language: Annotated[Language | None, typer.Option(help="Write report.html and report.md anew, in ko or en.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON document.")] = False,
) -> None:
    """Show the result of a finished climb and where its report is."""
    from sadari.measure import format_p
    from sadari.review import write_reports
    from sadari.run import load_result, run_folders

    finished = [r for r in run_folders(run) if (r / "report.json").is_file()]
    folder = finished[-1] if finished else run
    result = load_result(folder)
    if language is not None:
        write_reports(folder, language.value)
    if json:
        print_json(result)
        return
    steps, winner = result["steps"], result["winner"]
    assert isinstance(steps, list)
    assert isinstance(winner, dict)
    table = Table(header_style="bold")
    for name in ("rung", "quality (95 %)", "p", "verdict", "taken", "reason"):
        table.add_column(name)
    for step in steps:
        interval = f"{step['quality']:.1%} ({step['quality_low']:.1%}-{step['quality_high']:.1%})"
        p = "" if step["p_value"] is None else format_p(step["p_value"])
        table.add_row(step["rung"], interval, p, step["verdict"], "yes" if step["taken"] else "no", step["reason"])
    output.print(table)
    output.print(
        f"winner: {winner['rung']}, {winner['quality']:.1%}; bundle: {winner['bundle']}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    output.print(f"report: {folder / 'report.html'}", markup=False, highlight=False, soft_wrap=True)
