"""Numerals written in words, in Korean and in Chinese characters, brought to digits where they can be nothing else.

스물다섯 명 -> 25 명; 삼십 분 -> 30 분; 십만 원 -> 100000 원; 오후 세 시 -> 오후 3 시; 이천이십오년 삼월 일일 -> 2025년 3월 1일;
二〇二五年 三月 一日 -> 2025년 3월 1일; 삼십 -> 30; 百萬 -> 1000000.

Many words look like numerals: 만약, 천장, 이 사람, 세상, 오이, 십분, 한 번 더, 이천 (the town). So a numeral is read only at the
start of a word, and only

- with a counter or unit that ends the word, or begins a particle; a single syllable (천 명) not without a space before it;
- in a date or a time of day;
- alone, if 십 has a figure beside it (삼십, 십오) or two words make it up (서른하나); 스물, 서른 to 아흔 but not 쉰 (gone off);
- in Chinese characters, if no other Chinese character touches it.

Not read: single Sino-Korean figures close to their unit (이분 is this person), fractions. 이십일 is read as 20일, never as 21.
"""

import re
from functools import cache

_SCALES = {"십": 10, "백": 100, "천": 1000, "만": 10**4, "억": 10**8, "조": 10**12}
_SCALES |= {"十": 10, "百": 100, "千": 1000, "萬": 10**4, "万": 10**4, "億": 10**8, "兆": 10**12}
_FIGURES = {figure: value for figures in ("영일이삼사오육칠팔구", "零一二三四五六七八九") for value, figure in enumerate(figures)}
_FIGURES |= {"공": 0, "〇": 0, "○": 0}
_TENS = {"열": 10, "스물": 20, "스무": 20, "서른": 30, "마흔": 40, "쉰": 50, "예순": 60, "일흔": 70, "여든": 80, "아흔": 90}
_ONES = {"하나": 1, "한": 1, "둘": 2, "두": 2, "셋": 3, "세": 3, "넷": 4, "네": 4}
_ONES |= {"다섯": 5, "여섯": 6, "일곱": 7, "여덟": 8, "아홉": 9}
_HAN_UNITS = dict(zip("年月日時分秒圓元名個人歲回", "년월일시분초원원명개인세회", strict=True))


_HAN_UNITS = dict(zip("年月日時分秒圓元名個人歲回", "년월일시분초원원명개인세회", strict=True))
_HAN_SIGNS = _HAN_UNITS | dict(zip("百千萬万億兆", "백천만만억조", strict=True))
_MONTHS = {"유": 6, "시": 10}


def digits_for_words(text: str) -> tuple[str, list[int]]:
    """`text` with its numerals in digits, and for each place in it, its end included, the place in `text`."""
    pieces: list[str] = []
    origin: list[int] = []
    done = 0
    for found in _words().finditer(text):
        piece = _in_digits(found)
        pieces += [text[done : found.start()], piece]
        origin += [*range(done, found.start()), *[found.start()] * len(piece)]
        done = found.end()
    pieces.append(text[done:])
    origin += range(done, len(text) + 1)
    return "".join(pieces), origin


# --- the grammar -------------------------------------------------------------------------------------------------------

_F = "[일이삼사오육칠팔구]"
_S = "[십백천만억]"
_SINO = rf"(?=(?:{_F}|{_S})\s?(?:{_F}|{_S}))(?!만\s|[백천만억]이\s)(?:{_F}?{_S}\s?){{0,12}}{_F}?{_S}{_F}?"
_YEAR = rf"이공[영공일이삼사오육칠팔구]{{2}}|{_SINO}"
_MONTH = "십[일이]?|[일이삼사오칠팔구유시]"
_DAY = rf"[이삼]?십{_F}?|{_F}"
_NATIVE_ONES = "한|두|세|네|다섯|여섯|일곱|여덟|아홉"
_NATIVE_TENS = "|".join(_TENS)
_HAN = "零〇○一二三四五六七八九十百千萬万億兆"
_HAN_UNIT = "".join(_HAN_UNITS)

_NO_NUMBER = r"(?<![가-힣\d])(?<![\d십백천]\s)"  # 10 만 원 and 9십 만 원 are one amount

# What may stand behind a unit: no Hangul, or the beginning of a particle, the copula or a suffix of amounts.
_END = r"(?=[^가-힣]|$|[은는이가을를의에도로과와만간씩쯤당째들내전후까부입인였예보뿐마치여안]|동안|정도|짜리)"
_ALONE_END = r"(?=[^가-힣]|$|(?:은|는|이|가|을|를|의|에|도|과|와|만|으로|로|까지|부터)(?![가-힣])|입니다|이에요|이다|이라|이었)"
_UNIT = (
    "달러|퍼센트|프로|시간|분(?!의)|초|년|개월|주일?|회|번(?!째|호)|명|사람|인|살|세|개|권|(?<= )장|대|층|배|쪽|페이지|"
    "킬로그램|킬로미터|킬로|미터|그램|리터|포인트|(?<!만)(?<!만 )일"
)
_CLOSE_COUNTER = rf"달(?![러력리걀라콤빛팽])|시간|(?:명|사람|살|개(?!월)|마리|켤레|송이|그릇|자루){_END}"
_LOOSE_COUNTER = rf"(?:권|병|잔|장|대|벌|건|층|박스|(?<!한 )(?:곳|배|쪽)){_END}"

