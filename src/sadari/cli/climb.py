"""`sadari climb`: the ladder, live, and the report."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sadari.cli.show import Progress, errors, output, print_json, steps_table
from sadari.errors import DataError
from sadari.types import Step

if TYPE_CHECKING:
    from sadari.measure import Money
    from sadari.run import ClimbOptions
    from sadari.task import Task


def climb(
    task: Annotated[Path, typer.Argument(help="Task folder, or its sadari.yaml.")] = Path("."),
    quick: Annotated[bool, typer.Option(help="A rough climb in under two minutes, on few examples.")] = False,
    again: Annotated[bool, typer.Option(help="Climb anew although this very climb is finished.")] = False,
    seeds: Annotated[int | None, typer.Option(min=1, max=10, help="Train every training rung with so many seeds.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON document.")] = False,
) -> None:
    """Climb the ladder: build each rung, measure it on the test set, take it if it is proven to pay.

    Stopped at any moment (Ctrl-C, a crash, a power cut), the same command goes on from the last finished piece of work.
    """
    from sadari.run import ClimbOptions
    from sadari.task import load_task

    climb_and_show(load_task(task, None if seeds is None else {"seeds": seeds}), ClimbOptions(quick, again), json=json)


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
