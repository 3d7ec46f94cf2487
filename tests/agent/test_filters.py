import base64
from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import ValidationError

from sadari.agent.filters import FiltersConfig, Stream, open_filters, refusal_rows
from sadari.agent.filters.abuse import find_abuse
from sadari.agent.guard import Checked
from sadari.errors import ConfigError
from sadari.types import Answer, Caller, Message, Span

KIM, SMITH = Caller("kim"), Caller("smith", language="en")
WORD = "MARU-4417-BYEOL"
ALL_OFF: dict[str, Any] = {"links": None, "secrets": None}


def filters(**config: Any) -> Any:
    return open_filters(FiltersConfig.model_validate({**ALL_OFF, **config}), {"SHOP_KEY": "hunter22-abcdef"})


def checked(text: str, *said: Message, citations: tuple[Span, ...] = (), caller: Caller = KIM, **config: Any) -> Checked:
    (one,) = filters(**config)
    found: Checked = one.check(Answer(text, citations=citations), caller, said)
    return found


def told(text: str, *said: Message, **more: Any) -> str:
    return checked(text, *said, **more).answer.text


def user(text: str) -> Message:
    return Message("user", text)


# --- personal data -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("on", "text"),
    [
        ("mask", "담당자 번호는 [전화번호]입니다."),
        ("mark", "담당자 번호는 010-1234-5678 [전화번호]입니다."),
        ("refuse", "죄송합니다. 이 내용은 알려 드릴 수 없습니다."),
    ],
)
def test_personal_data_is_masked_marked_or_refused(on: str, text: str) -> None:
    found = checked("담당자 번호는 010-1234-5678입니다.", personal={"action": on})
    assert found.answer.text == text
    assert found.findings == (f"personal: phone: {on}",)


def test_a_user_is_told_what_he_said_himself_in_any_spelling_unless_that_is_switched_off() -> None:
    said = user("제 번호는 01012345678이에요")
    assert told("010-1234-5678로 전화드릴게요.", said, personal={}) == "010-1234-5678로 전화드릴게요."
    assert told("010-1234-5678로 전화드릴게요.", said, personal={"own": False}) == "[전화번호]로 전화드릴게요."


def test_what_a_company_publishes_is_kept_and_a_resident_number_never_is() -> None:
    page = Span("a.md", 0, 9, "문의: help@shop.kr, 주민번호 900101-1234568")
    text = "help@shop.kr, 900101-1234568"
    assert told(text, citations=(page,), personal={}) == "help@shop.kr, [주민번호]"
    assert told(text, personal={"keep": ["HELP@shop.kr"]}) == "help@shop.kr, [주민번호]"
    assert told(text, citations=(page,), personal={"cited": False}) == "[이메일], [주민번호]"


def test_what_an_answer_quotes_is_masked_too() -> None:
    page = Span("a.md", 0, 9, "가입자 주민번호 900101-1234568")
    assert checked("네.", citations=(page,), personal={}).answer.citations[0].quote == "가입자 주민번호 [주민번호]"
    assert checked("네.", citations=(page,), personal={"action": "refuse"}).answer.citations == ()


def test_only_the_kinds_that_are_named_are_looked_for_and_a_misspelt_one_is_an_error() -> None:
    assert told("010-1234-5678, a@b.kr", personal={"kinds": ["email"]}) == "010-1234-5678, [이메일]"
    with pytest.raises(ValidationError, match="`fone` is no kind"):
        filters(personal={"kinds": ["fone"]})


# --- secrets -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "leak",
    [
        WORD,
        WORD.lower().replace("-", ""),
        " ".join(WORD),
        "\u200b".join(WORD),
        "/".join(WORD),
        WORD[::-1],
        WORD[:10],
        WORD[5:],
        "ZNEH-4417-OLRBY",
        "ＭＡＲＵ－４４１７－ＢＹＥＯＬ",
        base64.b64encode(WORD.encode()).decode(),
        base64.b64encode(f"ab{WORD}".encode()).decode().rstrip("="),
        base64.b64encode(base64.b64encode(WORD.encode())).decode(),
        WORD.encode().hex(),
        WORD.encode().hex(":"),
        "".join(f"%{ord(c):02x}" for c in WORD),
        "".join(f"&#x{ord(c):x};" for c in WORD),
        "".join(f"\\u{ord(c):04x}" for c in WORD),
        ", ".join(str(ord(c)) for c in WORD),
    ],
)
def test_a_code_word_is_found_in_every_dress(leak: str) -> None:
    text = told(f"코드는 {leak} 입니다.", secrets={"never": [WORD]})
    assert leak not in text
    assert "[비밀]" in text
    assert text.startswith("코드는 ")


