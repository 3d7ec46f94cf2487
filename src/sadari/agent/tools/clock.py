"""A clock: what time it is for the user, and which days "최근 30일", "지난주" or "last month" are.

All of it comes from the `Caller`, so a test that gives a fixed time gets a fixed answer. A week begins on Monday; "최근 30일" ends
today and counts it; "지난달" is the whole month before this one. Not known: public holidays, lunar dates.
"""

import calendar
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel

from sadari.agent.tools.place import Place
from sadari.errors import ToolFailedError
from sadari.text.forms import normalise
from sadari.text.numerals import digits_for_words
from sadari.types import Caller, Outcome, Tool, ToolSpec, Traits

MOST_CHARS = 60
_WEEKDAYS = {
    "ko": ("월요일", "화요일", "수요일", "목요일", "금요일", "토요일", "일요일"),
    "en": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
}


@dataclass(frozen=True, slots=True)
class Period:
    """A stretch of days, both ends included."""

    start: date
    end: date

    @property
    def days(self) -> int:
        """How many days it has."""
        return (self.end - self.start).days + 1


def resolve_period(phrase: str, today: date) -> Period | None:
    """The days that a phrase means on a given day; None if it is none of the phrases known here.

    Known are days (오늘, 어제, 3일 전, 2025-03-01), weeks, months, quarters, halves and years (이번, 지난, 다음; this, last, next),
    a named month or weekday (3월, 지난주 금요일, next monday) and spans that end today (최근 30일, past 2 weeks) or begin tomorrow
    (앞으로 7일, next 7 days).
    """
    text = digits_for_words(normalise(phrase[:MOST_CHARS]))[0].lower()
    text = re.sub(r"(?:\s*(?:동안|사이|의|간|에|까지))+$", "", text.strip(" .?!"))
    text = re.sub(r"[\s_-]+", "", text) if re.search(r"[가-힣]", text) else re.sub(r"[\s_]+", " ", text)
    text = re.sub("|".join(_COUNTED), lambda found: _COUNTED[found[0]], text)
    for pattern, read in _PHRASES:
        if found := re.fullmatch(pattern, text):
            try:
                return read(found, today)
            except (ValueError, OverflowError):  # 2월 30일, 최근 99999999년
                return None
    return None


# --- phrases -----------------------------------------------------------------------------------------------------------


_DAYS = {
    "오늘": 0, "today": 0, "금일": 0, "어제": -1, "yesterday": -1, "그제": -2, "그저께": -2, "엊그제": -2,
    "내일": 1, "tomorrow": 1, "모레": 2, "글피": 3, "day before yesterday": -2, "day after tomorrow": 2,
}  # fmt: skip
_COUNTED = {
    "일주일": "7일", "하루": "1일", "이틀": "2일", "사흘": "3일", "나흘": "4일", "닷새": "5일", "열흘": "10일", "보름": "15일",
}  # fmt: skip
_TURNS = {
    "이번": 0, "금": 0, "this": 0, "current": 0, "지난": -1, "저번": -1, "전": -1, "last": -1, "previous": -1,
    "지지난": -2, "저저번": -2, "다음": 1, "next": 1, "다다음": 2, "올": 0, "작": -1, "내": 1, "재작": -2,
}  # fmt: skip
_UNITS = {
    "일": "day", "주": "week", "주일": "week", "달": "month", "월": "month", "개월": "month",
    "분기": "quarter", "년": "year", "해": "year",
}  # fmt: skip
_TURN = "|".join(sorted(_TURNS, key=len, reverse=True))
_UNIT = "|".join(sorted(_UNITS, key=len, reverse=True))
_ENGLISH = r"(?P<unit>day|week|month|quarter|year)s?"
_EN_WEEKDAY = "|".join(name.lower() for name in _WEEKDAYS["en"])
_EN_MONTH = "|".join(name.lower() for name in calendar.month_name[1:])


def _named_day(found: re.Match[str], today: date) -> Period:
    return _one(today + timedelta(days=_DAYS[found[0].removeprefix("the ")]))


def _turned(found: re.Match[str], today: date) -> Period:
    """이번 주, 지난달, last quarter."""
    return _whole(_unit(found), today, _TURNS[found["turn"]])


def _weekday(found: re.Match[str], today: date) -> Period:
    """지난주 금요일, this friday; alone it is that of this week."""
    name = found["weekday"]
    index = "월화수목금토일".index(name[0]) if name[0] in "월화수목금토일" else _EN_WEEKDAY.split("|").index(name)
    return _one(_whole("week", today, _TURNS[found["turn"] or "this"]).start + timedelta(days=index))


def _weekend(found: re.Match[str], today: date) -> Period:
    week = _whole("week", today, _TURNS[found["turn"] or found["en_turn"] or "this"])
    return Period(week.end - timedelta(days=1), week.end)


