"""What people say when a tool asks for a name, a city, an amount: values by the words of an argument's name and description.

All persons, numbers and addresses are made up; mail and web addresses lie in the domains that are reserved for examples.

Source:
    Reserved names: RFC 2606.
"""

import re
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

LONGEST_HINT = 40
"""Longest example that is taken from a description, in characters."""

MOST_WORDS = 600
"""Characters of a description that are read."""

Draw = Callable[[Random], str]


def draw_text(name: str, schema: Mapping[str, Any], rng: Random, language: str, about: str = "") -> str | None:
    """A text for an argument: by its format, by the examples in its description, else by what its words speak of.

    `about` is what the tool does: it tells what a search word may be. None if nothing is known that the argument could be.
    """
    by_format = _FORMATS.get(str(schema.get("format", "")))
    if by_format is not None:
        return by_format(rng)
    description = str(schema.get("description", ""))[:MOST_WORDS]
    hints = examples_in(description)
    if hints:
        return rng.choice(hints)
    written = _written_form(description, rng)
    if written is not None:
        return written
    noun, spaced = _korean_noun(description), _spaced(name)
    is_search = _SEARCH.search(f"{noun} {spaced}".lower()) is not None
    sought = _told_by(about) if is_search else None
    told = (sought if sought is not _MESSAGES else None) or _told_by(noun) or _told_by(spaced) or _told_by(_head(description))
    if told is None and _is_person(noun or f"{spaced} {_head(description)}"):
        told = _PEOPLE
    return None if told is None else told[language](rng)


def _told_by(words: str) -> Mapping[str, Draw] | None:
    if _PERSON.search(words.lower()) and re.search(r"이름|성함|\bname\b", words.lower()):
        return _PEOPLE
    return next((draws for pattern, draws in _TEXTS if pattern.search(words.lower())), None)


_SEARCH = re.compile(r"검색어|키워드|query|keyword|search")
_PERSON = re.compile(
    r"person|people|\buser|customer|client|friend|recipient|receiver|sender|author|artist|actor|director|player|patient|doctor|"
    r"scientist|employee|member|contact|singer|composer|sculptor|individual|guest|passenger|student|teacher|writer|president|"
    r"사람|고객|회원|친구|사용자|유저|수신자|발신자|작성자|예금주|환자|보호자|담당자|수령인|직원|아티스트|가수|감독|배우|작가|상대|연락처"
)


def _is_person(words: str) -> bool:
    bare = re.sub(r"^(?:저장된|업데이트할|새로운|새) ", "", words.lower().strip())
    return (
        _PERSON.search(bare) is not None
        or re.fullmatch(r"(?:(?:full|first|last|your)? ?name ?|\S+[된할한] )?(?:이름|성함|성명|(?:full )?name)?", bare) is not None
    )


def _head(description: str) -> str:
    return re.split(r"[.,;:(]", description)[0]


def draw_number(name: str, schema: Mapping[str, Any], rng: Random, language: str) -> int | float | None:
    """A number for an argument: within its bounds, by the range or examples in its description, else by what its words say."""
    is_whole = schema.get("type") == "integer" or (isinstance(schema.get("type"), list) and "integer" in schema["type"])
    description = str(schema.get("description", ""))[:MOST_WORDS]
    about = f"{_spaced(name)} | {description}".lower()
    low, high, step = next((span[language] for pattern, span in _NUMBERS if pattern.search(about)), (1, 20, 1))
    hinted = [float(text) for text in examples_in(description) if re.fullmatch(r"-?\d+(?:\.\d+)?", text)]
    span = _RANGE.search(description)
    if span and float(span[1]) < float(span[2]):
        low, high, step = float(span[1]), float(span[2]), 1
    low, high = _bounded(schema, low, high)
    if low > high:
        return None
    if hinted and rng.random() < 0.5:
        drawn = rng.choice(hinted)
    else:
        drawn = low + step * rng.randint(0, max(0, int((high - low) / step + 1e-9)))
    multiple = schema.get("multipleOf")
    if isinstance(multiple, int | float) and multiple > 0:
        drawn = round(drawn / multiple) * multiple
        drawn = drawn if drawn >= low else drawn + multiple
    return int(drawn) if is_whole or float(drawn).is_integer() else round(drawn, 4)