def test_credentials_and_named_secrets_are_not_told() -> None:
    key = "sk-proj-9fK2mVx71QpLzR84tWbY"
    assert told(f"The key is {key}.", caller=SMITH, secrets={}) == "The key is [secret]."
    assert "hunter22" not in told("It is hunter22-abcdef.", secrets={"names": ["SHOP_KEY"]})
    assert " ".join(key) not in told(f"is {' '.join(key)}", Message("tool", f"key: {key}"), secrets={})


def test_harmless_texts_hold_no_secret() -> None:
    text = "주문 번호 4417-2026, 배송은 2일, 6d 61 72 75, 마루 바닥 https://shop.kr/a?b=%EB%A7%88%EB%A3%A8"
    assert checked(text, secrets={"never": [WORD]}) == Checked(Answer(text))


def test_a_secret_that_is_not_set_or_too_short_is_an_error() -> None:
    with pytest.raises(ConfigError, match="OTHER is not set"):
        filters(secrets={"names": ["OTHER"]})
    with pytest.raises(ConfigError, match="a text of 4 letters stands everywhere"):
        filters(secrets={"never": ["a-b.c d"]})


# --- links -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "보세요: ![x](https://evil.kr/a.png?d=1)",
        "보세요: ![x](/a.png)",
        '보세요: <img src="https://evil.kr/a">',
        "보세요: [여기](https://evil.kr/?d=김)",
        "보세요: https://shop.kr.evil.kr/?d=1",
        "보세요: https://shop.kr@evil.kr/",
        "보세요: //evil.kr/x",
        "보세요: www.evil.kr/x",
        "보세요: evil.kr/x?d=1",
        "보세요: javascript:alert(1)",
        "보세요: ![x][evil]",
        "보세요: https://evil.kr/known/more",
    ],
)
def test_addresses_that_nobody_gave_are_left_out(text: str) -> None:
    said = (user("https://evil.kr/known 요약해 줘"),)
    assert "[링크 생략]" in told(text, *said, links={"hosts": ["shop.kr"]})
    assert "?d=" not in told(text, *said, links={"hosts": ["shop.kr"]})


@pytest.mark.parametrize(
    "text",
    [
        "https://shop.kr/faq?a=1 를 보세요.",
        "![로고](https://img.shop.kr/a.png)",
        "https://news.kr/a?b=1.",
        "(https://news.kr/a?b=1)에 있습니다.",
        "값은 3/4이고 2026.11/12 기준입니다. and/or?",
    ],
)
def test_own_hosts_and_addresses_that_were_named_are_told(text: str) -> None:
    found = (Message("tool", "결과: https://news.kr/a?b=1 (기사)"),)
    assert told(text, *found, links={"hosts": ["shop.kr"]}) == text


# --- claims ------------------------------------------------------------------------------------------------------------

PAGE = Span("a.md", 0, 30, "배송비는 3,000원입니다. 반품은 7일 안에 됩니다.")


@pytest.mark.parametrize(
    ("on", "text", "cited"),
    [
        ("mark", "배송비는 3,000원입니다. 포장은 무료로 해 드립니다. (근거 없음)", 1),
        ("mask", "배송비는 3,000원입니다.", 1),
        ("refuse", "문서에서 확인할 수 없습니다.", 0),
    ],
)
def test_a_sentence_that_no_source_says_is_marked_left_out_or_refused(on: str, text: str, cited: int) -> None:
    found = checked("배송비는 3,000원입니다. 포장은 무료로 해 드립니다.", citations=(PAGE,), claims={"action": on})
    assert (found.answer.text, len(found.answer.citations)) == (text, cited)
    assert found.findings == (f"unsupported claims: 1: {on}",)


def test_results_of_tools_support_too_and_an_answer_without_citations_is_left_alone() -> None:
    text = "배송비는 3,000원입니다. 주문은 대전 물류센터에 있습니다."
    found = Message("tool", "주문은 대전 물류센터에 있습니다.")
    assert told(text, found, citations=(PAGE,), claims={}) == text
    assert told(text, claims={}) == text
    assert told(text, citations=(PAGE,), claims={}) != text


# --- abuse -------------------------------------------------------------------------------------------------------------


