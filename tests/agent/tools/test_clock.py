from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sadari.agent.tools.clock import ClockOptions, open_clock, resolve_period
from sadari.agent.tools.place import Place
from sadari.errors import ToolFailedError
from sadari.types import Caller, Tool

TODAY = date(2026, 11, 21)  # a Saturday


@pytest.fixture
def clock() -> Tool:
    return open_clock(ClockOptions(), Place(Path()))[0]


@pytest.mark.parametrize(
    ("phrase", "start", "end"),
    [
        ("오늘", "2026-11-21", "2026-11-21"),
        ("그저께", "2026-11-19", "2026-11-19"),
        ("tomorrow", "2026-11-22", "2026-11-22"),
        ("3일 전", "2026-11-18", "2026-11-18"),
        ("열흘 전", "2026-11-11", "2026-11-11"),
        ("2주 후", "2026-12-05", "2026-12-05"),
        ("3 days ago", "2026-11-18", "2026-11-18"),
        ("한 달 전", "2026-10-21", "2026-10-21"),
        ("이번 주", "2026-11-16", "2026-11-22"),
        ("지난주", "2026-11-09", "2026-11-15"),
        ("last week", "2026-11-09", "2026-11-15"),
        ("다음 주 금요일", "2026-11-27", "2026-11-27"),
        ("금요일", "2026-11-20", "2026-11-20"),
        ("next Monday", "2026-11-23", "2026-11-23"),
        ("지난 주말", "2026-11-14", "2026-11-15"),
        ("이번 달", "2026-11-01", "2026-11-30"),
        ("지난달", "2026-10-01", "2026-10-31"),
        ("다음 달", "2026-12-01", "2026-12-31"),
        ("last month", "2026-10-01", "2026-10-31"),
        ("최근 30일", "2026-10-23", "2026-11-21"),
        ("최근 30일간", "2026-10-23", "2026-11-21"),
        ("last 30 days", "2026-10-23", "2026-11-21"),
        ("최근 일주일", "2026-11-15", "2026-11-21"),
        ("최근 한 달", "2026-10-22", "2026-11-21"),
        ("지난 12개월", "2025-11-22", "2026-11-21"),
        ("앞으로 7일", "2026-11-22", "2026-11-28"),
        ("이번 분기", "2026-10-01", "2026-12-31"),
        ("2025년 1분기", "2025-01-01", "2025-03-31"),
        ("작년 하반기", "2025-07-01", "2025-12-31"),
        ("올해", "2026-01-01", "2026-12-31"),
        ("지난해", "2025-01-01", "2025-12-31"),
        ("작년 12월", "2025-12-01", "2025-12-31"),
        ("2024년 2월", "2024-02-01", "2024-02-29"),
        ("march 2025", "2025-03-01", "2025-03-31"),
        ("3월 1일", "2026-03-01", "2026-03-01"),
        ("2025.3.1", "2025-03-01", "2025-03-01"),
    ],
)
def test_a_phrase_is_a_range_of_days(phrase: str, start: str, end: str) -> None:
    period = resolve_period(phrase, TODAY)
    assert period is not None
    assert (str(period.start), str(period.end)) == (start, end)


def test_a_month_before_the_31st_ends_with_the_shorter_month() -> None:
    period = resolve_period("한 달 전", date(2025, 3, 31))
    assert period is not None
    assert period.start == date(2025, 2, 28)


@pytest.mark.parametrize("phrase", ["아무 때나", "2월 30일", "최근 99999년", "0000년", "13월", "'; drop table", "1" * 1_000])
def test_other_phrases_are_not_guessed(phrase: str) -> None:
    assert resolve_period(phrase, TODAY) is None


@given(st.text(alphabet="이번지난다음최근주달월일년전후요0123456789 -", max_size=20))
def test_any_phrase_is_a_range_in_order_or_nothing(phrase: str) -> None:
    period = resolve_period(phrase, TODAY)
    assert period is None or period.days >= 0


def test_the_time_place_and_zone_are_those_of_the_caller(clock: Tool) -> None:
    caller = Caller(now=datetime(2026, 11, 21, 9, 5, tzinfo=ZoneInfo("Asia/Seoul")), location="서울")
    outcome = clock.call({"period": "지난주"}, caller)
    assert outcome.text.split("\n") == [
        "지금: 2026-11-21 (토요일) 09:05 Asia/Seoul",
        "사용자 위치: 서울",
        "지난주: 2026-11-09 (월요일) ~ 2026-11-15 (일요일), 7일",
    ]
    assert outcome.data["period"] == {"start": "2026-11-09", "end": "2026-11-15", "days": 7}


def test_a_zone_without_a_name_is_told_by_its_offset(clock: Tool) -> None:
    caller = Caller(now=datetime(2026, 11, 21, 9, 5, tzinfo=timezone(timedelta(hours=-9.5))), language="en")
    assert clock.call({}, caller).text == "Now: 2026-11-21 (Saturday) 09:05 UTC-09:30"


def test_an_unknown_period_is_answered_with_examples(clock: Tool) -> None:
    with pytest.raises(ToolFailedError, match="최근 30일"):
        clock.call({"period": "옛날 옛적"}, Caller(language="ko"))
