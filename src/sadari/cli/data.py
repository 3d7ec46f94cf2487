"""`sadari data`: what is done to rows before anything is learnt from them."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from sadari.cli.from_log import from_log
from sadari.cli.generate import generate
from sadari.cli.show import output, print_json
from sadari.errors import ConfigError

if TYPE_CHECKING:
    from sadari.task.clean import Cleaned

LISTED = 20
"""How many changes are printed; `--json` holds them all."""

data = typer.Typer(help="Prepare rows: clean a task's data, make more of it, take what its agent did.", no_args_is_help=True)


data.command("generate")(generate)
data.command("from-log")(from_log)


@data.command("clean")
def clean(
    task: Annotated[Path, typer.Argument(help="Task folder, or its sadari.yaml.")] = Path("."),
    out: Annotated[Path | None, typer.Option(help="New folder for the clean task; default: the task's folder with -clean.")] = None,
    mask: Annotated[
        bool, typer.Option("--mask", help="Put placeholders such as [전화1] for personal data and credentials, everywhere.")
    ] = False,
    keep_published: Annotated[
        bool, typer.Option("--keep-published", help="With --mask: leave what stands in the documents, such as your own hotline.")
    ] = False,
    near: Annotated[
        float,
        typer.Option(min=0.5, max=1, help="Similarity from which a row with the same answer is a repeat; 1: equal only."),
    ] = 0.9,
    mapping: Annotated[
        Path | None, typer.Option(help="With --mask: file for what the placeholders stand for, readable by you alone.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print what was done as one JSON document.")] = False,
) -> None:
    """Write a clean copy of the task to a new folder; your own files are not touched.

    Broken rows, repeats and leaks leave train and validation; test rows stay, and change only with --mask.
    """
    from sadari.task.clean import CleanOptions, clean_task, write_mapping

    if not mask and (keep_published or mapping):
        raise ConfigError(f"{'--keep-published' if keep_published else '--mapping'} says how to mask: give --mask with it.")
    home = task.resolve() if task.is_dir() else task.resolve().parent
    place = out or home.with_name(f"{home.name}-clean")
    if mapping is not None and (mapping.exists() or place.resolve() in mapping.resolve().parents):
        raise ConfigError(f"{mapping}: the mapping goes to a new file outside of {place}. Name another one.")
    cleaned = clean_task(task, place, CleanOptions(mask=mask, keep_published=keep_published, near=near))
    if mapping is not None:
        write_mapping(mapping, cleaned.mapping)
    if json:
        print_json(_as_json(cleaned, place))
    else:
        _print(cleaned, place, mapping)


def _as_json(cleaned: "Cleaned", place: Path) -> dict[str, Any]:
    return {
        "folder": str(place),
        "splits": {name: {"read": cleaned.read[name], "written": len(rows)} for name, rows in cleaned.splits.items()},
        "changes": [{"where": c.where, "split": c.split, "kind": c.kind, "why": c.why} for c in cleaned.changes],
        "masked": {"values": len(cleaned.placeholders), "places": sum(cleaned.placeholders.values())},
        "placeholders": dict(cleaned.placeholders),
        "notes": list(cleaned.notes),
    }


def _print(cleaned: "Cleaned", place: Path, mapping: Path | None) -> None:
    kinds = Counter((change.split, change.kind) for change in cleaned.changes)
    table = Table(header_style="bold")
    for name in ("split", "read", "broken", "leak", "duplicate", "written", "repaired"):
        table.add_column(name, justify="left" if name == "split" else "right")
    for name, rows in cleaned.splits.items():
        if cleaned.read[name]:
            dropped = [str(kinds[name, kind]) for kind in ("broken", "leak", "duplicate")]
            table.add_row(name, str(cleaned.read[name]), *dropped, str(len(rows)), str(kinds[name, "repaired"]))
    output.print(table)
    lines = [f"{change.where}: {change.kind}: {change.why}" for change in cleaned.changes] + list(cleaned.notes)
    for line in lines[:LISTED]:
        output.print(line, markup=False, highlight=False, soft_wrap=True)
    if len(lines) > LISTED:
        output.print(f"... and {len(lines) - LISTED} more; --json lists them all.", highlight=False)
    if cleaned.placeholders:
        places = sum(cleaned.placeholders.values())
        output.print(f"{len(cleaned.placeholders)} values were masked in {places} places.", highlight=False)
    if mapping is not None:
        output.print(f"{mapping} says what the placeholders stand for: keep it apart from the data.", markup=False, highlight=False)
    output.print(f"{place}: the clean task. next: sadari check {place}", markup=False, highlight=False, soft_wrap=True)
