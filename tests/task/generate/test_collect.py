"""What is kept is new, sound and marked; what is not is counted with its reason."""

from collections.abc import Iterator

import pytest

from generated_material import SHOP_TOOLS, pair, tool
from sadari.task.generate import Order, Refusal
from sadari.task.generate.collect import collect
from sadari.types import Example, Message, Reference, ToolCall


def rows(*questions: str) -> Iterator[Example]:
    return (pair("generated-x-", question, "네", tags=("x", "generated")) for question in questions)


def test_rows_are_counted_named_and_tagged() -> None:
    made = collect(Order(2), rows("배송은 언제 되나요?", "환불은 어디서 하나요?"), lambda row: None)
    assert [row.tags for row in made.rows] == [("x", "generated")] * 2
    assert len({row.id for row in made.rows}) == 2
    assert all(row.id.startswith("generated-x-") for row in made.rows)
    assert (made.report.asked, made.report.made, made.report.kinds) == (2, 2, {"x": 2})


def test_what_a_test_row_asks_is_refused_though_it_is_written_otherwise() -> None:
    judged = (pair("t1", "배송은 언제 되나요?", "내일"),)
    made = collect(Order(3, judged=judged), rows("배송은  언제 되나요", "환불은 어디서 하나요?"), lambda row: None)
    assert [row.question for row in made.rows] == ["환불은 어디서 하나요?"]
    assert made.report.refused == {"asks what a judging row asks": 1}
    assert "t1" in made.report.shown[0]


def test_repeats_of_each_other_and_of_train_rows_are_refused() -> None:
    beside = (pair("a", "포장은 얼마인가요?", "천 원"),)
    stream = rows("환불은 어디서 하나요?", "환불은 어디서 하나요", "포장은 얼마인가요?")
    made = collect(Order(3, beside=beside), stream, lambda row: None)
    assert made.report.made == 1
    assert made.report.refused == {"asks what another row asks": 2}


def test_rows_that_replace_train_rows_may_ask_what_those_ask() -> None:
    beside = (pair("a", "포장은 얼마인가요?", "천 원"),)
    assert collect(Order(1, beside=beside), rows("포장은 얼마인가요?"), lambda row: None, repeats_beside=True).report.made == 1


def test_a_call_that_does_not_fit_its_schema_is_refused() -> None:
    spec = tool("t", "", {"n": {"type": "integer"}})
    call = ToolCall("t", {"n": "세 개"}, "c1")
    row = Example("r-", (Message("user", "세 개요"), Message("assistant", "", tool_calls=(call,))), tools=(spec,))
    made = collect(Order(1), iter([row]), lambda row: None)
    assert made.report.refused == {"the call does not fit the tool's schema": 1}
    assert "'세 개' is not of type 'integer'" in made.report.shown[0]


def test_a_call_of_a_tool_that_is_not_offered_is_refused() -> None:
    row = Example("r-", (Message("user", "?"), Message("assistant", "", tool_calls=(ToolCall("other", {}),))), tools=SHOP_TOOLS)
    assert "`other` is not offered" in collect(Order(1), iter([row]), lambda row: None).report.shown[0]


def test_a_row_that_would_read_back_otherwise_is_refused() -> None:
    broken = Example("r-", (Message("user", "질문"), Message("assistant", "")), Reference(("답",)))
    assert collect(Order(1), iter([broken]), lambda row: None).report.refused == {"cannot be read back": 1}


def test_a_stream_of_refusals_without_end_is_given_up() -> None:
    def forever() -> Iterator[Example | Refusal]:
        while True:
            yield Refusal("never")

    report = collect(Order(3), forever(), lambda row: None).report
    assert (report.made, report.tried, report.refused) == (0, 80, {"never": 80})  # 20 for each row, and 20


def test_an_id_that_is_taken_gets_another() -> None:
    beside = (pair("generated-1", "하나", "1"),)
    made = collect(Order(1, beside=beside), iter([pair("generated-1", "포장은 얼마인가요?", "천 원")]), lambda row: None)
    assert made.rows[0].id == "generated-1-2"


def test_no_rows_cannot_be_ordered() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Order(0)
