"""The log of looks at a test set."""

import time
from pathlib import Path

import pytest

from sadari.errors import RunError
from sadari.looks import LOG, log_look, looks_at, name_of_test
from sadari.types import Example, Message, Reference, Scorecard


def card(rung: str, *scores: float) -> Scorecard:
    n = len(scores)
    ids = tuple(str(i) for i in range(n))
    return Scorecard(rung, "label", ids, scores, ("",) * n, (), (0,) * n, (0,) * n, 0, 0.0, 1.0, 0.0, 0.0)


def test_each_look_is_written_once_also_after_a_crash(tmp_path: Path) -> None:
    for _ in range(2):  # the climb is killed and goes on
        log_look(tmp_path, "1", "test", card("baseline", 0.0, 1.0))
        log_look(tmp_path, "1", "test", card("prompt", 1.0, 1.0))
    log_look(tmp_path, "2", "test", card("baseline", 0.0, 1.0))
    log_look(tmp_path, "2", "other", card("baseline", 0.0, 1.0))
    assert [(look.run, look.rung) for look in looks_at(tmp_path, "test")] == [("1", "baseline"), ("1", "prompt"), ("2", "baseline")]


def test_a_line_that_a_power_cut_left_unfinished_is_dropped_and_the_log_goes_on(tmp_path: Path) -> None:
    log_look(tmp_path, "1", "test", card("baseline", 0.0))
    with (tmp_path / LOG).open("a") as file:
        file.write('{"run": "1", "rung": "pro')
    assert len(looks_at(tmp_path, "test")) == 1
    log_look(tmp_path, "1", "test", card("prompt", 1.0))
    assert [look.rung for look in looks_at(tmp_path, "test")] == ["baseline", "prompt"]


def test_a_damaged_log_is_named_and_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / LOG).write_text("not a look\n")
    with pytest.raises(RunError, match=r"looks.jsonl is damaged .*Move it away"):
        log_look(tmp_path, "1", "test", card("baseline", 0.0))
    assert (tmp_path / LOG).read_text() == "not a look\n"


def test_another_reference_or_another_scorer_is_another_test() -> None:
    one = Example("1", (Message("user", "몇 일?"),), Reference(("7일",)))
    other = Example("1", (Message("user", "몇 일?"),), Reference(("8일",)))
    assert name_of_test([one], "label") == name_of_test([one], "label")
    assert len({name_of_test([one], "label"), name_of_test([other], "label"), name_of_test([one], "text")}) == 3


def test_a_large_test_set_is_named_in_a_moment() -> None:
    examples = [Example(str(i), (Message("user", "며칠 걸리나요?"),), Reference(("7일",))) for i in range(3000)]
    name_of_test(examples[:1], "label")
    started = time.perf_counter()
    name_of_test(examples, "label")
    assert time.perf_counter() - started < 1  # 20 s if the adapter is made anew for each
