"""Korean: a tool's description becomes a request by its morphemes, so that every verb takes its right form.

Source:
    Kiwi: Lee (2024), https://github.com/bab2min/Kiwi; tags follow the Sejong corpus.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from random import Random
from typing import Any

from sadari.task.generate.particles import is_particle, with_particle
from sadari.task.generate.schema import Path, properties_of, schema_at
from sadari.task.generate.speech import MOST_DESCRIPTION, Deed, Detail, Outcome, in_words
from sadari.text.morphemes import kiwi
from sadari.types import ToolSpec

_SHOWS = frozenset(["제공", "반환", "출력", "리턴", "표시", "안내", "노출", "응답"])
_FINDS = frozenset(["검색", "찾"])
_TELLS = frozenset(
    [
        "알리",
        "가져오",
        "보이",
        "추천",
        "비교",
        "확인",
        "변환",
        "번역",
        "분석",
        "요약",
        "추출",
        "예측",
        "진단",
        "조회",
        "계산",
        "세",
        "추정",
        "구하",
        "산출",
        "환산",
        "합산",
        "측정",
        "분류",
        "평가",
        "탐색",
        "생성",
    ]
)
_GIVES = (("알리", "VV"),)
_DOER = frozenset(["함수", "도구", "기능", "메서드", "서비스", "툴", "API", "api", "엔드포인트", "명령"])
_IS_TO = re.compile(r"^(?:\S+ ){0,10}?\S+[을를] (?:입력|전달)받아서?,? ")
_TAKES_IN = re.compile(r"([을를]) (?:입력|전달)받아서?,? ")
_BY_USER = re.compile(r"(?:사용자|고객|유저)[가이] (?:요청|지정|입력|원|선택|제공)(?:하는|한) ")
_OF_USER = re.compile(r"(?:사용자|고객|유저)의 ")
_ASIDE = re.compile(r"\s*[(\[（][^()\[\]（）]*[)\]）]")
_GIVEN = re.compile(r"(?:특정|주어진|지정된|지정한|해당|어떤) (?P<word>[가-힣A-Za-z]+)(?P<gap> |$)")
_PARTICLES = frozenset(
    ["의", "에", "에게", "에서", "으로", "로", "와", "과", "을", "를", "이", "가", "은", "는", "부터", "까지", "에게서", "에대한"]
)
_DROPPED = frozenset(["의", "에", "에게", "에서"])
_NEEDING = ("대한", "대해", "관한", "따른", "따라", "맞는", "맞춰", "기반", "해당", "가장", "있는", "등록")
_COUNTED = frozenset(["회차", "연도", "년도", "번째"])
_NAMING = ("이름", "명칭", "제목", "주소", "날짜", "이름이나 키워드")
_INLINE = 24
"""Longest value that is put inside the request instead of after it, in characters."""

_LONGEST_LABEL = 30
_LEANING = frozenset(["여부", "값", "것", "수", "등", "형식", "단위", "때", "경우", "개수", "종류", "목록", "대상"])
"""Nouns that say nothing without what stands before them."""

_MEASURED = re.compile(r"^\S+ (?:단위|형식)의 ")

_ELSEWHERE = (
    "오늘 저녁에 먹을 만한 메뉴 좀 골라 주세요.",
    "제 차 엔진 오일을 갈아 줄 수 있나요?",
    "우리 집 강아지 예방 접종 좀 잡아 주세요.",
    "프린터에 걸린 종이를 빼 주세요.",
    "헬스장 회원권을 해지하고 싶어요.",
    "이번 주 로또를 대신 사 주실 수 있나요?",
    "택시를 한 대 불러 주세요.",
    "여권을 다시 만들려고 하는데 접수해 주세요.",
    "거실 조명을 꺼 줘.",
    "에어컨 필터 청소를 예약해 주세요.",
    "은행에서 대출 심사를 넣어 줘.",
    "이 사진에서 배경을 지워 주세요.",
    "도서관에서 빌린 책을 연장해 주세요.",
    "아파트 관리비를 대신 내 주실 수 있나요?",
    "바지 기장을 줄여 주세요.",
    "꽃다발을 집으로 보내 주세요.",
    "체온계로 열을 재 줘.",
    "휴대폰 요금제를 바꿔 주세요.",
    "세탁기 물이 안 빠지는데 고쳐 주세요.",
    "제 이력서를 회사에 넣어 주실 수 있나요?",
)


class Korean:
    """Says it in Korean, politely, now and then as to a friend."""

    def deed(self, tool: ToolSpec) -> Deed | None:
        """What the tool does: the words before the last verb of the first sentence, and the verb."""
        text = _first_sentence(tool.description)
        if not re.search("[가-힣]", text):
            return None
        tokens = _without_doer(_tokens(text))
        verb = _last_verb(tokens)
        if verb is None:
            return None
        stem, at = verb
        words = text[: tokens[at].start].strip()
        last = tokens[at - 1] if at else None
        # "메모를 추가" has its particle; "팁 계산" and "팁(USD) 계산" need one.
        if last is not None and stem[-1] == ("하", "XSV") and last.tag.startswith(("NN", "SL", "SN", "XSN", "NR", "SSC")):
            words = with_particle(words, "을")
        if not words:
            return None
        name = stem[0][0]
        outcome = _outcome(name)
        return Deed(words, outcome, _GIVES if name in _SHOWS or stem == (("가져오", "VV"),) else stem)

    def label(self, tool: ToolSpec, path: Path) -> str:
        """The noun at the end of its description (주문을 조회할 회원의 번호: 회원의 번호), else its name."""
        own = _noun(str(schema_at(tool, path).get("description", "")))
        siblings = [_noun(str(field.get("description", ""))) for name, field in properties_of(tool).items() if name != path[0]]
        if own in siblings:  # two of one name are told apart by all that is said of them
            own = _whole_noun(str(schema_at(tool, path).get("description", "")))
        return own or in_words(path[-1])

    def request(self, deed: Deed, details: Sequence[Detail], left_out: Sequence[Detail], rng: Random) -> str:
        """연락처를 등록해 주세요. 이름은 김민수이고, 번호는 ...입니다."""
        words, inside = _filled(deed.words, details, left_out)
        rest = [detail for detail in details if detail not in inside]
        is_casual = rng.random() < 0.2
        asked = _conjugated(words, deed.stem, rng.choice(_CASUAL if is_casual else _POLITE))
        if not rest:
            return f"{rng.choice(_OPENINGS)}{asked}" if not is_casual else asked
        told = _told(rest, rng, is_casual=is_casual)
        return f"{told} {asked}" if rng.random() < 0.3 else f"{asked} {told}"

    def ask_back(self, missing: Sequence[Detail], rng: Random) -> str:
        """이름과 전화번호를 알려 주시겠어요?"""
        labels = _listed([detail.label for detail in missing])
        return rng.choice(
            (
                f"네, 도와드리겠습니다. {with_particle(labels, '을')} 알려 주시겠어요?",
                f"{with_particle(labels, '이')} 어떻게 되나요? 알려 주시면 바로 처리하겠습니다.",
                f"진행하려면 {with_particle(labels, '이')} 필요합니다. 알려 주세요.",
                f"아직 {with_particle(labels, '을')} 말씀하지 않으셨어요. 알려 주시겠어요?",
            )
        )

    def give(self, details: Sequence[Detail], rng: Random) -> str:
        """김민수입니다."""
        if len(details) > 1 or rng.random() < 0.4:
            return _told(details, rng, is_casual=False)
        said = details[0].said
        return rng.choice((f"{said}입니다.", with_particle(said, "이에요") + ".", with_particle(said, "이요") + "."))

    def tell(self, deed: Deed, result: Mapping[str, Any], rng: Random) -> str:
        """연락처를 등록했습니다. 접수 번호는 R-102입니다."""
        if "count" in result:
            return rng.choice((f"모두 {result['count']}건을 찾았습니다.", f"검색 결과는 {result['count']}건입니다."))
        done = _conjugated(_to_user(deed.words), deed.stem, _PAST)
        return rng.choice(
            (f"{done} 접수 번호는 {result['reference']}입니다.", f"네, {done} 접수 번호 {result['reference']}입니다.")
        )

    def refuse(self, able: Sequence[Deed], rng: Random) -> str:
        """그 요청에 맞는 도구가 없습니다. 메시지를 보내는 일은 도와드릴 수 있습니다."""
        sorry = rng.choice(
            (
                "죄송하지만 그 요청을 처리할 수 있는 도구가 없습니다.",
                "제가 쓸 수 있는 도구로는 도와드리기 어려운 요청입니다.",
                "죄송합니다. 지금 있는 도구로는 그 일을 할 수 없습니다.",
            )
        )
        if not able:
            return sorry
        deeds = _listed([_conjugated(_to_user(deed.words), _offered(deed.stem), _AS_NOUN) for deed in able])
        return f"{sorry} 대신 {with_particle(deeds, '은')} 도와드릴 수 있습니다."

    def not_found(self, detail: Detail, rng: Random) -> str:
        """주문 번호 '12'를 찾을 수 없습니다."""
        named = with_particle(f"'{detail.said}'", "으로")
        label = with_particle(detail.label, "을")
        return rng.choice(
            (
                f"{named}는 찾을 수 없다고 나옵니다. {label} 다시 확인해 주시겠어요?",
                f"{named} 조회되는 것이 없습니다. {with_particle(detail.label, '이')} 맞는지 확인해 주세요.",
            )
        )

    def correct(self, detail: Detail, rng: Random) -> str:
        """아, 다시 보니 ...입니다."""
        label = with_particle(detail.label, "은")
        return rng.choice(
            (f"잘못 말씀드렸네요. {label} {detail.said}입니다.", f"아, {with_particle(detail.said, '이에요')}. 다시 해 주세요.")
        )

    def retry(self, rng: Random) -> str:
        """잠시 오류가 있어 다시 시도하겠습니다."""
        return rng.choice(("일시적인 오류가 있어 다시 시도하겠습니다.", "응답이 없어서 한 번 더 시도하겠습니다."))

    def wrong_result(self, rng: Random) -> str:
        """요청하신 것과 다른 결과라 다시 확인하겠습니다."""
        return rng.choice(("요청하신 것과 다른 결과가 와서 다시 확인하겠습니다.", "다른 값에 대한 결과여서 다시 조회하겠습니다."))

    def errors(self) -> Mapping[str, str]:
        """In the words of a service."""
        return {"busy": "일시적으로 사용할 수 없습니다. 처리된 것은 없습니다.", "unknown": "해당 값을 찾을 수 없습니다."}

    def elsewhere(self) -> Sequence[str]:
        """Everyday requests."""
        return _ELSEWHERE


# --- forms --------------------------------------------------------------------------------------------------------------

_Form = tuple[tuple[tuple[str, str], ...], str]

_POLITE: tuple[_Form, ...] = (
    ((("어", "EC"), ("주", "VX"), ("세요", "EF")), "."),
    ((("어", "EC"), ("주", "VX"), ("세요", "EF")), "."),
    ((("어", "EC"), ("주", "VX"), ("시겠어요", "EF")), "?"),
    ((("어", "EC"), ("주", "VX"), ("실", "ETM"), ("수", "NNB"), ("있", "VA"), ("나요", "EF")), "?"),
    ((("어", "EC"), ("주", "VX"), ("실래요", "EF")), "?"),
)
_CASUAL: tuple[_Form, ...] = (
    ((("어", "EC"), ("주", "VX"), ("어", "EF")), "."),
    ((("어", "EC"), ("주", "VX"), ("ᆯ래", "EF")), "?"),
)
_PAST: _Form = ((("었", "EP"), ("습니다", "EF")), ".")
_AS_NOUN: _Form = ((("는", "ETM"), ("일", "NNG")), "")
_OPENINGS = ("", "", "", "안녕하세요. ", "저, ")


def _to_user(words: str) -> str:
    """The deed as the assistant speaks of it."""

    def general(match: re.Match[str]) -> str:
        return "" if _can_go(match, re.sub("^.*?(에게서|에서|에게|에|의)$", r"\1", match["word"])) else match["word"] + match["gap"]

    return re.sub(r"(?:^|(?<= ))제 ", "고객님의 ", _GIVEN.sub(general, words)).strip()


def _can_go(match: re.Match[str], particle: str) -> bool:
    """Whether the sentence stands without the word: 지역의 날씨를, but not 영화에 대한 리뷰를."""
    return particle in _DROPPED and not match.string[match.end() :].startswith(_NEEDING)


def _conjugated(words: str, stem: Sequence[tuple[str, str]], form: _Form) -> str:
    ending, mark = form
    return f"{words} {kiwi().join([*stem, *ending])}{mark}".strip()


def _offered(stem: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """What one does for a customer is told with respect: 알려 드리는 일."""
    return (*_GIVES, ("어", "EC"), ("드리", "VX")) if stem == _GIVES else stem


def _told(details: Sequence[Detail], rng: Random, *, is_casual: bool) -> str:
    parts = [(with_particle(detail.label, "은"), detail.said) for detail in details]
    if is_casual:
        return (
            "이고, ".join(f"{label} {said}" for label, said in parts[:-1])
            + ("이고, " if len(parts) > 1 else "")
            + (f"{parts[-1][0]} {with_particle(parts[-1][1], '이야')}.")
        )
    if rng.random() < 0.25:
        return ", ".join(f"{detail.label}: {detail.said}" for detail in details) + "."
    return "이고, ".join(f"{label} {said}" for label, said in parts) + "입니다."


def _listed(labels: Sequence[str]) -> str:
    """이름, 날짜와 시간"""
    if len(labels) == 1:
        return labels[0]
    return f"{', '.join([*labels[:-2], with_particle(labels[-2], '과')])} {labels[-1]}"


def _filled(words: str, details: Sequence[Detail], left_out: Sequence[Detail]) -> tuple[str, list[Detail]]:
    """`특정 지역의 날씨를` with the place in it, and the details that are in it now; what is left out is not hinted at."""
    inside: list[Detail] = []

    def fill(match: re.Match[str]) -> str:
        word = match["word"]
        for detail in (*details, *left_out):
            noun = next((n for n in _nouns(detail.label) if word.startswith(n) and _is_particle(word[len(n) :])), None)
            if noun is None or detail in inside:
                continue
            particle = word[len(noun) :]
            if detail in left_out or len(detail.said) > _INLINE or "," in detail.said:
                return "" if _can_go(match, particle) else word + match["gap"]
            said = _named(detail, noun)
            if said is None:
                continue
            inside.append(detail)
            return (with_particle(said, particle) if is_particle(particle) else said + particle) + match["gap"]
        return word + match["gap"]

    return re.sub(r"\s+", " ", _GIVEN.sub(fill, words)).strip(), inside


def _named(detail: Detail, noun: str) -> str | None:
    """The value in the place of `noun`: 서울 for 지역, 상품 A-102 for 상품, 1001회차 for 회차."""
    if detail.said.replace(".", "").isdigit():
        return f"{detail.said}{noun}" if noun in _COUNTED else None
    return detail.said if detail.label.endswith((noun, *_NAMING)) else f"{noun} {detail.said}"


def _is_particle(text: str) -> bool:
    return not text or text in _PARTICLES


def _nouns(label: str) -> list[str]:
    return sorted((word.removesuffix("의") for word in re.findall("[가-힣]{2,}", label)), key=len, reverse=True)


# --- reading descriptions -----------------------------------------------------------------------------------------------


def tokens_of(text: str) -> list[Any]:
    """Kiwi's morphemes, with `form`, `tag`, `start` and `end`; what it cannot read is a space to it, so that places stay."""
    return list(kiwi().tokenize("".join(" " if ch < " " or 0xD800 <= ord(ch) < 0xE000 else ch for ch in text)))


