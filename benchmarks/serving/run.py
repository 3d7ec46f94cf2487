"""The server under load and under fire: `make bench-serving`, or `python benchmarks/serving/run.py [--quick]`.

Prints one line of JSON: `requests, failed, lost_events, doubled_events, ttft_p95_ms, overhead_p95_ms, kills, acknowledged_lost`,
and what else was measured, as README.md says; on stderr what goes on. Ends with 1 if a request failed under load, if an event was
lost or doubled, or an acknowledged question lost, or if a place was not freed. `--quick` takes 40 seconds of load, 4 kills, and a
quarter of the rounds of the overhead: under 3 minutes.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import kills
import load
import overhead

LOAD_S, QUICK_LOAD_S = 300.0, 40.0
OVERLOAD_S, QUICK_OVERLOAD_S = 30.0, 10.0
KILLS, QUICK_KILLS = 20, 4

MUST_BE_NONE = ("failed", "lost_events", "doubled_events", "acknowledged_lost", "log_faults", "left_running")
MUST_BE_FREED = ("recovery_s", "slow_freed_s", "dropped_freed_s")


def main() -> int:
    """Run everything; 1 if anything that must not happen happened."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="less of everything, under 3 minutes")
    told = figures(is_quick=parser.parse_args().quick)
    print(json.dumps(told, ensure_ascii=False))
    return int(is_bad(told))


def figures(*, is_quick: bool) -> dict[str, Any]:
    """All figures; what several parts count is added up."""
    with tempfile.TemporaryDirectory() as name:
        folders = [Path(name) / part for part in ("overhead", "load", "kills")]
        for folder in folders:
            folder.mkdir()
        added = overhead.figures(folders[0], overhead.QUICK_ROUNDS if is_quick else overhead.ROUNDS)
        _tell("overhead", added)
        loaded = load.figures(folders[1], *((QUICK_LOAD_S, QUICK_OVERLOAD_S) if is_quick else (LOAD_S, OVERLOAD_S)))
        _tell("load", loaded)
        killed = kills.figures(folders[2], QUICK_KILLS if is_quick else KILLS)
        _tell("kills", killed)
    return joined(added, loaded, killed)


def joined(added: dict[str, Any], loaded: dict[str, Any], killed: dict[str, Any]) -> dict[str, Any]:
    """The figures of the three parts in one, the promised ones first."""
    told = {name: loaded[name] for name in ("requests", "failed")}
    for name in ("lost_events", "doubled_events"):
        told[name] = loaded[name] + killed[name]
    told["ttft_p95_ms"] = loaded["ttft_p95_ms"]
    told["overhead_p95_ms"] = added["overhead_p95_ms"]
    told["kills"] = killed["kills"]
    told["acknowledged_lost"] = loaded.pop("acknowledged_lost_in_load") + killed["acknowledged_lost"]
    for name in ("log_faults", "left_running"):
        told[name] = loaded[name] + killed[name]
    under_fire = {f"{name}_under_kills": killed[name] for name in ("acknowledged", "answered", "cut_off")}
    return told | {name: value for name, value in (loaded | added | under_fire).items() if name not in told}


def is_bad(told: dict[str, Any]) -> bool:
    """Whether something happened that must not, or nothing happened at all."""
    if not (told["requests"] and told["answered_under_kills"]):
        return True
    return any(told[name] for name in MUST_BE_NONE) or any(told[name] is None for name in MUST_BE_FREED)


def _tell(part: str, told: dict[str, Any]) -> None:
    print(f"{part}: {json.dumps(told, ensure_ascii=False)}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
