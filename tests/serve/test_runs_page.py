# ruff: noqa: F811  # fixtures that are imported have the names of arguments
"""The page Runs: climbs, their reports, two systems compared, conversations that were cut off."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from browsing import axe_faults, browser, opened  # noqa: F401
from sadari.agent.log import Draft, Kind
from sadari.files import to_json, write_lines
from sadari.measurer import Prediction
from sadari.serve.climbs import Climbs, report_policy
from sadari.serve.pages.look import words
from sadari.types import Answer, Scorecard

IDS = tuple(f"test-{i:02}" for i in range(40))


def card(rung: str, right: int) -> Scorecard:
    scores = tuple(float(i < right) for i in range(len(IDS)))
    some = (0,) * len(IDS)
    return Scorecard(rung, "exact", IDS, scores, ("",) * len(IDS), (0.1,) * len(IDS), some, some, 0, 0.0, 1.0, 10.0, 0.0)


@pytest.fixture
def task(tmp_path: Path) -> Path:
    """A task folder with one finished climb: of 40 examples the baseline has 4 right, the prompt 30."""
    run = tmp_path / "shop" / "runs" / "1"
    rungs = {"baseline": 4, "prompt": 30}
    steps = []
    for index, (rung, right) in enumerate(rungs.items()):
        (run / "steps" / f"{index}-{rung}").mkdir(parents=True)
        scored = card(rung, right)
        (run / "steps" / f"{index}-{rung}" / "scorecard.json").write_text(to_json(scored))
        (run / "predictions").mkdir(exist_ok=True)
        rows = [Prediction(one, Answer(f"<b>{rung}</b>"), score, "") for one, score in zip(IDS, scored.scores, strict=True)]
        write_lines(run / "predictions" / f"{index}-{rung}.jsonl", rows, Prediction)
        told = {"rung": rung, "quality": right / 40, "quality_low": 0.0, "quality_high": 1.0, "p50_latency_s": 0.1}
        told |= {"cost_per_1000_requests": None, "verdict": "better" if index else "baseline", "taken": True, "reason": "채택"}
        steps.append(told)
    (run / "report.json").write_text(json.dumps({"steps": steps, "examples": 40, "review": {"tunings": []}}))
    (run / "report.html").write_text("<!doctype html><style>p { color: red }</style><p>보고서</p><script>alert(1)</script>")
    return tmp_path / "shop"


def test_climbs_are_listed_with_their_winner(start: Any, task: Path) -> None:
    with start(task=task).http() as http:
        page = http.get("/runs", headers={"Accept-Language": "ko"}).text
    assert "75.0%" in page
    assert 'href="/runs/1/report"' in page


def test_without_a_task_the_page_says_so_kindly(start: Any) -> None:
    with start().http() as http:
        answer = http.get("/runs", headers={"Accept-Language": "ko"})
    assert answer.status_code == 200
    assert "과제 폴더" in answer.text


def test_no_script_runs_from_a_report_whatever_it_holds(start: Any, task: Path) -> None:
    with start(task=task).http() as http:
        policy = http.get("/runs/1/report").headers["content-security-policy"]
    assert policy.startswith("sandbox; default-src 'none'; style-src 'sha256-")
    assert "script-src" not in policy
    assert "unsafe" not in policy


def test_the_policy_names_the_hash_of_the_style() -> None:
    # printf 'a {}' | openssl dgst -sha256 -binary | base64
    assert "'sha256-" in report_policy("<style>a {}</style>")
    assert "style-src 'none'" in report_policy("<p>")


@pytest.mark.parametrize("number", ["2", "..", "..%2f..%2fetc", "1%00", "best"])
def test_a_number_that_is_no_run_leads_nowhere(start: Any, task: Path, number: str) -> None:
    with start(task=task).http() as http:
        assert http.get(f"/runs/{number}/report").status_code == 404


def test_two_rungs_are_compared_in_pairs(task: Path) -> None:
    found = Climbs(task).compare("1/0", "1/1", "en")
    assert (found.verdict.outcome, found.verdict.gain, found.differ) == ("better", pytest.approx(26 / 40), 26)
    assert (found.rows[0].scores, found.rows[0].id) == ((0.0, 1.0), "test-04")


def test_the_comparison_shows_answers_as_text(start: Any, task: Path) -> None:
    with start(task=task).http() as http:
        page = http.get("/runs/compare?a=1/0&b=1/1", headers={"Accept-Language": "ko"}).text
        wrong = http.get("/runs/compare?a=1/0&b=../../x")
    assert "&lt;b&gt;prompt&lt;/b&gt;" in page
    assert "B가 더 낫습니다." in page
    assert wrong.status_code == 400


def test_systems_measured_on_other_examples_are_not_compared(start: Any, task: Path) -> None:
    other = replace(card("prompt", 30), ids=tuple(f"other-{i:02}" for i in range(40)))
    (task / "runs" / "1" / "steps" / "1-prompt" / "scorecard.json").write_text(to_json(other))
    with start(task=task).http() as http:
        page = http.get("/runs/compare?a=1/0&b=1/1", headers={"Accept-Language": "ko"})
    assert page.status_code == 400
    assert "테스트 예제가 서로 다릅니다." in page.text


def test_a_report_that_is_damaged_breaks_no_page(task: Path) -> None:
    (task / "runs" / "2").mkdir()
    (task / "runs" / "2" / "report.json").write_text('{"steps": []}')
    assert [climb.number for climb in Climbs(task).all()] == ["1"]


def cut_off(live: Any, user: str = "kim") -> str:
    """A run whose question nobody works on, as after a crash."""
    run: str = live.service.log.start(user, "a", {"user": user, "agent": "a", "messages": []})
    asked = {
        "text": "<script>alert(1)</script>",
        "labels": [],
        "now": "2026-03-02T12:00:00+00:00",
        "language": "ko",
        "location": "",
    }
    live.service.log.append(run, [Draft("run.asked", asked)])
    return run


def test_a_conversation_that_was_cut_off_is_listed_and_can_be_resumed(start: Any) -> None:
    live = start("이어서 답합니다.")
    run = cut_off(live)
    with live.http() as http:
        assert f'data-resume="{run}"' in http.get("/runs").text
        assert http.post(f"/sadari/runs/{run}/resume").status_code == 200
        live.wait_for(lambda: [entry.run for entry in live.service.log.runs(status="idle")] == [run])


def test_a_conversation_is_shown_as_text_and_who_looked_is_kept(start: Any) -> None:
    live = start(users={"kim": "user", "ops": "operator"})
    run = cut_off(live)
    with live.http("kim") as http:
        assert http.get(f"/runs/conversations/{run}").status_code == 403
    with live.http("ops") as http:
        page = http.get(f"/runs/conversations/{run}").text
        assert http.get("/runs/conversations/run-0").status_code == 404
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    (act,) = [act for act in live.service.acts.all() if act.act == "run.read"]
    assert (act.by, act.on) == ("ops", run)


def test_a_call_is_shown_with_the_name_of_its_tool(start: Any) -> None:
    live = start()
    run = cut_off(live)
    said = {
        "step": 1,
        "text": "",
        "calls": [{"id": "1.1", "name": "pay", "arguments": {"n": 1}}],
        "usage": [1, 1],
        "money": 0.0,
        "is_tainted": False,
    }
    live.service.log.append(run, [Draft("model.answered", said), Draft("call.started", {"id": "1.1", "attempt": 1})])
    with live.http() as http:
        page = http.get(f"/runs/conversations/{run}", headers={"Accept-Language": "ko"}).text
    assert "<strong>도구 실행 시작</strong><code>pay</code>" in page


def test_every_kind_of_event_has_its_words() -> None:
    told = words("conversation", "ko")
    assert [kind for kind in get_args(Kind) if f"kind_{kind}" not in told] == []


@pytest.mark.parametrize("place", ["/runs", "/runs/compare?a=1/0&b=1/1", "/runs/conversations/RUN"])
def test_axe_finds_nothing_and_a_phone_has_nothing_beside_the_page(start: Any, task: Path, opened: Any, place: str) -> None:
    live = start(task=task, users={"ops": "operator"})
    page = opened(live, "ops", place.replace("RUN", cut_off(live)), viewport={"width": 390, "height": 800})
    assert axe_faults(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_a_conversation_is_resumed_with_the_keyboard(start: Any, opened: Any) -> None:
    live = start("이어서 답합니다.", users={"ops": "operator"})
    run = cut_off(live)
    page = opened(live, "ops", "/runs")
    page.get_by_role("button", name="이어서 처리").focus()
    page.keyboard.press("Enter")
    page.get_by_text("이어서 처리하고 있습니다.").wait_for()
    live.wait_for(lambda: [entry.run for entry in live.service.log.runs(status="idle")] == [run])
