from fractions import Fraction
from pathlib import Path
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sadari.agent.tools.calculator import CalculationError, CalculatorOptions, calculate, open_calculator, spell
from sadari.agent.tools.place import Place
from sadari.errors import ToolFailedError
from sadari.types import Caller


def told(expression: str) -> str:
    return spell(calculate(expression))


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 + 2 * 3", "7"),
        ("(1 + 2) * 3", "9"),
        ("0.1 + 0.2", "0.3"),
        ("-2 ** 2", "-4"),
        ("2 ** 3 ** 2", "512"),
        ("2 ^ -3", "0.125"),
        ("7 // 2", "3"),
        ("-7 // 2", "-4"),
        ("10 % 3", "1"),
        ("-7 % 3", "2"),
        ("1 / 3", "1/3 (≈ 0.333333333333333)"),
        ("1,234,567 + 1", "1234568"),
        ("1.5e3 - 1", "1499"),
        ("12 × 3 ÷ 4 − 1", "8"),
        ("1200x3", "3600"),
        ("3 더하기 4 곱하기 2", "11"),
        ("3 + 4 = ?", "7"),
    ],
)
def test_plain_arithmetic_is_exact(expression: str, value: str) -> None:
    assert told(expression) == value


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("10만 원 * 1.1", "110,000원"),
        ("1,200원 x 3", "3,600원"),
        ("12,000원 × 2 + 3,500원", "27,500원"),
        ("1억 2,000만 원 / 12", "10,000,000원"),
        ("십만 원 * 3개", "300,000원"),
        ("1200원 + 300", "1,500원"),
        ("10000원 / 3", "10000/3원 (≈ 3,333.33333333333원)"),
        ("90000원 / 30000원", "3"),
        ("$12.50 * 4", "50달러"),
        ("3시간 20분 + 45분", "4시간 5분"),
        ("3 hours 20 minutes + 45 minutes", "4시간 5분"),
        ("1시간 / 20분", "3"),
        ("90분 * 3회", "4시간 30분"),
        ("30분 - 1시간", "-30분"),
        ("2일 + 30시간", "3일 6시간"),
        ("스물다섯 명 * 3", "75명"),
    ],
)
def test_units_of_money_time_and_counts(expression: str, value: str) -> None:
    assert told(expression) == value


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("50000의 20%", "10000"),
        ("10만 원의 20%", "20,000원"),
        ("100000원 + 10%", "110,000원"),
        ("200 - 10%", "180"),
        ("5% + 3%", "8%"),
        ("percent(30, 120)", "25%"),
        ("1.5% * 200원", "3원"),
        ("10% x 300", "30"),
        ("10 % (2 + 1)", "1"),
    ],
)
def test_per_cent(expression: str, value: str) -> None:
    assert told(expression) == value


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("round(2.5)", "3"),
        ("round(-2.5)", "-3"),
        ("반올림(12345원, -2)", "12,300원"),
        ("round(0.125, 2)", "0.13"),
        ("floor(-0.5)", "-1"),
        ("올림(1000원 / 3)", "334원"),
        ("max(1200원; 900원)", "1,200원"),
        ("min(3, 1, 2)", "1"),
        ("합계(1, 2, 3)", "6"),
        ("평균(80, 90)", "85"),
        ("sqrt(16/9)", "4/3 (≈ 1.33333333333333)"),
        ("sqrt(2)", "≈ 1.4142135623731"),
        ("abs(-3원)", "3원"),
    ],
)
def test_functions(expression: str, value: str) -> None:
    assert told(expression) == value


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("2025-03-01 + 30일", "2025-03-31"),
        ("2024년 2월 28일 + 2일", "2024-03-01"),
        ("2025-03-01 - 2주", "2025-02-15"),
        ("2025-03-01 - 2025-01-15", "45일"),
    ],
)
def test_dates(expression: str, value: str) -> None:
    assert told(expression) == value


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("1 / 0", "zero"),
        ("5 % 0", "zero"),
        ("0 ** -1", "zero"),
        ("(1 + 2", "closing bracket"),
        ("5 +", "ends"),
        ("", "ends"),
        ("1 2", "cannot stand"),
        ("max(1,200, 900)", "commas"),
        ("3시간 + 20", "one unit"),
        ("100원 + 1달러", "one unit"),
        ("3개 + 2명", "one unit"),
        ("100원 * 100원", "one unit"),
        ("2025-02-30 + 1일", "no date"),
        ("2025-03-01 * 2", "multiplied"),
        ("-2025-03-01", "negated"),
        ("9999-12-31 + 1일", "calendar"),
        ("sqrt(-1)", "negative"),
        ("2 ** 0.5", "sqrt"),
        ("2원 ** 2", "plain number"),
        ("rond(2)", "round"),
        ("round(1, 2, 3)", "1 to 2"),
        ("round(1, 1e9)", "Decimal places"),
        ("__import__('os').system('ls')", "no place"),
        ("price + 1", "no number"),
        ("(" * 100 + "1" + ")" * 100, "deeper"),
        ("1" * 2_000, "characters"),
    ],
)
def test_what_has_no_value_is_told_with_its_remedy(expression: str, why: str) -> None:
    with pytest.raises(CalculationError, match=why):
        calculate(expression)


@pytest.mark.parametrize(
    "expression",
    [
        "9**9**9**9",
        "9^9^9^9",
        "(10**300)**5",
        "1e9999 * 1",
        "0.5**9999",
        "-".join(["9**999"] * 100) + "**9",
        "2**-99999",
        "10**400*" * 9 + "1",
    ],
)
def test_large_numbers_are_refused_at_once(expression: str) -> None:
    start = perf_counter()
    with pytest.raises(CalculationError, match="too large"):
        calculate(expression)
    assert perf_counter() - start < 0.5


def test_one_to_a_huge_power_is_one() -> None:
    assert (told("1 ** 10 ** 300"), told("(-1) ** (10 ** 300 + 1)"), told("0 ** 10 ** 300")) == ("1", "-1", "0")


@given(st.text(alphabet="0123456789.+-*/%()원분일 x,의만a", max_size=40))
def test_any_text_has_a_value_or_an_explanation(text: str) -> None:
    try:
        answer = spell(calculate(text))
    except CalculationError as error:
        answer = error.messages["ko"]
    assert answer


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=8), st.lists(st.sampled_from("+-*/"), min_size=8, max_size=8))
def test_arithmetic_agrees_with_fractions(numbers: list[int], signs: list[str]) -> None:
    expression = "".join(f"{sign}{number}" for sign, number in zip(signs, numbers, strict=False)).lstrip("*/")
    expected = eval("".join(f"{sign}Fraction({number})" for sign, number in zip(signs, numbers, strict=False)).lstrip("*/"))
    assert calculate(expression).value == expected
    assert isinstance(expected, Fraction)


def test_the_tool_answers_and_explains_in_the_language_of_the_caller() -> None:
    tool = open_calculator(CalculatorOptions(), Place(Path()))[0]
    assert tool.call({"expression": "3시간 20분 + 45분"}, Caller(language="en")).text == "4 h 5 min"
    assert tool.call({"expression": "1/4"}, Caller()).data == {"value": "1/4", "unit": "", "exact": True}
    with pytest.raises(ToolFailedError, match="0으로 나눌 수 없습니다"):
        tool.call({"expression": "1/0"}, Caller(language="ko"))
    assert tool.traits.is_trusted
    assert tool.traits.effect == "read"