def _ending_today(found: re.Match[str], today: date) -> Period:
    start = _moved(today, _unit(found), -int(found["count"]))
    return Period(start + timedelta(days=1), today)


def _from_tomorrow(found: re.Match[str], today: date) -> Period:
    return Period(today + timedelta(days=1), _moved(today, _unit(found), int(found["count"])))


def _that_long_ago(found: re.Match[str], today: date) -> Period:
    """3일 전 and in 2 weeks are one day."""
    sign = -1 if found["side"] in ("전", "ago") else 1
    return _one(_moved(today, _unit(found), sign * int(found["count"])))


def _month(found: re.Match[str], today: date) -> Period:
    """2025년 3월, 작년 12월, march 2025; without a year, that of this year."""
    year = today.year + _TURNS[found["turn"]] if found["turn"] else int(found["year"] or today.year)
    number = int(found["month"]) if found["month"].isdigit() else _EN_MONTH.split("|").index(found["month"]) + 1
    return _whole("month", date(year, number, 1), 0)


def _date(found: re.Match[str], today: date) -> Period:
    return _one(date(int(found["year"] or today.year), int(found["month"]), int(found["day"])))


def _year(found: re.Match[str], today: date) -> Period:
    return _whole("year", date(int(found["year"]), 1, 1), 0)


def _half(found: re.Match[str], today: date) -> Period:
    year = today.year + _TURNS[found["turn"] or "this"]
    return Period(date(year, 1, 1), date(year, 6, 30)) if found["half"] == "상" else Period(date(year, 7, 1), date(year, 12, 31))


def _quarter(found: re.Match[str], today: date) -> Period:
    return _whole("quarter", date(int(found["year"] or today.year), 3 * int(found["quarter"]) - 2, 1), 0)


_PHRASES: tuple[tuple[str, Callable[[re.Match[str], date], Period]], ...] = (
    (rf"(?:the )?(?:{'|'.join(_DAYS)})", _named_day),
    (rf"(?P<turn>이번|지난|저번|다음|지지난|다다음|금|전)(?P<unit>{_UNIT})", _turned),
    (r"(?P<turn>올|작|내|재작)(?P<unit>해|년|달)", _turned),
    (r"(?:(?P<turn>이번|지난|저번|다음)주?)?주말|(?:(?P<en_turn>this|last|next) )?weekend", _weekend),
    (rf"(?P<turn>this|current|last|previous|next) {_ENGLISH}", _turned),
    (r"(?:(?P<turn>이번|지난|저번|다음|지지난|다다음)주)?(?P<weekday>[월화수목금토일])요일", _weekday),
    (rf"(?:(?P<turn>this|last|next) )?(?P<weekday>{_EN_WEEKDAY})", _weekday),
    (rf"(?:최근|지난|과거)(?P<count>\d{{1,5}})(?P<unit>{_UNIT})", _ending_today),
    (rf"(?:the )?(?:last|past|recent) (?P<count>\d{{1,5}}) {_ENGLISH}", _ending_today),
    (rf"(?:앞으로|향후|다음)(?P<count>\d{{1,5}})(?P<unit>{_UNIT})", _from_tomorrow),
    (rf"(?:the )?(?:next|coming) (?P<count>\d{{1,5}}) {_ENGLISH}", _from_tomorrow),
    (rf"(?P<count>\d{{1,5}})(?P<unit>{_UNIT})(?P<side>전|후|뒤)", _that_long_ago),
    (rf"(?P<count>\d{{1,5}}) {_ENGLISH} (?P<side>ago|later|from now)", _that_long_ago),
    (r"(?:(?P<year>\d{4})년|(?P<turn>올|작|내|재작)[해년])?(?P<month>\d{1,2})월", _month),
    (rf"(?P<month>{_EN_MONTH})(?: (?P<year>\d{{4}}))?(?P<turn>)", _month),
    (r"(?P<year>\d{4})-(?P<month>\d{1,2})(?P<turn>)", _month),
    (r"(?:(?P<year>\d{4})년)?(?P<month>\d{1,2})월(?P<day>\d{1,2})일", _date),
    (r"(?P<year>\d{4})[-./](?P<month>\d{1,2})[-./](?P<day>\d{1,2})", _date),
    (r"(?P<year>\d{4})년?", _year),
    (r"(?:(?P<turn>올|작|내)[해년])?(?P<half>상|하)반기", _half),
    (r"(?:(?P<year>\d{4})년?)?(?P<quarter>[1-4])분기", _quarter),
    (r"q(?P<quarter>[1-4])(?: (?P<year>\d{4}))?", _quarter),
)


def _unit(found: re.Match[str]) -> str:
    return _UNITS.get(found["unit"], found["unit"])


def _one(day: date) -> Period:
    return Period(day, day)


