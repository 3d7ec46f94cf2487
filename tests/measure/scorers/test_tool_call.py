"""Tool calls, with alternatives and in any order."""

from typing import Any

from sadari.measure.scorers import ToolCallScorer
from sadari.types import AcceptedCall, Answer, Example, Message, Reference, Score, ToolCall

ORDER, REFUND = ToolCall("get_order", {"id": "A-1"}), ToolCall("refund", {"amount": 3000, "why": {"code": 1}})


def score(
    said: tuple[ToolCall, ...], calls: tuple[ToolCall, ...] = (), accepts: tuple[AcceptedCall, ...] = (), **settings: Any
) -> Score:
    example = Example("test-7", (Message("user", "질문"),), Reference(calls=calls, accepts=accepts))
    return ToolCallScorer(**settings).score(example, Answer("", said))


def test_tool_calls_are_compared_in_any_order_by_name_and_arguments() -> None:
    again = ToolCall("refund", {"why": {"code": 1}, "amount": 3000.0}, id="x")
    assert score((again, ORDER), (ORDER, REFUND)) == Score(1.0)
    assert score((ORDER,), (ORDER, REFUND)).reason.startswith("missing: refund(amount=3000")
    assert score((ORDER, ORDER, REFUND), (ORDER, REFUND)).reason == "extra: get_order(id='A-1')"
    assert score((ORDER, ToolCall("refund", {"amount": "3000", "why": {"code": 1}})), (ORDER, REFUND)).value == 0
    assert score((), (ORDER,)).value == 0


def test_where_the_reference_makes_no_call_no_call_is_right() -> None:
    assert score(()) == Score(1.0)
    assert score((ORDER,)) == Score(0.0, "no call is right, but it calls get_order(id='A-1')")


def test_every_accepted_value_is_right_and_optional_arguments_may_be_left_out() -> None:
    weather = AcceptedCall("weather", {"city": ("서울", "Seoul"), "unit": ("C",)}, optional=("unit",))

    def value(**arguments: Any) -> float:
        return score((ToolCall("weather", arguments),), accepts=(weather,)).value

    assert value(city="서울") == value(city="Seoul", unit="C") == 1
    assert value(city="부산") == value(city="서울", unit="F") == value(unit="C") == value(city="서울", days=1) == 0


def test_calls_of_one_name_are_matched_so_that_as_many_as_possible_are_right() -> None:
    wide, narrow = AcceptedCall("f", {"x": (1, 2)}), AcceptedCall("f", {"x": (1,)})
    one, two = ToolCall("f", {"x": 1}), ToolCall("f", {"x": 2})
    for said in ((one, two), (two, one)):  # matched greedily, `wide` would take the call that `narrow` needs
        assert score(said, accepts=(wide, narrow)).value == 1
    assert score((two, two), accepts=(wide, narrow)).value == 0
    chain = tuple(AcceptedCall("f", {"x": (i, i + 1)}) for i in range(50))
    assert score(tuple(ToolCall("f", {"x": i}) for i in range(50, 0, -1)), accepts=chain).value == 1
    assert score(tuple(ToolCall("f", {"x": i}) for i in range(50)), accepts=chain).value == 1


def test_settings_choose_how_texts_and_numbers_are_compared() -> None:
    wanted = (ToolCall("f", {"city": "New York, NY", "n": 3}),)
    near, float_for_int = ToolCall("f", {"city": "new york ny", "n": 3}), ToolCall("f", {"city": "New York, NY", "n": 3.0})
    assert score((near,), wanted).value == score((near,), wanted, strings="loose").value == 0
    assert score((near,), wanted, strings="lenient").value == 1
    assert score((float_for_int,), wanted).value == 1
    assert score((float_for_int,), wanted, numbers="typed").value == 0
    assert ToolCallScorer(strings="lenient", numbers="typed").name == "tool_call (names and arguments, any order, lenient, typed)"


def test_hostile_calls_score_zero_in_a_moment() -> None:
    deep: Any = []
    for _ in range(900):
        deep = [deep]
    assert score((ToolCall("get_order", {"id": deep}),), (ORDER,)).value == 0
    assert score((ToolCall("get_order", {"id": "x" * 1_000_000}),), (ORDER,)).value == 0
    many = score((ORDER,) * 20_000, (ORDER, REFUND))
    assert many.value == 0
    assert many.reason.endswith("and 19996 more")
    assert score((ToolCall("get_order", {"id": 10**400}), ToolCall("get_order", {"id": float("nan")})), (ORDER,)).value == 0
