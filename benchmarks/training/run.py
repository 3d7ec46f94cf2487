"""Training against TRL: `make bench-training`, or `python benchmarks/training/run.py --quick` (8 rows a step; under 10 minutes).

Four workloads, three ways to train a LoRA adapter on the same rows in the same order: TRL's `SFTTrainer` at its defaults, TRL at
the fastest of a few settings here, and sadari. Each cell is a process of its own. Prints useful tokens per second (prompt and
answer tokens, counted before anything is shared), peak memory and loss, beside the ideal ratio (tokens before / after sharing), and
what both have learnt after a few hundred steps on real rows. Ends with one line of JSON: `tool_vs_trl_default, tool_vs_trl_best,
short_vs_trl_best, rag_vs_trl_best, turns_vs_trl_best, memory_share_of_trl_best, loss_gap, mfu_of_measured_gemm`; what was not
measured is null. Needs `trl` and `datasets` for TRL's side, no network and no data. The machine must have nothing else to do.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from cell import Cell
from gemm import gemm_rate, needed_flops
from peer import CANDIDATES, Setting
from recipe import Found, Learnt
from report import BEST, DEFAULTS, SADARI, Line, figures_of, rich_table, table_rows, told_lessons, write_record
from rich.console import Console
from shapes import SHAPES, sizes_of
from workloads import WORKLOADS, count_tokens, rows_of

HERE = Path(__file__).resolve().parent
PROCESS_LIMIT_S = 3600.0
ENVIRONMENT = {"OMP_NUM_THREADS": str(os.cpu_count()), "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
"""Of this program before it imports torch, and of every cell: all cores, nothing fetched, no threads beside those of torch."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured.

    Args:
        rows: Of one optimiser step of sadari.
        peer_rows: Of one optimiser step of TRL, which computes a few rows after another however many a step has: its tokens per
            second are those of a larger step.
        steps: Timed steps of a cell, at most.
        budget_s: No further step is timed after so many seconds.
        probe_rows: Rows of the one step on which each of TRL's settings is tried; 0 takes the first setting untried.
        defaults: Workloads on which TRL's defaults are timed.
        lesson_steps: Of the training on real rows.
    """

    rows: int
    peer_rows: int
    steps: int
    budget_s: float
    probe_rows: int
    defaults: str
    lesson_steps: int

    def __str__(self) -> str:
        searched = f"TRL's settings tried on {self.probe_rows} rows" if self.probe_rows else "TRL's setting not searched for"
        return f"{self.rows} rows a step ({self.peer_rows} for TRL), at most {self.steps} timed after a warm-up, {searched}"


FULL = Plan(rows=32, peer_rows=8, steps=3, budget_s=60, probe_rows=4, defaults="abcd", lesson_steps=240)
QUICK = Plan(rows=8, peer_rows=4, steps=1, budget_s=0, probe_rows=0, defaults="a", lesson_steps=60)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; the exit code is 0 unless sadari's side fails."""
    given = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args(given)
    os.environ |= ENVIRONMENT
    plan = QUICK if options.quick else FULL
    console = Console(width=150)
    started = time.perf_counter()
    rate = gemm_rate(sizes_of(options.shape))
    told = [f"{_machine()}; matrix products at {rate / 1e9:.0f} GFLOP/s", f"{SHAPES[options.shape].told}; {plan}"]
    console.print("\n".join(told))
    lines = [line for key in options.workloads for line in _compare(key, plan, options.shape, rate)]
    rows = table_rows(lines)
    console.print(rich_table(rows))
    lessons = _lessons(plan)
    told.append(told_lessons(lessons, plan.lesson_steps))
    console.print(f"{told[-1]}\n{time.perf_counter() - started:.0f} s")
    figures = figures_of(lines, lessons)
    if options.record:
        command = " ".join(["python benchmarks/training/run.py", *given])
        write_record(options.record, rows, [f"`{command}`, {time.perf_counter() - started:.0f} s", *told], figures)
    print(json.dumps(figures))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="8 rows a step, one timed step; the ratios are those of these sizes.")
    parser.add_argument(
        "--workloads", type=_keys, default=tuple(WORKLOADS), help="; ".join(f"{key}: {w.told}" for key, w in WORKLOADS.items())
    )
    parser.add_argument("--shape", default="qwen2.5-0.5b-6", choices=SHAPES, help="The model that is timed.")
    parser.add_argument("--record", type=Path, help="Page that gets the tables, between its training:start and training:end marks.")
    return parser