_WORDS = "|".join(
    (
        rf"(?:(?<![一-龥])|(?<=[年月日時分]))(?P<han>[{_HAN}]{{1,12}})\s?(?P<han_unit>[{_HAN_UNIT}])(?:(?![一-龥])|(?=[{_HAN}]))",
        rf"(?<![一-龥])(?!萬一|万一)(?P<han_alone>[{_HAN}]{{2,12}})(?![一-龥])",
        rf"(?<=\d)(?P<sign>\s?[{''.join(_HAN_SIGNS)}])(?![一-龥])",
        rf"(?<![가-힣\d])(?:(?P<year>{_YEAR})\s?년\s?)?(?P<month>{_MONTH})\s?월\s?(?P<day>{_DAY})\s?일{_END}",
        rf"(?<![가-힣\d])(?:(?P<its_year>{_YEAR})\s?년\s(?P<its_month>{_MONTH})|(?P<only_month>십[일이]|[일삼사오칠팔구유시]))월{_END}",
        rf"(?<![가-힣\d])(?P<only_year>{_YEAR})년{_END}",
        # 한시, 두시 and 세시 are words too
        rf"(?<![가-힣])(?P<half>(?:오전|오후|새벽|아침|저녁|밤|낮)\s?)(?P<half_hour>열한|열두|{_NATIVE_ONES}|열)(?=\s?시(?!간))",
        r"(?<![가-힣])(?P<hour>(?:열한|열두|다섯|여섯|일곱|여덟|아홉)(?=\s?시)|(?:한|두|세|네|열)(?=\s시))(?=\s?시(?:[^가-힣]|$|[에까부쯤경이반정]))",
        rf"(?<![가-힣\d])(?P<native>(?:{_NATIVE_TENS})(?:{_NATIVE_ONES})?|{_NATIVE_ONES})"
        rf"(?=\s?(?:{_CLOSE_COUNTER})|\s(?:{_LOOSE_COUNTER})|\s?주(?=[일간 ]))",
        # 한 번 더 and 한 가지 count nothing
        rf"(?<![가-힣])(?P<times>(?:{_NATIVE_TENS})(?:{_NATIVE_ONES})?|두|세|네|다섯|여섯|일곱|여덟|아홉)(?=\s?(?:번(?!째|호)|가지){_END})",
        rf"(?<![가-힣])(?P<alone>(?:{_NATIVE_TENS})(?:하나|둘|셋|넷|다섯|여섯|일곱|여덟|아홉)|스물|서른|마흔|예순|일흔|여든|아흔){_ALONE_END}",
        rf"{_NO_NUMBER}(?P<money>{_SINO}|[십백천만억])(?=\s?(?:원|퍼센트|프로(?![가-힣])))",
        rf"{_NO_NUMBER}(?P<counted>{_SINO}(?=\s?(?:{_UNIT}){_END})|[십백천](?=\s(?:{_UNIT}){_END})|만(?=\s(?:명|개){_END}))",
        rf"(?<![가-힣\d])(?P<few>이(?=\s?개월)|일(?=\s?(?:개월|년){_END})|[삼사오육칠팔구](?=\s?개월|\s(?:년|일|주|분|층|회){_END}))",
        rf"(?<![가-힣\d])(?P<sino>(?:{_F}?{_S}){{0,12}}{_F}십(?:(?!이에|이다|이라|이었){_F})?|십[이삼사오육칠팔구]){_ALONE_END}",
    )
)


@cache
def _words() -> re.Pattern[str]:
    """Compiled on first use."""
    return re.compile(_WORDS)


def _in_digits(found: re.Match[str]) -> str:
    part = {name: text for name, text in found.groupdict().items() if text}
    if "han" in part:
        return f"{_value(part['han'])}{_HAN_UNITS[part['han_unit']]}"
    if "sign" in part:  # after digits: 2025年, 3萬
        return _HAN_SIGNS[part["sign"].strip()]
    if "month" in part:
        year = f"{_value(part['year'])}년 " if "year" in part else ""
        return f"{year}{_month(part['month'])}월 {_value(part['day'])}일"
    if "its_year" in part:
        return f"{_value(part['its_year'])}년 {_month(part['its_month'])}월"
    if "only_month" in part:
        return f"{_month(part['only_month'])}월"
    if "only_year" in part:
        return f"{_value(part['only_year'])}년"
    if "half" in part:
        return f"{part['half']}{_native(part['half_hour'])}"
    for name in ("hour", "native", "times", "alone"):
        if name in part:
            return str(_native(part[name]))
    return str(_value(found[0]))


def _month(text: str) -> int:
    return _MONTHS.get(text) or _value(text)


def _native(text: str) -> int:
    """스물다섯 -> 25; 열두 -> 12; 서른 -> 30."""
    tens = next((word for word in _TENS if text.startswith(word)), "")
    return _TENS.get(tens, 0) + _ONES.get(text.removeprefix(tens), 0)


def _value(text: str) -> int:
    """이천오백 -> 2500; 십이만 삼천 -> 123000; 二〇二五 and 이공이오 -> 2025."""
    total = section = 0
    pending: int | None = None
    for char in text.replace(" ", ""):
        if char in _FIGURES:
            pending = (pending or 0) * 10 + _FIGURES[char]
        elif _SCALES[char] < 10**4:
            section += (1 if pending is None else pending) * _SCALES[char]
            pending = None
        else:
            total += (section + (pending or 0) or 1) * _SCALES[char]
            section, pending = 0, None
    return total + section + (pending or 0)
