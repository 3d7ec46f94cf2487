"""`sadari init`: a project that runs at once."""

from pathlib import Path
from typing import Annotated

import typer

from sadari.cli.show import output, print_json


def init(
    folder: Annotated[Path, typer.Argument(help="Folder to make; it must not exist or be empty.")],
    template: Annotated[
        str, typer.Option(help="What kind of task: support (questions about documents) or label (sorting messages).")
    ] = "support",
    json: Annotated[bool, typer.Option("--json", help="Print the files made as one JSON document.")] = False,
) -> None:
    """Write a small task that can be climbed at once, to be filled with your own rows and documents."""
    from sadari.task import init_task

    init_task(folder, template)
    files = sorted(str(p) for p in folder.rglob("*") if p.is_file())
    if json:
        print_json({"folder": str(folder), "files": files})
        return
    for file in files:
        output.print(file, markup=False, highlight=False)
    output.print(f"next: sadari check {folder}, then sadari climb {folder}", markup=False, highlight=False)
