"""Numbers, money, dates and times in the ways Korean and English text spells them, brought to one spelling.

10만 원, 십만 원, 100,000원 and ₩100,000 are all "100000원"; 2025년 3월 1일, 2025.3.1 and March 1, 2025 are all "2025-03-01";
오후 6시, 오후 여섯 시 and 18:00 are all "18:00"; 사흘, 3일 and 3 days are all "3일". `text.numerals` reads what is in words.

Not read: fractions written in words, Roman and circled numerals, lunar dates, years of reigns.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache, lru_cache

from sadari.text.forms import compared
from sadari.text.numerals import digits_for_words


@dataclass(frozen=True, slots=True)
class Quantity:
    """One number, date, time or telephone number found in a text.

    Args:
        spelling: The one spelling all others are brought to: "100000원", "7일", "2025-03-01", "18:00", "1588-1234".
        start, end: Where it stands in the text as it is compared (`text.forms.compared`).
        value: The number alone; None for dates, times and telephone numbers.
        unit: Canonical unit, "" if there is none.
    """

    spelling: str
    start: int
    end: int
    value: Decimal | None = None
    unit: str = ""


def quantities_in(text: str) -> list[Quantity]:
    """Every number, date and time of `text`, in order of appearance.

    Left out, because they are no claims: list markers at the start of a line ("1. "), citation marks ("[2]"), and digits glued to
    Latin letters before them ("A4"). What follows the first `text.forms.MOST_CHARS` characters is not read.
    """
    return list(_scan(compared(text)))


def numbers_in(text: str) -> list[str]:
    """The canonical spelling of every number, date and time of `text`, in order of appearance."""
    return [quantity.spelling for quantity in quantities_in(text)]


def replace_quantities(text: str, spell: Callable[[Quantity], str]) -> str:
    """`text`, as it is compared, with each quantity replaced by `spell(quantity)`."""
    text = compared(text)
    pieces, done = [], 0
    for quantity in _scan(text):
        pieces += [text[done : quantity.start], spell(quantity)]
        done = quantity.end
    return "".join([*pieces, text[done:]])


def is_supported(spelling: str, known: Sequence[str]) -> bool:
    """Whether a canonical `spelling` says nothing that does not stand in `known`.

    A number without a unit is supported by the same number with one, a date without its year by the full date, a month by any day
    of it, and an hour without 오전 or 오후 by either half of the day.
    """
    if spelling in known:
        return True
    if re.fullmatch(r"-?[\d.]+", spelling) and any(re.fullmatch(re.escape(spelling) + r"[^\d.:-]+", other) for other in known):
        return True
    if re.fullmatch(r"\d\d-\d\d", spelling) or re.fullmatch(r"\d{4}-\d\d", spelling):
        return any(
            re.fullmatch(r"\d{4}-\d\d-\d\d", other) and (other.endswith("-" + spelling) or other.startswith(spelling + "-"))
            for other in known
        )
    if year := re.fullmatch(r"(\d{4})년", spelling):
        return any(other.startswith(year[1] + "-") for other in known)
    spoken = {clock for other in [spelling, *known] for clock in _clock_times(other)}
    if len(_clock_times(spelling)) == 2 or spelling in spoken:  # "6시" against 18:00, or 18:00 against "6시"
        return any(set(_clock_times(spelling)) & set(_clock_times(other)) for other in known)
    return False


# --- the grammar -------------------------------------------------------------------------------------------------------

_NUMBER = r"(?:\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?)"
_SCALE = "조억만천백십"
_SCALES = {"십": 10, "백": 100, "천": 1000, "만": 10**4, "억": 10**8, "조": 10**12}
_DAYS = {"이틀": 2, "사흘": 3, "나흘": 4, "닷새": 5, "엿새": 6, "열흘": 10, "보름": 15}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

# Longer spellings first. A word border is no end of a Latin unit: Hangul may follow at once, as in 50cm보다. Case is ignored.
_UNITS: tuple[tuple[str, str], ...] = (
    (r"영업일|(?:business|working) days?(?![a-z])", "영업일"),
    (r"원|won(?![a-z])|KRW(?![a-z])", "원"),
    (r"달러|dollars?(?![a-z])|USD(?![a-z])", "달러"),
    (r"%p|퍼센트포인트", "%p"),
    (r"%|퍼센트|percent(?![a-z])|프로(?![가-힣])", "%"),
    (r"시간|hours?(?![a-z])|hrs?(?![a-z])", "시간"),
    (r"개월|달(?!러)|months?(?![a-z])", "개월"),
    (r"주일|주(?![문소세말차년기민])|weeks?(?![a-z])", "주"),
    (r"일(?![반시정상])|days?(?![a-z])", "일"),
    (r"년|years?(?![a-z])", "년"),
    (r"월", "월"),
    (r"분(?!의)|minutes?(?![a-z])|mins?(?![a-z])", "분"),
    (r"초|seconds?(?![a-z])|secs?(?![a-z])", "초"),
    (r"회(?![원사])|번(?![째호])|times(?![a-z])", "회"),
    (r"포인트|points?(?![a-z])|p(?![a-z])", "포인트"),
    (r"가지|종(?=류|[^가-힣]|$)", "가지"),
    (r"개|pieces?(?![a-z])|items?(?![a-z])", "개"),
    (r"명|사람|people(?![a-z])|persons?(?![a-z])", "명"),
    (r"인(?=[^가-힣]|$|[분용당이은을까의에])", "명"),
    (r"살|세(?=[^가-힣]|$|[이는를부까미의])", "세"),
    (r"켤레|박스|마리|그릇|송이|자루|단계|등급|순위|페이지", ""),
    (r"잔(?=[^가-힣]|$|[은이을에의도만씩])", ""),
    (r"건|장|점|배|권|대|병|벌|층|위|호|차|도|평|곳|쪽|학년|등", ""),
    (r"[kcm]?m[23²³]?(?![a-z\d])|(?:kg|mg|ml|gb|mb|tb|g|l)(?![a-z\d])|℃|㎏|㎝|㎞|㎡", ""),
)  # "" keeps the unit as it is written
_UNIT = "|".join(pattern for pattern, _ in _UNITS)
_AFTER_SCALE = rf"(?=\s|\d|$|[^가-힣]|{_UNIT}|[이을은에의도로과]|까지|부터)"
_SMALL = rf"(?:{_NUMBER}\s?[천백십]{_AFTER_SCALE}\s?)"  # 3천
_BIG = {scale: rf"(?:{_SMALL}{{0,3}}(?:{_NUMBER}\s?)?[천백십]?{scale}{_AFTER_SCALE}\s?)" for scale in "조억만"}  # 3천5백만
_SCALED = (  # in falling order, so that 1만 2만 stays two amounts
    rf"(?=\d)(?:(?:{_BIG['조']}{_BIG['억']}?|{_BIG['억']}){_BIG['만']}?{_SMALL}{{0,3}}|{_BIG['만']}{_SMALL}{{0,3}}|{_SMALL}{{1,3}})"
    rf"(?:(?<=[{_SCALE}]){_NUMBER}|{_NUMBER}(?=\s?원))?"
)
_HALF = r"(?P<{0}half>오전|오후|새벽|아침|저녁|밤|낮)?\s?"

_GRAMMAR = "|".join(
    (
        r"(?P<skip>(?m:^)[ \t]*\d{1,2}[.)](?=\s)|\[\d{1,3}\]|(?<![A-Za-z])[A-Za-z]+\d+(?:\.\d+)?)",
        r"(?P<date>(?<!\d)(?P<y>\d{4})\s?(?:년|[-./])\s?(?P<m>\d{1,2})\s?(?:월|[-./])\s?(?P<d>\d{1,2})(?!\d)(?:\s?일)?)",
        r"(?P<month>(?<!\d)(?P<ym_y>\d{4})(?:\s?년\s?|[-.](?=\d\d(?![\d.])))(?P<ym_m>\d{1,2})\s?월)",
        r"(?P<day>(?<!\d)(?P<md_m>\d{1,2})\s?월\s?(?P<md_d>\d{1,2})\s?일)",
        rf"(?P<english>\b(?P<e_m>{'|'.join(_MONTHS)})[a-z]*\.?\s(?P<e_d>\d{{1,2}})(?:st|nd|rd|th)?(?![a-z\d])(?:,?\s(?P<e_y>\d{{4}}))?)",
        r"(?P<clock>"
        + _HALF.format("c_")
        + r"(?<!\d)(?P<c_h>\d{1,2}):(?P<c_m>\d{2})(?::\d{2})?(?!\d)\s?(?P<c_ap>[ap]\.?m(?![a-z])\.?)?)",
        r"(?P<hour>"
        + _HALF.format("h_")
        + r"(?<!\d)(?P<h_h>\d{1,2})\s?시(?!간)(?:\s?(?:(?P<h_m>\d{1,2})\s?분|(?P<h_30>반)(?![가-힣]))?))",
        r"(?P<ampm>(?<!\d)(?P<a_h>\d{1,2})\s?(?P<a_ap>[ap]\.?m(?![a-z])\.?))",
        r"(?P<phone>(?<![\d-])(?:\d{2,4}-\d{3,4}-\d{4}|1\d{3}-\d{4})(?![\d-]))",
        rf"(?P<money>(?P<sign>₩|KRW|\$|USD)\s?(?P<sum>{_SCALED}|{_NUMBER}))",
        r"(?P<article>(?<=제)\s?(?P<art>\d+)(?P<art_unit>[조항호장절]))",
        rf"(?P<range>(?P<low>{_SCALED}|{_NUMBER})\s?[~\-–—∼〜]\s?(?=(?P<high>{_SCALED}|{_NUMBER})\s?(?P<high_unit>{_UNIT})))",
        rf"(?P<plain>(?:(?<=\s)|(?<=\()|^)[-−](?=\d)|)(?P<amount>{_SCALED}|{_NUMBER})(?:\s?(?P<unit>{_UNIT}))?",
        rf"(?P<days>(?<![가-힣])(?:{'|'.join(_DAYS)})(?!달))|(?P<oneday>(?<![가-힣])하루(?=\s?(?:전|이내|안에|후|뒤|치)))",
        r"(?P<oneweek>(?<![가-힣])일주일)",
    )
)


@cache
def _grammar() -> re.Pattern[str]:
    """Compiled on first use: it takes half a second."""
    return re.compile(_GRAMMAR, re.IGNORECASE)


def _scan(text: str) -> Iterator[Quantity]:
    text, origin = digits_for_words(text)
    position = 0
    while found := _grammar().search(text, position):
        quantity = _read(found)
        position = max(found.end(), found.start() + 1)
        if quantity is not None:
            yield replace(quantity, start=origin[quantity.start], end=origin[quantity.end])


def _read(found: re.Match[str]) -> Quantity | None:
    part = found.groupdict()
    start, end = found.span()

    def named(spelling: str) -> Quantity:
        return Quantity(spelling, start, end)

    def counted(value: Decimal, unit: str) -> Quantity:
        return Quantity(f"{_plain(value)}{unit}", start, end, value, unit)

    if part["skip"]:
        return None
    if part["date"]:
        return named(f"{part['y']}-{int(part['m']):02}-{int(part['d']):02}")
    if part["month"]:
        return named(f"{part['ym_y']}-{int(part['ym_m']):02}")
    if part["day"]:
        return named(f"{int(part['md_m']):02}-{int(part['md_d']):02}")
    if part["english"]:
        day = f"{_MONTHS.index(part['e_m'].lower()) + 1:02}-{int(part['e_d']):02}"
        return named(f"{part['e_y']}-{day}" if part["e_y"] else day)
    if part["clock"]:
        return named(_clock(int(part["c_h"]), int(part["c_m"]), part["c_half"] or part["c_ap"] or "24"))
    if part["hour"]:
        return named(_clock(int(part["h_h"]), 30 if part["h_30"] else int(part["h_m"] or 0), part["h_half"] or ""))
    if part["ampm"]:
        return named(_clock(int(part["a_h"]), 0, part["a_ap"]))
    if part["phone"]:
        return named(part["phone"])
    if part["money"]:
        return counted(_value(part["sum"]), "원" if part["sign"].upper() in ("₩", "KRW") else "달러")
    if part["article"]:
        return counted(Decimal(part["art"]), part["art_unit"])
    if part["range"]:  # 3~5일 is 3일 and 5일; 1~2만원 is 1만원 and 2만원
        low, high = part["low"], part["high"]
        scale = high.strip()[-1] if high.strip()[-1] in _SCALES and low.strip()[-1] not in _SCALES else ""
        return counted(_value(low + scale), _unit(part["high_unit"]))
    if part["amount"]:
        sign = -1 if part["plain"] else 1
        return counted(sign * _value(part["amount"]), _unit(part["unit"] or ""))
    if part["days"]:
        return counted(Decimal(_DAYS[part["days"]]), "일")
    if part["oneday"]:
        return counted(Decimal(1), "일")
    return counted(Decimal(1), "주")  # 일주일


def _value(text: str) -> Decimal:
    """3만5천 -> 35000; 1억 2,000만 -> 120000000; 1.5만 -> 15000."""
    total = section = Decimal(0)
    pending: Decimal | None = None
    for piece in re.findall(rf"{_NUMBER}|[{_SCALE}]", text):
        if piece not in _SCALES:
            pending = Decimal(piece.replace(",", ""))
        elif piece in "십백천":
            section += (Decimal(1) if pending is None else pending) * _SCALES[piece]
            pending = None
        else:
            section += pending or 0
            total += (section or Decimal(1)) * _SCALES[piece]
            section, pending = Decimal(0), None
    return total + section + (pending or 0)


def _plain(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


@lru_cache(1024)
def _unit(text: str) -> str:
    if not text:
        return ""
    for pattern, canonical in _UNITS:
        if re.fullmatch(pattern, text, re.IGNORECASE):
            return canonical or text
    return {"세": "세", "인": "명"}.get(text, text)  # units whose pattern looks at what follows


def _clock(hour: int, minute: int, half: str) -> str:
    if not half and 1 <= hour <= 12:
        return f"{hour}시{minute}분" if minute else f"{hour}시"  # either half of the day
    mark = half.lower().replace(".", "")
    if mark in ("오후", "저녁", "낮", "pm") and hour < 12:
        hour += 12
    elif (mark in ("오전", "새벽", "am", "밤") and hour == 12) or hour == 24:
        hour = 0
    elif mark == "밤" and hour >= 6:
        hour += 12 if hour < 12 else 0
    return f"{hour:02}:{minute:02}"


def _clock_times(spelling: str) -> tuple[str, ...]:
    """The times of day that a canonical spelling may mean."""
    if re.fullmatch(r"\d\d:\d\d", spelling):
        return (spelling,)
    if spoken := re.fullmatch(r"(\d{1,2})시(?:(\d{1,2})분)?", spelling):
        hour, minute = int(spoken[1]), int(spoken[2] or 0)
        return tuple(f"{h % 24:02}:{minute:02}" for h in (hour % 12, hour % 12 + 12))
    return ()
