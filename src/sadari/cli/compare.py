"""`sadari compare`: a paired verdict between any two systems."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sadari.cli.show import Progress, errors, output, print_json, scorecard_json
from sadari.cli.what import system_of

if TYPE_CHECKING:
    from sadari.task import Task


def compare(
    incumbent: Annotated[str, typer.Argument(metavar="A", help="The system to beat: a bundle, a run, a task folder, or a model.")],
    challenger: Annotated[str, typer.Argument(metavar="B", help="The system that would replace it.")],
    task: Annotated[Path, typer.Option(help="Task folder whose test set both answer.")] = Path("."),
    pairwise: Annotated[bool, typer.Option(help="Let the task's judge choose between the answers, in both orders.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print both scorecards and the verdict as one JSON document.")] = False,
) -> None:
    """Compare two systems in pairs, example by example: is B proven better than A?"""
    from sadari.measure import Rule, judge
    from sadari.run import evaluate_system
    from sadari.task import load_task

    loaded = load_task(task)
    progress = Progress(errors)
    if pairwise:
        _prefer(loaded, incumbent, challenger, progress, json=json)
        return
    with progress.shown():
        a, b = (evaluate_system(system_of(what), loaded, progress.tell) for what in (incumbent, challenger))
    verdict = judge(a, b, Rule(min_gain=loaded.score.min_gain, money=loaded.money, language=loaded.language, seed=loaded.seed))
    if json:
        print_json({"a": scorecard_json(a, loaded.money), "b": scorecard_json(b, loaded.money), "verdict": asdict(verdict)})
        return
    for name, card in (("A", a), ("B", b)):
        output.print(f"{name}: {card.quality:.1%} ({card.low:.1%} to {card.high:.1%})", highlight=False)
    output.print(verdict.reason, markup=False, highlight=False)


def _prefer(task: "Task", incumbent: str, challenger: str, progress: Progress, *, json: bool) -> None:
    from sadari.errors import ConfigError
    from sadari.measure import format_p
    from sadari.model import load_model
    from sadari.review import preferred
    from sadari.run import answer_test
    from sadari.task import located

    settings = task.score.judge
    if settings is None:
        raise ConfigError("--pairwise needs a judge. Set `score.judge: {model: NAME, rubric: WORDS}` in the task file.")
    model = load_model(located(settings.model, task.folder), base_url=settings.base_url)
    with progress.shown():
        a, b = (answer_test(system_of(what), task, progress.tell) for what in (incumbent, challenger))
        found = preferred(task, model, a, b)
    if json:
        print_json(asdict(found))
        return
    output.print(f"A preferred {found.a}, B preferred {found.b}, ties {found.ties}, unsure {found.unsure}", highlight=False)
    output.print(
        f"p = {format_p(found.p_value)}; decided by place rather than by answer: {found.bias.share:.0%} of the pairs",
        highlight=False,
    )
