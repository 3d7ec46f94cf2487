"""What a person who waits is told."""

import time

import pytest

from sadari.train.progress import Progress, in_time


def test_a_line_says_loss_speed_savings_time_and_money(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    told: list[str] = []
    progress = Progress(40, told.append, price_per_hour=4000.0, _began=now, _told=now)
    for _ in range(10):
        progress.add(tokens=600, seconds=0.5)
    now = 120.0  # ten steps in 20 s, looks included: 30 more take 60 s
    progress.show(10, 1.23456, 0.456, spent_s=90.0, best=0.81)
    assert told == [
        "step 10 of 40, loss 1.235, best validation 0.810, 1,200 useful tokens/s, 46% of tokens saved, 60 s left, 100.00 spent"
    ]


def test_lines_come_every_few_seconds_and_speed_is_that_since_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    told: list[str] = []
    progress = Progress(30, told.append, _began=0.0, _told=0.0)
    for step in range(1, 31):
        now = float(step)
        progress.add(tokens=100 * step, seconds=1.0)
        progress.show(step, 1.0, 0.0, now, None)
    assert [line.split(",")[0] for line in told] == [f"step {step} of 30" for step in (5, 10, 15, 20, 25, 30)]
    assert "300 useful tokens/s" in told[0]  # (100 + ... + 500) / 5
    assert "800 useful tokens/s" in told[1]
    assert "best" not in told[0]
    assert "spent" not in told[0]
    assert "left" not in told[-1]


def test_a_look_is_told_at_once_but_nothing_before_the_first_step() -> None:
    told: list[str] = []
    progress = Progress(9, told.append)
    progress.show(3, 1.0, 0.0, 0.0, None, at_once=True)
    assert told == []
    progress.add(1, 1.0)
    progress.show(4, 1.0, 0.0, 0.0, 0.5, at_once=True)
    assert len(told) == 1


@pytest.mark.parametrize(("seconds", "said"), [(0, "0 s"), (89, "89 s"), (95, "2 min"), (3600, "60 min"), (9000, "2.5 h")])
def test_times_are_said_as_people_say_them(seconds: float, said: str) -> None:
    assert in_time(seconds) == said
