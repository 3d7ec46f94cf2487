"""How much is measured, in the full and in the quick form."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from cell import Cell
from peer import Setting
from report import CONTINUOUS, F16, GENERATE, Q8, SADARI

PROGRAMS = {GENERATE: "transformers", CONTINUOUS: "continuous", F16: "llama", Q8: "llama", SADARI: "sadari"}
"""The tools in the order of the table, and what `cell.py` calls them."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of one model is measured.

    Args:
        shared, rag: Requests of the two workloads.
        unshared: Of them, those that `generate` is given: it shares nothing, so its rate does not follow from their number.
        alone: Of them, those that are compared with what each gets by itself.
        rows, caches: What is tried for `generate`, each on as many requests as it takes at once, or `tried` if that is more.
        is_searched: Whether the settings of the other peers are searched for; otherwise they are those found for an earlier model.
        users: Of the chat workload, for `chat_s` seconds each.
        streams: That write alone.
    """

    shared: int
    rag: int
    unshared: int
    alone: int
    rows: tuple[int, ...]
    caches: tuple[str, ...] = ("dynamic",)
    tried: int = 8
    is_searched: bool = False
    users: tuple[int, ...] = ()
    chat_s: float = 0.0
    streams: tuple[int, ...] = (1, 16)


FULL = {
    False: Plan(
        *(200, 32, 200, 32, (1, 8, 32, 64)), caches=("dynamic", "static"), is_searched=True, users=(1, 4, 16, 32), chat_s=12.0
    ),
    True: Plan(32, 4, 8, 2, (1, 8), tried=2, streams=(1, 8)),
}
"""By whether the model is large."""

QUICK = {
    False: Plan(64, 16, 64, 8, (32,), users=(16,), chat_s=12.0),
    True: Plan(16, 4, 8, 2, (8,), streams=(1,)),
}


@dataclass(frozen=True, slots=True)
class Subject:
    """One model under test.

    Args:
        files: GGUF files by tool; {} without llama.cpp.
        settings: Of the tools that run, in the order of the table.
    """

    shape: str
    plan: Plan
    folder: Path
    files: Mapping[str, Path] = field(default_factory=dict)
    settings: Mapping[str, Setting] = field(default_factory=dict)

    def widened(self, rows: int) -> "Subject":
        """With room for so many answers at once under every tool that has to be told."""
        settings = {tool: replace(s, rows=max(s.rows, rows)) if s.rows else s for tool, s in self.settings.items()}
        return replace(self, settings=settings)

    def cell(self, tool: str, workload: str, parts: tuple[int, ...], rates: tuple[float, ...] = ()) -> Cell:
        """What the process that measures a tool is told."""
        model = str(self.files.get(tool, self.folder))
        return Cell(PROGRAMS[tool], self.shape, model, workload, parts, rates or (0.0,) * len(parts), self.settings[tool])