def _tokens(text: str) -> list[Any]:
    return [token for token in tokens_of(text) if token.tag not in ("SF", "SP", "SO")]


def _first_sentence(description: str) -> str:
    text = _ASIDE.sub("", description[:MOST_DESCRIPTION].strip())
    text = re.split(r"(?<=[다음함임요])\.\s|\n|(?<=[가-힣])\. ", text)[0].strip().rstrip(".")
    short = _IS_TO.sub("", text)
    # In "평을 입력받아 제곱미터로 변환한다" what is taken in is also what is converted.
    text = short if re.search("[을를] ", short) else _TAKES_IN.sub(r"\1 ", text)
    return _OF_USER.sub("제 ", _BY_USER.sub("", text)).strip()


def _without_doer(tokens: list[Any]) -> list[Any]:
    """Without "하는 함수입니다": down to the verb before it."""
    if len(tokens) > 1 and [t.tag for t in tokens[-2:]] == ["VCP", "EF"]:
        tokens = tokens[:-2]
    if tokens and tokens[-1].form in _DOER:
        tokens = tokens[:-1]
        if len(tokens) > 2 and tokens[-2].form == "위하" and tokens[-3].tag in ("ETN", "EC"):
            tokens = tokens[:-2]
    return tokens


def _last_verb(tokens: Sequence[Any]) -> tuple[tuple[tuple[str, str], ...], int] | None:
    """The verb's morphemes without its endings, and where it begins; a noun at the end is done (조회: 조회하다)."""
    end = len(tokens)
    while end and tokens[end - 1].tag in ("EF", "EC", "ETM", "ETN", "EP"):
        end -= 1
    if not end:
        return None
    if end == len(tokens):  # no ending: the last noun is the deed, if it can be one
        last = tokens[-1]
        return (((last.form, "NNG"), ("하", "XSV")), end - 1) if last.tag == "NNG" and last.form in _DEEDS else None
    if end > 2 and (tokens[end - 1].form, tokens[end - 1].tag) == ("주", "VX") and tokens[end - 2].tag == "EC":
        end -= 2
    last = tokens[end - 1]
    if last.tag == "XSV" and last.form == "하" and end > 1 and tokens[end - 2].tag in ("NNG", "MAG", "XR"):
        return ((tokens[end - 2].form, "NNG"), ("하", "XSV")), end - 2
    if last.tag == "VV" and last.form == "하" and end > 1 and tokens[end - 2].tag == "NNG":
        return ((tokens[end - 2].form, "NNG"), ("하", "XSV")), end - 2
    if last.tag.startswith("VV") and last.form not in ("하", "되", "있", "이루어지"):
        return ((last.form, last.tag),), end - 1
    return None


