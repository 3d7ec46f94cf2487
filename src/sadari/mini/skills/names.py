# ruff: noqa: E501 (word lists and patterns read better on one line)
"""Invented names, values and Korean particles: the raw material of every generator."""

from __future__ import annotations

import re
from random import Random

_SYLLABLES = ["가", "강", "건", "경", "고", "광", "교", "구", "국", "규", "근", "금", "기", "나", "남", "노", "누", "다", "단", "달", "담", "대", "도", "동", "두", "라", "란", "래", "로", "루", "류", "리", "린", "마", "만", "명", "모", "무", "문", "미", "민", "바", "반", "백", "범", "별", "보", "봄", "부", "비", "빛", "사", "산", "상", "새", "서", "석", "선", "설", "성", "세", "소", "솔", "송", "수", "숲", "슬", "시", "신", "아", "안", "연", "영", "예", "오", "온", "용", "우", "운", "원", "월", "유", "윤", "은", "이", "인", "일", "자", "재", "정", "제", "조", "주", "준", "지", "진", "차", "찬", "창", "채", "천", "청", "초", "춘", "치", "태", "하", "한", "해", "현", "혜", "호", "화", "환", "훈", "휘", "희", "담", "결", "겸", "노을", "다온", "가람", "나래", "하람", "미르", "아라", "바다", "푸른", "온새", "도담", "누리", "마루", "한결", "라온", "예그", "해솔", "이든", "소담", "벼리", "그린", "블루", "메디", "에코", "루미", "베라", "솔라", "카스", "모노", "테라", "네오", "오르", "피노", "델타", "노바", "제니", "코스"]
_ORG_TAILS = ["상사", "전자", "식품", "물산", "병원", "의원", "도서관", "문화센터", "체육관", "호텔", "은행", "카드", "보험", "통신", "여행", "항공", "서점", "마트", "몰", "스토어", "약국", "학원", "대학교", "고등학교", "연구소", "재단", "협회", "시청", "구청", "주민센터", "보건소", "박물관", "미술관", "극장", "수영장", "골프장", "캠핑장", "리조트", "주차장", "카페", "베이커리", "식당", "가구", "안경", "렌터카", "택배", "물류", "건설", "산업", "소프트", "테크", "랩", "네트웍스", "시스템즈", "솔루션", "게임즈", "미디어", "출판", "에너지", "화학", "제약", "바이오", "모터스", "조선", "철강", "섬유", "패션", "뷰티", "키즈", "펫", "농원", "목장", "수산", "양조", "공방", "스튜디오", "아카데미", "클리닉", "치과", "한의원", "동물병원", "요양원", "어린이집", "유치원", "공원", "식물원", "천문대", "과학관", "체험관", "터미널", "휴게소"]
_SURNAMES = list(
    "김이박최정강조윤장임한오서신권황안송류홍전고문손배백허남심노하곽성차주우구민진나지엄채원천방공현함변염여추도소석선설마길연위표명기반왕금옥육인맹제모탁국"
)
_GIVEN = list(
    "가경규기나다도동라란래로류리린마명모무문미민범별보빈서석선설성세소솔송수슬승시신아안연영예온용우운원유윤은이인재정제조주준지진찬창채철청태하한해현형혜호화환훈휘희"
)
_PLACES = list(
    "가강고광구금남노대동두등마만망명목문미방백별봉부북사산상새서석선성세소송수신쌍안약양여연영오옥온용우운원월유은을이인일자장정제조종주중지진창천청초춘충칠태평포하학한함해행현호홍화황효"
)
_EN_ON = ["b", "br", "c", "ch", "cl", "cr", "d", "dr", "f", "fl", "fr", "g", "gl", "gr", "h", "j", "k", "kl", "l", "m", "n", "p", "pl", "pr", "qu", "r", "s", "sh", "sk", "sl", "sm", "sn", "sp", "st", "str", "t", "th", "tr", "v", "w", "y", "z"]
_EN_NU = ["a", "e", "i", "o", "u", "ai", "ea", "ee", "ia", "io", "oa", "oo", "ou"]
_EN_CO = ["b", "ck", "d", "ft", "g", "l", "ld", "lm", "ln", "m", "n", "nd", "ng", "nt", "p", "r", "rd", "rk", "rn", "s", "sh", "sk", "st", "t", "th", "v", "x"]
_EN_ORG = ["Clinic", "Library", "Bank", "Hotel", "Stores", "Foods", "Labs", "Systems", "Airways", "Insurance", "Gym", "Museum", "Theatre", "University", "Academy", "Pharmacy", "Telecom", "Logistics", "Bakery", "Energy", "Motors", "Software", "Press", "Gallery", "Resort", "Council", "Institute", "Studios", "Outfitters", "Gardens", "Cycles", "Dental", "Rentals", "Couriers", "Robotics", "Instruments", "Farms"]

