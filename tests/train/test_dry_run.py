"""A dry run on tiny models, and its error against real steps in processes of their own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from sadari.errors import TrainingError
from sadari.model.shape import shape_of
from sadari.train import Row
from sadari.train import dry_run as module
from sadari.train.advice import needs_by_trial
from sadari.train.config import FullConfig, LoraConfig
from sadari.train.dry_run import Counts, Line, Measured, dry_run
from sadari.train.learner import Learner
from sadari.train.methods import attach

PROGRAM = Path(__file__).with_name("measured_run.py")
ERROR = 0.15
ATTEMPTS = 3
"""Times on a machine that others use differ by more than the error that is tested."""

FAST = {
    "lora": {"shape": "qwen3 5M", "method": "lora", "rows": 6, "steps": 4},
    "full in batches": {"shape": "qwen3 5M", "method": "full", "rows": 6, "packed_tokens": 400, "steps": 4},
}
SLOW = {
    "lora checkpointed": {"shape": "qwen3 5M", "method": "lora", "rows": 24, "config": [["checkpointing", True]]},
    "full checkpointed": {"shape": "qwen3 16M", "method": "full", "rows": 10, "config": [["checkpointing", True]]},
    "lora, large vocabulary": {"shape": "llama 38M", "method": "lora", "rows": 12},
    "lora, large vocabulary in batches": {"shape": "llama 38M", "method": "lora", "rows": 12, "packed_tokens": 512},
    "full, large vocabulary": {"shape": "llama 38M", "method": "full", "rows": 16, "packed_tokens": 900},
    "lora, shared beginning": {"shape": "qwen3 16M", "method": "lora", "rows": 16, "shared": 400},
    "lora, one long row at once": {
        "shape": "qwen3 16M",
        "method": "lora",
        "rows": 3,
        "asked": 900,
        "said": 100,
        "packed_tokens": 900,
    },
    "last layers": {"shape": "qwen3 16M", "method": "full", "rows": 16, "config": [["last_layers", 2]]},
    "adapter": {"shape": "qwen3 16M", "method": "adapter", "rows": 12},
    "prefix": {"shape": "qwen3 5M", "method": "prefix", "rows": 16},
}


def errors_of(combination: dict[str, Any]) -> tuple[float, float]:
    """Relative errors of memory and of time."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(PROGRAM), json.dumps(combination)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    return found["said_bytes"] / found["found_bytes"] - 1, found["said_s"] / found["found_s"] - 1


@pytest.mark.parametrize("name", FAST)
def test_memory_is_told_within_15_percent(name: str) -> None:
    memory, seconds = errors_of(FAST[name])
    assert abs(memory) <= ERROR
    assert abs(seconds) <= 0.5  # of tenths of a second, beside other tests


@pytest.mark.slow
@pytest.mark.parametrize("name", [*FAST, *SLOW])
def test_memory_and_time_are_told_within_15_percent(name: str) -> None:
    found = []
    for _ in range(ATTEMPTS):
        found.append(errors_of({**FAST, **SLOW}[name]))
        if max(map(abs, found[-1])) <= ERROR:
            return
    pytest.fail(f"errors of memory and time: {found}")


# --- on a tiny model -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(checkpoint: Callable[[str], Path]) -> Path:
    return checkpoint("llama")


def rows(count: int = 12, length: int = 40) -> list[Row]:
    draw = torch.Generator().manual_seed(0)
    made = []
    for i in range(count):
        ids = torch.randint(5, 400, (length,), generator=draw).tolist()
        made.append(Row(str(i), (5 + i, *ids[1:]), (0.0,) * 20 + (1.0,) * (length - 20)))
    return made


def learner_of(folder: Path, method: Any = "lora", **options: Any) -> tuple[Learner, Any]:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    attached = attach(method, model, LoraConfig() if method == "lora" else FullConfig(), seed=0)
    return Learner(model, prefix=attached.prefix, **options), attached.parameters


@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_dry_run_leaves_weights_gradients_random_numbers_mode_and_counts_as_they_were(folder: Path, method: str) -> None:
    learner, parameters = learner_of(folder, method, packed_tokens=100)
    one = next(iter(parameters.values()))
    one.grad = torch.ones_like(one)
    weights = {name: p.detach().clone() for name, p in parameters.items()}
    learner.counted.before = 7
    state = torch.get_rng_state()
    dry_run(learner, parameters, [[(row,) for row in rows()]])
    assert all(torch.equal(p, weights[name]) for name, p in parameters.items())
    assert torch.equal(one.grad, torch.ones_like(one))
    assert [p.grad for p in list(parameters.values())[1:]] == [None] * (len(parameters) - 1)
    assert torch.equal(torch.get_rng_state(), state)
    assert not learner.model.training
    assert (learner.counted.before, learner.packed_tokens) == (7, 100)


