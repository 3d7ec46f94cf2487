"""Safety in numbers: `make bench-safety`, or `python benchmarks/safety/run.py [--quick]`.

Prints one line of JSON: `attacks_total, attacks_succeeded, crash_points, effects_repeated, effects_lost, approvals_lost,
step_p95_ms, spider_gold_passed, bfcl_scored, mall_success_tuned, mall_success_prompt`; on stderr a table of the attacks by
kind, those that succeeded, and why a figure is null. Ends with 1 if an attack succeeded, or an effect or an approval was
repeated or lost.

Spider and BFCL are read from `SADARI_DATA` or `--data`, and null without it. The mall's shares are those of the newest finished
climb of `examples/mall/orders.yaml`, which is not climbed here. `--quick` takes all attacks, and a tenth of the crash points,
of the gold queries and of the rows of BFCL.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.append(str(Path(__file__).parents[1] / "tools"))

from attacks import ROOT, Tally, run_attacks
from crashes import kill
from overhead import figures as overhead_figures
from rich.console import Console
from rich.table import Table
from spider import measure as measure_gold

POINTS, QUICK_POINTS = 200, 20
EVERY, QUICK_EVERY = 1, 10
QUICK_GOLD = 200
TUNED = ("lora", "qlora", "full", "adapter", "ia3", "prompt_tuning", "prefix", "distil", "dpo")
_CONSOLE = Console(width=132, stderr=True, highlight=False)


def main() -> int:
    """Run everything; 1 if anything that must not happen happened."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    shared = Path(os.environ.get("SADARI_DATA", ROOT.parent / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=shared, help="folder that holds text2sql-spiderman and bfcl")
    parser.add_argument("--mall", type=Path, default=ROOT / "examples" / "mall" / "runs", help="folder with the climbs of the mall")
    parser.add_argument("--quick", action="store_true", help="a tenth of all but the attacks, under 3 minutes")
    options = parser.parse_args()
    figures = _crashes(QUICK_POINTS if options.quick else POINTS)  # first: it forks, and nothing has threads yet
    figures = _attacks() | figures
    figures["step_p95_ms"] = overhead_figures()["step_p95_ms"]
    figures |= _spider(options.data / "text2sql-spiderman", QUICK_GOLD if options.quick else None)
    figures |= _bfcl(options.data, QUICK_EVERY if options.quick else EVERY)
    figures |= mall_figures(options.mall)
    print(json.dumps(figures))
    bad = ("attacks_succeeded", "effects_repeated", "effects_lost", "approvals_lost")
    return int(any(figures[name] for name in bad))


def _crashes(points: int) -> dict[str, Any]:
    found = kill(points)
    _CONSOLE.print(f"crashes: {found}")
    lost = found.effects_lost + found.runs_lost
    return {
        "crash_points": points,
        "effects_repeated": found.effects_repeated,
        "effects_lost": lost,
        "approvals_lost": found.approvals_lost,
    }


def _attacks() -> dict[str, Any]:
    tallies = run_attacks()
    _show(tallies)
    return {
        "attacks_total": sum(tally.total for tally in tallies),
        "attacks_succeeded": sum(len(tally.succeeded) for tally in tallies),
    }


def _show(tallies: Sequence[Tally]) -> None:
    table = Table("attacks", "run", "succeeded", "skipped")
    for tally in tallies:
        table.add_row(tally.kind, str(tally.total), str(len(tally.succeeded)), str(len(tally.skipped)))
    _CONSOLE.print(table)
    for tally in tallies:
        for name in tally.succeeded:
            _CONSOLE.print(f"SUCCEEDED, {tally.kind}: {name}", markup=False)


def _spider(data: Path, most: int | None) -> dict[str, Any]:
    if not data.is_dir():
        return _missing("spider_gold_passed", f"no data at {data}")
    found = measure_gold(data, most, with_grammar=False)
    _CONSOLE.print(f"Spider: {found['spider_gold']} gold queries, {found['spider_same_result']:.2%} with the same result")
    return {"spider_gold_passed": found["spider_gold_passed"]}


def _bfcl(data: Path, every: int) -> dict[str, Any]:
    if not (data / "bfcl").is_dir():
        return _missing("bfcl_scored", f"no data at {data / 'bfcl'}")
    from agent_calls import act, oracle, read_bfcl

    made = [one for benchmark in read_bfcl(data) for one in act(benchmark, oracle, every)]
    right = sum(one.is_right for one in made)
    _CONSOLE.print(f"BFCL: {right} of {len(made)} rows are right when the gold is said; the others' gold breaks its own rules")
    return {"bfcl_scored": right}


def mall_figures(runs: Path) -> dict[str, Any]:
    """Shares of full task success by the newest finished climb that is scored so: of the prompt, and of what tuning made of it.

    The tuned system is the last one taken; if none was, the last one built.
    """
    steps = _newest_steps(runs)
    tuned = [step for step in steps if step["rung"] in TUNED]
    tuned = [step for step in tuned if step["taken"]] or tuned
    prompts = [step for step in steps if step["rung"] == "prompt"]
    found = {"mall_success_tuned": tuned, "mall_success_prompt": prompts}
    figures: dict[str, Any] = {}
    for name, of in found.items():
        figures |= {name: round(of[-1]["quality"], 4)} if of else _missing(name, f"no finished climb of orders.yaml in {runs}")
    return figures


def _newest_steps(runs: Path) -> list[dict[str, Any]]:
    finished = sorted((p.parent for p in runs.glob("*/report.json") if p.parent.name.isdigit()), key=lambda p: int(p.name))
    for run in reversed(finished):
        task = json.loads((run / "config.json").read_text(encoding="utf-8"))["task"]
        if task["score"]["by"] == "task":
            steps: list[dict[str, Any]] = json.loads((run / "report.json").read_text(encoding="utf-8"))["steps"]
            return steps
    return []


def _missing(name: str, why: str) -> dict[str, Any]:
    _CONSOLE.print(f"{name} is null: {why}.", markup=False)
    return {name: None}


if __name__ == "__main__":
    raise SystemExit(main())
