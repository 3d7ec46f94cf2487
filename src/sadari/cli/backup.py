"""`sadari backup` and `sadari restore`: a log in one file, and back."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from sadari.cli.show import errors, output, print_json
from sadari.cli.what import log_of

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def backup(
    what: Annotated[str, typer.Argument(metavar="LOG", help="A task folder, a log file, or postgresql://user@host/database.")],
    file: Annotated[Path, typer.Argument(help="The file to make; nothing is overwritten.")],
    json: Json = False,
) -> None:
    """Write a log with all that stands beside it (keys, people, memory) to one file, while it is in use.

    The file is not encrypted: it holds conversations. Keep the head that is printed elsewhere.
    """
    from sadari.serve.backup import back_up

    made = back_up(log_of(what), file)
    if json:
        print_json(asdict(made))
        return
    output.print(f"{file}: {made.events:,} events in {file.stat().st_size:,} bytes", markup=False, highlight=False)
    output.print(f"head: {made.head}", markup=False, highlight=False)
    errors.print("It is not encrypted, and holds conversations and hashes of keys. Encrypt it before it leaves here.", style="dim")


def restore(
    file: Annotated[Path, typer.Argument(help="What `sadari backup` made.")],
    what: Annotated[
        str, typer.Argument(metavar="LOG", help="Where: a task folder, a file, or postgresql://...; no log may be there yet.")
    ],
    anchor: Annotated[str, typer.Option(help="A head that you kept elsewhere: the log has to hold it.")] = "",
    json: Json = False,
) -> None:
    """Put a log back where there is none: checked before it stands there, whole or not at all."""
    from sadari.serve.backup import restore as put_back

    place = log_of(what) if Path(what).is_dir() else what
    made = put_back(file, place, anchor)
    if json:
        print_json(asdict(made))
        return
    told = f"{made.events:,} events of {made.made} are back, and the log is whole\nhead: {made.head}"
    output.print(told, markup=False, highlight=False)
    errors.print("Users erased and keys revoked after the backup was made are in it still: erase and revoke anew.", style="dim")
