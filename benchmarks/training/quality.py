"""Does LoRA by sadari answer as well as LoRA by PEFT and TRL? `python benchmarks/training/quality.py [--task FOLDER] [--steps N]`.

Both tune the bundled model on the same rows of a task, rendered as the task's system will be asked, in the same steps, at the same
learning rate and schedule, from the same LoRA weights. TRL learns each answer among the whole vocabulary; sadari, as in a climb,
among what the answer will be chosen among. Both are then served by sadari and scored on the same test rows. Ends with one line of
JSON.
"""

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ours import sadari_steps
from peer import CANDIDATES, peer_steps
from recipe import Recipe
from shapes import attach_lora, build_model

from sadari.answer import Answerer
from sadari.files import write_lines
from sadari.measure.scorers import score_answers
from sadari.measure.statistics import paired_interval, paired_p
from sadari.model import load_model
from sadari.model.local import LocalModel
from sadari.run import scorer_of
from sadari.rungs.baseline import baseline_system
from sadari.rungs.conversations import conversations
from sadari.rungs.tuning import served_after_tuning
from sadari.task import Task, load_task
from sadari.train import render_rows
from sadari.train.rows import Row
from sadari.types import Document, Example, Scorecard, System, Workshop

MALL = Path(__file__).parents[2] / "examples" / "mall"
ROWS = 8
"""Of one optimiser step."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Tune twice, score twice, compare."""
    options = _parser().parse_args(arguments)
    task = load_task(options.task)
    test = task.test[: options.test]
    with tempfile.TemporaryDirectory() as folder:
        system, rows = _system_and_rows(task, Path(folder))
        order = np.random.default_rng(options.seed)
        batches = [[rows[i] for i in order.choice(len(rows), ROWS, replace=False)] for _ in range(options.steps)]
        found = {}
        for tool in ("trl", "sadari"):
            adapter = Path(folder) / tool
            seconds = _tune(tool, batches, options, adapter)
            found[tool] = _scores(system.with_(adapter=adapter), task, test)
            told = f"{len(test)} test rows after {options.steps} steps of {ROWS} rows, {seconds:.0f} s"
            print(f"{tool}: {np.mean(found[tool]):.3f} on {told}")
    differences = np.array(found["sadari"]) - np.array(found["trl"])
    low, high = paired_interval(differences)
    result = {
        "task": task.name,
        "steps": options.steps,
        "trl": float(np.mean(found["trl"])),
        "sadari": float(np.mean(found["sadari"])),
        "difference": float(differences.mean()),
        "low": float(low),
        "high": float(high),
        "p": float(paired_p(found["trl"], found["sadari"])),
    }
    print(json.dumps(result))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--task", type=Path, default=MALL, help="Task folder; examples/mall if not given.")
    parser.add_argument("--steps", type=int, default=200, help="Optimiser steps of 8 rows.")
    parser.add_argument("--test", type=int, default=400, help="Test rows scored, from the first.")
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="At its peak; it falls in a line.")
    parser.add_argument("--seed", type=int, default=0, help="Of the LoRA weights and the order of the rows.")
    return parser


def _system_and_rows(task: Task, folder: Path) -> tuple[System, list[Row]]:
    """How the tuned model is asked, and the training rows rendered so."""
    documents = folder / "documents.jsonl" if task.documents else None
    if documents is not None:
        write_lines(documents, task.documents, Document)
    workshop = Workshop(task.goal, task.language, documents, task.labels, (), scorer_of(task), _no_search, _load)
    local = load_model(task.model)
    assert isinstance(local, LocalModel)
    used = conversations(task.train, None, task.seed)
    system = served_after_tuning(baseline_system(System(task.model), workshop), used, local, workshop)
    return system, list(render_rows(used, Answerer(system, local), local, 1.0).rows)


def _tune(tool: str, batches: Sequence[Sequence[Row]], options: argparse.Namespace, adapter: Path) -> float:
    """Train and save; returns the seconds of all steps."""
    model = attach_lora(build_model("mini", options.seed), options.seed)
    recipe = Recipe(options.learning_rate, warmup_steps=round(0.06 * len(batches)), seed=options.seed)
    timed = sadari_steps(model, batches, recipe) if tool == "sadari" else peer_steps(model, batches, recipe, CANDIDATES[0])
    model.save_pretrained(adapter)
    return sum(timed.seconds)


def _scores(system: System, task: Task, test: Sequence[Example]) -> list[float]:
    answers = Answerer(system, _load(system)).answer(test)
    return [score.value for score in score_answers(scorer_of(task), list(zip(test, answers, strict=True)))]


def _load(system: System) -> Any:
    return load_model(system.model, adapter=system.adapter)


def _no_search(system: System, examples: Sequence[Example]) -> Scorecard:
    raise AssertionError("nothing is chosen on validation here")


if __name__ == "__main__":
    raise SystemExit(main())
