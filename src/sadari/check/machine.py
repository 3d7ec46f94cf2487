"""What this machine has: memory, and how fast it computes with a model of a given size."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sadari.model.local import LocalModel
from sadari.model.shape import ModelShape
from sadari.train import FullConfig, Learner, LoraConfig, Row, attach
from sadari.train.estimate import answering_flops, training_flops, training_memory
from sadari.types import Request

SHARES = {"full": 0.8, "lora": 0.65, "answering": 0.3}
"""Share of a bare matrix product's speed that each work reaches: measured with `mini` on one core, 0.93, 0.65 and 0.33."""

PRODUCT_S = 0.2
CALIBRATED_ROWS = 16
CALIBRATED_ANSWERS = 32
"""As many as a climb asks for together."""

LONGEST_LOOK_S = 20.0
"""Seconds that one measurement may take, about: slow models are judged by fewer passes."""


@dataclass(frozen=True, slots=True)
class Machine:
    """Where the climb runs: `memory_gib` is of the accelerator, or of the machine (or its container) without one."""

    name: str
    memory_gib: float
    has_accelerator: bool


@dataclass(frozen=True, slots=True)
class Speed:
    """Floating-point operations per second that training and answering reach; `is_measured` if real passes were timed."""

    full: float
    lora: float
    answering: float
    is_measured: bool = False


def this_machine() -> Machine:
    """The accelerator if there is one, else processor and memory."""
    import torch

    if torch.cuda.is_available():
        return Machine(torch.cuda.get_device_name(), torch.cuda.get_device_properties(0).total_memory / 2**30, True)
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            limits.append(int(Path(file).read_text()))
        except (OSError, ValueError):  # no container, or "max"
            continue
    return Machine(f"processor, {torch.get_num_threads()} of {os.cpu_count()} threads", min(limits) / 2**30, False)


def guess_speed(shape: ModelShape) -> Speed:
    """The speed of a matrix product of the model's own size, timed for 0.2 seconds, times what models reach of it (`SHARES`)."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    left = torch.randn(2048, shape.hidden, device=device)
    right = torch.randn(shape.hidden, shape.intermediate, device=device)

    def product() -> None:
        (left @ right)[0, 0].item()  # waits for the device

    product()
    times, seconds = 0, 0.0
    while seconds < PRODUCT_S:
        seconds += _timed(product)
        times += 1
    flops = 2.0 * left.numel() * right.shape[1] * times / seconds
    return Speed(*(share * flops for share in SHARES.values()))


def measure_speed(model: LocalModel, shape: ModelShape, rows: Sequence[Row], requests: Sequence[Request], room_gib: float) -> Speed:
    """The speed of real passes: two training passes of each method over a few rows, and a few answers.

    The model is left with an adapter in it: load it anew to use it. A method that would not fit into `room_gib` is guessed.
    """
    guess = guess_speed(shape)
    answering = guess.answering
    if requests:
        answering = _answering_speed(model, shape, requests)
    if not rows:
        return Speed(guess.full, guess.lora, answering, True)
    batch = sorted(rows, key=lambda r: len(r.ids))[:CALIBRATED_ROWS]
    tokens = sum(len(r.ids) for r in batch)
    learnt = sum(w > 0 for r in batch for w in r.weights) / tokens
    speeds = {}
    methods: tuple[Literal["full", "lora"], ...] = ("full", "lora")
    for method in methods:
        needs = training_memory(shape, method, batch_tokens=len(batch) * max(len(r.ids) for r in batch)).gib
        flops = training_flops(shape, method, tokens, learnt_share=learnt, length=tokens / len(batch))
        speeds[method] = flops / _pass_seconds(model, batch, method) if needs < room_gib else getattr(guess, method)
    return Speed(speeds["full"], speeds["lora"], answering, True)


def _answering_speed(model: LocalModel, shape: ModelShape, requests: Sequence[Request]) -> float:
    alone = _timed(lambda: model.generate(requests[:1]))
    count = max(1, min(CALIBRATED_ANSWERS, int(LONGEST_LOOK_S / alone)))
    began = time.perf_counter()
    usage = [g.usage for g in model.generate(requests[:count])]
    seconds = time.perf_counter() - began
    return answering_flops(shape, sum(u.prompt_tokens for u in usage), sum(u.completion_tokens for u in usage)) / seconds


def _pass_seconds(model: LocalModel, batch: Sequence[Row], method: Literal["full", "lora"]) -> float:
    """Seconds of one forward and backward pass; the first, which warms up, is not counted unless it was long."""
    torch_model: Any = model.model
    attach(method, torch_model, (FullConfig if method == "full" else LoraConfig).model_validate({}), seed=0)
    learner = Learner(torch_model)
    torch_model.train()

    def one_pass() -> None:
        learner.step([(row,) for row in batch])
        torch_model.zero_grad(set_to_none=True)

    first = _timed(one_pass)
    seconds = first if first > LONGEST_LOOK_S else min(_timed(one_pass) for _ in range(2))
    torch_model.eval()
    return seconds


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
