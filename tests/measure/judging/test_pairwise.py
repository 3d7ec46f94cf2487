"""Two answers, two orders: what is believed, and what the place of an answer does."""

import json
import re
from pathlib import Path

import pytest

from sadari.measure.judging.human_labels import HumanLabel, calibrate_judge
from sadari.measure.judging.judge_prompt import PAIR_VERDICTS
from sadari.measure.judging.llm_judge import JudgeScorer
from sadari.measure.judging.pairwise import Preference, compare_answers, compare_pairs, position_bias
from sadari.measure.judging.rulings import Rulings
from sadari.model.scripted import ScriptedModel
from sadari.task.config import JudgeConfig
from sadari.types import Answer, Example, Generation, Message, Request, Usage

RUBRIC = "The better answer does what the instruction says."
ASKED = Example("test-1", (Message("user", "Name a colour."),))


def parts(request: Request) -> dict[str, str]:
    """The parts of the material by name."""
    return dict(re.findall(r"<<<([A-Z ]+) \w{16}>>>\n(.*?)\n<<<END \w{16}>>>", request.messages[1].content, re.S))


def verdict(said: str) -> str:
    return json.dumps({"verdict": said})


def longest_wins(request: Request) -> str:
    shown = parts(request)
    first, second = len(shown["FIRST ANSWER"]), len(shown["SECOND ANSWER"])
    return verdict("first" if first > second else "second" if second > first else "tie")


def test_a_preference_that_holds_in_both_orders_is_believed() -> None:
    model = ScriptedModel(longest_wins)

    assert compare_answers(model, RUBRIC, ASKED, Answer("blue-green"), Answer("red")).winner == "a"
    assert compare_answers(model, RUBRIC, ASKED, Answer("red"), Answer("blue-green")).winner == "b"
    assert compare_answers(model, RUBRIC, ASKED, Answer("red"), Answer("tan")).winner == "tie"
    assert len(model.requests) == 6
    held = model.requests[0].constraint
    assert held is not None
    assert held.options == tuple(verdict(word) for word in PAIR_VERDICTS)


@pytest.mark.parametrize(
    ("a_first", "b_first", "winner"),
    [
        ("first", "second", "a"),
        ("second", "first", "b"),
        ("first", "first", "unsure"),
        ("second", "second", "unsure"),
        ("tie", "tie", "tie"),
        ("tie", "first", "unsure"),
        ("first", "tie", "unsure"),
        ("both", "both", "unsure"),
        ("first", "both", "unsure"),
    ],
)
def test_two_orders_make_one_preference(a_first: str, b_first: str, winner: str) -> None:
    said = [verdict(a_first), verdict(b_first)]
    model = ScriptedModel(lambda request: Generation(said.pop(0), usage=Usage(50, 4)))

    preference = compare_answers(model, RUBRIC, ASKED, Answer("red"), Answer("blue"))

    assert preference.winner == winner
    assert preference.usage == Usage(100, 8)


def test_a_failed_order_decides_nothing() -> None:
    said = [Generation(verdict("first")), Generation("", finish="error", error="timeout")]

    preference = compare_answers(ScriptedModel(lambda request: said.pop(0)), RUBRIC, ASKED, Answer("red"), Answer("blue"))

    assert (preference.winner, preference.orders) == ("unsure", ("first", "failed"))


def test_failed_and_equal_answers_are_not_shown_to_the_judge() -> None:
    broken, good = Answer("", error="timeout"), Answer("red")
    rulings = Rulings(ScriptedModel())

    pairs = [(broken, good), (good, broken), (broken, broken), (good, good)]
    found = compare_pairs(rulings, RUBRIC, [(ASKED, a, b) for a, b in pairs])

    assert [preference.winner for preference in found] == ["b", "a", "tie", "tie"]
    assert rulings.asked == 0


