"""`sadari climb`: the ladder, live, and the report."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from hashlib import sha256
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sadari.cli.from_log import TRUST_HELP, LogOption, Since, begin, print_found, trust_of
from sadari.cli.show import Progress, errors, output, print_json, steps_table
from sadari.errors import ConfigError, DataError, RunError
from sadari.types import Example, Step, System

if TYPE_CHECKING:
    from sadari.measure import Money
    from sadari.run import ClimbOptions
    from sadari.serve.learning import Wanted
    from sadari.task import Task

ROWS_FILE = "from-log.jsonl"
"""In the folder of a climb: the rows of the log that it was given."""


def climb(
    task: Annotated[Path, typer.Argument(help="Task folder, or its sadari.yaml.")] = Path("."),
    quick: Annotated[bool, typer.Option(help="A rough climb in under two minutes, on few examples.")] = False,
    again: Annotated[bool, typer.Option(help="Climb anew although this very climb is finished.")] = False,
    seeds: Annotated[int | None, typer.Option(min=1, max=10, help="Train every training rung with so many seeds.")] = None,
    from_log: Annotated[
        bool, typer.Option("--from-log", help="Climb on from the last winner, with rows of the log added to train.")
    ] = False,
    log: LogOption = "",
    since: Since = "",
    trust: Annotated[str, typer.Option(help=f"With --from-log: {TRUST_HELP}")] = "rated",
    start: Annotated[
        str,
        typer.Option(help="With --from-log: a bundle or a run to climb on from; default: what is served, or the newest winner."),
    ] = "",
    json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON document.")] = False,
) -> None:
    """Climb the ladder: build each rung, measure it on the test set, take it if it is proven to pay.

    Stopped at any moment (Ctrl-C, a crash, a power cut), the same command goes on from the last finished piece of work.
    """
    from sadari.run import ClimbOptions
    from sadari.task import load_task

    loaded, options = load_task(task, None if seeds is None else {"seeds": seeds}), ClimbOptions(quick, again)
    if from_log:
        from sadari.serve.learning import Wanted

        wanted = Wanted(begin(since, datetime.now().astimezone()), trust=trust_of(trust))
        climb_from_log(loaded, options, log or str(task), wanted, start=start, json=json)
    elif log or since or start:
        raise ConfigError("--log, --since and --start say how to climb on from a log: give --from-log with them.")
    else:
        climb_and_show(loaded, options, json=json)


def climb_from_log(task: "Task", options: "ClimbOptions", log: str, wanted: "Wanted", *, start: str, json: bool) -> None:
    """Climb on from what is served or won, with rows of the log in train and in no other split; without new rows, say so and stop.

    Args:
        log: Where the log is.
        start: A bundle or a run; "" for what the task serves, else the winner of its newest finished climb.

    Raises:
        RunError: If there is no log, or nothing to climb on from.
    """
    from sadari.cli.log import open_log
    from sadari.run import run_folder
    from sadari.serve.learning import learnable, tools_of
    from sadari.task.writers import write_examples

    system = incumbent_of(task.folder, start)
    found = learnable(open_log(log), task, tools_of(task), wanted)
    if not json:
        print_found(found)
    new = new_rows(found.rows, task.folder)
    if not new:
        if json:
            print_json({"rows": len(found.rows), "new": 0, "left_out": dict(found.left_out), "run": None})
            return
        learnt = f"; {len(found.rows):,} were learnt from in an earlier climb" if found.rows else ""
        output.print(f"no new rows in the log{learnt}: there is nothing to climb for. --trust all takes more.", highlight=False)
        return
    told = f"{len(found.rows):,} rows of the log were added to train, {len(new):,} of them new"
    grown, options = with_rows(task, found.rows, told), replace(options, start=system)
    climb_and_show(grown, options, json=json)
    write_examples(run_folder(grown, options) / ROWS_FILE, found.rows)


def incumbent_of(folder: Path, start: str = "") -> System:
    """The system to climb on from.

    Raises:
        RunError: If there is none.
    """
    from sadari.cli.what import system_of
    from sadari.serve.served import read_served

    served = read_served(folder).now if not start else None
    if served is not None:
        return served.load(folder)
    if not start and not finished_runs(folder):
        raise RunError(f"{folder} has no finished climb to go on from. Begin with `sadari climb`, or name a bundle with --start.")
    return system_of(start or str(folder))


def finished_runs(folder: Path) -> list[Path]:
    """The finished climbs of a task, oldest first."""
    from sadari.run import run_folders

    return [run for run in run_folders(folder) if (run / "report.json").is_file()]


def new_rows(rows: Sequence[Example], folder: Path) -> list[Example]:
    """The rows that no finished climb of a task was given yet, as they are now."""
    from sadari.task.writers import example_row

    files = [run / ROWS_FILE for run in finished_runs(folder) if (run / ROWS_FILE).is_file()]
    known = {line for file in files for line in file.read_text(encoding="utf-8").splitlines()}
    return [row for row in rows if dumps(example_row(row), ensure_ascii=False) not in known]


def with_rows(task: "Task", rows: Sequence[Example], note: str) -> "Task":
    """The task with these rows in train, and another fingerprint. The other splits were cut before, and stay as they are."""
    from sadari.task.writers import example_row

    said = "\n".join(dumps(example_row(row), ensure_ascii=False, sort_keys=True) for row in rows)
    fingerprint = sha256(f"{task.fingerprint}\n{said}".encode()).hexdigest()[:16]
    return replace(task, train=(*task.train, *rows), notes=(*task.notes, f"{note}."), fingerprint=fingerprint)


def climb_and_show(loaded: "Task", options: "ClimbOptions", *, json: bool) -> None:
    """Climb, telling each step as it is decided; then the table, or the result as JSON.

    Raises:
        Exit: With the code of bad data, if the winner says what it must not.
    """
    from sadari.run import load_result, run_climb, run_folder

    for note in loaded.notes:
        errors.print(note, markup=False, highlight=False, style="yellow", soft_wrap=True)
    progress = Progress(errors)
    shown = errors if json else output
    steps = []
    with progress.shown():
        for step in run_climb(loaded, options, progress.tell):
            steps.append(step)
            quality = f"{step.scorecard.quality:.1%}"
            shown.print(f"[bold]{step.rung}[/] {quality}", highlight=False)
            shown.print(f"  {step.verdict.reason}", markup=False, highlight=False, soft_wrap=True)
            for note in step.built.notes:
                shown.print(f"  {note}", markup=False, highlight=False, style="dim", soft_wrap=True)
    folder = run_folder(loaded, options)
    result = load_result(folder)
    if json:
        print_json(result)
    else:
        _print(steps, result, loaded.money)
        output.print(f"report: {folder / 'report.html'}", markup=False, highlight=False, soft_wrap=True)
    leaks = result.get("review", {}).get("leaks")  # a run of an older sadari has no review
    if leaks:
        told = f"{len(leaks)} answers of the winner hold personal data or secrets of train. Do not serve it; see the report."
        errors.print(told, style="bold red", highlight=False)
        raise typer.Exit(DataError.exit_code)


def _print(steps: Sequence[Step], result: dict[str, Any], money: "Money") -> None:
    from sadari.measure import is_priced

    output.print(steps_table(steps, money.currency, priced=is_priced(money, steps[0].scorecard.device)))
    winner = result["winner"]
    assert isinstance(winner, dict)
    output.print(f"{steps[-1].ends}", markup=False, highlight=False)
    output.print(
        f"winner: {winner['rung']}, {winner['quality']:.1%}; bundle: {winner['bundle']}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
