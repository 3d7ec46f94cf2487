"""`sadari compare`: a paired verdict between any two systems."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from sadari.cli.show import Progress, errors, output, print_json, scorecard_json
from sadari.cli.what import system_of


def compare(
    incumbent: Annotated[str, typer.Argument(metavar="A", help="The system to beat: a bundle, a run, a task folder, or a model.")],
    challenger: Annotated[str, typer.Argument(metavar="B", help="The system that would replace it.")],
    task: Annotated[Path, typer.Option(help="Task folder whose test set both answer.")] = Path("."),
    json: Annotated[bool, typer.Option("--json", help="Print both scorecards and the verdict as one JSON document.")] = False,
) -> None:
    """Compare two systems in pairs, example by example: is B proven better than A?"""
    from sadari.measure import Rule, judge
    from sadari.run import evaluate_system
    from sadari.task import load_task

    loaded = load_task(task)
    progress = Progress(errors)
    with progress.shown():
        a, b = (evaluate_system(system_of(what), loaded, progress.tell) for what in (incumbent, challenger))
    verdict = judge(a, b, Rule(min_gain=loaded.score.min_gain, money=loaded.money, language=loaded.language, seed=loaded.seed))
    if json:
        print_json({"a": scorecard_json(a), "b": scorecard_json(b), "verdict": asdict(verdict)})
        return
    for name, card in (("A", a), ("B", b)):
        output.print(f"{name}: {card.quality:.1%} ({card.low:.1%} to {card.high:.1%})", highlight=False)
    output.print(verdict.reason, markup=False, highlight=False)
