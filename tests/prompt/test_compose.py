from sadari.prompt import compose, final_answer, sentence_marks
from sadari.types import Chunk, Example, Message, Prompt, Reference, ToolCall

ASKED = (Message("user", "배송비는 얼마인가요?"),)
PASSAGES = (Chunk("a.md", "배송", 0, 3, "배송비는 3,000원."), Chunk("b.md", "환불", 0, 3, "환불은 7일."))


def shot(question: str, answer: str) -> Example:
    return Example(question, (Message("user", question),), Reference((answer,)))


def test_a_bare_conversation_is_put_as_it_is() -> None:
    assert compose(Prompt(), ASKED) == ASKED


def test_the_instruction_is_the_first_turn_and_weighs_nothing() -> None:
    first, second = compose(Prompt("정중하게 답하세요."), ASKED)
    assert (first.role, first.content, first.weight) == ("system", "정중하게 답하세요.", 0.0)
    assert second.content == "배송비는 얼마인가요?"


def test_the_systems_own_words_of_a_conversation_follow_the_instruction_in_one_turn() -> None:
    messages = compose(Prompt("지시"), (Message("system", "가게는 월요일에 쉽니다."), *ASKED))
    assert [m.role for m in messages] == ["system", "user"]
    assert messages[0].content == "지시\n\n가게는 월요일에 쉽니다."


def test_labels_are_listed_in_the_language_of_the_instruction() -> None:
    assert compose(Prompt("분류", ("배송", "환불")), ASKED)[0].content == "분류\n\n다음 가운데 하나로만 답하세요:\n배송\n환불"
    assert "Answer with exactly one of:\nbilling\nother" in compose(Prompt("Sort", ("billing", "other")), ASKED)[0].content


def test_passages_stand_above_the_question_numbered_best_first() -> None:
    last = compose(Prompt(), ASKED, passages=PASSAGES)[-1].content
    assert last == "문서:\n[1] 배송\n배송비는 3,000원.\n\n[2] 환불\n환불은 7일.\n\n질문: 배송비는 얼마인가요?"


def test_an_english_question_gets_english_headings() -> None:
    last = compose(Prompt(), (Message("user", "How much?"),), passages=PASSAGES[:1])[-1].content
    assert last.startswith("Documents:\n[1]")
    assert last.endswith("\n\nQuestion: How much?")


def test_marked_sentences_stand_one_a_line_with_their_titles() -> None:
    last = compose(Prompt(), ASKED, passages=PASSAGES, marks=["A", "B"])[-1].content
    assert last == "문서:\nA. 배송: 배송비는 3,000원.\nB. 환불: 환불은 7일.\n\n질문: 배송비는 얼마인가요?"


def test_marks_go_on_after_the_alphabet_without_repeats() -> None:
    marks = sentence_marks(60)
    assert marks[:2] + marks[25:27] + marks[51:53] == ["A", "B", "Z", "a", "z", "AA"]
    assert len(set(marks)) == 60


def test_shots_are_earlier_turns_with_the_most_similar_last() -> None:
    messages = compose(Prompt("지시"), ASKED, shots=[shot("가장 비슷", "A"), shot("덜 비슷", "B")])
    assert [(m.role, m.content) for m in messages[1:]] == [
        ("user", "덜 비슷"),
        ("assistant", "B"),
        ("user", "가장 비슷"),
        ("assistant", "A"),
        ("user", "배송비는 얼마인가요?"),
    ]


def test_shots_weigh_nothing_in_training() -> None:
    messages = compose(Prompt("지시"), ASKED, shots=[shot("q", "a")])
    assert [m.weight for m in messages[:-1]] == [0.0, 0.0, 0.0]


def test_similar_examples_are_listed_above_the_question_the_best_nearest_to_it() -> None:
    last = compose(Prompt(), ASKED, similar=[shot("가장 비슷", "A"), shot("덜 비슷", "B")])[-1].content
    assert last == "비슷한 예:\n덜 비슷 -> B\n가장 비슷 -> A\n\n질문: 배송비는 얼마인가요?"


def test_earlier_turns_are_kept_and_only_the_last_is_framed() -> None:
    talk = (Message("user", "안녕"), Message("assistant", "네"), *ASKED)
    messages = compose(Prompt(), talk, passages=PASSAGES)
    assert [m.content for m in messages[:2]] == ["안녕", "네"]
    assert messages[2].content.startswith("문서:\n[1] 배송")


def test_an_answer_is_all_that_was_said_unless_reasoning_was_asked_for() -> None:
    assert final_answer(" 답: 3,000원 ", Prompt()) == "답: 3,000원"
    assert final_answer("표를 보면 답: 틀림. 다시 답: 3,000원", Prompt(chain_of_thought=True)) == "3,000원"
    assert final_answer("It says so. Answer: 3", Prompt(chain_of_thought=True)) == "3"


def test_thinking_of_the_model_is_never_part_of_the_answer() -> None:
    assert final_answer("<think>음...</think>\n3,000원", Prompt()) == "3,000원"
    assert final_answer("<think>끝나지 않은 생각", Prompt()) == ""


def test_reasoning_is_asked_for_in_the_system_text() -> None:
    assert '"답:"' in compose(Prompt("지시", chain_of_thought=True), ASKED)[0].content
    assert '"Answer:"' in compose(Prompt("Do it", chain_of_thought=True), ASKED)[0].content


def test_passages_stand_above_the_question_when_calls_were_made_for_it() -> None:
    said = (
        Message("user", "얼마예요?"),
        Message("assistant", "", tool_calls=(ToolCall("price", {}, "1"),)),
        Message("tool", "5원"),
    )
    shown = compose(Prompt("goal"), said, passages=[Chunk("a.md", "가격", 0, 4, "가격표")])
    assert [m.role for m in shown] == ["system", "user", "assistant", "tool"]
    assert "가격표" in shown[1].content
    assert shown[2:] == said[1:]


def test_a_shot_shows_the_calls_that_were_made_for_its_question_and_their_results() -> None:
    said = (
        Message("user", "앞선 질문"),
        Message("assistant", "앞선 답"),
        Message("user", "주문 상태는?"),
        Message("assistant", "", tool_calls=(ToolCall("get_order", {"order": "A1"}, "c1"),)),
        Message("tool", "배송 중", tool_call_id="c1"),
        Message("assistant", "배송 중입니다."),
    )
    asked, call, result, answer, question = compose(Prompt(""), ASKED, shots=[Example("e", said)])
    assert (asked.content, call.tool_calls[0].arguments, result.content) == ("주문 상태는?", {"order": "A1"}, "배송 중")
    assert call.tool_calls[0].id == result.tool_call_id == "shot1-c1"
    assert (answer.content, question) == ("배송 중입니다.", ASKED[-1])
