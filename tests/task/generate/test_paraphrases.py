"""Paraphrases keep numbers and names, and are neither the same question nor another one."""

from random import Random

import pytest

from generated_material import pair, teacher
from sadari.task.generate import Order, generate_paraphrases
from sadari.task.generate.paraphrases import fault_of_paraphrase, in_other_form

ROWS = (
    pair("q1", "기본 배송비가 얼마예요?", "3,000원", group="g1"),
    pair("q2", "반품 접수 방법을 알려 주세요.", "앱에서 합니다.", tags=("ko",)),
)


@pytest.mark.parametrize(
    ("question", "form"),
    [
        ("기본 배송비가 얼마예요?", "기본 배송비가 얼마인지 알려 주세요."),
        ("반품은 며칠 걸리나요?", "반품은 며칠 걸리는지 궁금합니다."),
        ("제주도도 가능한가요?", "제주도도 가능한지 알 수 있을까요?"),
        ("반품 접수 방법을 알려 주세요.", "반품 접수 방법이 궁금합니다."),
        ("안녕하세요, 유효 기간이 궁금합니다.", "유효 기간을 알고 싶어요."),
        ("주문을 취소해 주세요.", "주문을 취소해 주실 수 있나요?"),
        ("이게 뭐예요?", "이게 뭔지 여쭤봅니다."),
        ("What is the delivery fee?", "Could you tell me the delivery fee?"),
        ("How do I cancel an order?", "Please tell me how to cancel an order."),
        ("Can I pay in cash?", "I would like to know whether I can pay in cash."),
    ],
)
def test_the_form_of_a_sentence_changes(question: str, form: str) -> None:
    assert any(form in in_other_form(question, Random(seed)) for seed in range(40))


def test_a_question_whose_form_is_unknown_is_left_alone() -> None:
    assert in_other_form("배송이 늦네요", Random(0)) == []
    assert in_other_form("크기도 알고 싶습니다.", Random(0)) == []


@pytest.mark.parametrize(
    ("question", "other", "fault"),
    [
        ("배송비가 얼마예요?", "배송비가, 얼마예요", "the same question"),
        ("2만 원어치 사면 배송비가 얼마예요?", "3만 원어치 사면 배송비를 얼마 내요?", "other numbers"),
        ("배송비가 얼마예요?", "배송비가 3000원이 맞나요?", "other numbers"),
        ("제주도 배송비가 얼마예요?", "울릉도 배송비가 얼마인가요?", "other names"),
        ("How much is shipping to Brazil?", "What does shipping to Japan cost?", "other names"),
        ("배송비가 얼마예요?", "How much is shipping?", "another language"),
        ("배송비가 얼마예요?", "회원 탈퇴는 어디서 해요?", "another question"),
        ("배송비가 얼마예요?", "배송", "much shorter or longer"),
        ("제주도 배송비가 얼마예요?", "제주도로 보내면 배송비를 얼마 내나요?", ""),
    ],
)
def test_what_is_no_paraphrase_is_told(question: str, other: str, fault: str) -> None:
    found = fault_of_paraphrase(question, other)
    assert found.endswith(fault) if fault else found == ""


def test_answers_and_all_else_stay() -> None:
    made = generate_paraphrases(ROWS, Order(4, beside=ROWS))
    assert made.report.made == 4
    by_row = {row.id.split("-")[3]: row for row in made.rows}
    assert by_row["q1"].target.content == "3,000원"
    assert by_row["q1"].group == "g1"
    assert by_row["q2"].group == "q2"
    assert by_row["q2"].tags == ("ko", "template", "paraphrase", "generated")
    assert not {row.question for row in made.rows} & {row.question for row in ROWS}


def test_a_teachers_paraphrases_are_checked_one_by_one() -> None:
    said = {"paraphrases": ["기본 배송비는 얼마를 내나요?", "기본 배송비가 얼마예요?", "배송비 5,000원 맞죠?"]}
    made = generate_paraphrases(ROWS[:1], Order(3, beside=ROWS), teacher(lambda request: said))
    assert [row.question for row in made.rows] == ["기본 배송비는 얼마를 내나요?"]
    assert made.rows[0].id == "generated-paraphrase-teacher-q1-1"
    assert made.report.refused == {"the paraphrase is the same question": 1, "the paraphrase has other numbers": 1}


def test_a_paraphrase_that_a_test_row_asks_is_refused() -> None:
    judged = (pair("t", "기본 배송비는 얼마를 내나요?", "3,000원"),)
    said = {"paraphrases": ["기본 배송비는 얼마를 내나요?"]}
    report = generate_paraphrases(ROWS[:1], Order(1, judged=judged), teacher(lambda request: said)).report
    assert report.refused == {"asks what a judging row asks": 1}