def _bounded(schema: Mapping[str, Any], low: float, high: float) -> tuple[float, float]:
    width = high - low
    for key, shift in (("minimum", 0), ("exclusiveMinimum", 1)):
        bound = schema.get(key)
        if isinstance(bound, int | float) and not isinstance(bound, bool) and low < bound + shift:
            low, high = bound + shift, max(high, bound + shift + width)
    for key, shift in (("maximum", 0), ("exclusiveMaximum", 1)):
        bound = schema.get(key)
        if isinstance(bound, int | float) and not isinstance(bound, bool) and high > bound - shift:
            least = schema.get("minimum", schema.get("exclusiveMinimum"))
            low, high = max(min(low, bound - shift), least if isinstance(least, int | float) else min(low, 0)), bound - shift
    return low, high


# --- what descriptions say ----------------------------------------------------------------------------------------------

_HINT = re.compile(
    r"(?:\be\.?g\.?,?|\bfor example,?|\bsuch as|\blike(?= ['\"])|예:|예\)|예시:|예를 들어,?|예를 들면,?)"
    r"\s*:?\s*(?P<said>[^()\n]{1,160})",
    re.I,
)
_QUOTED = re.compile(r"['\"“‘`](.{1,60}?)['\"”’`](?=[\s,.;)/]|$|[가-힣])")
_RANGE = re.compile(r"(?<![\d-])(\d{1,6}(?:\.\d+)?)\s*(?:[~∼–-]|to|부터|에서)\s*(\d{1,6}(?:\.\d+)?)(?![\d-])")
_WRITTEN = re.compile(r"YYYY[-/.]MM[-/.]DD(?:[T ]HH:MM(?::SS)?Z?)?|HH:MM(?::SS)?|YYYY-MM|YYYYMMDD", re.I)


def examples_in(description: str) -> list[str]:
    """The examples that a description gives: `(e.g., 'Paris, France')`, `(예: BTC, ETH)`."""
    found: list[str] = []
    for hint in _HINT.finditer(description):
        said = hint["said"].strip()
        quoted = _QUOTED.findall(said)
        if quoted:
            found += quoted
        else:
            said = re.split(r"[.。](?:\s|$)|;", said)[0]
            found += [_LISTING.sub("", part.strip()) for part in _COMMA.split(said)]
    return [text for text in dict.fromkeys(found) if 0 < len(text) <= LONGEST_HINT and not _NO_EXAMPLE.search(text)]


_COMMA = re.compile(r",(?!(?<=[a-z],) ?[A-Z]{2}\b) ?| or | 또는 ")  # "Los Angeles, CA" is one
_LISTING = re.compile(r"^(?:or|and|또는|혹은) |[ ]?(?:등|etc\.?)$")
_NO_EXAMPLE = re.compile("입력|경우|형식|format|YYYY|HH:MM|MM/DD|^\\W+$")


def _written_form(description: str, rng: Random) -> str | None:
    """A date or time in the form that the description spells out."""
    form = _WRITTEN.search(description)
    if form is None:
        return None
    parts = {
        "YYYY": "2025",
        "MM": f"{rng.randint(1, 12):02d}",
        "DD": f"{rng.randint(1, 28):02d}",
        "HH": f"{rng.randint(8, 21):02d}",
    }
    text = form[0].upper()
    is_time = text.startswith("HH")
    text = text.replace("YYYY", parts["YYYY"]).replace("DD", parts["DD"]).replace("HH", parts["HH"]).replace("SS", "00")
    minute = rng.choice(("00", "15", "30", "45"))
    return text.replace("MM", minute) if is_time else text.replace("MM", parts["MM"], 1).replace("MM", minute)


def _korean_noun(description: str) -> str:
    """The last two words of what a Korean description says first: what the argument is."""
    said = re.split(r"[(.,;:\n]", description)[0].strip()
    return " ".join(said.split()[-2:]) if re.search("[가-힣]", said) else ""


