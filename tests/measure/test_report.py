"""The report holds the numbers of the run, needs no network and runs no script."""

import re
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sadari.errors import RunError
from sadari.measure.report import RunData, failing_examples, render_report, run_json, write_report
from sadari.types import Answer, Example, Message, Reference, Scorecard

STEP_KEYS = [
    "rung",
    "quality",
    "quality_low",
    "quality_high",
    "p_value",
    "verdict",
    "taken",
    "reason",
    "build_seconds",
    "cost_per_1000_requests",
    "p50_latency_s",
    "p95_latency_s",
    "failures",
]


def test_the_json_has_exactly_the_promised_keys(korean_run: RunData) -> None:
    numbers = run_json(korean_run)
    assert list(numbers) == ["run", "task", "steps", "winner"]
    assert all(list(step) == STEP_KEYS for step in numbers["steps"])
    assert list(numbers["winner"]) == ["rung", "quality", "bundle"]
    assert numbers["steps"][0]["p_value"] is None
    assert numbers["winner"]["quality"] == korean_run.steps[korean_run.winner].scorecard.quality
    assert run_json(replace(korean_run, priced=False))["steps"][0]["cost_per_1000_requests"] is None


def test_the_page_shows_the_numbers_of_the_json(korean_run: RunData, tmp_path: Path) -> None:
    pytest.importorskip("vl_convert")
    page = write_report(korean_run, tmp_path / "new" / "report.html").read_text(encoding="utf-8")
    for step in run_json(korean_run)["steps"]:
        assert f"{100 * step['quality']:.1f}%" in page
        assert step["reason"].replace("<", "&lt;") in page
    assert "lora 단계가 가장 좋습니다" in page
    assert page.count("<svg") == page.count('role="img"') == 3
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["report.html"]


def test_the_page_needs_no_network_and_runs_no_script(korean_run: RunData) -> None:
    page = render_report(korean_run)
    assert "<script" not in page
    assert not re.findall(r"""(?:src|href)\s*=\s*["'](?!#)""", page)
    assert not re.findall(r"@import|url\((?!#)", page)
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    for picture in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        ET.fromstring(picture)


def test_text_of_users_and_models_is_escaped(korean_run: RunData) -> None:
    failing = [replace(korean_run.failing[0], answer="<img src=x onerror=alert(1)>")]
    page = render_report(replace(korean_run, failing=failing, goal="<script>alert(1)</script>"))
    assert "<img" not in page
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_without_the_extra_the_tables_come_alone(korean_run: RunData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    page = render_report(korean_run)
    assert "<svg" not in page
    assert "sadari[report]" in page
    assert "84." in page


def test_the_page_is_english_on_request_and_says_what_is_not_priced(korean_run: RunData) -> None:
    page = render_report(replace(korean_run, language="en", priced=False))
    assert "lora is best: quality" in page
    assert "Set money.machine_hour" in page
    assert "not priced" in page


def test_a_climb_that_nothing_won_says_so(korean_run: RunData) -> None:
    page = render_report(replace(korean_run, language="en", steps=korean_run.steps[:1], winner=0, failing=()))
    assert "No rung is proven better than the baseline" in page


def test_a_run_without_steps_or_a_place_that_cannot_be_written_is_refused(korean_run: RunData, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="nothing to report"):
        run_json(replace(korean_run, steps=()))
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"):
        write_report(korean_run, tmp_path / "file" / "report.html")


def test_failing_examples_are_the_worst_first(card: Callable[..., Scorecard]) -> None:
    examples = [Example(f"test-{i:03}", (Message("user", f"q{i}"),), Reference((f"r{i}",))) for i in range(4)]
    rows = failing_examples(card([1.0, 0.5, 0.0, 0.0]), examples, [Answer(f"a{i}") for i in range(4)], most=2)
    assert [(row.id, row.question, row.expected, row.answer) for row in rows] == [
        ("test-002", "q2", "r2", "a2"),
        ("test-003", "q3", "r3", "a3"),
    ]
