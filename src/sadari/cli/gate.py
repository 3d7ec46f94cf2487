"""`sadari gate`: stop a release that is proven worse than what is served."""

import time
from pathlib import Path
from typing import Annotated

import typer

from sadari.cli.show import Progress, errors, output, print_json
from sadari.cli.what import scorecard_of
from sadari.errors import RunError

REGRESSION = 9
"""Exit code of a gate that does not let the candidate through."""

SHOWN = 10
"""Examples listed under a check that failed; the JUnit file lists all."""


def gate(
    baseline: Annotated[str, typer.Argument(help="What is served: a run, a task, a bundle, or a file of `sadari eval --json`.")],
    candidate: Annotated[str, typer.Argument(help="What would replace it, in the same ways.")],
    task: Annotated[
        Path | None, typer.Option(help="Task folder whose test set is answered where no scores are kept, else the one here.")
    ] = None,
    margin: Annotated[float, typer.Option(help="Loss in mean score that is accepted: 0.02 is two points.")] = 0.0,
    prove: Annotated[bool, typer.Option(help="Also fail where a loss below --margin is not proven.")] = False,
    junit: Annotated[Path | None, typer.Option(help="Write the checks to this file, as JUnit XML.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the checks as one JSON document.")] = False,
) -> None:
    """Compare two systems in pairs and exit with 9 if the candidate is proven worse: overall, in a slice, or in crashes.

    Scores that a climb or `sadari eval --json` kept are read; anything else answers the test set of --task now.
    """
    from dataclasses import asdict

    from sadari.files import write_text
    from sadari.measure.gate import GateRule, gate
    from sadari.measure.gate import junit as as_junit
    from sadari.task import load_task

    started = time.perf_counter()
    rule = GateRule(margin, prove)
    progress = Progress(errors)
    here = Path() if Path("sadari.yaml").is_file() else None
    loaded = None if (folder := task or here) is None else load_task(folder)
    with progress.shown():
        (old, old_test), (new, new_test) = (scorecard_of(what, loaded, progress.tell) for what in (baseline, candidate))
    if old.ids == new.ids and old.scorer == new.scorer and None not in (old_test, new_test) and old_test != new_test:
        raise RunError(
            f"{baseline} and {candidate} were measured on test sets of the same ids but other content: a question, a reference or "
            "a tag was changed in between. Measure the older one again: sadari eval ... --json"
        )
    slices: dict[str, list[str]] = {}
    for example in loaded.test if loaded else ():
        for tag in example.tags:
            slices.setdefault(tag, []).append(example.id)
    checks = gate(old, new, rule, slices)
    passed = all(check.passed for check in checks)
    if junit is not None:
        write_text(junit, as_junit(checks, seconds=time.perf_counter() - started))
    if json:
        print_json({"passed": passed, "checks": [asdict(check) for check in checks]})
    else:
        for check in checks:
            lines = [f"{'ok  ' if check.passed else 'FAIL'} {check.name}: {check.message}"]
            if not check.passed:
                lines += [f"       worse than before: {name}" for name in check.examples[:SHOWN]]
            output.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)
    if not passed:
        raise typer.Exit(REGRESSION)
