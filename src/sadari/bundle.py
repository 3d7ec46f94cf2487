"""A bundle: the folder of one System, with everything it needs but a base model that is named. It can be moved and copied."""

import hashlib
import shutil
from dataclasses import fields
from pathlib import Path

from sadari.errors import RunError
from sadari.files import read_json, to_json, whole_folder, write_text
from sadari.types import System

SYSTEM_FILE = "system.json"
_PARTS = {"adapter": "adapter", "documents": "documents.jsonl", "examples": "examples.jsonl", "toolbox": "toolbox.json"}


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
    for part in moved.values():
        if not Path(str(part)).exists():
            raise RunError(f"{part} is missing. It belongs to the bundle: copy the whole folder.")
    return system.with_(**moved)


def digest(system: System) -> str:
    """A hash of the system and of the content of every file it points to, 16 hexadecimal digits."""
    sha = hashlib.sha256()
    for field in fields(system):
        value = getattr(system, field.name)
        path = Path(value) if isinstance(value, (str, Path)) and field.name in (*_PARTS, "model") else None
        if path is not None and path.exists():
            for file in sorted(p for p in ([path] if path.is_file() else path.rglob("*")) if p.is_file()):
                sha.update(f"{field.name}/{file.relative_to(path)}\0".encode() + file.read_bytes())
        else:
            sha.update(f"{field.name}={value!r}\0".encode())
    return sha.hexdigest()[:16]


def _copy(source: Path, target: Path) -> None:
    try:
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy(source, target)
    except (OSError, shutil.Error) as error:
        raise RunError(f"{source} cannot be copied into the bundle: {error}") from error