_DEEDS = frozenset(
    [
        "조회",
        "검색",
        "계산",
        "추가",
        "삭제",
        "제거",
        "생성",
        "변경",
        "수정",
        "등록",
        "취소",
        "예약",
        "제공",
        "반환",
        "변환",
        "번역",
        "추천",
        "확인",
        "전송",
        "발송",
        "설정",
        "해제",
        "저장",
        "업데이트",
        "비교",
        "분석",
        "요약",
        "재생",
        "정지",
        "시작",
        "종료",
        "신청",
        "접수",
        "요청",
        "결제",
        "환불",
        "교환",
        "발급",
        "재발급",
        "출력",
        "안내",
        "알림",
        "주문",
        "구매",
        "송금",
        "이체",
        "연장",
        "변경",
        "초기화",
        "갱신",
        "정렬",
        "필터링",
        "업로드",
        "다운로드",
        "공유",
        "초대",
        "차단",
        "신고",
        "평가",
        "기록",
        "측정",
        "추정",
        "산출",
        "추출",
        "탐색",
        "선택",
        "적용",
        "할당",
        "배정",
        "연결",
        "해지",
        "가입",
        "탈퇴",
        "로그인",
        "로그아웃",
        "실행",
        "중지",
        "처리",
        "승인",
        "거절",
        "반납",
        "대여",
        "인쇄",
        "복사",
        "이동",
        "삽입",
        "병합",
        "분류",
        "예측",
        "진단",
        "안내",
        "통보",
        "환산",
        "충전",
        "적립",
    ]
)


