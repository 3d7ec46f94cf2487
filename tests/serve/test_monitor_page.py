# ruff: noqa: F811  # fixtures that are imported have the names of arguments
"""The page Monitor in a browser, and its figures for programs."""

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from browsing import axe_faults, browser, opened  # noqa: F401
from sadari.serve.drift import Drift, Unlike
from sadari.serve.monitor import Kept
from sadari.types import Answer, Usage

USERS = {"kim": "user", "ops": "operator"}


def asked_once(start: Any, **more: Any) -> Any:
    live = start(Answer("3일 안에 바꾸실 수 있습니다.", usage=Usage(30, 12)), **more)
    with live.http("kim") as http:
        http.post("/v1/chat/completions", json={"model": "sadari", "messages": [{"role": "user", "content": "배송지 변경은요?"}]})
    return live


def test_the_figures_of_an_answer_are_told_to_programs(start: Any) -> None:
    live = asked_once(start, users=USERS)
    with live.http("ops") as http:
        told = http.get("/sadari/figures?range=hour").json()
    assert told["figures"]["asked"]["answered"] == 1
    assert (told["figures"]["read"], told["figures"]["written"]) == (30, 12)
    assert told["drift"]["level"] == "unknown"
    assert told["now"]["statuses"]["200"] >= 1


def test_only_those_who_operate_see_it(start: Any) -> None:
    live = start(users=USERS)
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


def test_what_was_erased_is_gone_from_the_questions_unlike_the_test_set_at_once(start: Any, monkeypatch: Any) -> None:
    def find(asked: Any, test: Any) -> Drift:
        return Drift("drift", len(asked), len(test), unlike=tuple(Unlike(one.run, "010-1234-5678", 0.1) for one in asked))

    monkeypatch.setattr("sadari.serve.monitor.find_drift", find)
    live = asked_once(start)
    (before,) = live.service.monitor.drift("hour").unlike
    live.service.log.erase("local", "admin")
    assert "5678" not in before.text  # masked
    assert live.service.monitor.drift("hour").unlike == ()


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


@pytest.mark.parametrize("language", ["ko", "en"])
def test_a_browser_shows_the_plots_and_axe_finds_nothing(start: Any, opened: Any, language: str) -> None:
    live = asked_once(start, users=USERS)
    page = opened(live, "ops", "/monitor?range=hour", language=language)
    for plot in page.locator("img.for-light").all():
        plot.scroll_into_view_if_needed()
        live.wait_for(lambda plot=plot: plot.evaluate("image => image.complete && image.naturalWidth"))
    assert page.locator("img.for-light").count() == 3  # questions, latency, tokens
    assert axe_faults(page) == []


def test_the_dark_theme_shows_plots_of_its_own_and_a_phone_has_nothing_beside_the_page(start: Any, opened: Any) -> None:
    page = opened(
        asked_once(start, users=USERS), "ops", "/monitor?range=hour", color_scheme="dark", viewport={"width": 390, "height": 800}
    )
    assert page.locator("img.for-dark").first.is_visible()
    assert not page.locator("img.for-light").first.is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_the_ranges_are_reached_with_the_keyboard(start: Any, opened: Any) -> None:
    page = opened(asked_once(start, users=USERS), "ops", "/monitor?range=day")
    page.get_by_role("navigation", name="기간").get_by_role("link").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/monitor?range=hour")
    assert page.get_by_role("link", name="최근 1시간").get_attribute("aria-current") == "true"


def test_a_value_is_made_once_and_who_wants_another_one_does_not_wait_for_it() -> None:
    kept: Kept[int] = Kept()
    began, may_end = threading.Event(), threading.Event()
    made: list[int] = []

    def make() -> int:
        began.set()
        may_end.wait(10)
        made.append(1)
        return 1

    with ThreadPoolExecutor(2) as pool:
        slow = [pool.submit(kept.get, "slow", make) for _ in range(2)]
        began.wait(10)
        other = kept.get("other", lambda: 2)
        was_waiting = not any(one.done() for one in slow)
        may_end.set()
        assert [one.result(10) for one in slow] == [1, 1]
    assert (other, was_waiting, made) == (2, True, [1])


def test_a_value_that_could_not_be_made_is_tried_again() -> None:
    kept: Kept[int] = Kept()
    with pytest.raises(ZeroDivisionError):
        kept.get("a", lambda: 1 // 0)
    assert kept.get("a", lambda: 3) == 3


def test_a_value_is_made_anew_when_its_time_is_over() -> None:
    kept: Kept[int] = Kept(seconds=-1)
    assert [kept.get("a", lambda n=n: n) for n in (1, 2)] == [1, 2]
