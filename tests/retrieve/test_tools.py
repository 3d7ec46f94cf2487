import json
import time
from pathlib import Path
from typing import Any

import pytest

from sadari.retrieve import LexicalIndex
from sadari.retrieve.tools import CATALOGUES_KEPT, ToolSearch, questions_by_tool
from sadari.types import Example, Message, Reference, ToolCall, ToolSpec


def tool(name: str, description: str = "", **parameters: Any) -> ToolSpec:
    return ToolSpec(name, description, {"type": "object", "properties": parameters})


ORDERS = tool("get_order", "주문 번호로 주문 상태를 조회합니다")
CANCEL = tool("cancel_order", "주문을 취소합니다")
REFUND = tool("requestRefund", "환불을 신청합니다")
COUPON = tool("list_coupons", "쓸 수 있는 쿠폰 목록", status={"type": "string", "enum": ["expired", "usable"]})
STORES = tool("find_store", "가까운 매장 찾기", district={"type": "string", "description": "구 이름, 예: 마포"})
CATALOGUE = (ORDERS, CANCEL, REFUND, COUPON, STORES)
ENGLISH = tuple(tool(f"tool_{i}", f"does thing number {i}") for i in range(40))


def said(*turns: str) -> list[Message]:
    return [Message("user", turn) for turn in turns]


def names(tools: tuple[ToolSpec, ...]) -> list[str]:
    return [t.name for t in tools]


# --- what is found -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "right"),
    [
        ("환불 신청할게요", REFUND),  # by the description
        ("refund please", REFUND),  # by a word of the camel-case name
        ("마포에 있나요", STORES),  # by the description of a parameter
        ("which are expired?", COUPON),  # by a listed value
        ("which district?", STORES),  # by the name of a parameter
    ],
)
def test_a_tool_is_found_by_every_word_that_its_declaration_holds(question: str, right: ToolSpec) -> None:
    assert ToolSearch(1).shown(CATALOGUE, said(question)) == (right,)


def test_tools_are_shown_in_the_order_of_the_catalogue_whatever_is_best() -> None:
    assert names(ToolSearch(2).shown(CATALOGUE, said("환불 신청하고 주문 취소"))) == ["cancel_order", "requestRefund"]
    assert names(ToolSearch(2).shown(CATALOGUE[::-1], said("환불 신청하고 주문 취소"))) == ["requestRefund", "cancel_order"]


def test_what_the_user_asked_some_turns_ago_still_counts() -> None:
    assert ToolSearch(1).shown(CATALOGUE, said("가까운 매장 찾아 주세요", "3번이요", "네")) == (STORES,)


def test_a_catalogue_that_is_short_enough_is_shown_as_it_is() -> None:
    assert ToolSearch(5).shown(CATALOGUE, said("환불")) == CATALOGUE
    assert ToolSearch(0).shown(CATALOGUE, said("환불")) == CATALOGUE
    assert ToolSearch(1).shown((), said("환불")) == ()


# --- what is never hidden ----------------------------------------------------------------------------------------------


def test_a_tool_that_was_called_earlier_stays() -> None:
    conversation = [
        *said("쿠폰 보여 주세요"),
        Message("assistant", "", tool_calls=(ToolCall("list_coupons", {}),)),
        Message("tool", "[]"),
        *said("환불 신청", "환불 신청", "환불 신청", "환불 신청"),
    ]
    assert names(ToolSearch(2).shown(CATALOGUE, conversation)) == ["requestRefund", "list_coupons"]


def test_a_tool_that_the_system_prompt_names_stays_even_before_a_korean_particle() -> None:
    conversation = [Message("system", "먼저 get_order로 확인하세요."), *said("환불 신청")]
    assert names(ToolSearch(2).shown(CATALOGUE, conversation)) == ["get_order", "requestRefund"]


@pytest.mark.parametrize("text", ["see get_order_history", "see my.get_order", "see get_order.v2"])
def test_a_part_of_a_longer_name_names_no_tool(text: str) -> None:
    assert names(ToolSearch(1).shown(CATALOGUE, [Message("system", text), *said("환불 신청")])) == ["requestRefund"]


def test_tools_that_the_caller_names_take_the_place_of_found_ones_and_all_are_shown() -> None:
    search = ToolSearch(2)
    assert names(search.shown(CATALOGUE, said("환불 신청하고 주문 취소"), {"find_store"})) == ["requestRefund", "find_store"]
    assert names(search.shown(CATALOGUE, said("환불"), {"find_store", "get_order", "list_coupons"})) == [
        "get_order",
        "list_coupons",
        "find_store",
    ]


# --- where the search has no hold --------------------------------------------------------------------------------------


def test_a_question_in_another_language_is_shown_the_whole_catalogue() -> None:
    assert ToolSearch(10).shown(ENGLISH, said("환불 신청할게요")) == ENGLISH  # 40 tools are four times 10


def test_one_common_word_is_no_hold() -> None:
    question = "number 환불을 신청하고 싶은데 어디에서 어떻게 하면 되는지 알려 주시면 감사하겠습니다"
    assert ToolSearch(10).shown(ENGLISH, said(question)) == ENGLISH


def test_of_a_catalogue_too_long_to_show_whole_nothing_is_shown_where_nothing_is_found() -> None:
    assert ToolSearch(9).shown(ENGLISH, said("안녕하세요")) == ()
    assert ToolSearch(9).shown(ENGLISH, said("안녕하세요"), {"tool_3"}) == (ENGLISH[3],)


