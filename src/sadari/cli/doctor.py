"""`sadari doctor`: what this machine can do, and what is missing."""

import importlib.metadata
import os
import platform
import shutil
from typing import Annotated, Any

import typer
from rich.table import Table

from sadari.cli.show import output, print_json

_PARTS = {
    "altair": "charts in reports: pip install 'sadari[report]'",
    "vl-convert-python": "charts in reports: pip install 'sadari[report]'",
    "kiwipiepy": "Korean exact match by part of speech: pip install kiwipiepy",
}


def doctor(json: Annotated[bool, typer.Option("--json", help="Print the findings as one JSON document.")] = False) -> None:
    """Look at this machine: processor, memory, accelerator, bundled model, optional parts."""
    found = _findings()
    if json:
        print_json(found)
    else:
        table = Table(header_style="bold")
        for name in ("what", "found", "ok"):
            table.add_column(name)
        for row in found["checks"]:
            table.add_row(row["what"], row["found"], "yes" if row["ok"] else "no")
        output.print(table)
    if not all(row["ok"] for row in found["checks"] if row["needed"]):
        raise typer.Exit(1)


def _findings() -> dict[str, Any]:
    import torch

    from sadari.mini import MINI_PATH

    weights = MINI_PATH / "model.safetensors"
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cuda = torch.cuda.is_available()
    checks = [
        _check("python", platform.python_version(), True, needed=True),
        _check(
            "torch",
            f"{torch.__version__}, {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}",
            True,
            needed=True,
        ),
        _check("memory", f"{memory:.0f} GiB", memory >= 4, needed=True),
        _check("accelerator", torch.cuda.get_device_name() if cuda else "none: small models are tuned on the processor", cuda),
        _check(
            "bundled model",
            f"{weights.stat().st_size / 2**20:.0f} MiB" if weights.is_file() else f"missing: {weights}",
            weights.is_file(),
            needed=True,
        ),
        _check("disk", f"{shutil.disk_usage('.').free / 2**30:.0f} GiB free here", shutil.disk_usage(".").free > 2**30),
    ]
    for package, purpose in _PARTS.items():
        version = _version(package)
        checks.append(_check(package, version or purpose, version is not None))
    return {"checks": checks}


def _check(what: str, found: str, ok: bool, *, needed: bool = False) -> dict[str, Any]:
    return {"what": what, "found": found, "ok": ok, "needed": needed}


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
