"""Tool conversations: every kind, calls that fit, nothing made up, and Korean that reads well."""

import json
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from generated_material import ENGLISH_TOOLS, SHOP_TOOLS, teacher, tool
from sadari.task import read_examples
from sadari.task.generate import Generated, Order, generate_tool_rows
from sadari.task.generate.said import numbers_of
from sadari.task.generate.speech import Detail
from sadari.task.generate.speech_en import English
from sadari.task.generate.speech_ko import Korean
from sadari.task.generate.tool_rows import KINDS
from sadari.task.writers import write_examples
from sadari.types import Example, Request, ToolSpec


@pytest.fixture(scope="module")
def made() -> Generated:
    return generate_tool_rows(SHOP_TOOLS, Order(64, seed=3))


def of_kind(made: Generated, kind: str) -> list[Example]:
    return [row for row in made.rows if row.tags[-2] == kind]


def test_every_kind_is_made(made: Generated) -> None:
    assert made.report.made == 64
    assert set(Counter(row.tags[-2] for row in made.rows)) == set(KINDS)
    assert all(row.tags == ("template", row.tags[1], "generated") for row in made.rows)
    assert all(row.id.startswith(f"generated-{row.tags[1]}-template-") for row in made.rows)


def test_every_call_fits_the_schema_of_a_tool_that_is_offered(made: Generated) -> None:
    calls = [(call, row) for row in made.rows for message in row.messages for call in message.tool_calls]
    assert len(calls) > 40
    for call, row in calls:
        spec = next(spec for spec in row.tools if spec.name == call.name)
        Draft202012Validator(dict(spec.parameters)).validate(dict(call.arguments))


def test_rows_are_written_and_read_back_as_they_are(made: Generated, tmp_path: Path) -> None:
    write_examples(tmp_path / "rows.jsonl", made.rows)
    assert read_examples(tmp_path / "rows.jsonl") == made.rows


def test_the_same_seed_gives_the_same_rows_and_another_one_others(made: Generated) -> None:
    assert generate_tool_rows(SHOP_TOOLS, Order(64, seed=3)) == made
    assert {r.question for r in generate_tool_rows(SHOP_TOOLS, Order(20, seed=4)).rows} != {r.question for r in made.rows[:20]}


def test_what_is_missing_is_not_said_until_it_is_asked_for(made: Generated) -> None:
    for row in of_kind(made, "asked"):
        asks, back, says, calls = row.messages
        assert (asks.role, back.role, says.role) == ("user", "assistant", "user")
        assert not back.tool_calls
        late = [str(v) for v in calls.tool_calls[0].arguments.values() if str(v) in says.content]
        assert late
        assert not any(value in asks.content for value in late)
    assert all(not row.messages[-1].tool_calls and row.messages[-1].content for row in of_kind(made, "ask_back"))


def test_where_no_tool_fits_none_is_called_and_the_fitting_one_is_not_offered(made: Generated) -> None:
    for row in of_kind(made, "no_tool"):
        assert not any(message.tool_calls for message in row.messages)
        assert "도구" in row.target.content
        assert row.tools


def test_errors_are_recovered_from(made: Generated) -> None:
    for row in of_kind(made, "retry"):
        first, second = [call for message in row.messages for call in message.tool_calls]
        assert (first.name, first.arguments) == (second.name, second.arguments)
        assert "unavailable" in row.messages[2].content
    for row in of_kind(made, "corrected"):
        first, second = [call for message in row.messages for call in message.tool_calls]
        field = json.loads(row.messages[2].content)["field"]
        assert first.arguments[field] in row.messages[0].content
        assert second.arguments[field] in row.messages[4].content
        assert first.arguments[field] != second.arguments[field]
    for row in of_kind(made, "wrong_result"):
        first, second = [call for message in row.messages for call in message.tool_calls]
        assert json.loads(row.messages[2].content)["request"] != first.arguments == second.arguments


def test_tools_whose_description_names_no_deed_are_left_out_and_named() -> None:
    made = generate_tool_rows((*SHOP_TOOLS, tool("mystery", "내부용", {})), Order(4))
    assert "1 of 6 tools are left out" in made.report.notes[0]
    assert "mystery" in made.report.notes[0]
    assert generate_tool_rows([tool("mystery", "내부용", {})], Order(4)).rows == ()


def test_arguments_that_cannot_be_drawn_are_counted() -> None:
    made = generate_tool_rows([tool("f", "값을 계산합니다.", {"zzz": {"type": "string"}})], Order(2))
    assert made.report.refused["no arguments can be drawn"] > 1
    assert "f: zzz" in made.report.shown[0]


def test_english_tools_are_spoken_of_in_english() -> None:
    made = generate_tool_rows(ENGLISH_TOOLS, Order(24))
    assert made.report.made == 24
    assert not any("가" <= char <= "힣" for row in made.rows for m in row.messages for char in m.content)