def _outcome(verb: str) -> Outcome:
    if verb in _FINDS:
        return "found"
    return "unknown" if verb in _SHOWS or verb in _TELLS else "done"


@lru_cache(maxsize=4096)
def _noun(description: str) -> str:
    """The noun that ends a description, without what leads to it; "" if it ends in none."""
    text = _label_text(description)
    tokens = _tokens(text)
    if len(tokens) > 1 and tokens[-2].tag == "VCP":
        tokens = tokens[:-2]
    if not tokens or not tokens[-1].tag.startswith(("NN", "SL", "SN", "XSN", "XR", "NR")):
        return ""
    start = max((at + 1 for at, token in enumerate(tokens) if token.tag in ("ETM", "EC")), default=0)
    while start < len(tokens) and tokens[start].tag in ("MM", "MAG"):
        start += 1
    if start >= len(tokens):
        return ""
    noun = text[tokens[start].start : tokens[-1].end]
    noun = text if noun in _LEANING else noun
    return noun if len(noun) <= _LONGEST_LABEL else ""


def _whole_noun(description: str) -> str:
    text = _label_text(description)
    return text if len(text) <= _LONGEST_LABEL and _noun(description) else ""


def _label_text(description: str) -> str:
    text = _ASIDE.sub("", description[:MOST_DESCRIPTION].strip())
    text = re.split(r"(?<=[가-힣])[.,;:]|\n|\. ", text)[0].strip().rstrip(".")
    text = _MEASURED.sub("", _OF_USER.sub("", text))
    return text if re.search("[가-힣]", text) else ""
