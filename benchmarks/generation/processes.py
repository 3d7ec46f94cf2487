"""Every measurement is a process of its own; what one of them cannot do is told, and the rest goes on."""

import json
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from alone import Alone
from asked import Found, Written
from cell import Cell

HERE = Path(__file__).resolve().parent
LIMIT_S = 1200.0


@dataclass
class Processes:
    """Runs programs of this folder.

    Args:
        told: Lines for the reader, in the order in which they were found.
    """

    told: list[str] = field(default_factory=list)
    _found: dict[Cell, tuple[Found, ...]] = field(default_factory=dict)

    def measure(self, cell: Cell) -> tuple[Found, ...]:
        """What a cell found, part by part; () where a peer failed. A cell is run once: the search for a setting may have been it.

        Raises:
            SystemExit: If sadari's side fails: then there is nothing to compare.
        """
        if cell not in self._found:
            parts = self.run("cell.py", asdict(cell), must_work=cell.tool == "sadari")
            self._found[cell] = tuple(_read_found(part) for part in parts or ())
        return self._found[cell]

    def answers(self, cell: Cell) -> list[Alone]:
        """What each request of a cell gets by itself; [] if that failed."""
        return [Alone(tuple(one["ids"]), tuple(one["ties"])) for one in self.run("cell.py", asdict(cell)) or ()]

    def run(self, program: str, told: dict[str, Any], *, must_work: bool = False) -> Any:
        """What the program prints last, read as JSON; None, and a line that says why, where it fails.

        Raises:
            SystemExit: If it fails and must work.
        """
        command = [sys.executable, str(HERE / program), json.dumps(told)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
            fault = f"exit code {done.returncode}: {done.stderr.strip()[-300:]}" if done.returncode else ""
        except subprocess.TimeoutExpired:
            fault = f"not finished after {LIMIT_S:.0f} s"
        if not fault:
            return json.loads(done.stdout.splitlines()[-1])
        if must_work:
            raise SystemExit(f"{program} {json.dumps(told)}: {fault}")
        what = ", ".join(str(value) for value in (told.get(key) for key in ("tool", "what", "shape", "workload")) if value)
        self.tell(f"{what}: not measured: {' '.join(fault.split())}")
        return None

    def tell(self, line: str) -> None:
        """Keep a line for the reader, and show it at once."""
        self.told.append(line)
        show(line)


def show(line: str) -> None:
    """Live progress."""
    print(f"   {line}", file=sys.stderr, flush=True)


def _read_found(part: dict[str, Any]) -> Found:
    written = tuple(Written(tuple(one["ids"]), one["first_s"], one["last_s"]) for one in part["written"])
    return Found(**{**part, "written": written})