def _moved(day: date, unit: str, count: int) -> date:
    """So many days, weeks or months later; the 31st becomes the last day of a shorter month."""
    if unit in ("day", "week"):
        return day + timedelta(days=count * (7 if unit == "week" else 1))
    months = day.year * 12 + day.month - 1 + count * {"month": 1, "quarter": 3, "year": 12}[unit]
    year, month = divmod(months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def _whole(unit: str, day: date, turn: int) -> Period:
    """The whole week, month, quarter or year of a day, or one `turn`s from it."""
    first = {
        "day": day,
        "week": day - timedelta(days=day.weekday()),
        "month": day.replace(day=1),
        "quarter": day.replace(month=3 * ((day.month - 1) // 3) + 1, day=1),
        "year": day.replace(month=1, day=1),
    }[unit]
    start = _moved(first, unit, turn)
    return Period(start, _moved(start, unit, 1) - timedelta(days=1))


# --- the tool ----------------------------------------------------------------------------------------------------------


class ClockOptions(BaseModel, frozen=True, extra="forbid"):
    """Settings of the clock, as written under `tools:`; there are none."""


_DESCRIPTION = {
    "ko": "지금 시각, 오늘 날짜와 요일, 사용자의 시간대와 위치를 알려 줍니다. "
    "period를 주면 그 기간의 시작일과 종료일을 알려 줍니다.",
    "en": "Tells the time, date and weekday now, the user's time zone and location; "
    "with `period`, the first and last day of that period.",
}
_ARGUMENT = {
    "ko": "기간을 나타내는 말. 예: 최근 30일, 지난주, 이번 달, 다음 주 금요일, 2025년 3월",
    "en": "A period in words, for example: last 30 days, last week, this month, next friday, march 2025",
}
_UNKNOWN = {
    "ko": '"{phrase}"이(가) 언제인지 알 수 없습니다. '
    "이렇게 써 보세요: 오늘, 3일 전, 지난주, 이번 달, 최근 30일, 다음 주 금요일, 2025년 3월, 2025-03-01",
    "en": '"{phrase}" is no period known here. '
    "Write it like: today, 3 days ago, last week, this month, last 30 days, next friday, march 2025, 2025-03-01",
}


@dataclass(frozen=True, slots=True)
class _Clock:
    spec: ToolSpec
    traits: Traits

    def call(self, arguments: Mapping[str, Any], caller: Caller) -> Outcome:
        lines, data = _now(caller)
        if phrase := str(arguments.get("period") or "").strip():
            period = resolve_period(phrase, caller.now.date())
            if period is None:
                raise ToolFailedError(_UNKNOWN[caller.language].format(phrase=phrase[:MOST_CHARS]))
            lines.append(_told(phrase, period, caller.language))
            data["period"] = {"start": period.start.isoformat(), "end": period.end.isoformat(), "days": period.days}
        return Outcome("\n".join(lines), data)


def _now(caller: Caller) -> tuple[list[str], dict[str, Any]]:
    now, is_korean = caller.now, caller.language == "ko"
    weekday = _WEEKDAYS[caller.language][now.weekday()]
    zone = _zone(now)
    data = {"now": now.isoformat(timespec="seconds"), "weekday": weekday, "zone": zone, "location": caller.location}
    lines = [f"{'지금' if is_korean else 'Now'}: {now:%Y-%m-%d} ({weekday}) {now:%H:%M} {zone}".rstrip()]
    if caller.location:
        lines.append(f"{'사용자 위치' if is_korean else 'Location of the user'}: {caller.location}")
    return lines, data


def _zone(now: datetime) -> str:
    """Asia/Seoul, or UTC+09:00, or "" for a time that has none."""
    if key := getattr(now.tzinfo, "key", None):
        return str(key)
    offset = f"{now:%z}"
    return f"UTC{offset[:3]}:{offset[3:5]}" if offset else ""


def _told(phrase: str, period: Period, language: Literal["ko", "en"]) -> str:
    names = _WEEKDAYS[language]
    start, end = (f"{day.isoformat()} ({names[day.weekday()]})" for day in (period.start, period.end))
    if period.days == 1:
        return f"{phrase}: {start}"
    return f"{phrase}: {start} ~ {end}, {period.days}{'일' if language == 'ko' else ' days'}"


def open_clock(options: ClockOptions, place: Place) -> list[Tool]:
    """The tool `clock`: the time of the request, and the days that a phrase means."""
    parameters = {
        "type": "object",
        "properties": {"period": {"type": "string", "description": _ARGUMENT[place.language], "maxLength": MOST_CHARS}},
        "additionalProperties": False,
    }
    traits = Traits(is_idempotent=True, is_trusted=True, timeout_s=5.0, max_chars=1_000)
    return [_Clock(ToolSpec("clock", _DESCRIPTION[place.language], parameters), traits)]
