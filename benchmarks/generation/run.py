"""Generation against transformers and llama.cpp: `make bench-generation`, or `python benchmarks/generation/run.py --quick`.

Four workloads, the same prompts as token ids for every tool, greedy, exactly as many tokens as asked for: `transformers` `generate`
at its best batch size, its continuous batching where it runs, llama.cpp in F16 and Q8_0 with the shared beginning kept, and sadari.
Each cell is a process of its own. Prints answers and tokens per second, seconds to the first and the last token, peak memory, and
how many answers are token for token those that a request gets by itself; then what holding answers to JSON Schemas costs and
gives. Ends with one line of JSON: `shared_vs_transformers, shared_vs_llamacpp_f16, rag_vs_transformers, ttft_p95_share_at_16,
schema_valid_share, schema_valid_unmasked, mask_overhead, demo_seconds_before, demo_seconds_after`, of several models the worst;
what was not measured is null. Needs `llama-cpp-python` and `gguf` for llama.cpp's side, and the data of SADARI_DATA for the
schemas; no network. The machine must have nothing else to do.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from bandwidth import copy_rate
from compare import compare_batch, compare_streams, compare_users
from peer import Setting
from plan import FULL, QUICK, Subject
from processes import HERE, Processes
from report import F16, Q8, Line, figures_of, rich_table, table_rows, write_record
from rich.console import Console
from settings import best_settings, gguf_files, installed
from shapes import SHAPES, model_folder
from workloads import WORKLOADS

DATA = Path(os.environ.get("SADARI_DATA", HERE.parents[2] / "shared" / "data"))
ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
"""Of this program before it imports torch, and of every cell: nothing fetched, no threads beside those of torch."""

MASKS, HALVED = "e", "f"
PEER = "transformers"

WALKS = {False: 1000, True: 100}
"""Answers held to schemas, by whether the run is quick."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; the exit code is 0 unless sadari's side fails."""
    given = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args(given)
    os.environ |= ENVIRONMENT | {"OMP_NUM_THREADS": str(options.threads)}
    shapes = options.shapes or ("mini", "qwen2.5-0.5b-3" if options.quick else "qwen2.5-0.5b")
    started, rate = time.perf_counter(), copy_rate()
    processes = Processes(
        [f"{_machine(options.threads)}; memory copied at {rate / 1e9:.1f} GB/s", *(f"{s}: {SHAPES[s].told}" for s in shapes)]
    )
    with nullcontext(options.models) if options.models else tempfile.TemporaryDirectory(prefix="sadari-bench-") as root:
        lines = _compare(options, shapes, Path(root), rate, processes)
        masks = _masks(shapes, Path(root), WALKS[options.quick], processes) if MASKS in options.workloads else {}
        if HALVED in options.workloads:
            _halved(processes)
    told = [*processes.told, *sorted({line.found.told for line in lines if line.tool in (F16, Q8)})]
    rows, figures = table_rows(lines), figures_of(lines, masks, (options.demo_before, options.demo_after))
    seconds = f"{time.perf_counter() - started:.0f} s"
    console = Console(width=200)
    console.print(rich_table(rows))
    console.print("\n".join([*told, seconds]))
    if options.record:
        write_record(
            options.record, rows, [f"`{' '.join(['python benchmarks/generation/run.py', *given])}`, {seconds}", *told], figures
        )
    print(json.dumps(figures))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick", action="store_true", help="Fewer requests, a cut model, no search for settings; under 6 minutes."
    )
    workloads = {key: workload.told for key, workload in WORKLOADS.items()} | {
        MASKS: "answers held to JSON Schemas",
        HALVED: "bfloat16",
    }
    parser.add_argument(
        "--workloads",
        type=lambda text: _names(text, workloads, "workload"),
        default=tuple(workloads),
        help="; ".join(f"{key}: {told}" for key, told in workloads.items()),
    )
    parser.add_argument("--shapes", type=lambda text: _names(text, SHAPES, "model"), help=f"Some of {','.join(SHAPES)}.")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="Of every tool; all cores unless something else runs.")
    parser.add_argument("--models", type=Path, help="Folder that keeps the models with random weights for the next run.")
    parser.add_argument("--demo-before", type=float, metavar="SECONDS", help="What `make demo` took before, for the last line.")
    parser.add_argument("--demo-after", type=float, metavar="SECONDS", help="What `make demo` takes now.")
    parser.add_argument(
        "--record", type=Path, help="Page that gets the table, between its generation:start and generation:end marks."
    )
    return parser