def test_the_pieces_that_are_tried_are_a_sixteenth_and_a_quarter_of_the_largest_batch(folder: Path) -> None:
    learner, _ = learner_of(folder)
    items = [(row,) for row in rows(32)]
    whole = module._counts(learner, items)
    part = module._part(learner, items, round(whole.computed / 4))
    assert module._counts(learner, part).computed == whole.computed / 4
    assert (whole.computed, whole.predictions, whole.before) == (32 * 39, 32 * 20, 32 * 40)
    assert whole.pairs == 32 * 39 * 40 / 2


def test_of_a_row_that_is_too_long_alone_its_end_is_tried(folder: Path) -> None:
    learner, _ = learner_of(folder)
    row = Row("long", tuple(range(5, 305)), (0.0,) * 250 + (1.0,) * 20 + (0.0,) * 30)
    ((end,),) = module._part(learner, [(row,)], 60)
    assert end.ids == row.ids[209:270]
    assert sum(end.weights) == 20


def test_two_points_make_a_line_that_never_falls() -> None:
    small, large = Counts(100, 10, 0, 0), Counts(400, 40, 0, 0)
    assert module._line(small, large, (150.0, 450.0)) == Line(50.0, 1.0)
    assert module._line(small, large, (150.0, 100.0)) == Line(150.0, 0.0)
    assert module._line(small, large, (50.0, 400.0)) == Line(0.0, 1.0)


def test_full_tuning_counts_gradients_and_moments_beside_its_weights(folder: Path) -> None:
    learner, parameters = learner_of(folder, "full", packed_tokens=100)
    sizes = sum(4 * p.numel() for p in parameters.values())
    items = [(row,) for row in rows()]
    # Gradients stand beside moments where a step has several batches.
    assert dry_run(learner, parameters, [items]).state_bytes == 3 * sizes
    learner.packed_tokens = 8192
    assert dry_run(learner, parameters, [items]).state_bytes == 2 * sizes


def test_gradients_that_do_not_fit_are_told_before_anything_is_tried(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    learner, parameters = learner_of(folder, "full", packed_tokens=100)
    monkeypatch.setattr(module, "available_bytes", lambda device: 1000)
    with pytest.raises(TrainingError, match=r"gradients alone take .* Train fewer weights"):
        dry_run(learner, parameters, [[(row,) for row in rows()]])


def test_a_step_that_runs_out_of_memory_is_told_with_the_way_out(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    learner, parameters = learner_of(folder)

    def fail(rows: Any) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr(learner, "summed", fail)
    with pytest.raises(TrainingError, match=r"trial step of .* tokens .no room.* `qlora`"):
        dry_run(learner, parameters, [[(row,) for row in rows()]])
    assert all(p.grad is None for p in parameters.values())


def test_the_larger_size_is_not_tried_where_there_is_no_room_for_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    learner, parameters = learner_of(folder, packed_tokens=8192)
    tried = []
    summed = learner.summed
    monkeypatch.setattr(learner, "summed", lambda rows: tried.append(len(rows)) or summed(rows))
    monkeypatch.setattr(module, "available_bytes", lambda device: 0)
    measured = dry_run(learner, parameters, [[(row,) for row in rows(64)]])
    assert set(tried) == {4}  # a sixteenth
    assert measured.packed_tokens == 64 * 39


def test_ways_that_were_not_tried_follow_in_proportion_to_their_sizes() -> None:
    model = AutoModelForCausalLM.from_config(_large_config())
    shape, config = shape_of(model), LoraConfig()
    line = Line(0.0, 1e6)
    measured = Measured(
        seconds_per_step=2.0,
        tokens_per_s=100.0,
        peak_bytes=0,
        activation_bytes_per_token=1e6,
        held_bytes=10**9,
        state_bytes=10**6,
        packed_tokens=1000,
        holes=1.0,
        forward=line,
        backward=line,
        vocabulary=64,
        precision="float32",
        leaves_holes=True,
        between_bytes=0,
        predictions_per_token=0.0,
    )
    measured = replace(measured, peak_bytes=measured.peak_at(1000))
    as_set, half, checkpointed, *_ = needs_by_trial(measured, shape, "lora", config)
    assert as_set.peak_bytes == 10**9 + 10**6 + 10**9
    assert half.peak_bytes == 10**9 + 10**6 + 10**9 / 2
    assert checkpointed.peak_bytes < half.peak_bytes
    assert checkpointed.seconds_per_step == 3.0


def _large_config() -> Any:
    from transformers import Qwen3Config

    return Qwen3Config(
        vocab_size=64, hidden_size=64, intermediate_size=128, num_hidden_layers=8, num_attention_heads=2, head_dim=32
    )