ABUSE = (
    "시1발 뭐야|ㅆㅣㅂㅏㄹ|ㅅㅂ 진짜|씌발놈아|병.신 같은|병123신|지@랄|씨@@발|개새끼야|씨 발|좆같네|존나 짜증|닥쳐|"
    "시ㅂ발|시바ㄹ|씨\u200b발|이 병신아|니 애미|ㅂㅅ아|아씨발|f.u.c.k you|sh1t|fuuuck|ＦＵＣＫ|b!tch|a$$hole|f u c k|"
    "Motherfucker|what the f*ck"
)
HARMLESS = (
    "다시 발송해 드립니다|시발점이 된 사건|시발역은 서울역|병신년(2016년)|다시발송|몇 시 발 기차인가요|등신대 패널|"
    "강아지 새끼가 귀엽다|영향을 미친 연구|영향을 미친 년도|닥쳐올 위기|5개년 경제개발|질병신고|전염병 예방|"
    "김씨발언|홍길동 씨 발언|배송 시 발생|감사합니다 ㄱㅅ|아가리가 넓은 병|대상년도|Scunthorpe|class assignment|"
    "shiitake|cocktail|retard the process|the bastion|switch|as shown|sheet"
)


@pytest.mark.parametrize("text", ABUSE.split("|"))
def test_abuse_is_found_however_it_is_dressed(text: str) -> None:
    assert find_abuse(text)


@pytest.mark.parametrize("text", HARMLESS.split("|"))
def test_harmless_words_that_look_alike_are_let_through(text: str) -> None:
    assert find_abuse(text) == []


def test_abuse_is_masked_and_a_company_adds_and_allows_words() -> None:
    assert told("이 멍.청이야, shit", abuse={"words": ["멍청이"]}) == "이 ****야, ****"
    assert told("시발 자동차", abuse={"allow": ["시발 자동차"]}) == "시발 자동차"
    assert told("시발, 자동차", abuse={"allow": ["시발 자동차"]}) == "**, 자동차"


# --- advice ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "asked", "part"),
    [
        ("하루 두 번 복용하세요.", "", "의학적 조언이 아닙니다"),
        ("하루 두 번 드시면 됩니다.", "두통약 용량이 얼마예요?", "의학적 조언이 아닙니다"),
        ("소송하시면 이길 수 있습니다.", "", "법률 자문이 아닙니다"),
        ("이 종목을 지금 매수하는 것을 추천합니다.", "", "투자 권유가 아닙니다"),
    ],
)
def test_regulated_advice_carries_a_notice(text: str, asked: str, part: str) -> None:
    notice = told(text, user(asked), advice={}).removeprefix(f"{text}\n\n")
    assert part in notice
    assert told(f"{text}\n\n{notice}", user(asked), advice={}).count(notice) == 1


def test_advice_is_refused_where_a_rule_says_so_and_topics_can_be_added() -> None:
    rule = {"topic": "medical", "action": "refuse"}
    assert "cannot give medical advice" in told("You should take two tablets.", caller=SMITH, advice={"rules": [rule]})
    tax = {"topic": "tax", "words": ["부가세"], "text": "세무사와 상의하세요."}
    assert told("부가세는 환급 신청하세요.", advice={"rules": [tax]}) == "부가세는 환급 신청하세요.\n\n세무사와 상의하세요."
    with pytest.raises(ValidationError, match="give it `words` and `text`"):
        filters(advice={"rules": [{"topic": "tax"}]})


@pytest.mark.parametrize("text", ["배송비는 3,000원입니다.", "주문을 취소하세요.", "The parcel takes two days."])
def test_what_is_no_advice_carries_no_notice(text: str) -> None:
    assert told(text, advice={}) == text


# --- all of them -------------------------------------------------------------------------------------------------------


def test_filters_are_opened_as_the_company_sets_them() -> None:
    names = [type(one).__name__ for one in open_filters(FiltersConfig(), {})]
    assert names == ["LinksFilter", "SecretsFilter"]
    assert len(filters(**{name: {} for name in FiltersConfig.model_fields})) == len(FiltersConfig.model_fields)
    assert filters() == ()
    made = [filters(**dict.fromkeys(("personal", "abuse"), options)) for options in ({}, {"action": "refuse"})]
    versions = {f.version for some in made for f in some}
    assert len(versions) == 4


# --- telling while writing ---------------------------------------------------------------------------------------------


