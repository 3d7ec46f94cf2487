"""Reasoning is kept only where it ends in the reference."""

from typing import Any

from generated_material import pair, teacher
from sadari.prompt import ANSWER_MARKS, final_answer
from sadari.task.generate import Order, generate_rationales
from sadari.task.generate.rationales import is_same_answer
from sadari.types import Prompt, Request

ROWS = (
    pair("r1", "사과 세 개와 배 두 개는 모두 몇 개인가요?", "5", tags=("math",)),
    pair("r2", "천 원짜리 두 장이면 모두 얼마인가요?", "2,000"),
    pair("r3", "What is six times seven?", "42", group="g"),
)
ANSWERS = {"사과": "5.0", "천 원": "2000", "six": "41"}


def thinking(request: Request) -> Any:
    asked = request.messages[-1].content
    answer = next(value for word, value in ANSWERS.items() if word in asked)
    return {"reasoning": "하나씩 차례로 세어 봅니다.", "answer": answer}


def test_reasoning_with_the_right_answer_stands_before_the_reference() -> None:
    made = generate_rationales(ROWS, Order(3, beside=ROWS), teacher(thinking), marks=ANSWER_MARKS)
    rows = {row.id: row for row in made.rows}
    assert set(rows) == {"generated-rationale-teacher-r1", "generated-rationale-teacher-r2"}
    first = rows["generated-rationale-teacher-r1"]
    assert first.target.content == "하나씩 차례로 세어 봅니다.\n답: 5"
    assert first.reference.texts == ("5",)
    assert first.tags == ("math", "rationale", "generated")
    assert final_answer(first.target.content, Prompt(chain_of_thought=True)) == "5"
    assert made.report.refused["the teacher's answer is not the reference"] == 4  # asked four times


def test_the_teacher_is_not_told_the_reference() -> None:
    model = teacher(thinking)
    generate_rationales(ROWS[:1], Order(1), model, marks=ANSWER_MARKS)
    assert [message.role for message in model.requests[0].messages] == ["system", "user"]


def test_a_wrong_answer_is_asked_for_again_with_another_seed() -> None:
    def second_time(request: Request) -> Any:
        return {"reasoning": "여섯을 일곱 번 더합니다.", "answer": "42" if request.seed else "41"}

    made = generate_rationales(ROWS[2:], Order(1), teacher(second_time), marks=ANSWER_MARKS)
    assert made.rows[0].target.content.endswith("\nAnswer: 42")
    assert made.rows[0].group == "g"


def test_rows_without_a_short_reference_are_left_out_and_counted() -> None:
    rows = (*ROWS, pair("long", "설명해 주세요.", "가" * 300))
    assert generate_rationales(rows, Order(1), teacher(thinking), marks=ANSWER_MARKS).report.notes == (
        "1 rows have no short answer to reason towards.",
    )


def test_reasoning_that_gives_the_mark_or_says_nothing_is_refused() -> None:
    marked = teacher(lambda request: {"reasoning": "세어 보면 답: 5 입니다.", "answer": "5"})
    assert generate_rationales(ROWS[:1], Order(1), marked, marks=ANSWER_MARKS).report.refused == {"the reasoning is none": 4}


def test_a_judging_row_is_never_reasoned_about() -> None:
    made = generate_rationales(ROWS[:2], Order(2, judged=ROWS[:1]), teacher(thinking), marks=ANSWER_MARKS)
    assert [row.id for row in made.rows] == ["generated-rationale-teacher-r2"]
    assert made.report.refused["asks what a judging row asks"] >= 1


def test_answers_are_compared_by_what_they_say() -> None:
    assert is_same_answer("1,000", "1000.0")
    assert is_same_answer("Yes.", "yes")
    assert not is_same_answer("15", "1.5")
    assert not is_same_answer("nan", "x")
