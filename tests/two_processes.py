"""Scenes that run in one process or in several that share their work, and what starts the several."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from one_by_one import rows_of, tiny
from sadari.errors import TrainingError
from sadari.model.local import LocalModel
from sadari.train import FullConfig, Learner, LoraConfig, Row, TuneConfig, attach
from sadari.train.batching import Item
from sadari.train.job import Job, Plan
from sadari.train.methods import Method
from sadari.train.order import Start, fit_shared, fit_together, together
from sadari.train.parallel import current, divided, full, join
from sadari.train.preference import Preference
from sadari.types import Message, Request

LONG = "abcdefghijkLMNOPQRST"
TEXTS = ("abcDEF", "abcDGH", "abxYZ", "qwerTY", "qwerTZ", "lmnoPQRST", LONG, "zyxwVU")

Case = tuple[Method, TuneConfig, dict[str, Any]]
CASES: dict[str, Case] = {
    "lora": ("lora", LoraConfig(rank=4), {}),
    "full": ("full", FullConfig(), {}),
    "full, tied": ("full", FullConfig(), {"tie_word_embeddings": True}),
    "last layers, tied": ("full", FullConfig(last_layers=2), {"tie_word_embeddings": True}),
    "preferences": ("lora", LoraConfig(rank=4), {}),
}


def steps() -> list[list[Item]]:
    """One step of all rows, one of a single row, one of two that differ much in length, and one of three."""
    items: list[Item] = [(row,) for row in rows_of(*TEXTS)]
    return [items, items[:1], items[5:7], items[2:5]]


def pairs() -> list[list[Item]]:
    """The same with pairs."""
    rows = rows_of("abcDEF", "abcXY", "qweRT", "qweZ")
    rows = [type(row)(f"pair {i // 2}", row.ids, row.weights) for i, row in enumerate(rows)]
    first, second = (rows[0], rows[1]), (rows[2], rows[3])
    return [[first, second], [first], [second], [second, first]]


def curve(case: str) -> dict[str, Any]:
    """Losses of eight steps, the size of the first gradient, the loss after them, and what was counted."""
    method, config, changes = CASES[case]
    attached = attach(method, tiny("gemma3", **changes), config, seed=0)
    preference = Preference(0.5, {"pair 0": 0.1, "pair 1": -0.2})
    objective, batches = (preference, pairs()) if case == "preferences" else (None, steps())
    learner = Learner(attached.model, packed_tokens=24)
    losses, norms = [], []
    with divided(learner, attached.parameters) as shards:
        optimizer = torch.optim.AdamW(shards.parameters.values(), lr=1e-3 if method == "full" else 1e-2)
        for items in batches * 2:
            losses.append(shards.learner.step(items, objective))
            norms.append(float(full(torch.nn.utils.clip_grad_norm_(shards.parameters.values(), 1.0))))
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            shards.learner.mean_loss(items, objective)  # must leave nothing behind
        tokens = learner.counted.before
        with shards.put_together():
            # As when validation is looked at: the first process alone.
            looked = current().first(lambda: (learner.mean_loss(batches[0], objective),))
    after = learner.mean_loss(batches[0], objective)
    return {"losses": losses, "norms": norms, "looked": looked[0], "after": after, "tokens": tokens}


def curves(folder: Path) -> dict[str, Any]:
    """Of every case."""
    return {case: curve(case) for case in CASES}


RUNS: dict[str, Case] = {"lora": CASES["lora"], "full": ("full", FullConfig(checkpointing=True), CASES["full, tied"][2])}


class KilledError(Exception):
    """Stands for what ends a process in the middle of a run."""


def run(name: str, folder: Path, *, looks: int) -> dict[str, Any]:
    """A run of twelve steps with three looks, killed after the first of them if only one may be made; saved at its end."""
    method, config, changes = RUNS[name]
    config = config.model_copy(update={"batch_tokens": 64, "epochs": 40, "looks": 3})
    attached = attach(method, tiny("gemma3", **changes), config, seed=0)
    learner = Learner(attached.model, packed_tokens=24)
    items: list[Item] = [(row,) for row in rows_of(*TEXTS)]
    made = 0

    def look() -> tuple[float, float]:
        nonlocal made
        made += 1
        if made > looks:
            raise KilledError
        loss = learner.mean_loss(items[:3])
        return -loss, loss

    job = Job(learner, attached.parameters, items, config, folder / name, seed=3)
    try:
        trained = fit_shared(job, Plan(12, 1e-2 if name == "lora" else 1e-3, 1.0, "steps"), look)
    except (KilledError, TrainingError):
        return {}
    if current().is_first:
        attached.save(folder / name / "saved")
    return {"training": trained.curves[0].points, "validation": trained.curves[1].points, "looks": made}


def begun(folder: Path) -> dict[str, Any]:
    """Runs that are killed."""
    return {name: run(name, folder, looks=1) for name in RUNS}


def ended(folder: Path) -> dict[str, Any]:
    """The same, to their end, from wherever they stand."""
    return {name: run(name, folder, looks=3) for name in RUNS}


def ordered(folder: Path) -> dict[str, Any]:
    """A command that tunes the model in the folder; alone if there is one process."""
    found: dict[str, Any] = {}

    def command() -> None:
        local = LocalModel(folder / "model")
        attached = attach("lora", local.model, LoraConfig(rank=4), seed=0)
        config = LoraConfig(rank=4, batch_tokens=64, looks=1)
        learner = Learner(attached.model, packed_tokens=32)
        soft = Row("soft", (1, 2, 3), (0.0, 0.5, 1.0), ((), (2, 5), ()), ((), ((2, 0.75), (5, 0.25)), ((3, 1.0),)))
        items: list[Item] = [(row,) for row in (*rows_of(*TEXTS), soft)]
        job = Job(learner, attached.parameters, items, config, folder / f"run-{current().size}", seed=3)
        start = Start(str(folder / "model"), "float32", "lora")
        trained = fit_together(job, Plan(6, 1e-2, 1.0, "steps"), lambda: (0.0, learner.mean_loss(items)), start)
        found["training"] = trained.curves[0].points
        found["answers"] = [g.text for g in local.generate([Request((Message("user", "환불 규정"),), max_new_tokens=8)])]

    together(command)
    return found


def failure(folder: Path) -> dict[str, Any]:
    """The first process fails where the others wait for it."""
    try:
        current().first(lambda: (1 / 0,))
    except Exception as error:
        return {"error": type(error).__name__}
    return {}


SCENES: dict[str, Callable[[Path], dict[str, Any]]] = {
    "curves": curves,
    "begun": begun,
    "ended": ended,
    "ordered": ordered,
    "failure": failure,
}


def play(scene: str, folder: Path, size: int = 2, timeout_s: float = 300.0) -> list[dict[str, Any]]:
    """Play a scene by so many processes; what each returned, in the order of their ranks. None of them outlives this."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    processes = []
    for rank in range(size):
        world = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        paths = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
        environment = {**os.environ, **{k: str(v) for k, v in world.items()}, "OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
        log = (folder / f"log-{rank}").open("w")
        command = [sys.executable, __file__, scene, str(folder)]
        processes.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True))
    try:
        for process in processes:
            process.wait(timeout_s)
    finally:
        for process in processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    for rank, process in enumerate(processes):
        assert process.returncode == 0, (folder / f"log-{rank}").read_text()[-3000:]
    return [json.loads((folder / f"result-{rank}.json").read_text()) for rank in range(size)]


if __name__ == "__main__":
    torch.set_num_threads(1)
    rank = join().rank
    Path(sys.argv[2], f"result-{rank}.json").write_text(json.dumps(SCENES[sys.argv[1]](Path(sys.argv[2]))))
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
