"""What is settled before the first step."""

from itertools import pairwise
from typing import Any

import pytest
import torch

from sadari.train.config import TuneConfig
from sadari.train.schedule import learning_rate_at, precision_for


def rates(steps: int = 100, **options: Any) -> list[float]:
    config = TuneConfig(**options)
    return [learning_rate_at(step, steps, 1.0, config) for step in range(steps)]


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
def test_the_rate_rises_in_a_line(schedule: str) -> None:
    assert rates(warmup_share=0.1, schedule=schedule)[:10] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])


def test_a_cosine_falls_to_a_tenth() -> None:
    found = rates(warmup_share=0.1)
    assert found[10] == pytest.approx(1.0)
    assert found[55] == pytest.approx(0.55)  # half-way down: (1 + 0.1) / 2
    assert found[32] == pytest.approx(0.1 + 0.9 * 0.5 * (1 + 0.7193398), abs=1e-6)  # cos(22 / 90 * 180 deg) = cos(44 deg)
    assert found[99] == pytest.approx(0.1, abs=2e-3)
    assert all(a >= b for a, b in pairwise(found[10:]))


def test_a_line_falls_to_a_tenth() -> None:
    found = rates(warmup_share=0.1, schedule="linear")
    assert found[10] == pytest.approx(1.0)
    assert found[55] == pytest.approx(0.55)
    assert found[99] == pytest.approx(0.1 + 0.9 / 90)
    assert all(a - b == pytest.approx(0.9 / 90) for a, b in pairwise(found[10:]))


def test_a_constant_rate_stays_at_its_peak() -> None:
    assert rates(warmup_share=0.1, schedule="constant")[10:] == [1.0] * 90


@pytest.mark.parametrize(("steps", "share"), [(1, 0.06), (1, 0.0), (2, 1.0), (3, 0.5)])
def test_runs_of_few_steps_have_rates_between_a_tenth_and_the_peak(steps: int, share: float) -> None:
    found = rates(steps, warmup_share=share)
    assert max(found) == 1.0
    assert min(found) >= 0.1


CPU = torch.device("cpu")


def test_what_is_asked_for_is_taken_whatever_the_hardware() -> None:
    assert precision_for(TuneConfig(precision="bfloat16"), CPU) == "bfloat16"
    assert precision_for(TuneConfig(precision="float32"), torch.device("cuda")) == "float32"


@pytest.mark.parametrize(
    ("known", "precision"),
    [
        ({"avx512_bf16": True}, "bfloat16"),
        ({"amx_bf16": True}, "bfloat16"),
        ({"avx2": True, "avx512_f": True, "avx512_bf16": False}, "float32"),  # multiplies it in float32 and converts
        ({}, "float32"),
    ],
)
def test_a_processor_takes_bfloat16_only_if_it_multiplies_it(
    known: dict[str, bool], precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known, raising=False)
    assert precision_for(TuneConfig(), CPU) == precision


@pytest.mark.parametrize(("is_real", "precision"), [(True, "bfloat16"), (False, "float32")])
def test_a_gpu_takes_bfloat16_unless_it_only_imitates_it(is_real: bool, precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation or is_real)
    assert precision_for(TuneConfig(), torch.device("cuda")) == precision