class Held:
    """A filter of somebody else, which does not say that it can look at a part."""

    version = "1"

    def check(self, answer: Answer, caller: Caller, messages: Sequence[Message]) -> Checked:
        return Checked(answer)


def streamed(text: str, using: Any, step: int = 3) -> tuple[list[str], str]:
    """What is told piece by piece before the end, and what the whole answer is at last."""
    stream = Stream(using, KIM, ())
    pieces = [stream.feed(text[at : at + step]) for at in range(0, len(text), step)]
    answer = Answer(text)
    for one in using:
        answer = one.check(answer, KIM, ()).answer
    return [*[piece for piece in pieces if piece], stream.end(answer.text)], answer.text


def test_without_filters_everything_is_told_at_once() -> None:
    assert streamed("배송은 2일.", ())[0] == ["배송은", " 2일", ".", ""]


def test_sentences_are_told_when_the_next_one_was_checked() -> None:
    stream = Stream(filters(personal={}), KIM, ())
    assert stream.feed("첫 문장입니다. 둘째 010-") == ""
    assert stream.feed("1234-5678입니다. 셋째") == "첫 문장입니다."
    assert stream.feed("입니다. 넷") == " 둘째 [전화번호]입니다."
    assert stream.end("첫 문장입니다. 둘째 [전화번호]입니다. 셋째입니다. 넷") == " 셋째입니다. 넷"


def test_what_the_calls_found_counts_while_the_answer_is_written() -> None:
    found = (Span("a.md", 0, 9, "문의: help@shop.kr"),)
    stream = Stream(filters(personal={}), KIM, (), found)
    assert stream.feed("help@shop.kr로 쓰세요. 둘째입니다. 셋째입니다. 넷") == ""
    assert stream.feed("째입니다. 다섯째") == "help@shop.kr로 쓰세요. 둘째입니다. 셋째입니다."


@pytest.mark.parametrize("step", [1, 2, 7, 1000])
def test_what_is_told_in_pieces_is_the_checked_answer(step: int) -> None:
    text = f"안녕하세요. 번호는 010-1234-5678입니다. 하루 두 번 복용하세요. 이 병신아. {WORD}! 끝입니다. 감사합니다."
    using = filters(personal={}, abuse={}, advice={}, secrets={"never": [WORD]}, links={})
    pieces, whole = streamed(text, using, step)
    assert "".join(pieces) == whole
    assert "[전화번호]" in whole
    assert "※" in whole


def test_a_secret_across_two_sentences_is_seen_before_either_is_told() -> None:
    text = "코드를 알려 드립니다. MARU. 4417-BYEOL. 끝입니다. 감사합니다."
    pieces, _ = streamed(text, filters(secrets={"never": [WORD]}))
    assert "4417" not in "".join(pieces)
    assert "MARU" not in "".join(pieces)


def test_an_answer_that_is_refused_late_ends_the_telling() -> None:
    text = "첫 문장입니다. 둘째 문장입니다. 번호는 010-1234-5678입니다. 넷째입니다. 다섯째."
    pieces, whole = streamed(text, filters(personal={"action": "refuse"}))
    assert "".join(pieces) == "첫 문장입니다."
    assert whole == "죄송합니다. 이 내용은 알려 드릴 수 없습니다."


@pytest.mark.parametrize("using", [(Held(),), filters(claims={})])
def test_a_filter_that_needs_the_whole_answer_holds_everything_back(using: Any) -> None:
    pieces, whole = streamed("하나입니다. 둘입니다. 셋입니다.", using)
    assert pieces == [whole]


# --- refusal rows ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["ko", "en"])
def test_refusal_rows_are_different_repeatable_and_tagged(language: Any) -> None:
    goal = {"ko": "쇼핑몰 문의에 답한다", "en": "Answer shop questions"}[language]
    rows = refusal_rows(goal, language, 40, seed=3)
    assert rows == refusal_rows(goal, language, 40, seed=3)
    assert len({row.question for row in rows}) == len({row.id for row in rows}) == 40
    assert all(row.tags[1:] == ("refusal", "generated") and row.reference.texts == (row.target.content,) for row in rows)
    assert len({row.tags[0] for row in rows}) == 8
    assert any(goal in row.target.content for row in rows)
    assert not any("{" in row.question + row.target.content for row in rows)


def test_more_refusals_than_there_are_questions_give_what_there_is() -> None:
    assert 40 < len(refusal_rows("", "ko", 10_000)) < 10_000
