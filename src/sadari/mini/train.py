"""Train `mini` from scratch on a CPU: `python -m sadari.mini.train --hours 8` does everything, and resumes.

Warm-up, constant rate, and a decay that is a run of its own (`--decay-minutes`), started from any checkpoint: so there
is a usable model whenever one is wanted, and the constant run can go on afterwards. Adam, since larger or orthogonalised
updates soon destroy the starting circuits (`docs/experiments.md`).
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
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor

from sadari.mini import MINI_PATH
from sadari.mini.batches import Batch, stream
from sadari.mini.curriculum import Curriculum
from sadari.mini.initial import initialise, landmarks
from sadari.mini.layout import Decoder, Shape

LOGGED_STEPS = 20
SAVED_SECONDS = 180


def save_weights(state: dict[str, Tensor], folder: Path) -> None:
    """Write `model.safetensors` in bfloat16 into a `transformers` folder, replacing the old file at once."""
    path = folder / "model.safetensors"
    temporary = path.with_suffix(".tmp")
    save_file(
        {name: tensor.to(torch.bfloat16).contiguous() for name, tensor in state.items()}, temporary, metadata={"format": "pt"}
    )
    temporary.chmod(0o644)
    os.replace(temporary, path)


def read_weights(folder: Path) -> dict[str, Tensor]:
    """The weights in a `transformers` folder, float32, for `Decoder.load_state_dict`."""
    stored = load_file(folder / "model.safetensors")
    return {name: tensor.float() for name, tensor in stored.items() if not name.startswith("lm_head")}


class Training:
    """All that a checkpoint holds: the model, the moving average of its weights, the optimiser, and how far it is."""

    def __init__(self, tokenizer: Tokenizer, seed: int) -> None:
        self.model = Decoder(Shape())
        initialise(self.model, seed, marks=landmarks(tokenizer))
        self.optimiser = torch.optim.AdamW(
            self.model.parameters(), lr=1.0, betas=(0.9, 0.98), eps=1e-9, weight_decay=0.0, fused=True
        )
        self.average = {name: p.detach().clone() for name, p in self.model.state_dict().items()}
        self.step = self.tokens = 0
        self.seconds = 0.0

    def start_from(self, source: Path) -> None:
        """Go on from a checkpoint, or begin with the weights of a `transformers` folder."""
        if source.is_dir():
            self.model.load_state_dict(read_weights(source))
            self.average = {name: p.detach().clone() for name, p in self.model.state_dict().items()}
            return
        saved = torch.load(source, weights_only=True)
        self.model.load_state_dict(saved["model"])
        self.optimiser.load_state_dict(saved["optimiser"])
        self.average = saved["average"]
        self.step, self.tokens, self.seconds = saved["step"], saved["tokens"], saved["seconds"]

    def save(self, path: Path) -> None:
        """Write a checkpoint, whole or not at all."""
        temporary = path.with_suffix(".tmp")
        state: dict[str, Any] = {
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "average": self.average,
        }
        torch.save({**state, "step": self.step, "tokens": self.tokens, "seconds": self.seconds}, temporary)
        os.replace(temporary, path)

    def learn(self, batch: Batch, rate: float) -> tuple[Tensor, float]:
        """One step; returns the loss (nats) at each of the batch's places, and the gradient's norm."""
        losses = self.model.losses(self.model(batch.ids), batch.positions, batch.targets, batch.among)
        (losses * batch.weights).sum().backward()
        norm = float(torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0))
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.step += 1
        self.tokens += batch.ids.numel()
        if self.step % 4 == 0:
            with torch.no_grad():
                for name, p in self.model.state_dict().items():
                    self.average[name].lerp_(p, 1 - 0.995**4)
        return losses.detach(), norm


class Log:
    """Gathers losses and writes a line of JSON every `LOGGED_STEPS` steps.

    `loss` is that of the first token of answers, by skill; `opening` the same among the tokens that an answer may begin
    with, where these are known, and `blind` what a guess would have.
    """

    def __init__(self, path: Path, tokens: int) -> None:
        self._path = path
        self._clear(tokens)

    def _clear(self, tokens: int) -> None:
        self._tokens, self._time = tokens, time.monotonic()
        self._sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        self._opening: list[float] = []
        self._blind: list[float] = []

    def add(self, batch: Batch, losses: Tensor) -> None:
        first = batch.weights >= batch.weights.max() * 0.999
        for i, skill in enumerate(batch.skills):
            chosen = losses[(batch.row_of == i) & first]
            self._sums[skill][0] += float(chosen.sum())
            self._sums[skill][1] += chosen.numel()
        self._opening += [float(losses[at]) for at, _ in batch.among]
        self._blind += [math.log(len(ids)) for _, ids in batch.among]

    def write(self, training: Training, rate: float, norm: float) -> None:
        now = time.monotonic()
        entry: dict[str, Any] = {
            "step": training.step,
            "tokens": training.tokens,
            "seconds": round(training.seconds),
            "rate": round(rate, 6),
            "norm": round(norm, 3),
            "tokens_per_s": round((training.tokens - self._tokens) / (now - self._time)),
            "loss": {skill: round(total / max(count, 1), 3) for skill, (total, count) in sorted(self._sums.items())},
        }
        if self._opening:
            entry["opening"], entry["blind"] = round(fmean(self._opening), 3), round(fmean(self._blind), 3)
        with self._path.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(entry) + "\n")
        self._clear(training.tokens)


def train(training: Training, tokenizer: Tokenizer, options: argparse.Namespace) -> None:
    """Steps until the time is over or a signal asks to stop; the checkpoint is then up to date."""
    curriculum = Curriculum(tokenizer)
    random = Random(options.seed + 7919 * training.step + 1)
    batches = stream(lambda r: curriculum.draw(r, training.tokens), random, pool=60_000, tokens_per_step=options.tokens_per_step)
    stopping: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda n, _: stopping.append(n))
    checkpoint = options.folder / "checkpoint.pt"
    log = Log(options.folder / "log.jsonl", training.tokens)
    began = saved = time.monotonic()
    before, first = training.seconds, training.step
    while not stopping and (elapsed := time.monotonic() - began) < options.hours * 3600:
        factor = min(1.0, (training.step - first + 1) / options.warmup_steps)
        if options.decay_minutes:
            factor = min(factor, 1 - elapsed / (options.decay_minutes * 60))
            if factor <= 0:
                break
        batch = next(batches)
        losses, norm = training.learn(batch, options.learning_rate * factor)
        log.add(batch, losses)
        training.seconds = before + time.monotonic() - began
        if training.step % LOGGED_STEPS == 0:
            log.write(training, options.learning_rate * factor, norm)
        if time.monotonic() - saved > SAVED_SECONDS:
            training.save(checkpoint)
            saved = time.monotonic()
    training.save(checkpoint)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=8.0, help="Wall clock of this call; training resumes in the next.")
    parser.add_argument("--folder", type=Path, default=Path("mini-run"), help="Checkpoints and log.")
    parser.add_argument(
        "--start-from", type=Path, help="Checkpoint, or `transformers` folder, to begin with when the folder has no checkpoint."
    )
    parser.add_argument("--seen", type=int, default=0, help="Tokens that the weights of a `transformers` folder have seen.")
    parser.add_argument(
        "--decay-minutes", type=float, default=0.0, help="Bring the rate down to zero in this time, write the weights, and end."
    )
    parser.add_argument("--weights", type=Path, default=None, help="`transformers` folder that receives the weights at the end.")
    parser.add_argument("--tokens-per-step", type=int, default=3072)
    parser.add_argument("--learning-rate", type=float, default=6e-4)
    parser.add_argument("--warmup-steps", type=int, default=60, help="Steps over which the rate rises, in every call.")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    options.folder.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer.from_file(str(MINI_PATH / "tokenizer.json"))
    training = Training(tokenizer, options.seed)
    checkpoint = options.folder / "checkpoint.pt"
    source = checkpoint if checkpoint.exists() else options.start_from
    if source:
        training.tokens = options.seen
        training.start_from(source)
    train(training, tokenizer, options)
    if options.weights:
        save_weights(training.model.state_dict() if options.decay_minutes else training.average, options.weights)


if __name__ == "__main__":
    main()
