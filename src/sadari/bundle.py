"""A bundle: the folder of one System, with everything it needs but a base model that is named. It can be moved and copied."""

import hashlib
import shutil
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from sadari.errors import RunError
from sadari.files import read_json, to_json, whole_folder, write_text
from sadari.types import Retrieval, System

SYSTEM_FILE = "system.json"
_PARTS = {"adapter": "adapter", "documents": "documents.jsonl", "examples": "examples.jsonl", "toolbox": "toolbox.json"}

_SEARCH_PARTS = ("embedder", "reranker")
_SHIPPED = ("bundled", "learned")
"""Names of an embedder and a reranker, whatever folders are called so."""


def save_bundle(system: System, folder: Path) -> None:
    """Write `system` and the files it points to under `folder`, whole or not at all; an older bundle there is replaced.

    Raises:
        RunError: If a part is missing or the disk is full; names the path.
    """
    with whole_folder(folder) as draft:
        moved: dict[str, object] = {}
        for field, name in _PARTS.items():
            source: Path | None = getattr(system, field)
            if source is not None:
                _copy(source, draft / name)
                moved[field] = Path(name)
        if Path(system.model).is_dir():
            _copy(Path(system.model), draft / "model")
            moved["model"] = "./model"
        if system.retrieval is not None:
            for name, source in _search_folders(system.retrieval).items():
                _copy(source, draft / name)
            moved["retrieval"] = _carried(system.retrieval)
        write_text(draft / SYSTEM_FILE, to_json(system.with_(**moved)))


def load_bundle(folder: Path) -> System:
    """The System of a bundle, its paths made absolute.

    Raises:
        RunError: If the folder is no bundle, or a part of it is missing; names the path.
    """
    if not (folder / SYSTEM_FILE).is_file():
        raise RunError(
            f"{folder} is no bundle: it holds no {SYSTEM_FILE}. Give the `best` folder of a run, as in TASK/runs/1/best."
        )
    system = read_json(folder / SYSTEM_FILE, System)
    moved: dict[str, object] = {f: folder.resolve() / p for f in _PARTS if (p := getattr(system, f)) is not None}
    if system.model == "./model":
        moved["model"] = str(folder.resolve() / "model")
    parts = [*moved.values()]
    if system.retrieval is not None:
        held: dict[str, Any] = {n: str(folder.resolve() / n) for n in _SEARCH_PARTS if getattr(system.retrieval, n) == f"./{n}"}
        parts += held.values()
        moved["retrieval"] = replace(system.retrieval, **held)
    for part in parts:
        if not Path(str(part)).exists():
            raise RunError(f"{part} is missing. It belongs to the bundle: copy the whole folder.")
    return system.with_(**moved)


def digest(system: System) -> str:
    """A hash of the system and of the content of every file it points to, 16 hexadecimal digits."""
    sha = hashlib.sha256()
    for field in fields(system):
        value = getattr(system, field.name)
        if isinstance(value, Retrieval):
            for name, folder in _search_folders(value).items():
                _hash_files(sha, name, folder)
            value = _carried(value)
        path = Path(value) if isinstance(value, (str, Path)) and field.name in (*_PARTS, "model") else None
        if path is not None and path.exists():
            _hash_files(sha, field.name, path)
        else:
            sha.update(f"{field.name}={value!r}\0".encode())
    return sha.hexdigest()[:16]


def _search_folders(retrieval: Retrieval) -> dict[str, Path]:
    """The embedder and the reranker of a search, as far as they are folders."""
    named = {name: str(getattr(retrieval, name)) for name in _SEARCH_PARTS}
    return {name: Path(v) for name, v in named.items() if v and v not in _SHIPPED and Path(v).is_dir()}


def _carried(retrieval: Retrieval) -> Retrieval:
    """The same with its folders where a bundle carries them."""
    places: dict[str, Any] = {name: f"./{name}" for name in _search_folders(retrieval)}
    return replace(retrieval, **places)


def _hash_files(sha: "hashlib._Hash", name: str, path: Path) -> None:
    for file in sorted(p for p in ([path] if path.is_file() else path.rglob("*")) if p.is_file()):
        sha.update(f"{name}/{file.relative_to(path)}\0".encode() + file.read_bytes())


def _copy(source: Path, target: Path) -> None:
    try:
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy(source, target)
    except (OSError, shutil.Error) as error:
        raise RunError(f"{source} cannot be copied into the bundle: {error}") from error
