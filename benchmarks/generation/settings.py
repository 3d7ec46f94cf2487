"""Every peer at its best: the settings tried for each, on the first requests of the shared workload."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from peer import AS_IT_IS, Setting
from plan import Subject
from processes import Processes, show
from report import CONTINUOUS, F16, GENERATE, Q8, SADARI

TRIED = 64
"""Requests on which tools that share beginnings are tried."""

WIDTHS = (Setting(8), Setting(32))
LLAMA = tuple(Setting(rows, kind) for kind in ("split", "unified") for rows in (16, 64))


def best_settings(subject: Subject, known: Mapping[str, Setting], processes: Processes) -> dict[str, Setting]:
    """The best setting of every tool that runs here, in the order of the table.

    Args:
        known: What was found for an earlier model, for tools that are not tried again.
    """
    plan = subject.plan
    found = {GENERATE: _fastest(subject, GENERATE, [Setting(rows, plan.caches[0]) for rows in plan.rows], processes)}
    if (best := found[GENERATE]) is not None:
        found[GENERATE] = _fastest(subject, GENERATE, [replace(best, kind=kind) for kind in plan.caches], processes)
    found[CONTINUOUS] = _fastest(
        subject, CONTINUOUS, WIDTHS if plan.is_searched else _as_before(CONTINUOUS, WIDTHS, known), processes
    )
    if subject.files:
        found[F16] = _fastest(subject, F16, LLAMA if plan.is_searched else _as_before(F16, LLAMA, known), processes)
        found[Q8] = found[F16]
    return {tool: setting for tool, setting in found.items() if setting is not None} | {SADARI: AS_IT_IS}


def gguf_files(folder: Path, stem: Path, processes: Processes) -> dict[str, Path]:
    """The same weights for llama.cpp; {} where it is not installed, or the model cannot be written."""
    absent = [name for name in ("llama-cpp-python", "gguf") if not installed(name)]
    if absent:
        processes.tell(f"llama.cpp: not measured: {' and '.join(absent)} not installed")
        return {}
    files = {F16: stem.with_name(f"{stem.name}.f16.gguf"), Q8: stem.with_name(f"{stem.name}.q8_0.gguf")}
    for tool, file in files.items():
        told = {"what": tool, "folder": str(folder), "file": str(file), "kind": file.suffixes[-2][1:]}
        if not file.exists() and processes.run("gguf_writer.py", told) is None:
            return {}
    return files


def installed(name: str) -> str:
    """The version of a package, "" if it is absent."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _as_before(tool: str, candidates: Sequence[Setting], known: Mapping[str, Setting]) -> Sequence[Setting]:
    """What was found for an earlier model; of the first model the first candidate, and nothing for a tool that failed there."""
    return [known[tool]] if tool in known else [] if known else candidates[:1]


def _fastest(subject: Subject, tool: str, candidates: Sequence[Setting], processes: Processes) -> Setting | None:
    """The fastest; untried if it is the only one, None if none of them runs."""
    if len(candidates) == 1:
        return candidates[0]
    rates = {}
    for setting in candidates:
        count = max(subject.plan.tried, setting.rows) if tool == GENERATE else TRIED
        found = processes.measure(replace(subject, settings={tool: setting}).cell(tool, "a", (count,)))
        if found:
            rates[setting] = found[0].requests_per_s
            show(f"{subject.shape}: {tool}, {setting}: {rates[setting]:.2f} requests/s on {count}")
    return max(rates, key=lambda setting: rates[setting]) if rates else None