_CODA = re.compile(r"(\S)~(이라|이나|이며|이면|이고|이에요|으로|은|이|을|과)")
_STRAY = re.compile(r"~(?=(?:에|의|까지|만|도)(?:\W|$|는|서))")  # a marker before a particle that never changes
_PARTICLES = {"은": "는", "이": "가", "을": "를", "과": "와", "으로": "로", "이라": "라", "이나": "나", "이며": "며", "이면": "면", "이고": "고", "이에요": "예요"}


def _final(char: str) -> int:
    """Index of the final consonant of what `char` is read as; 0 for none, 8 for ㄹ."""
    if "가" <= char <= "힣":
        return (ord(char) - 0xAC00) % 28
    if char.isdigit():
        return {"0": 21, "1": 8, "3": 16, "6": 1, "7": 8, "8": 8}.get(char, 0)
    return {"l": 8, "r": 8, "m": 16, "n": 4}.get(char.lower(), 0)


def join_particles(text: str) -> str:
    """`사과~은` to `사과는`, `책~은` to `책은`: the marker `~` asks for the particle that the sound before it needs."""

    def pick(match: re.Match[str]) -> str:
        char, particle = match.groups()
        skip = next((c for c in reversed(text[: match.start() + 1]) if c.isalnum()), char) if not char.isalnum() else char
        final = _final(skip)
        closed = final != 0 and not (particle == "으로" and final == 8)
        return char + (particle if closed else _PARTICLES[particle])

    return _STRAY.sub("", _CODA.sub(pick, text))


def word_ko(r: Random) -> str:
    """A syllable-made word of two or three syllables."""
    return "".join(r.choice(_SYLLABLES) for _ in range(r.choice((2, 2, 2, 3))))[:4]


def word_en(r: Random) -> str:
    """A pronounceable English-looking word."""
    return "".join(
        r.choice(_EN_ON) + r.choice(_EN_NU) + (r.choice(_EN_CO) if r.random() < 0.6 else "") for _ in range(r.choice((1, 2, 2)))
    )


def org_ko(r: Random) -> str:
    return word_ko(r) + r.choice(("", "", " ")) + r.choice(_ORG_TAILS)


def org_en(r: Random) -> str:
    return word_en(r).capitalize() + " " + r.choice(_EN_ORG)


def brand(r: Random, ko: bool) -> str:
    """A product or brand name, sometimes with a model number."""
    name = word_ko(r) if ko and r.random() < 0.75 else word_en(r).capitalize()
    if r.random() < 0.3:
        name += (
            r.choice((" ", "-"))
            + r.choice("ABCDEGHKLMNPRSTVXZ")
            + str(r.choice((r.randint(1, 9), r.randint(10, 99), r.randint(100, 999))))
        )
    return name


def person_ko(r: Random) -> str:
    return r.choice(_SURNAMES) + r.choice(_GIVEN) + r.choice(_GIVEN)


def person_en(r: Random) -> str:
    return word_en(r).capitalize() + " " + word_en(r).capitalize()


def place_ko(r: Random) -> str:
    return r.choice(_PLACES) + r.choice(_PLACES) + r.choice(("동", "시", "구", "읍", "로", "역", "군", "면", "리", "길"))


def address_ko(r: Random) -> str:
    return f"{r.choice(_PLACES)}{r.choice(_PLACES)}{r.choice(('시', '구', '군'))} {r.choice(_PLACES)}{r.choice(_PLACES)}{r.choice(('로', '길', '대로'))} {r.randint(1, 399)}"


def spot_ko(r: Random) -> str:
    hall = r.choice(("본관", "별관", "신관", "동관", "서관", "A동", "B동", "C동", "제1관", "제2관", "중앙 건물", "후문 쪽 건물"))
    return f"{hall} {r.choice(('지하 1', '지하 2', '1', '2', '3', '4', '5', '6', '7', '8', '9', '11', '12'))}층" + r.choice(
        ("", "", f" {r.randint(101, 999)}호", " 안내 데스크 옆", " 엘리베이터 앞", " 로비")
    )


def spot_en(r: Random) -> str:
    return r.choice(
        (
            "the ground floor",
            "the second floor",
            "the third floor",
            "the basement",
            "the east wing",
            "the north hall",
            "Building B",
            "Building 4",
            "the annex",
        )
    ) + r.choice(("", f", room {r.randint(101, 799)}", " next to the lifts", " beside the main entrance"))