def test_questions_that_a_tool_answered_before_find_it_across_languages() -> None:
    search = ToolSearch(9, {"tool_7": ("환불 신청은 어떻게 하나요",), "of another catalogue": ("환불 신청",)})
    assert search.shown(ENGLISH, said("환불 신청할게요")) == (ENGLISH[7],)


def test_earlier_questions_do_not_hide_the_tools_that_nobody_asked_for_yet() -> None:
    search = ToolSearch(10, {"tool_7": ("환불 신청은 어떻게 하나요",)})
    assert search.shown(ENGLISH, said("매장 위치는 어떻게 되나요")) == ENGLISH


def test_questions_are_gathered_from_every_turn_that_calls_a_tool() -> None:
    called = Message("assistant", "", tool_calls=(ToolCall("get_order", {"id": 1}), ToolCall("list_coupons", {})))
    examples = [
        Example("a", (*said("주문 1번"), called, Message("tool", "{}"), *said("취소")), Reference(calls=(ToolCall("cancel", {}),))),
        Example("b", (*said("주문 1번"), called)),
        Example("c", (*said("인사"), Message("assistant", "네"))),
    ]
    assert questions_by_tool(examples) == {
        "get_order": ("주문 1번",),
        "list_coupons": ("주문 1번",),
        "cancel": ("주문 1번\n취소",),
    }


# --- what it costs, and what it bears ----------------------------------------------------------------------------------


def test_an_index_is_built_once_for_each_catalogue_by_its_content(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[int] = []

    def count(texts: list[str]) -> LexicalIndex:
        built.append(len(texts))
        return LexicalIndex(texts)

    monkeypatch.setattr("sadari.retrieve.tools.LexicalIndex", count)
    search = ToolSearch(1)
    for catalogue in (CATALOGUE, tuple(map(copy_of, CATALOGUE)), CATALOGUE[1:], CATALOGUE):
        search.shown(catalogue, said("환불"))
    assert built == [5, 4]
    for i in range(CATALOGUES_KEPT):
        search.shown(ENGLISH[i:], said("환불"))
    search.shown(CATALOGUE, said("환불"))
    assert built[-1] == 5  # forgotten, and built anew


def copy_of(original: ToolSpec) -> ToolSpec:
    return ToolSpec(original.name, original.description, {**original.parameters})


def test_a_question_to_512_tools_takes_less_than_five_milliseconds() -> None:
    verbs = ("주문 조회", "환불 신청", "쿠폰 목록", "매장 검색", "배송 추적", "회원 수정", "예약 취소", "알림 설정")
    catalogue = tuple(tool(f"api{i}.do_{i % 64}", f"{verbs[i % 8]} {i}번 기능", x={"description": "고객 번호"}) for i in range(512))
    search = ToolSearch(8)
    conversation = [Message("system", "고객 문의를 도구로 처리합니다. " * 50), *said("지난주에 산 물건 환불을 신청하고 싶어요")]
    assert len(search.shown(catalogue, conversation)) == 8
    spent = []
    for _ in range(20):
        started = time.process_time()
        search.shown(catalogue, conversation)
        spent.append(time.process_time() - started)
    assert sorted(spent)[10] < 0.005


def test_a_schema_of_any_depth_and_size_is_read_up_to_a_limit() -> None:
    deep: dict[str, Any] = {"description": "바닥"}
    for _ in range(5000):
        deep = {"properties": {"a": deep}}
    wide = {"properties": {f"p{i}": {"description": "설명 " * 20} for i in range(10_000)}}
    odd = {"properties": ["x"], "description": 3, "enum": "abc", "items": [None, {"enum": [1, None, "값"]}]}
    catalogue = (ToolSpec("deep", "", deep), ToolSpec("wide", "", wide), ToolSpec("odd", "", odd), REFUND)
    assert ToolSearch(1).shown(catalogue, said("환불 신청")) == (REFUND,)
    assert names(ToolSearch(1).shown(catalogue, said("값"))) == ["odd"]


def test_a_pasted_document_is_searched_by_its_end() -> None:
    pasted = "주문 취소 쿠폰 매장 " * 100_000 + "\n" + "." * 3990 + "\n이 내용으로 환불 신청해 주세요"
    started = time.process_time()
    assert ToolSearch(1).shown(CATALOGUE, said(pasted)) == (REFUND,)
    assert time.process_time() - started < 0.5


def test_the_right_tools_of_real_korean_questions_are_shown(shared_data: Path) -> None:
    """Floors: of 48 questions to 96 tools 37 with 8 shown, 46 with 24 shown, or all where the search has no hold."""
    folder = shared_data / "ko-functionchat"
    rows = [json.loads(line) for line in (folder / "singlecall.jsonl").read_text(encoding="utf-8").splitlines()]
    declared = {t["function"]["name"]: t["function"] for row in rows for t in row["tools"]}
    catalogue = tuple(ToolSpec(t["name"], t["description"], t["parameters"]) for t in declared.values())
    asked = {row["messages"][-1]["content"]: row["ground_truth"]["name"] for row in rows}
    assert (len(catalogue), len(asked)) == (96, 48)
    for most, floor in ((8, 37), (24, 46)):
        search = ToolSearch(most)
        assert sum(right in names(search.shown(catalogue, said(question))) for question, right in asked.items()) >= floor
