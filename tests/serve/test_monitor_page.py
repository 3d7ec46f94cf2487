"""The page Monitor in a browser, and its figures for programs."""

import re
from pathlib import Path
from typing import Any

import pytest

from sadari.types import Answer, Usage

CHROMIUM = Path("/usr/bin/chromium")


def asked_once(start: Any, **more: Any) -> Any:
    live = start(Answer("3일 안에 바꾸실 수 있습니다.", usage=Usage(30, 12)), **more)
    with live.http("kim") as http:
        http.post("/v1/chat/completions", json={"model": "sadari", "messages": [{"role": "user", "content": "배송지 변경은요?"}]})
    return live


def test_the_figures_of_an_answer_are_told_to_programs(start: Any) -> None:
    live = asked_once(start, users={"kim": "user", "ops": "operator"})
    with live.http("ops") as http:
        told = http.get("/sadari/figures?range=hour").json()
    assert told["figures"]["asked"]["answered"] == 1
    assert (told["figures"]["read"], told["figures"]["written"]) == (30, 12)
    assert told["drift"]["level"] == "unknown"
    assert told["now"]["statuses"]["200"] >= 1


def test_only_those_who_operate_see_it(start: Any) -> None:
    live = start(users={"kim": "user", "ops": "operator"})
    with live.http("kim") as http:
        assert [http.get(place).status_code for place in ("/sadari/figures", "/monitor", "/monitor/plot/questions.svg")] == [
            403
        ] * 3
    with live.http("ops") as http:
        assert http.get("/monitor").status_code == 200


def test_figures_survive_the_end_of_the_server(start: Any) -> None:
    asked_once(start)
    with start().http() as http:  # on the same log
        assert http.get("/sadari/figures?range=hour").json()["figures"]["asked"]["answered"] == 1


@pytest.mark.parametrize("place", ["/monitor?range=year", "/monitor/plot/other.svg", "/monitor/plot/cost.svg?theme=pink"])
def test_what_there_is_not_is_refused(start: Any, place: str) -> None:
    with start().http() as http:
        assert http.get(place).status_code == 400


def test_the_page_tells_the_figures_in_both_languages(start: Any) -> None:
    live = asked_once(start)
    with live.http() as http:
        korean = http.get("/monitor", headers={"Accept-Language": "ko"}).text
        english = http.get("/monitor", headers={"Accept-Language": "en"}).text
    assert "입력 30 · 출력 12" in korean
    assert "30 read · 12 written" in english
    assert not re.search(r"<script(?! type=\"module\" src=\"/static/)", korean)


@pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Chromium")
def test_a_browser_shows_the_plots_and_axe_finds_nothing(start: Any) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    live = asked_once(start)
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=str(CHROMIUM), args=["--headless", "--no-sandbox", "--disable-gpu"])
        page = browser.new_page(locale="ko-KR")
        faults: list[str] = []
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        page.goto(f"{live.url}/monitor")
        page.locator("img.for-light").first.scroll_into_view_if_needed()
        page.locator("img.for-light").first.evaluate("image => image.decode()")
        found = axe.Axe().run(page).response["violations"]
        browser.close()
    assert [one["id"] for one in found] == []
    assert faults == []
