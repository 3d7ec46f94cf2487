"""The report holds the numbers of the run, needs no network and runs no script."""

import re
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from sadari.errors import RunError
from sadari.measure.report import (
    RunData,
    Section,
    Table,
    failing_examples,
    model_card,
    render_report,
    report_markdown,
    run_json,
    write_report,
)
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


def test_the_json_has_the_promised_keys_first(korean_run: RunData) -> None:
    numbers = run_json(korean_run)
    assert list(numbers)[:4] == ["run", "task", "steps", "winner"]
    assert all(list(step)[: len(STEP_KEYS)] == STEP_KEYS for step in numbers["steps"])
    assert list(numbers["winner"])[:3] == ["rung", "quality", "bundle"]
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


def test_holm_counts_the_rungs_that_were_not_climbed(korean_run: RunData) -> None:
    steps = [s for s in korean_run.steps if s.rung in ("baseline", "prompt")]
    run = replace(korean_run, steps=steps, winner=0, rungs=4)
    p = steps[1].verdict.p_value
    assert p is not None
    assert [step["holm_p_value"] for step in run_json(run)["steps"]] == [None, pytest.approx(min(1.0, 4 * p))]


SECTION = Section(
    "money",
    "돈이 되는가",
    ("매월 <b>순이익</b>",),
    ("[링크](http://x)", "둘째"),
    (Table(("규모", "순이익"), (("1,000", "10|20원"),), "규모별"),),
    "warning",
)


def test_sections_stand_on_the_page_and_in_the_markdown_as_text(korean_run: RunData) -> None:
    run = replace(korean_run, sections=(SECTION,))
    page, text = render_report(run), report_markdown(run)
    assert "매월 &lt;b&gt;순이익&lt;/b&gt;" in page
    assert '<p class="warning">' in page
    assert "<td>10|20원</td>" in page
    assert "매월 \\<b\\>순이익" in text
    assert "- \\[링크\\](http\\://x)" in text
    assert "| 1,000 | 10\\|20원 |" in text


def test_the_markdown_holds_the_numbers_of_the_page(korean_run: RunData) -> None:
    text = report_markdown(korean_run)
    assert text.startswith("# mall · 등반 보고서\n\nlora 단계가 가장 좋습니다")
    for step in run_json(korean_run)["steps"]:
        assert f"| {step['rung']} | {100 * step['quality']:.1f}% |" in text


def test_the_report_speaks_the_language_that_is_asked_for(korean_run: RunData) -> None:
    english = replace(korean_run, language="en")
    assert ": 채택" in report_markdown(korean_run)
    assert ": taken" in report_markdown(english)
    assert "채택" not in render_report(english).split("failing")[0]


def test_the_model_card_says_what_was_measured_and_what_was_not(korean_run: RunData) -> None:
    card = model_card(replace(korean_run, language="en", sections=(replace(SECTION, name="slices"), SECTION)))
    front, _, body = card.removeprefix("---\n").partition("\n---\n")
    assert yaml.safe_load(front) == {
        "language": "en", "library_name": "sadari", "base_model": "mini", "tags": ["sadari", "lora"],
    }  # fmt: skip
    assert "# mall: lora" in body
    assert "+" in body
    assert "were not measured" in body
    assert body.count("## 돈이 되는가") == 1  # of the sections, those about quality


def test_a_table_with_a_short_row_is_refused() -> None:
    with pytest.raises(ValueError, match="that is not 2 long"):
        Table(("a", "b"), (("1",),))
