"""`sadari index`: keep a searchable index in step with documents."""

import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sadari.cli.show import Progress, errors, output, print_json
from sadari.errors import ConfigError, DataError
from sadari.types import Retrieval

if TYPE_CHECKING:
    from sadari.retrieve.living import Changes, Preparation
    from sadari.retrieve.load import Fault, Loaded
    from sadari.types import Chunk, Document

LISTED = 20
"""How many files that could not be read are printed; `--json` holds them all."""

WATCH_S = 2.0
"""Seconds between two looks at a watched folder."""

INDEX = ".sadari-index"
"""Folder of the default store, in the folder of the task or the documents; hidden, so that it is not indexed itself."""


def index(
    what: Annotated[Path, typer.Argument(help="Task folder, or a folder or file of documents.")] = Path("."),
    store: Annotated[
        str | None,
        typer.Option(help="Folder, postgresql://..., milvus:///FILE.db or milvus+http://HOST:PORT; default: .sadari-index."),
    ] = None,
    embed: Annotated[
        str | None, typer.Option(help="Embedder: bundled, a model's name or folder, openai:NAME; default: terms alone.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Go on, and index again whenever a file changes.")] = False,
    every: Annotated[str | None, typer.Option(help="Go on, and index again so often: 30s, 10m, 1h.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print what was done as one JSON document.")] = False,
) -> None:
    """Add what is new, replace what changed, delete what is gone; what did not change is not touched.

    A search sees the index before or after, never half of it. A run that was stopped goes on where it was.
    """
    from sadari.retrieve.living import repeat, update_index
    from sadari.retrieve.store import open_store

    if watch and every:
        raise ConfigError("--watch looks at the files every 2 s, --every indexes on a schedule: give one of them.")
    pause_s = WATCH_S if watch else _seconds(every)
    home, source, access = _source(what)
    preparation, dimensions = _preparation(embed)
    opened = open_store(store or str(home / INDEX), dimensions)
    progress = Progress(errors)

    def update() -> None:
        started = time.perf_counter()
        loaded, keep = _load(source, access, opened.state())
        changes = update_index(loaded.documents, opened, preparation, keep=keep, tell=progress.tell)
        said = _as_json(changes, loaded.faults, opened.uri, time.perf_counter() - started)
        (print_json if json else _print)(said)

    try:
        with progress.shown():
            if pause_s is None:
                update()
            else:
                repeat(update, pause_s, watched=[source] if watch else (), tell=_complain)
    finally:
        opened.close()


def _source(what: Path) -> tuple[Path, Path, Mapping[str, Sequence[str]]]:
    """Where the default store goes, what is indexed, and who may see it."""
    from sadari.task.config import TASK_FILE, load_config
    from sadari.task.files import resolve_path

    if what.name == TASK_FILE or (what / TASK_FILE).is_file():
        folder = what if what.is_dir() else what.parent
        config = load_config(what)
        if config.documents is None:
            raise ConfigError(
                f"{what}: the task names no documents. Add `documents: FOLDER` to {TASK_FILE}, or name the folder here."
            )
        return folder, resolve_path(config.documents.path, folder), config.documents.access
    return (what if what.is_dir() else what.parent), what, {}


def _load(source: Path, access: Mapping[str, Sequence[str]], held: Collection[str]) -> tuple["Loaded", list[str]]:
    """What was read, and those of the ids in `held` that could not be read just now: they stay as they were."""
    from sadari.retrieve.load import Options, load_all

    if not source.exists():  # an unmounted disk is no order to delete everything
        raise DataError(f"{source}: no such folder. Nothing was changed in the index.")
    loaded = load_all(source, Options(access=access, folder=source.parent))
    unread = [fault.source.partition("/")[2] if source.is_dir() else fault.source for fault in loaded.faults]
    return loaded, [name for name in held if any(_is_part(name, rest) or _is_part(rest, name) for rest in unread if rest)]


def _is_part(name: str, whole: str) -> bool:
    """Whether `name` is `whole`, a member of it ("a.zip/b.md") or a place in it ("a.pdf page 2")."""
    return name == whole or name.startswith((f"{whole}/", f"{whole} "))


def _preparation(embed: str | None) -> tuple["Preparation", int]:
    """How documents are prepared, and the dimensions of their vectors."""
    from sadari.retrieve import chunk_documents
    from sadari.retrieve.living import Preparation

    cut = Retrieval()
    name = f"{cut.chunk_tokens} tokens, {cut.overlap} of overlap"

    def chunk(documents: "Sequence[Document]") -> "list[Chunk]":
        return chunk_documents(documents, cut.chunk_tokens, cut.overlap)

    if embed is None:
        return Preparation(chunk, name=name), 0
    from sadari.retrieve.embed import load_embedder
    from sadari.retrieve.text import embedded_text

    embedder = load_embedder(embed)
    preparation = Preparation(chunk, lambda chunks: embedder.embed([embedded_text(c) for c in chunks]), f"{name}, {embedder.name}")
    return preparation, embedder.dimensions


def _seconds(every: str | None) -> float | None:
    from sadari.task.config import parse_duration

    if every is None:
        return None
    try:
        seconds = float(parse_duration(every))
    except ValueError as error:
        raise ConfigError(f"--every {every}: {error}.") from error
    if not 1 <= seconds < float("inf"):
        raise ConfigError(f"--every {every}: must be 1 s or more.")
    return seconds


def _complain(line: str) -> None:
    errors.print(line, markup=False, highlight=False, soft_wrap=True)


def _as_json(changes: "Changes", faults: Sequence["Fault"], store: str, seconds: float) -> dict[str, Any]:
    from dataclasses import asdict

    unread = [{"file": fault.source, "reason": fault.reason} for fault in faults]
    return {"store": _shown(store), **asdict(changes), "seconds": round(seconds, 3), "not_read": unread}


def _print(said: dict[str, Any]) -> None:
    counts = ", ".join(f"{said[name]:,} {name}" for name in ("added", "changed", "deleted", "unchanged"))
    lines = [f"{counts}; {said['chunks']:,} chunks written in {said['seconds']:.1f} s to {said['store']}"]
    lines += [f"not read: {fault['file']}: {fault['reason']}" for fault in said["not_read"][:LISTED]]
    if len(said["not_read"]) > LISTED:
        lines.append(f"... and {len(said['not_read']) - LISTED} more; --json lists them all.")
    output.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)


def _shown(uri: str) -> str:
    """The URI without its password."""
    scheme, mark, place = uri.partition("://")
    return f"{scheme}{mark}{place.rpartition('@')[2]}" if mark else uri