def _names(text: str, known: Iterable[str], what: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(text.split(",")))
    unknown = [name for name in names if name not in known]
    if unknown:
        raise argparse.ArgumentTypeError(f"there is no {what} {unknown[0]!r}; name some of {','.join(known)}")
    return names


def _compare(options: argparse.Namespace, shapes: Sequence[str], root: Path, rate: float, processes: Processes) -> list[Line]:
    """The lines of every model, in the order of the workloads asked for."""
    lines: list[Line] = []
    known: dict[str, Setting] = {}
    keys = [key for key in options.workloads if key in WORKLOADS]
    for shape in shapes if keys else ():
        plan = (QUICK if options.quick else FULL)[SHAPES[shape].is_large]
        folder = model_folder(shape, root)
        files = gguf_files(folder, root / shape, processes)
        known = best_settings(Subject(shape, plan, folder, files), known, processes)
        subject = Subject(shape, plan, folder, files, known)
        for key in keys:
            if key == "c":
                lines += compare_users(subject, processes)
            elif key == "d":
                lines += compare_streams(subject, rate, processes)
            else:
                lines += compare_batch(key, subject, processes)
    return lines


def _masks(shapes: Sequence[str], root: Path, count: int, processes: Processes) -> dict[str, Any]:
    """Validity and cost of answers held to schemas, as far as they can be measured."""
    walks: dict[str, Any] = {}
    if DATA.is_dir():
        walks = processes.run("masks.py", {"what": "walks", "model": "mini", "data": str(DATA), "count": count}) or {}
    else:
        processes.tell(f"schemas: not measured: there is no data at {DATA}; set SADARI_DATA to the folder that holds it")
    if walks:
        valid = f"{walks['valid']:.1%} valid; without masks, on {walks['free']} of them, {walks['unmasked']:.1%}"
        processes.tell(f"mini, {walks['count']} schemas of BFCL and FunctionChat: {valid}")
        for fault in walks["faults"]:
            processes.tell(f"not valid: {fault}")
        for tool in walks["refused"]:
            processes.tell(f"left out: no value fits the schema of {tool}, and the request says so")
    shape = next((shape for shape in shapes if SHAPES[shape].is_large), shapes[-1])
    cost = processes.run("masks.py", {"what": "overhead", "model": str(model_folder(shape, root))}) or {}
    if cost:
        processes.tell(f"{shape}: a step of 8 rows {cost['free_s'] * 1e3:.1f} ms, held to a schema {cost['held_s'] * 1e3:.1f} ms")
    return walks | cost


def _halved(processes: Processes) -> None:
    """Tell how many answers stay the same in bfloat16."""
    found = processes.run("halved.py", {"what": "bfloat16", "count": 32})
    if found:
        told = "; ".join(f"{tool} {found[tool]['same']:.0%} ({found[tool]['tokens']:.0%} of tokens)" for tool in ("sadari", PEER))
        processes.tell(f"mini in bfloat16, {found['count']} answers in a batch that are as alone: {told}")


def _machine(threads: int) -> str:
    names = ("sadari", "transformers", "torch", "llama-cpp-python", "gguf", "llguidance")
    packages = ", ".join(f"{name} {installed(name) or 'absent'}" for name in names)
    return f"{threads} threads on {os.cpu_count()} CPU cores, {packages}"


if __name__ == "__main__":
    sys.exit(main())
