"""People who do not know which system is which, what they say on the whole, and what a judge learns from it."""

import json
from pathlib import Path

import pytest

from sadari.agent.log.database import open_database
from sadari.errors import DataError
from sadari.files import write_lines
from sadari.measure.judging.human_labels import read_labels
from sadari.measurer import Prediction
from sadari.serve.blind import (
    BlindRating,
    BlindTable,
    Comparison,
    Pair,
    krippendorff_alpha,
    labels_of,
    labels_text,
    pairs_of_files,
    pairs_of_run,
    result_of,
    write_labels,
)
from sadari.types import Answer, Example, Message, Reference


def comparison(count: int = 10, equal: int = 0) -> Comparison:
    asked = [Pair(({"role": "user", "content": f"질문 {n}"},), f"가 {n}", f"나 {n}") for n in range(count)]
    same = [Pair(({"role": "user", "content": f"같은 질문 {n}"},), "네", "네 ") for n in range(equal)]
    return Comparison("c", "비교", "옛것", "새것", 7, "boss", "", (*asked, *same))


def test_sides_and_order_are_drawn_for_each_person_and_stay() -> None:
    one = comparison(200)
    kim, lee = one.order_for("kim"), one.order_for("lee")
    assert kim == one.order_for("kim")
    assert sorted(kim) == sorted(lee) == list(range(200))
    assert kim != lee
    assert 70 < sum(one.is_turned_for("kim", at) for at in range(200)) < 130


def test_equal_answers_are_ties_that_nobody_is_shown() -> None:
    one = comparison(8, equal=2)
    assert one.asked == tuple(range(8))
    result = result_of(one, [BlindRating(at, "kim", "second") for at in one.asked])
    assert result is not None
    assert (result.first_better, result.second_better, result.ties, result.gain) == (0, 8, 2, 0.8)
    assert result.p_value == pytest.approx(2 * 0.5**8 - 0.5**8)  # mid-p: half of the outcome itself, on both sides


def test_a_question_counts_once_however_many_people_rated_it() -> None:
    one = comparison(3)
    choices = {"kim": ("first", "first", "second"), "lee": ("first", "tie", "first"), "park": ("second", "first", "tie")}
    ratings = [BlindRating(at, who, choice) for who, said in choices.items() for at, choice in enumerate(said)]  # type: ignore[arg-type]
    result = result_of(one, ratings)
    assert result is not None
    assert (result.raters, result.rated) == (3, 3)
    assert (result.first_better, result.second_better, result.ties) == (2, 0, 1)
    assert result.gain == pytest.approx((-1 / 3 - 2 / 3 + 0) / 3)


def test_a_person_who_always_takes_the_left_shows_as_one() -> None:
    one = comparison(20)
    ratings = [BlindRating(at, "kim", "second" if one.is_turned_for("kim", at) else "first") for at in one.asked]
    result = result_of(one, ratings)
    assert result is not None
    assert (result.left, result.right) == (20, 0)
    assert result.side_p < 0.001


def test_alpha_is_that_of_the_published_example() -> None:
    # Krippendorff (2011), "nominal data, any number of observers, missing values": alpha = 0.743
    said = [
        "1 1 _ 1",
        "2 2 3 2",
        "3 3 3 3",
        "3 3 3 3",
        "2 2 2 2",
        "1 2 3 4",
        "4 4 4 4",
        "1 1 2 1",
        "2 2 2 2",
        "_ 5 5 5",
        "_ _ 1 1",
        "_ 3 _ _",
    ]
    units = [[one for one in unit.split() if one != "_"] for unit in said]
    assert krippendorff_alpha(units) == pytest.approx(0.743, abs=0.0005)
    assert krippendorff_alpha([["1"], ["2"]]) is None
    assert krippendorff_alpha([["1", "1"], ["1", "1"]]) is None