def test_pairs_are_asked_once_whichever_way_round_they_come(tmp_path: Path) -> None:
    model = ScriptedModel(longest_wins)
    a, b = Answer("red"), Answer("blue-green")

    there = compare_pairs(Rulings(model, folder=tmp_path), RUBRIC, [(ASKED, a, b)])
    back = compare_pairs(Rulings(model, folder=tmp_path), RUBRIC, [(ASKED, b, a)])

    assert (there[0].winner, back[0].winner) == ("b", "a")
    assert len(model.requests) == 2


def test_position_bias_counts_places_and_answers() -> None:
    def told(winner: str, *orders: str) -> Preference:
        return Preference(winner, orders)  # type: ignore[arg-type]

    found = [told("unsure", "first", "first")] * 8 + [told("unsure", "second", "second")] * 2
    found += [told("a", "first", "second")] * 20 + [told("b", "second", "first")] * 10
    found += [told("unsure", "tie", "first"), told("tie")]

    bias = position_bias(found)

    assert (bias.pairs, bias.agreed, bias.always_first, bias.always_second) == (41, 30, 8, 2)
    assert bias.share == 10 / 40
    # Mid-p of a sign test of 2 against 8: 2 * (P(0) + P(1) + P(2)) - P(2), of Binomial(10, 1/2).
    assert bias.p_value == pytest.approx((2 * (1 + 10 + 45) - 45) / 1024)
    assert position_bias([]).share == 0


# --- people's choices ------------------------------------------------------------------------------------------------------


@pytest.fixture
def pairs(shared_data: Path) -> list[dict[str, str | int]]:
    path = shared_data / "judge-llmbar" / "pairs.jsonl"
    if not path.is_file():
        pytest.skip(f"no {path}")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def asked(row: dict[str, str | int]) -> tuple[Example, Answer, Answer]:
    return (
        Example(str(row["id"]), (Message("user", str(row["instruction"])),)),
        Answer(str(row["output_1"])),
        Answer(str(row["output_2"])),
    )


def agreement(found: list[Preference], rows: list[dict[str, str | int]]) -> float:
    better = ["a" if row["label"] == 1 else "b" for row in rows]
    return sum(preference.winner == name for preference, name in zip(found, better, strict=True)) / len(rows)


def test_a_judge_that_likes_length_is_found_out_by_people(pairs: list[dict[str, str | int]]) -> None:
    found = compare_pairs(Rulings(ScriptedModel(longest_wins)), RUBRIC, [asked(row) for row in pairs])

    assert agreement(found, pairs) == pytest.approx(0.24, abs=0.01)  # as the data's own page says
    assert position_bias(found).share == 0


def test_a_judge_that_likes_the_first_place_decides_nothing(pairs: list[dict[str, str | int]]) -> None:
    found = compare_pairs(Rulings(ScriptedModel(lambda request: verdict("first"))), RUBRIC, [asked(row) for row in pairs])

    bias = position_bias(found)
    assert {preference.winner for preference in found} == {"unsure"}
    assert (bias.share, bias.always_first) == (1, len(pairs))
    assert bias.p_value < 1e-30


def test_a_judge_of_shared_words_is_no_gate_by_the_labels_of_people(pairs: list[dict[str, str | int]]) -> None:
    def says(request: Request) -> str:
        shown = parts(request)
        answer, instruction = (set(shown[name].lower().split()) for name in ("ANSWER", "QUESTION"))
        return verdict("right" if len(answer & instruction) > 5 else "wrong")

    judge = JudgeScorer(ScriptedModel(says), JudgeConfig(model="scripted:words", rubric=RUBRIC))
    labels = []
    for row in pairs:
        example, first, second = asked(row)
        labels += [HumanLabel(example, first, row["label"] == 1), HumanLabel(example, second, row["label"] == 2)]

    calibration = calibrate_judge(judge, labels)

    assert calibration.n == 2 * len(pairs)
    assert calibration.right == len(pairs)
    assert calibration.kappa is not None
    assert abs(calibration.kappa) < 0.2
