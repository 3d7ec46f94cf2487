"""kill -9 at random moments; the same command, said again, ends with the numbers of an undisturbed run."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from small_tasks import write_label_task

KILLS = 5

# Climbs as `sadari climb` does, in small pieces and with every request slowed, so that there are many moments to be killed at.
DRIVER = """
import os, sys, time
import sadari.measurer
from sadari.model.scripted import ScriptedModel

sadari.measurer.PIECE = 4
if os.environ["TRAINS"]:
    import sadari.train.loop
    sadari.train.loop.CHECKPOINT_EVERY_S = 0.05
answer, delay_s = ScriptedModel._answer, float(os.environ["DELAY_S"])
ScriptedModel._answer = lambda self, request: (time.sleep(delay_s), answer(self, request))[1]
sys.argv = ["sadari", "climb", sys.argv[1], "--json"]
sadari.cli.main()
"""


def start_climb(task: Path, delay_s: float, *, trains: bool = False) -> subprocess.Popen[str]:
    code = f"import sadari.cli\n{DRIVER}"
    env = {**os.environ, "DELAY_S": str(delay_s), "TRAINS": "yes" if trains else "", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", code, str(task)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
    )


def finish(climb: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = climb.communicate(timeout=300)
    assert climb.returncode == 0, err
    result: dict[str, Any] = json.loads(out)
    return result


def kill_at_random(task: Path, delay_s: float, longest_s: float, seed: int, *, trains: bool = False) -> int:
    """Start and kill; the clock runs from the moment the run folder is open. Returns how often it was still at work."""
    draw, killed = random.Random(seed), 0
    for _ in range(KILLS):
        climb = start_climb(task, delay_s, trains=trains)
        assert climb.stderr is not None
        while "run folder" not in (line := climb.stderr.readline()):
            assert line, "the climb ended before it began"
        time.sleep(draw.uniform(0, longest_s))
        killed += climb.poll() is None
        os.kill(climb.pid, signal.SIGKILL)
        climb.communicate()
        check_that_files_are_whole(task)
    return killed


def check_that_files_are_whole(task: Path) -> None:
    for path in (task / "runs" / "1").rglob("*.json"):
        if not any(part.startswith(".") for part in path.parts[len(task.parts) :]):
            json.loads(path.read_text())


def outcome(task: Path) -> dict[str, Any]:
    """What a run found, without what the clock measures and where it stands."""
    run = task / "runs" / "1"
    predictions = {}
    for path in sorted((run / "predictions").iterdir()):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        predictions[path.name] = [(r["id"], r["answer"]["text"], r["answer"]["error"], r["score"], r["reason"]) for r in rows]
    verdicts = {}
    for path in sorted((run / "steps").glob("*/verdict.json")):
        verdict = json.loads(path.read_text())
        verdicts[path.parent.name] = {key: verdict[key] for key in ("outcome", "taken", "gain", "low", "high", "p_value")}
    return {"predictions": predictions, "verdicts": verdicts}


def drafts(folder: Path) -> list[Path]:
    return list(folder.rglob(".*.tmp"))


def test_a_climb_killed_five_times_ends_with_the_numbers_of_an_undisturbed_one(tmp_path: Path) -> None:
    calm, hurt = write_label_task(tmp_path / "calm"), write_label_task(tmp_path / "hurt")
    expected = finish(start_climb(calm, delay_s=0.0))
    assert kill_at_random(hurt, delay_s=0.02, longest_s=0.5, seed=1) == KILLS
    result = finish(start_climb(hurt, delay_s=0.0))
    assert outcome(hurt) == outcome(calm)
    assert [(s["rung"], s["quality"], s["verdict"], s["taken"]) for s in result["steps"]] == [
        (s["rung"], s["quality"], s["verdict"], s["taken"]) for s in expected["steps"]
    ]
    assert [p.name for p in (hurt / "runs").iterdir() if p.name.isdigit()] == ["1"]
    assert drafts(hurt) == []


@pytest.mark.slow
def test_a_climb_killed_while_it_trains_ends_with_the_numbers_of_an_undisturbed_one(
    checkpoint: Callable[[str], Path], tmp_path: Path
) -> None:
    tune = {"max_steps": 12, "validation_rows": 6, "looks": 3, "batch_tokens": 256, "learning_rate": 0.003}
    options = {"model": str(checkpoint("llama")), "ladder": [{"lora": {**tune, "rank": 4}}, {"full": tune}]}
    calm, hurt = (write_label_task(tmp_path / name, **options) for name in ("calm", "hurt"))
    expected = finish(start_climb(calm, delay_s=0.0, trains=True))
    assert [s["rung"] for s in expected["steps"]] == ["baseline", "lora", "full"]
    killed = kill_at_random(hurt, delay_s=0.0, longest_s=6.0, seed=3, trains=True)
    assert killed >= 3
    finish(start_climb(hurt, delay_s=0.0, trains=True))
    assert outcome(hurt) == outcome(calm)
    for rung in ("1-lora", "2-full"):
        plans = [(task / "runs/1/steps" / rung / "work/plan.json").read_text() for task in (calm, hurt)]
        assert plans[0] == plans[1]
