"""`sadari eval`: score anything on a task's test set."""

from pathlib import Path
from typing import Annotated

import typer

from sadari.cli.show import Progress, errors, output, print_json, scorecard_json
from sadari.cli.what import system_of


def evaluate(
    what: Annotated[str, typer.Argument(help="A bundle, a run, a task folder, or a model (mini, openai:NAME, a folder).")],
    task: Annotated[Path, typer.Option(help="Task folder whose test set is answered.")] = Path("."),
    json: Annotated[bool, typer.Option("--json", help="Print the scorecard as one JSON document.")] = False,
) -> None:
    """Score a system on the task's test set. A bare model is asked with the task's goal, as the baseline of a climb is."""
    from sadari.looks import name_of_test
    from sadari.run import evaluate_system
    from sadari.task import load_task

    progress = Progress(errors)
    with progress.shown():
        loaded = load_task(task)
        card = evaluate_system(system_of(what), loaded, progress.tell)
    if json:
        print_json({**scorecard_json(card, loaded.money), "test": name_of_test(loaded.test, card.scorer)})
        return
    interval = f"{card.quality:.1%} ({card.low:.1%} to {card.high:.1%})"
    output.print(f"{interval} by {card.scorer} on {len(card.ids)} examples, {card.failures} failed", markup=False, highlight=False)
    output.print(f"{card.throughput:.1f} answers/s", highlight=False)
