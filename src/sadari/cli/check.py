"""`sadari check`: is the data fit to learn from and to judge with?"""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from sadari.cli.show import output, print_json
from sadari.types import Example, Model


def check(
    task: Annotated[Path, typer.Argument(help="Task folder, or its sadari.yaml.")] = Path("."),
    json: Annotated[bool, typer.Option("--json", help="Print the findings as one JSON document.")] = False,
) -> None:
    """Read the whole task and say what is wrong with it, all at once.

    Options, rows, splits, leaks, lengths, and what the test set can prove.
    """
    from sadari.model import load_model
    from sadari.run import check_climb, scorer_of
    from sadari.task import load_task

    loaded = load_task(task)
    check_climb(loaded)
    model = load_model(loaded.model, base_url=loaded.base_url)
    splits = {
        name: _split(getattr(loaded, name), model) for name in ("train", "validation", "test", "audit") if getattr(loaded, name)
    }
    found = {
        "task": str(loaded.folder),
        "model": loaded.model,
        "scorer": scorer_of(loaded).name,
        "splits": splits,
        "documents": len(loaded.documents),
        "labels": len(loaded.labels),
        "ladder": [rung.name for rung in loaded.ladder],
        "smallest_provable_gain": _smallest_gain(len(loaded.test), len(loaded.ladder)),
        "notes": list(loaded.notes),
    }
    if json:
        print_json(found)
        return
    table = Table(header_style="bold")
    for name in ("split", "rows", "tokens (median)", "tokens (longest)", "abstain"):
        table.add_column(name, justify="left" if name == "split" else "right")
    for name, split in splits.items():
        table.add_row(name, str(split["rows"]), str(split["median_tokens"]), str(split["longest_tokens"]), str(split["abstain"]))
    output.print(table)
    output.print(
        f"model {found['model']}, scored by {found['scorer']}, {found['documents']} documents, {found['labels']} labels",
        highlight=False,
    )
    output.print(
        f"With {len(loaded.test)} test examples and {len(loaded.ladder)} rungs, a gain of about "
        f"{found['smallest_provable_gain']:.1%} can be proven (one answer in five changing).",
        highlight=False,
    )
    for note in loaded.notes:
        output.print(note, markup=False, highlight=False, style="yellow", soft_wrap=True)


def _split(examples: tuple[Example, ...], model: Model) -> dict[str, Any]:
    lengths = sorted(model.count_tokens(e.prompt) for e in examples if e.prompt)
    return {
        "rows": len(examples),
        "median_tokens": lengths[len(lengths) // 2] if lengths else 0,
        "longest_tokens": lengths[-1] if lengths else 0,
        "abstain": sum(e.reference.abstain for e in examples),
    }


def _smallest_gain(examples: int, rungs: int, changed: float = 0.2) -> float:
    """The gain at which the paired test reaches 0.05/rungs (normal approximation), if a share `changed` of the answers change."""
    from statistics import NormalDist

    return float(NormalDist().inv_cdf(1 - 0.025 / max(1, rungs)) * (changed / examples) ** 0.5)