def money_ko(r: Random) -> str:
    n = r.choice((r.randint(1, 99) * 100, r.randint(1, 99) * 1000, r.randint(1, 60) * 10000, r.randint(10, 999) * 50))
    style = r.random()
    if style < 0.75 or n < 10000:
        return f"{n:,}원" if style < 0.9 else f"{n}원"
    man, rest = divmod(n, 10000)
    return f"{man}만 {rest:,}원" if rest else f"{man}만 원"


def money_en(r: Random) -> str:
    n = r.choice((r.randint(1, 99), r.randint(100, 999), r.randint(1, 99) * 100))
    return r.choice(("${:,}", "${:,}", "{:,} euros", "£{:,}", "${:,}.50")).format(n)


def period_ko(r: Random) -> str:
    return r.choice(
        (
            f"{r.randint(2, 60)}일",
            f"{r.randint(2, 20)}영업일",
            f"{r.randint(1, 12)}주",
            f"{r.randint(1, 36)}개월",
            f"{r.randint(1, 10)}년",
            f"{r.randint(2, 72)}시간",
            f"{r.choice((10, 15, 20, 30, 40, 45, 50, 90))}분",
        )
    )


def period_en(r: Random) -> str:
    n = r.randint(2, 60)
    return f"{n} " + r.choice(("days", "days", "business days", "hours", "weeks", "months", "minutes"))


def clock_ko(r: Random, h: int | None = None) -> str:
    h = r.randint(6, 22) if h is None else h
    m = r.choice(("", "", " 30분", " 20분", " 40분", " 15분"))
    style = r.random()
    if style < 0.7:
        return f"{'오전' if h < 12 else '오후'} {h if h <= 12 else h - 12}시{m}"
    return f"{h:02d}:{r.choice(('00', '30', '15', '40', '20'))}" if style < 0.85 else f"{h}시{m}"


def clock_en(r: Random, h: int | None = None) -> str:
    h = r.randint(6, 22) if h is None else h
    return (
        f"{h if h <= 12 else h - 12}{r.choice(('', '', ':30', ':15', ':45'))} {'a.m.' if h < 12 else 'p.m.'}"
        if r.random() < 0.6
        else f"{h:02d}:{r.choice(('00', '30'))}"
    )


def date_ko(r: Random) -> str:
    md = f"{r.randint(1, 12)}월 {r.randint(1, 28)}일"
    return r.choice(
        (
            md,
            md,
            f"{r.randint(1950, 2027)}년 {md}",
            f"매월 {r.randint(1, 28)}일",
            f"{r.randint(2020, 2027)}-{r.randint(1, 12):02d}-{r.randint(1, 28):02d}",
        )
    )


def date_en(r: Random) -> str:
    month = r.choice(["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"])
    return r.choice(
        (
            f"{month} {r.randint(1, 28)}",
            f"{r.randint(1, 28)} {month} {r.randint(1950, 2027)}",
            f"{month} {r.randint(1, 28)}, {r.randint(2001, 2027)}",
        )
    )


def phone(r: Random) -> str:
    return r.choice(
        (
            f"{r.choice(('02', '031', '032', '051', '053', '062', '064', '070'))}-{r.randint(200, 9999)}-{r.randint(0, 9999):04d}",
            f"15{r.randint(10, 99)}-{r.randint(0, 9999):04d}",
            f"080-{r.randint(100, 999)}-{r.randint(0, 9999):04d}",
        )
    )


def email(r: Random) -> str:
    return f"{r.choice(('help', 'cs', 'info', 'support', 'desk', word_en(r)))}@{word_en(r)}.{r.choice(('example', 'co.kr', 'com', 'kr', 'or.kr', 'net'))}"


def code(r: Random) -> str:
    letters = "".join(r.choice("ABCDEFGHJKLMNPQRSTUVWXYZ") for _ in range(r.randint(1, 3)))
    return r.choice(
        (f"{letters}-{r.randint(10, 99999)}", f"{letters}{r.randint(100, 9999)}", f"{r.randint(1, 12)}{letters}{r.randint(1, 99)}")
    )


def percent(r: Random) -> str:
    return f"{r.choice((r.randint(1, 95), r.choice((5, 10, 15, 20, 25, 30, 50, 70)), round(r.uniform(0.1, 9.9), 1)))}%"


def typo(text: str, r: Random) -> str:
    """`text` as somebody in a hurry types it: a space lost, two letters swapped, a letter lost or doubled."""
    if len(text) < 6:
        return text
    i = r.randrange(1, len(text) - 2)
    kind = r.random()
    if kind < 0.5 and " " in text:
        spaces = [k for k, c in enumerate(text) if c == " "]
        k = r.choice(spaces)
        return text[:k] + text[k + 1 :]
    if kind < 0.7:
        return text[:i] + text[i + 1] + text[i] + text[i + 2 :]
    return text[:i] + text[i + 1 :] if kind < 0.85 else text[:i] + text[i] + text[i:]
