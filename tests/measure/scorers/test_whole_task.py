import pytest

from sadari.measure.scorers.whole_task import WholeTaskScorer
from sadari.types import Answer, Example, Message, Reference, ToolCall

LOOK = ToolCall("order", {"id": "A-1"}, "c1")
REFUND = ToolCall("refund", {"id": "A-1", "amount": 5000}, "c2")
ROW = Example(
    "row",
    (
        Message("user", "A-1 환불해 주세요"),
        Message("assistant", "", tool_calls=(LOOK,)),
        Message("tool", "배송 전", tool_call_id="c1"),
        Message("assistant", "", tool_calls=(REFUND,)),
        Message("tool", "완료", tool_call_id="c2"),
        Message("assistant", "5,000원을 환불했습니다."),
    ),
    Reference(texts=("5,000원을 환불했습니다.",), facts=(("5,000원",), ("환불",))),
)


@pytest.mark.parametrize(
    ("calls", "text", "score"),
    [
        ((LOOK, REFUND), "5천 원 환불 완료입니다.", 1.0),
        ((REFUND, LOOK), "환불: 5000원", 1.0),
        ((LOOK, REFUND), "환불했습니다.", 0.0),
        ((REFUND,), "5,000원을 환불했습니다.", 0.0),
        ((LOOK, REFUND, LOOK), "5,000원을 환불했습니다.", 0.0),
        ((LOOK, ToolCall("refund", {"id": "A-1", "amount": 50})), "5,000원을 환불했습니다.", 0.0),
    ],
)
def test_the_calls_and_the_answer_have_to_be_right(calls: tuple[ToolCall, ...], text: str, score: float) -> None:
    assert WholeTaskScorer().score(ROW, Answer(text, calls)).value == score


def test_no_call_is_right_where_the_example_makes_none() -> None:
    row = Example("row", (Message("user", "안녕"), Message("assistant", "안녕하세요")), Reference(texts=("안녕하세요",)))
    assert WholeTaskScorer().score(row, Answer("안녕하세요!")).value == 1.0
    assert "no call is right" in WholeTaskScorer().score(row, Answer("안녕하세요", (LOOK,))).reason


def test_a_failed_answer_scores_nothing() -> None:
    assert WholeTaskScorer().score(ROW, Answer("5,000원 환불", (LOOK, REFUND), error="crash")).value == 0.0