def _spaced(name: str) -> str:
    """`friendName` and `friend_name` as words."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).replace("_", " ").replace("-", " ").replace(".", " ")


# --- pools --------------------------------------------------------------------------------------------------------------


def _any(words: str) -> Draw:
    options = tuple(words.split("|"))
    return lambda rng: rng.choice(options)


def _date(rng: Random) -> str:
    return f"2025-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"


def _clock(rng: Random) -> str:
    return f"{rng.randint(8, 21):02d}:{rng.choice(('00', '15', '30', '45'))}"


def _digits(rng: Random, count: int) -> str:
    return "".join(str(rng.randint(0, 9)) for _ in range(count))


def _hex(rng: Random, count: int) -> str:
    return "".join(rng.choice("0123456789abcdef") for _ in range(count))


def _mail(rng: Random) -> str:
    return f"{rng.choice(('minsu', 'jiwoo', 'haneul', 'sora', 'anna', 'david', 'yuna', 'leo'))}{rng.randint(1, 99)}@example.com"


def _uuid(rng: Random) -> str:
    return f"{_hex(rng, 8)}-{_hex(rng, 4)}-4{_hex(rng, 3)}-a{_hex(rng, 3)}-{_hex(rng, 12)}"


_FORMATS: Mapping[str, Draw] = {
    "date": _date,
    "time": lambda rng: f"{_clock(rng)}:00Z",
    "date-time": lambda rng: f"{_date(rng)}T{_clock(rng)}:00Z",
    "email": _mail,
    "idn-email": _mail,
    "uri": lambda rng: f"https://example.com/{_hex(rng, 6)}",
    "url": lambda rng: f"https://example.com/{_hex(rng, 6)}",
    "uuid": _uuid,
    "ipv4": lambda rng: f"192.0.2.{rng.randint(1, 254)}",
    "ipv6": lambda rng: f"2001:db8::{_hex(rng, 4)}",
    "hostname": lambda rng: f"host{rng.randint(1, 40)}.example.com",
    "duration": lambda rng: f"P{rng.randint(1, 14)}D",
}

_KO_PEOPLE = _any("김민수|이서연|박지훈|최유진|정하늘|강도윤|조은서|윤지호|장수빈|임서준|한지민|오태양|서예린|신동욱|권나라|황보라")
_EN_PEOPLE = _any("Anna Miller|David Chen|Sara Lopez|Tom Baker|Yuna Kim|Leo Martin|Grace Hall|Omar Aziz|Nina Petrova|Sam Carter")
_PEOPLE: Mapping[str, Draw] = {"ko": _KO_PEOPLE, "en": _EN_PEOPLE}
_KO_CITIES = _any("서울|부산|대구|인천|광주|대전|울산|수원|제주|춘천|전주|강릉|청주|포항|여수|목포")
_EN_CITIES = _any("Seoul|Paris|Berlin|Chicago|Toronto|Madrid|Osaka|Sydney|Boston|Denver|Lisbon|Prague")
_KO_PLACES = _any("서울역|강남역|부산역|인천공항|광화문|홍대입구역|수원역|판교역|해운대|경복궁|동대구역|여의도공원")
_EN_PLACES = _any("Central Park|Union Station|the city library|Terminal 2|the Grand Hotel|Harbour Square|the art museum")
_KO_STREETS = _any("마포구 월드컵로 12|강남구 테헤란로 152|해운대구 센텀로 35|분당구 판교로 228|유성구 대학로 99|중구 세종대로 110")
_EN_STREETS = _any("12 Oak Street|48 River Road|305 Main Street|7 Hill Avenue|90 Market Square")
_KO_GOODS = _any("운동화|무선 이어폰|텀블러|책가방|겨울 코트|커피 원두|요가 매트|전기 주전자|우산|선크림|블루투스 스피커|의자")
_EN_GOODS = _any("running shoes|wireless earbuds|a desk lamp|a rain jacket|coffee beans|a yoga mat|a water bottle|a backpack")
_KO_FOODS = _any("김치찌개|비빔밥|떡볶이|냉면|샐러드|토마토 파스타|치킨|초밥|된장국|불고기")
_EN_FOODS = _any("lentil soup|a veggie burger|pad thai|tomato pasta|fried rice|Caesar salad")
_KO_TITLES = _any("주간 회의|치과 예약|장보기|가족 모임|프로젝트 발표|운동 계획|여행 준비|독서 모임|생일 파티|보고서 마감")
_EN_TITLES = _any("Team meeting|Dentist appointment|Grocery list|Family dinner|Project review|Trip plan|Book club|Report deadline")
_KO_MESSAGES = _any(
    "오늘 조금 늦을 것 같아요|회의는 세 시에 시작합니다|자료는 내일까지 보내 드릴게요|주말에 같이 등산 가요|생일 축하해요|"
    "도착하면 연락 주세요|"
    "우유와 달걀을 사기|발표 자료를 먼저 검토하기"
)
_EN_MESSAGES = _any(
    "I will be ten minutes late|The meeting starts at three|Please call me when you arrive|Happy birthday|Buy milk and eggs|"
    "Thank you for your help yesterday"
)
_MESSAGES: Mapping[str, Draw] = {"ko": _KO_MESSAGES, "en": _EN_MESSAGES}
_KO_WORDS = _any("사과|바다|약속|나비|도서관|소나기|발자국|우체국|달팽이|햇살")
_EN_WORDS = _any("harbour|lantern|meadow|puzzle|compass|orchard|ribbon|thunder")
_KO_TEXTS = _any(
    "봄이 오면 산에 꽃이 핍니다|작은 습관이 하루를 바꿉니다|바람이 불어 나뭇잎이 흔들렸다|오늘은 하늘이 맑고 바람이 시원하다"
)
_EN_TEXTS = _any(
    "The river runs past the old mill|Small habits change the day|Rain fell softly on the roof|We met at the station at noon"
)
_KO_FILMS = _any("기생충|택시운전사|부산행|인터스텔라|토이 스토리|암살|괴물|명량|라라랜드|겨울왕국")
_EN_FILMS = _any("Parasite|Interstellar|Toy Story|La La Land|Casablanca|Inception|Frozen|Titanic")
_KO_SONGS = _any("아침 산책|집중할 때 듣는 음악|여름 드라이브|비 오는 날|운동할 때|잔잔한 피아노")
_EN_SONGS = _any("Morning Walk|Deep Focus|Summer Drive|Rainy Day|Workout Mix|Quiet Piano")
_MONEY = _any("USD|EUR|JPY|KRW|GBP|CNY")
_KO_MONEY = _any("달러|유로|엔|원|파운드|위안")
_KO_LANGUAGES = _any("영어|일본어|중국어|프랑스어|독일어|스페인어")
_EN_LANGUAGES = _any("English|Japanese|French|German|Spanish|Korean")
_KO_COUNTRIES = _any("대한민국|일본|미국|프랑스|독일|베트남|호주|캐나다")
_EN_COUNTRIES = _any("South Korea|Japan|France|Germany|Vietnam|Australia|Canada|Brazil")
_KO_TOPICS = _any("여행|요리|운동|음악|게임|과학|경제|스포츠|건강|교육")
_EN_TOPICS = _any("travel|cooking|sports|music|science|health|education|technology")
_KO_REASONS = _any("단순 변심|사이즈가 맞지 않음|배송이 늦어짐|다른 상품을 받음|색상이 다름|제품 불량")
_EN_REASONS = _any("changed my mind|wrong size|arrived late|wrong item received|defective item")
_KO_COMPANIES = _any("한빛물류|너울상사|푸른식품|가온전자|다온건설|미르소프트")
_EN_COMPANIES = _any("Northwind Traders|Blue River Foods|Acme Tools|Harbour Books|Green Leaf Energy")
_KO_DAYS = _any("3월 4일|5월 20일|7월 11일|9월 2일|10월 15일|12월 24일|1월 8일|6월 30일")
_KO_TIMES = _any("내일 아침 7시|오늘 저녁 8시|30분 후|모레 오후 2시|금요일 오전 10시|토요일 낮 12시")
_EN_TIMES = _any("7 a.m. tomorrow|8 p.m. tonight|2 p.m. on Friday|noon on Saturday|10:30 a.m. on Monday")


def _order_number(rng: Random) -> str:
    return f"{rng.choice('ABCDGKMRST')}-{_digits(rng, 5)}"


def _both(draw: Draw) -> Mapping[str, Draw]:
    return {"ko": draw, "en": draw}


_TEXTS: tuple[tuple[re.Pattern[str], Mapping[str, Draw]], ...] = tuple(
    (re.compile(pattern), draws)
    for pattern, draws in (
        (r"e-?mail(?: address(?:es)?| id)?$|이메일(?: 주소)?$|메일 주소$", _both(_mail)),
        (r"phone|mobile|\btel\b|전화|휴대폰|연락처 번호", {
            "ko": lambda r: f"010-{_digits(r, 4)}-{_digits(r, 4)}", "en": lambda r: f"+1-555-01{_digits(r, 2)}"
        }),
        (r"password|비밀번호|암호", _both(lambda r: f"{r.choice(('Blue', 'River', 'Maple', 'Stone'))}!{_digits(r, 4)}")),
        (r"\burl\b|\buri\b|link|website|링크|웹 ?주소", _both(_FORMATS["url"])),
        (r"\bip\b", _both(_FORMATS["ipv4"])),
        (r"\bid\b|\bids\b|identifier|number\b|\bcode\b|\bsku\b|번호|아이디|식별자|코드", _both(_order_number)),
        (r"datetime|date time|timestamp|일시|일자 및 시간|날짜와 시간", {
            "ko": lambda r: f"{_date(r)} {_clock(r)}", "en": lambda r: f"{_date(r)} {_clock(r)}"
        }),
        (r"\bdates?\b|\bday\b|birthday|deadline|날짜|일자|생일|기한|마감|요일", {"ko": _KO_DAYS, "en": _date}),
        (r"\btime\b|\bhour|시간|시각", {"ko": _KO_TIMES, "en": _EN_TIMES}),
        (r"currency|통화|화폐", {"ko": _KO_MONEY, "en": _MONEY}),
        (r"\blanguage|\blang\b|언어|국어", {"ko": _KO_LANGUAGES, "en": _EN_LANGUAGES}),
        (r"country|\bnation|국가|나라", {"ko": _KO_COUNTRIES, "en": _EN_COUNTRIES}),
        (r"\bstreet\b|address|주소|배송지", {
            "ko": lambda r: f"{_KO_CITIES(r)}시 {_KO_STREETS(r)}", "en": lambda r: f"{_EN_STREETS(r)}, {_EN_CITIES(r)}"
        }),
        (r"\bcity\b|\btown\b|region|도시|지역|시군구|동네", {"ko": _KO_CITIES, "en": _EN_CITIES}),
        (r"origin|destination|departure|arrival|출발|도착|목적지", {"ko": _KO_PLACES, "en": _EN_CITIES}),
        (r"location|\bplace\b|venue|station|장소|위치|역\b|공항", {"ko": _KO_PLACES, "en": _EN_CITIES}),
        (r"movie|film|영화", {"ko": _KO_FILMS, "en": _EN_FILMS}),
        (r"song|music|playlist|track|album|노래|음악|재생목록|가사", {"ko": _KO_SONGS, "en": _EN_SONGS}),
        (r"title|subject|event|task|\btodo\b|제목|일정|할 일|행사|회의|디데이", {"ko": _KO_TITLES, "en": _EN_TITLES}),
        (r"message|content|\bbody\b|memo|note|comment|review|메시지|내용|메모|댓글|리뷰|후기|설명|글귀", _MESSAGES),
        (r"company|organi[sz]ation|employer|회사|업체|기관", {"ko": _KO_COMPANIES, "en": _EN_COMPANIES}),
        (r"food|dish|meal|recipe|ingredient|cuisine|menu|음식|메뉴|요리|재료", {"ko": _KO_FOODS, "en": _EN_FOODS}),
        (r"product|\bitem|goods|상품|제품|물건|선물|검색어", {"ko": _KO_GOODS, "en": _EN_GOODS}),
        (r"reason|cause|사유|이유", {"ko": _KO_REASONS, "en": _EN_REASONS}),
        (r"categor|topic|genre|subject|keyword|\bquery\b|search|카테고리|분야|주제|장르|키워드|관심사", {
            "ko": _KO_TOPICS, "en": _EN_TOPICS
        }),
        (r"\bword\b|단어|낱말", {"ko": _KO_WORDS, "en": _EN_WORDS}),
        (r"text|sentence|paragraph|string|텍스트|문장|문자열|본문", {"ko": _KO_TEXTS, "en": _EN_TEXTS}),
        (r"colou?r|색", {"ko": _any("검은색|흰색|남색|빨간색|회색|초록색"), "en": _any("black|white|navy|red|grey|green")}),
        (r"\bsize\b|사이즈|크기", {"ko": _any("S|M|L|XL"), "en": _any("S|M|L|XL")}),
        (r"\bteam|\bclub\b|구단|팀\b", {
            "ko": _any("푸른 독수리|한강 유나이티드|남산 호랑이"), "en": _any("Red Lions|Blue Hawks|River United|Harbour City")
        }),
        (r"hotel|restaurant|museum|\bstore\b|shop\b|호텔|식당|매장|박물관", {
            "ko": _any("한빛 호텔|너울 식당|가온 박물관|푸른 매장"), "en": _any("Harbour Hotel|Green Table|City Museum|Corner Shop")
        }),
    )
)  # fmt: skip
"""What an argument speaks of, the most telling words first, and what is said then in Korean and in English."""

_Span = tuple[float, float, float]


def _spans(ko: _Span, en: _Span | None = None) -> Mapping[str, _Span]:
    return {"ko": ko, "en": en or ko}


_NUMBERS: tuple[tuple[re.Pattern[str], Mapping[str, _Span]], ...] = tuple(
    (re.compile(pattern), span)
    for pattern, span in (
        (r"환율", _spans((1200, 1450, 5))),
        (r"latitude|위도", _spans((33.1, 38.5, 0.1))),
        (r"longitude|경도", _spans((126.1, 129.5, 0.1))),
        (r"\byear\b|연도|년도", _spans((2015, 2025, 1))),
        (r"\bmonth\b|(?<!\d)월(?!드)", _spans((1, 12, 1))),
        (r"percent|\brate\b|discount|interest|할인율|퍼센트|비율|이율|금리", _spans((5, 50, 5))),
        (r"\bage\b|나이|연령", _spans((20, 65, 1))),
        (r"height|신장|센티미터|(?<![가-힣])키(?![가-힣])", _spans((150, 190, 1))),
        (r"weight|체중|몸무게|무게|킬로그램", _spans((45, 95, 1))),
        (r"temperature|온도|기온", _spans((-5, 35, 1))),
        (r"minute|분 단위|\(분\)", _spans((5, 60, 5))),
        (r"hour|시간", _spans((1, 12, 1))),
        (r"\bdays?\b|일수|기간", _spans((1, 30, 1))),
        (r"people|person|guest|passenger|quantity|count|\bnumber of\b|인원|사람|수량|개수|인분|명\b", _spans((1, 8, 1))),
        (r"price|amount|total|cost|budget|salary|income|balance|payment|loan|금액|가격|비용|예산|요금|급여|원금", _spans(
            (10_000, 200_000, 1_000), (20, 900, 10)
        )),
        (r"distance|거리", _spans((1, 40, 1))),
        (r"length|길이", _spans((8, 16, 1))),
        (r"round|회차", _spans((1001, 1150, 1))),
        (r"\bid\b|번호", _spans((1001, 9999, 1))),
    )
)  # fmt: skip
"""Lowest, highest and step of numbers by what an argument speaks of, in Korean and in English."""
