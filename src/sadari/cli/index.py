"""`sadari index`: keep a searchable index in step with documents."""

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sadari.cli.show import Progress, errors, output, print_json
from sadari.errors import ConfigError, DataError
from sadari.types import Retrieval

if TYPE_CHECKING:
    from sadari.retrieve.living import Changes, Preparation
    from sadari.retrieve.load import Fault, Loaded
    from sadari.retrieve.store import Store
    from sadari.task.documents import Sources

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
        typer.Option(
            help="Folder, postgresql://..., milvus:///FILE.db, milvus+http://HOST:PORT, secrets as ${NAME}; default: .sadari-index."
        ),
    ] = None,
    chunk_tokens: Annotated[
        int | None, typer.Option(min=1, help="Longest chunk, in tokens; 1 makes every sentence one; default: as the winner has it.")
    ] = None,
    overlap: Annotated[int | None, typer.Option(min=0, help="Tokens that a chunk repeats of the one before.")] = None,
    terms: Annotated[str | None, typer.Option(help="Words to search by: bigrams, morphemes or both.")] = None,
    embed: Annotated[
        str | None, typer.Option(help="Embedder: none, bundled, a model's name or folder, openai:NAME, openai:NAME@http://HOST/v1.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Go on, and index again whenever a file changes.")] = False,
    every: Annotated[str | None, typer.Option(help="Go on, and index again so often: 30s, 10m, 1h.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print what was done as one JSON document.")] = False,
) -> None:
    """Add what is new, replace what changed, delete what is gone; what did not change is not touched.

    A task is indexed as the winner of its newest run wants it, unless flags say otherwise. A search sees the index before or after,
    never half of it. A run that was stopped goes on where it was.
    """
    from sadari.retrieve.living import repeat, update_index

    if watch and every:
        raise ConfigError("--watch looks at the files every 2 s, --every indexes on a schedule: give one of them.")
    pause_s = WATCH_S if watch else _seconds(every)
    home, sources = _sources(what)
    if watch and len(sources.files) < len(sources.named):
        raise ConfigError("--watch sees files alone, but the task also names addresses or databases. Use --every.")
    wanted, origin = _wanted(what)
    flags: dict[str, Any] = {
        "chunk_tokens": chunk_tokens,
        "overlap": overlap,
        "terms": terms,
        "embedder": "" if embed == "none" else embed,
    }
    given = {name: value for name, value in flags.items() if value is not None}
    preparation, opened = _opened(store or str(home / INDEX), replace(wanted, **given))
    used = f"{preparation.name}, as {origin}" + (", with flags" if given else "")
    progress = Progress(errors)
    _complain(f"indexing {used}")

    def update() -> None:
        started = time.perf_counter()
        loaded = _load(sources)
        opened.remove(())  # takes the writer's place, and makes the tables of a database that has none yet
        keep = sources.unread(loaded.faults, opened.state())
        changes = update_index(loaded.documents, opened, preparation, keep=keep, tell=progress.tell)
        said = _as_json(changes, loaded.faults, opened.uri, time.perf_counter() - started)
        (print_json if json else _print)(said | {"used": used})

    try:
        with progress.shown():
            if pause_s is None:
                update()
            else:
                repeat(update, pause_s, watched=sources.roots if watch else (), tell=_complain)
    finally:
        opened.close()


def _is_task(what: Path) -> bool:
    from sadari.task.config import TASK_FILE

    return what.name == TASK_FILE or (what / TASK_FILE).is_file()


def _sources(what: Path) -> tuple[Path, "Sources"]:
    """Where the default store goes, and what is indexed."""
    from sadari.retrieve.load import Options
    from sadari.task.config import TASK_FILE, load_config
    from sadari.task.documents import Sources, sources_of

    folder = what if what.is_dir() else what.parent
    if not _is_task(what):
        return folder, Sources((what,), Options(folder=what.parent))
    config = load_config(what)
    if config.documents is None:
        raise ConfigError(f"{what}: the task names no documents. Add `documents: FOLDER` to {TASK_FILE}, or name the folder here.")
    return folder, sources_of(config.documents, folder.resolve())


def _wanted(what: Path) -> tuple[Retrieval, str]:
    """How what answers best retrieves, and in words where that was found."""
    from sadari.bundle import load_bundle

    if not _is_task(what):
        return Retrieval(), "sadari does by default"
    folder = what if what.is_dir() else what.parent
    ended = [run for run in (folder / "runs").glob("*") if run.name.isdigit() and (run / "best").is_dir()]
    if not ended:
        return Retrieval(), "sadari does by default (no climb has ended yet)"
    newest = max(ended, key=lambda run: int(run.name))
    found = load_bundle(newest / "best").retrieval
    if found is None or found.source != "documents":
        return Retrieval(), f"sadari does by default (the winner in runs/{newest.name}/best looks nothing up)"
    return found, f"the winner in runs/{newest.name}/best wants it"


def _opened(store: str, wanted: Retrieval) -> tuple["Preparation", "Store"]:
    """How documents are prepared, and the store that they go to."""
    from sadari.retrieve.address import fill_address
    from sadari.retrieve.embed import load_embedder
    from sadari.retrieve.living import preparation_of
    from sadari.retrieve.store import open_store

    embedder = load_embedder(wanted.embedder) if wanted.embedder else None
    preparation = preparation_of(wanted, embedder)
    return preparation, open_store(fill_address(store), embedder.dimensions if embedder else 0, preparation.terms_of)


def _load(sources: "Sources") -> "Loaded":
    if sources.missing:  # an unmounted disk is no order to delete everything
        raise DataError(f"{', '.join(sources.missing)}: no such file or folder. Nothing was changed in the index.")
    return sources.load()


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
    from sadari.retrieve.address import shown_address

    unread = [{"file": fault.source, "reason": fault.reason} for fault in faults]
    return {"store": shown_address(store), **asdict(changes), "seconds": round(seconds, 3), "not_read": unread}


def _print(said: dict[str, Any]) -> None:
    counts = ", ".join(f"{said[name]:,} {name}" for name in ("added", "changed", "deleted", "unchanged"))
    lines = [f"{counts}; {said['chunks']:,} chunks written in {said['seconds']:.1f} s to {said['store']}"]
    lines += [f"not read: {fault['file']}: {fault['reason']}" for fault in said["not_read"][:LISTED]]
    if len(said["not_read"]) > LISTED:
        lines.append(f"... and {len(said['not_read']) - LISTED} more; --json lists them all.")
    output.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)