def _keys(text: str) -> tuple[str, ...]:
    keys = tuple(dict.fromkeys(text.split(",")))
    unknown = [key for key in keys if key not in WORKLOADS]
    if unknown:
        raise argparse.ArgumentTypeError(f"there is no workload {unknown[0]!r}; name some of {','.join(WORKLOADS)}")
    return keys


def _compare(key: str, plan: Plan, shape: str, rate: float) -> list[Line]:
    """The lines of one workload, told as they are measured; sadari's is the last."""
    workload, sizes = WORKLOADS[key], sizes_of(shape)
    cell = Cell("trl", shape, key, plan.peer_rows, plan.steps, plan.budget_s)
    cells = []
    if _has_trl():
        best = _best_setting(cell, plan)
        cells += [(DEFAULTS, "", cell)] if key in plan.defaults else []
        cells += [(BEST, best.name, replace(cell, setting=best))] if best else []
    measured = []
    for tool, setting, each in [*cells, (SADARI, "", replace(cell, tool="sadari", rows=plan.rows))]:
        found = _measure(each)
        if found is not None:
            counts = count_tokens(rows_of(workload, each.rows, sizes.vocabulary, cell.seed))
            measured.append((tool, setting, counts, found))
            told = f"{counts.total / found.step_s:.0f} tokens/s ({found.step_s:.1f} s a step), {found.peak_bytes / 2**30:.2f} GiB"
            _tell(f"{workload.name}: {tool}: {told}")
    # Machines change their speed: the rate is taken again where it is used, and the faster of both counts.
    rate = max(rate, gemm_rate(sizes))
    return [Line(workload, *each, needed_flops(sizes, each[2]) / each[3].step_s / rate) for each in measured]


def _best_setting(cell: Cell, plan: Plan) -> Setting | None:
    """The fastest of TRL's settings on one smaller step of this workload; None if none of them ran."""
    if not plan.probe_rows:
        return CANDIDATES[0]
    seconds = {}
    for setting in CANDIDATES:
        found = _measure(replace(cell, rows=plan.probe_rows, steps=1, setting=setting))
        if found is not None:
            seconds[setting] = found.step_s
            _tell(f"{WORKLOADS[cell.workload].name}: TRL with {setting.name}: {found.step_s:.1f} s for {plan.probe_rows} rows")
    return min(seconds, key=lambda setting: seconds[setting]) if seconds else None


def _measure(cell: Cell) -> Found | None:
    told = _run("cell.py", asdict(cell))
    return None if told is None else Found(**told)


def _lessons(plan: Plan) -> dict[str, Learnt]:
    lessons = {}
    for tool in ("trl", "sadari") if _has_trl() else ():
        told = _run("convergence.py", {"tool": tool, "steps": plan.lesson_steps})
        if told is not None:
            lessons[tool] = Learnt(**{**told, "training": Found(**told["training"])})
            _tell(f"real rows: {tool}: validation loss {lessons[tool].before:.4f} -> {lessons[tool].after:.4f}")
    return lessons


def _run(program: str, told: dict[str, Any]) -> dict[str, Any] | None:
    """What a process of its own prints last; None, and a line that says why, where one of TRL's fails.

    Raises:
        SystemExit: If sadari's side fails: then there is nothing to compare.
    """
    command = [sys.executable, str(HERE / program), json.dumps(told)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PROCESS_LIMIT_S, check=False)
        fault = f"exit code {done.returncode}: {done.stderr.strip()[-300:]}" if done.returncode else ""
    except subprocess.TimeoutExpired:
        fault = f"not finished after {PROCESS_LIMIT_S:.0f} s"
    if not fault:
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found
    if told["tool"] == "sadari":
        raise SystemExit(f"{program} {json.dumps(told)}: {fault}")
    _tell(f"{program} {json.dumps(told)}: {fault}")
    return None


def _has_trl() -> bool:
    return bool(_version("trl") and _version("datasets"))


def _machine() -> str:
    packages = ", ".join(f"{name} {_version(name) or 'absent'}" for name in ("sadari", "trl", "transformers", "peft", "torch"))
    return f"{os.cpu_count()} CPU cores, {packages}"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _tell(line: str) -> None:
    print(f"   {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
