"""Train `mini` from scratch on a CPU: `python -m sadari.mini.train --hours 8` does everything, and resumes.

Warm-up, constant rate, and a decay that is a run of its own (`--decay-minutes`), started from any checkpoint: so there
is a usable model whenever one is wanted, and the constant run can go on afterwards.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import time
from collections import defaultdict
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor

from sadari.mini import MINI_PATH
from sadari.mini.batches import stream
from sadari.mini.curriculum import Curriculum
from sadari.mini.initial import initialise, landmarks
from sadari.mini.layout import Decoder, Shape
from sadari.mini.optimise import MuonAdam


def save_weights(state: dict[str, Tensor], folder: Path) -> None:
    """Write `model.safetensors` in bfloat16 into a `transformers` folder, replacing the old file at once."""
    path = folder / "model.safetensors"
    temporary = path.with_suffix(".tmp")
    save_file(
        {name: tensor.to(torch.bfloat16).contiguous() for name, tensor in state.items()}, temporary, metadata={"format": "pt"}
    )
    temporary.chmod(0o644)
    os.replace(temporary, path)


class Average:
    """Exponential moving average of the weights, for evaluation and snapshots."""

    def __init__(self, model: Decoder, decay: float = 0.995) -> None:
        self.state = {name: p.detach().clone() for name, p in model.state_dict().items()}
        self._decay = decay

    @torch.no_grad()
    def update(self, model: Decoder, every: int) -> None:
        for name, p in model.state_dict().items():
            self.state[name].lerp_(p, 1 - self._decay**every)


def save_checkpoint(path: Path, payload: dict[str, Any]) -> None:
    temporary = path.with_suffix(".tmp")
    torch.save(payload, temporary)
    os.replace(temporary, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=8.0, help="Wall clock of this call; training resumes in the next.")
    parser.add_argument("--folder", type=Path, default=Path("mini-run"), help="Checkpoints and log.")
    parser.add_argument("--start-from", type=Path, help="Checkpoint to begin with when the folder has none.")
    parser.add_argument(
        "--decay-minutes", type=float, default=0.0, help="Bring the rate down to zero in this time, write the weights, and end."
    )
    parser.add_argument("--weights", type=Path, default=None, help="`transformers` folder that receives the weights at the end.")
    parser.add_argument("--tokens-per-step", type=int, default=3072)
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    parser.add_argument("--warmup-steps", type=int, default=100)
    parser.add_argument("--adam", action="store_true", help="Adam for everything, for comparison.")
    parser.add_argument("--compile", action="store_true", help="Compile the forward and backward pass (needs a C++ compiler).")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    options.folder.mkdir(parents=True, exist_ok=True)
    checkpoint = options.folder / "checkpoint.pt"
    model = Decoder(Shape())
    tokenizer = Tokenizer.from_file(str(MINI_PATH / "tokenizer.json"))
    initialise(model, options.seed, marks=landmarks(tokenizer))
    optimiser = MuonAdam(model, muon=not options.adam)
    average = Average(model)
    step = tokens = 0
    seconds = 0.0
    source = checkpoint if checkpoint.exists() else options.start_from
    if source:
        saved = torch.load(source, weights_only=True)
        model.load_state_dict(saved["model"])
        optimiser.load_state_dict(saved["optimiser"])
        average.state = saved["average"]
        step, tokens, seconds = saved["step"], saved["tokens"], saved["seconds"]

    curriculum = Curriculum(tokenizer)
    batches = stream(
        lambda r: curriculum.draw(r, tokens),
        Random(options.seed + 7919 * step + 1),
        pool=60_000,
        tokens_per_step=options.tokens_per_step,
    )
    run = torch.compile(model, dynamic=True) if options.compile else model
    stopping: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda n, _: stopping.append(n))

    def save() -> None:
        save_checkpoint(
            checkpoint,
            {
                "model": model.state_dict(),
                "optimiser": optimiser.state_dict(),
                "average": average.state,
                "step": step,
                "tokens": tokens,
                "seconds": seconds,
            },
        )

    began = last_saved = last_logged = time.monotonic()
    start_seconds = seconds
    opening: list[float] = []
    chance: list[float] = []
    sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    logged_tokens = tokens
    with (options.folder / "log.jsonl").open("a", encoding="utf-8") as log:
        while not stopping:
            now = time.monotonic()
            elapsed = now - began
            if elapsed > options.hours * 3600:
                break
            factor = min(1.0, (step + 1) / options.warmup_steps)
            if options.decay_minutes:
                factor = min(factor, 1 - elapsed / (options.decay_minutes * 60))
                if factor <= 0:
                    break
            batch = next(batches)
            hidden = run(batch.ids)
            losses = model.losses(hidden, batch.positions, batch.targets, batch.among)
            (losses * batch.weights).sum().backward()
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step(options.learning_rate * factor, options.learning_rate * factor)
            model.zero_grad(set_to_none=True)
            step += 1
            tokens += batch.ids.numel()
            if step % 4 == 0:
                average.update(model, 4)
            full = batch.weights >= batch.weights.max() * 0.999
            for i, skill in enumerate(batch.skills):
                chosen = losses.detach()[(batch.row_of == i) & full]
                sums[skill][0] += float(chosen.sum())
                sums[skill][1] += chosen.numel()
            for at, ids in batch.among:
                chance.append(math.log(len(ids)))
                opening.append(float(losses.detach()[at]))
            if step % 20 == 0:
                seconds = start_seconds + time.monotonic() - began
                now = time.monotonic()
                entry: dict[str, Any] = {
                    "step": step,
                    "tokens": tokens,
                    "seconds": round(seconds),
                    "rate": round(options.learning_rate * factor, 6),
                    "norm": round(float(norm), 3),
                    "tokens_per_s": round((tokens - logged_tokens) / (now - last_logged)),
                    "loss": {k: round(a / max(n, 1), 3) for k, (a, n) in sorted(sums.items())},
                }
                if opening:  # which sentence an answer quotes: nats, beside those of a blind guess
                    entry["opening"], entry["blind"] = round(fmean(opening), 3), round(fmean(chance), 3)
                    opening, chance = [], []
                log.write(json.dumps(entry) + "\n")
                log.flush()
                sums.clear()
                last_logged, logged_tokens = now, tokens
                if now - last_saved > 180:
                    save()
                    last_saved = now
    seconds = start_seconds + time.monotonic() - began
    save()
    if options.weights:
        save_weights(model.state_dict() if options.decay_minutes else average.state, options.weights)


if __name__ == "__main__":
    main()
