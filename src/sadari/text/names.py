"""Names of people, as `privacy` looks for them: only where a label says so, and only if they begin with a Korean surname."""

import re
from collections.abc import Iterator

from sadari.text.findings import Certainty, Gate, Rule, words

_SURNAMES = (
    "남궁|황보|제갈|사공|선우|서문|독고|동방|"
    "[김이박최정강조윤장임한오서신권황안송전홍유고문양손배백허남심노하곽성차주우구민류나진지엄채원천방공현함변염여추도"
    "소석선설마길연위표명기반왕금옥육인맹제모탁국어은편용예경봉사부]"
)
_NAME_LABELS = (
    "이름|성명|성함|고객명|회원명|예금주|수령인|수취인|받는[ ]?분|받는[ ]?사람|보내는[ ]?분|보내는[ ]?사람|주문자|신청인|신청자|"
    "구매자|환자명|보호자|담당자|작성자|가입자"
)
_NOUNS = (
    "이메일 이름을 이름은 주소는 주소를 전화는 연락처 정보를 정보는 한글로 영문은 입력란 필수값 변경은 확인은 신청은 고객님 "
    "고객은 회원님 회원은 본인은 본인이 본인명 전화번 전체는 전체를 문의는 문자로 표시는 미입력 미기재 없습니 공백은 비공개 "
    "공개는 선택은 선택값 필수는 가명은 실명은 실명을 실명만 별명은 대표자 성명을 주문은 주문자 수정은 수정이 수정을 변경을 "
    "변경이 연락을 연락은 한글은 한글만 영어로 영문만 영문을 정확히 반드시 지정은 지정한 지정된 설정은 설정한 예금주 한국어 "
    "사용자 관리자 판매자 구매자 담당자 이용자 신청자 방문자 소비자 소유자 국문과 주소지 기재된 기재한 문자열 정수형 이것 이상 "
    "이하 이후 이전 정보 정확 주소 주문 전화 전체 전부 문의 문자 확인 변경 신청 신규 연락 입력 필수 한글 영문 영어 고객 회원 "
    "본인 성명 성함 이름 사용 수정 표시 표기 공개 선택 지정 설정 대표 대신 실명 가명 별명 기재 기준 방법 안내 없음 미정 변호 "
    "번호 여부 여권 서명 서류 명의 명단 도로 하나 모두 유지 제출 제출용 등록 추가 인증 인쇄 조회 조건 오류 오타 순서 남자 여자 "
    "남성 여성"
)
_NO_NAMES = frozenset(_NOUNS.split())
_ENGLISH_NO_NAMES = words(
    r"\b(?:issue|build|docs?|test|tests|user|users|item|items|file|app|default|deploy|manager|service|field|product|company|"
    r"model|project|set|latest|add|my|new|label|python)\b"
)


def _judge_name(match: re.Match[str]) -> tuple[str, Certainty] | None:
    name = match["it"].replace(" ", "")
    if name in _NO_NAMES or (
        name[:2] in _NO_NAMES and name[2:] in ("은", "는", "이", "가", "을", "를", "의", "와", "과", "로", "에", "만")
    ):
        return None
    return "name", "sure" if len(name) == 3 else "probable"


def _judge_english_name(match: re.Match[str]) -> tuple[str, Certainty] | None:
    return None if _ENGLISH_NO_NAMES.search(match["it"].lower()) else ("name", "probable")


def name_rules() -> Iterator[Rule]:
    """Names under a label, or in a sentence that gives one."""
    name = rf"(?:{_SURNAMES})(?:[가-힣]{{2}}|[가-힣]|[가-힣]{{3}}|[ ][가-힣][ ][가-힣])"  # most names have three syllables
    end = r"(?:(?![가-힣])|(?=(?:님|씨|은|는|이|가|을|를|의|에게|께|과|와|도|입니다|이며|이고|이에요|예요)(?![가-힣])))"
    labelled = Gate(re.compile(_NAME_LABELS), after=40)
    yield Rule(
        re.compile(rf"(?:{_NAME_LABELS})[ ]?(?:\([^()\n]{{1,12}}\))?[ ]?[:=][ ]{{0,2}}(?P<it>{name}){end}"), _judge_name, labelled
    )
    yield Rule(
        re.compile(rf"(?:예금주|수령인|받는 분|성함|성명)[ ](?P<it>(?:{_SURNAMES})[가-힣]{{2}}){end}"), _judge_name, labelled
    )
    said = r"(?=입니다|이에요|예요|이고|이라고|라고 합|이야(?![가-힣]))"
    yield Rule(re.compile(rf"(?:이름|성함|성명)[은이][ ]{{1,2}}(?P<it>(?:{_SURNAMES})[가-힣]{{1,2}}){said}"), _judge_name, labelled)
    yield Rule(
        re.compile(
            r"(?:(?:Name|[Ff]ull [Nn]ame|[Cc]ustomer [Nn]ame)[ ]?[:=][ ]{0,2}(?=[A-Z][a-z]{1,15} [A-Z])|[Mm]y name is )"
            r"(?P<it>[A-Z][a-z]{1,15}(?:[ ][A-Z][a-z'-]{1,20}){0,2})(?![a-z])"
        ),
        _judge_english_name,
        Gate(re.compile("[Nn]ame"), before=10, after=70),
    )