def test_files_are_paired_by_id_or_by_what_was_asked() -> None:
    first = "\n".join(
        json.dumps(row, ensure_ascii=False)
        for row in (
            {"id": "a", "question": "하나?", "answer": "1"},
            {"question": "둘?", "answer": "2", "reference": "이"},
            {"question": "셋?", "answer": "3"},
        )
    )
    second = "\n".join(
        json.dumps(row, ensure_ascii=False)
        for row in (
            {"messages": [{"role": "user", "content": "둘?"}], "answer": "둘"},
            {"id": "a", "question": "?", "answer": "하나"},
        )
    )
    pairs = pairs_of_files(("a.jsonl", first), ("b.jsonl", second))
    assert [(pair.first, pair.second, pair.reference) for pair in pairs] == [("1", "하나", ()), ("2", "둘", ("이",))]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("[1]", "not a JSON object"),
        ("{", "no JSON"),
        ('{"question": "하나?"}', "answer: must be text"),
        ('{"answer": "1"}', "question: is missing"),
        ('{"messages": [{"role": "boss", "content": "?"}], "answer": "1"}', "messages: a turn needs a role"),
        ('{"question": "하나?", "answer": "1", "reference": 3}', "reference: must be"),
        ("[" * 100_000, "no JSON"),
    ],
    ids=["list", "half", "no answer", "no question", "role", "reference", "deep"],
)
def test_a_wrong_row_is_told_with_its_line(line: str, told: str) -> None:
    good = '{"question": "둘?", "answer": "2"}'
    with pytest.raises(DataError, match=f"a.jsonl line 2: {told}"):
        pairs_of_files(("a.jsonl", f"{good}\n{line}"), ("b.jsonl", good))


def test_steps_of_a_climb_are_paired_by_the_predictions_that_it_kept(tmp_path: Path) -> None:
    for step, text in (("0-baseline", "글쎄요"), ("1-prompt", "7일입니다")):
        write_lines(tmp_path / "predictions" / f"{step}.jsonl", [Prediction("t1", Answer(text), 0, "")], Prediction)
    example = Example("t1", (Message("user", "언제까지요?"),), Reference(("7일",)))
    (pair,) = pairs_of_run(tmp_path, "0-baseline", "1-prompt", [example])
    assert (pair.first, pair.second, pair.reference) == ("글쎄요", "7일입니다", ("7일",))
    with pytest.raises(DataError, match=r"kept no predictions of \.\./x"):
        pairs_of_run(tmp_path, "0-baseline", "../x", [example])


def test_labels_are_what_the_judges_calibration_reads_masked_and_agreed_on(tmp_path: Path) -> None:
    one = comparison(3)
    ratings = [
        BlindRating(0, "kim", "first", "yes", "no"),
        BlindRating(0, "lee", "first", "yes", "yes"),  # about the second they disagree
        BlindRating(1, "kim", "tie"),
    ]
    private = Comparison(
        "d", "", "a", "b", 1, "", "", (Pair(({"role": "user", "content": "제 번호는 010-1234-5678"},), "네", "아니요"),)
    )
    rows = labels_of([(one, ratings), (private, [BlindRating(0, "kim", "second", "", "no")])])
    write_labels(tmp_path / "labels.jsonl", rows)
    labels = read_labels(tmp_path / "labels.jsonl")
    assert [(label.example.question, label.answer.text, label.right) for label in labels] == [
        ("질문 0", "가 0", True),
        ("제 번호는 [전화1]", "아니요", False),
    ]


def test_labels_of_somebody_else_are_not_overwritten(tmp_path: Path) -> None:
    one, file = comparison(3), tmp_path / "labels.jsonl"
    write_labels(file, labels_of([(one, [BlindRating(0, "kim", "first", "yes")])]))
    more = labels_of([(one, [BlindRating(0, "kim", "first", "no"), BlindRating(1, "kim", "first", "yes")])])
    write_labels(file, more)
    assert file.read_text() == labels_text(more)
    file.write_text('{"question": "?", "answer": "!", "right": true}\n')
    with pytest.raises(DataError, match="not from here"):
        write_labels(file, more)
    with pytest.raises(DataError, match="no labels to write"):
        write_labels(file, [])


def test_a_comparison_is_kept_with_the_newest_rating_of_each_person_until_it_is_removed(place: str) -> None:
    table = BlindTable(open_database(place))
    made = table.add("비교", ("옛것", "새것"), comparison(2).pairs, "boss")
    table.rate(made, BlindRating(0, "kim", "first"))
    table.rate(made, BlindRating(0, "kim", "tie", note="같다"))
    assert table.find(made.name) == made
    assert [(one.choice, one.note) for one in table.ratings(made.name)] == [("tie", "같다")]
    table.remove(made.name)
    assert (table.all(), table.ratings(made.name)) == ([], [])