# --- the words --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("description", "asked"),
    [
        ("새로운 사용자 계정을 생성한다.", "새로운 사용자 계정을 생성해 주세요."),
        ("특정 수신자에게 메시지를 보낸다.", "수신자에게 메시지를 보내 주세요."),
        ("사용자의 쇼핑 포인트 잔액을 조회", "제 쇼핑 포인트 잔액을 조회해 주세요."),
        ("팁 계산", "팁을 계산해 주세요."),
        ("오늘의 순위를 제공합니다", "오늘의 순위를 알려 주세요."),
        ("두 통화 간의 환율을 가져온다.", "두 통화 간의 환율을 알려 주세요."),
        ("로또 번호를 추천해주는 함수입니다.", "로또 번호를 추천해 주세요."),
        ("예약을 취소하기 위한 API", "예약을 취소해 주세요."),
        ("연락처의 내용을 업데이트(수정 또는 추가)한다.", "연락처의 내용을 업데이트해 주세요."),
        ("장바구니에 상품을 담습니다. 재고가 있어야 합니다.", "장바구니에 상품을 담아 주세요."),
        ("이름과 날짜를 입력받아 새로운 디데이를 생성한다.", "새로운 디데이를 생성해 주세요."),
    ],
)
def test_a_korean_description_becomes_a_request(description: str, asked: str) -> None:
    korean = Korean()
    deed = korean.deed(ToolSpec("t", description, {}))
    assert deed is not None
    requests = {korean.request(deed, (), (), Random(seed)) for seed in range(60)}
    assert asked in requests


def test_a_value_takes_the_place_of_what_the_description_leaves_open() -> None:
    korean = Korean()
    deed = korean.deed(ToolSpec("t", "특정 수신자에게 메시지를 보낸다.", {}))
    assert deed is not None
    name = Detail(("receiver",), "수신자 이름", "김민수")
    assert any(korean.request(deed, [name], (), Random(s)) == "김민수에게 메시지를 보내 주세요." for s in range(60))
    assert all("수신자" not in korean.request(deed, (), [name], Random(s)) for s in range(60))


@pytest.mark.parametrize(
    ("description", "label"),
    [
        ("평점을 업데이트할 영화의 ID", "영화의 ID"),
        ("날씨 정보를 가져올 지역 이름", "지역 이름"),
        ("조회하려는 가상화폐의 코드 (예: BTC, ETH)", "가상화폐의 코드"),
        ("사용자의 이메일 주소입니다.", "이메일 주소"),
        ("킬로그램 단위의 무게", "무게"),
        ("반복할 여부", "반복할 여부"),
        ("The currency to convert from.", "base currency"),
    ],
)
def test_an_argument_is_called_by_its_noun(description: str, label: str) -> None:
    assert Korean().label(tool("t", "", {"base_currency": {"description": description}}), ("base_currency",)) == label


@pytest.mark.parametrize(
    ("description", "words"),
    [
        ("Finds a restaurant near the user's home, based on ratings.", "find a restaurant near my home"),
        ("This function calculates the area of a circle.", "calculate the area of a circle"),
        ("Provides the exchange rate between two currencies.", "tell me the exchange rate between two currencies"),
        ("Function to cancel an order", "cancel an order"),
    ],
)
def test_an_english_description_becomes_a_request(description: str, words: str) -> None:
    deed = English().deed(ToolSpec("t", description, {}))
    assert deed is not None
    assert deed.words == words


def test_numbers_are_read_in_one_spelling() -> None:
    assert numbers_of("1,000원과 3.50, 그리고 007") == {"1000", "3.5", "7"}


# --- a teacher --------------------------------------------------------------------------------------------------------


def wording(request: Request, change: Any = None) -> Any:
    """Words every text anew by putting 음 before it."""
    shown = json.loads(request.messages[1].content)
    if "turns" not in shown:
        return {"arguments": []}
    texts = [turn["text"] for turn in shown["turns"] if "text" in turn]
    results = [turn["result"] for turn in shown["turns"] if "result" in turn]
    reply = {"texts": [f"음, {text}" for text in texts], "results": results}
    return reply if change is None else change(reply)


def test_a_teacher_words_the_conversation_and_calls_stay() -> None:
    made = generate_tool_rows(SHOP_TOOLS, Order(12), teacher(wording))
    assert made.report.made == 12
    assert all(row.messages[0].content.startswith("음, ") and row.tags[0] == "teacher" for row in made.rows)


def test_arguments_that_a_teacher_proposes_are_used_if_they_fit() -> None:
    def proposing(request: Request) -> Any:
        shown = json.loads(request.messages[1].content)
        if "turns" in shown:
            return wording(request)
        return {"arguments": [{"query": "가을 등산화"}, {"query": 3}, "x"]}

    made = generate_tool_rows([SHOP_TOOLS[1]], Order(4), teacher(proposing))
    assert {call.arguments["query"] for row in made.rows for m in row.messages for call in m.tool_calls} <= {"가을 등산화"}
    assert made.report.refused["the teacher's arguments do not fit the schema"] == 2


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda reply: {**reply, "texts": reply["texts"][:-1]}, "another shape"),
        (lambda reply: {**reply, "texts": [*reply["texts"], "더"]}, "another shape"),
        (lambda reply: {**reply, "texts": ["부탁드려요" for _ in reply["texts"]]}, "what nobody said"),
        (lambda reply: {**reply, "texts": [*reply["texts"][:-1], "모두 98765원입니다."]}, "a number that nobody gave"),
        (lambda reply: "네, 알겠습니다.", "no JSON"),
        (lambda reply: {**reply, "results": [{"text": "x" * 3000} for _ in reply["results"]] or [1]}, "too long"),
    ],
)
def test_a_teacher_that_spoils_a_row_is_refused(change: Any, reason: str) -> None:
    report = generate_tool_rows(SHOP_TOOLS, Order(16), teacher(lambda request: wording(request, change))).report
    assert any(reason in refused for refused in report.refused)


def test_no_tools_is_an_error() -> None:
    with pytest.raises(ValueError, match="no tools"):
        generate_tool_rows([], Order(1))
