"""Several parts are chosen together, cheaply, and each is told what it is worth."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sadari.files import write_lines
from sadari.model import ScriptedModel
from sadari.rungs.search import (
    LEAST_TRIALS,
    Part,
    Search,
    _ranked,
    _sampled,
    _without_idle_parts,
    choose_jointly,
    rounds,
    with_support,
)
from sadari.types import Answer, Decoding, Document, Example, Message, Retrieval, Score, Scorecard, System, Workshop

VALIDATION = [Example(str(i), (Message("user", f"{i}?"),)) for i in range(160)]
PARTS = (Part("shown", {"1": 1, "2": 2, "3": 3}), Part("order", {"plain": "", "reranked": "learned"}))


def search(worth: Callable[[System], float], workdir: Path, **changes: Any) -> tuple[Search, list[tuple[str, int]]]:
    asked: list[tuple[str, int]] = []

    def evaluate(system: System, examples: Sequence[Example]) -> Scorecard:
        asked.append((system.model, len(examples)))
        right = worth(system)
        scores = tuple(float(37 * i % 100 < 100 * right) for i in range(len(examples)))
        return Scorecard("", "", tuple(e.id for e in examples), scores, (), (), (), (), 0, 0.0, 0.0, 0.0, 0.0)

    def make(values: Sequence[Any]) -> System:
        return System(" ".join(map(str, values)))

    workshop = Workshop("", "ko", None, (), (), None, evaluate, None)  # type: ignore[arg-type]
    return Search(PARTS, make, replace(workshop, **changes), 27, workdir), asked


def test_parts_that_are_good_only_together_are_found(tmp_path: Path) -> None:
    looked, _ = search(lambda system: 0.8 if system.model == "3 learned" else 0.4 if system.model == "1 " else 0.2, tmp_path)
    best, notes = choose_jointly(looked, VALIDATION)
    assert best.model == "3 learned"
    assert "chosen on validation: shown 3, order reranked" in notes


def test_each_part_is_told_what_is_lost_without_it(tmp_path: Path) -> None:
    looked, _ = search(lambda system: 0.25 + 0.5 * ("3" in system.model), tmp_path)
    notes = choose_jointly(looked, VALIDATION)[1]
    assert [n for n in notes if "instead of" in n] == ["shown 3 instead of 1: +0.500 on 160 validation examples"]


def test_the_simplest_of_equals_is_taken(tmp_path: Path) -> None:
    looked, _ = search(lambda system: 0.5, tmp_path)
    assert choose_jointly(looked, VALIDATION)[0].model == "1 "


def test_few_examples_are_spent_on_what_is_bad(tmp_path: Path) -> None:
    looked, asked = search(lambda system: 0.5 + 0.1 * ("3" in system.model), tmp_path)
    choose_jointly(looked, VALIDATION)
    assert Counter(n for _, n in asked)[16] == 6
    assert {model for model, n in asked if n == 160} == {"3 ", "1 "}  # the winner, and what it is without its one part


def test_an_option_is_judged_by_all_combinations_it_stands_in() -> None:
    quality = {("1", "plain"): 0.5, ("2", "plain"): 0.2, ("3", "plain"): 0.9, ("1", "reranked"): 0.6, ("2", "reranked"): 0.3}
    among = [*quality, ("3", "reranked")]
    assert _ranked(PARTS, quality, 16, among)[:2] == [("3", "plain"), ("3", "reranked")]  # which was not tried yet


def test_a_part_that_brings_nothing_is_put_back(tmp_path: Path) -> None:
    looked, _ = search(lambda system: 0.5 + 0.2 * ("3" in system.model), tmp_path)
    assert _without_idle_parts(looked, ("3", "reranked"), VALIDATION)[0] == ("3", "plain")


@pytest.mark.parametrize(
    ("combinations", "examples", "expected"),
    [(6, 160, [(6, 16), (2, 48), (1, 160)]), (1, 160, [(1, 160)]), (6, 10, [(6, 10)]), (27, 40, [(27, 16), (9, 40)])],
)
def test_a_third_goes_on_to_three_times_as_many(combinations: int, examples: int, expected: list[tuple[int, int]]) -> None:
    assert rounds(combinations, examples) == expected


def test_every_option_stands_in_as_many_trials_as_any_other() -> None:
    parts = [Part("a", dict.fromkeys("123", 0)), Part("b", dict.fromkeys("xyz", 0)), Part("c", dict.fromkeys("pq", 0))]
    drawn = _sampled(parts, 9, seed=0)
    assert drawn[0] == ("1", "x", "p")
    assert len(set(drawn)) == len(drawn) >= 7
    for at in (0, 1):
        assert max(Counter(choice[at] for choice in drawn).values()) <= 4


def test_a_climb_that_goes_on_tries_as_many_as_before(tmp_path: Path) -> None:
    looked, _ = search(lambda system: 0.5, tmp_path, time_budget_s=1e-6)
    choose_jointly(looked, VALIDATION)
    assert (tmp_path / "trials.json").read_text().strip() == str(LEAST_TRIALS)
    (tmp_path / "trials.json").write_text("1")
    again, later = search(lambda system: 0.5, tmp_path, time_budget_s=1e6)
    choose_jointly(again, VALIDATION)
    assert {model for model, _ in later} == {"1 "}


# --- how much of a sentence its sources must say -----------------------------------------------------------------------


class Says:
    """Right is what names the seven days."""

    name = "says"

    def score(self, example: Example, answer: Answer) -> Score:
        return Score(float("7일" in answer.text))


def supported(documents: Path, **changes: Any) -> tuple[System, Workshop, ScriptedModel]:
    """A system whose model always says something of which its source says little more than half."""
    write_lines(documents, [Document("refund.md", "환불", "# 환불\n\n환불은 수령 후 7일 이내에 신청합니다.\n")], Document)
    model = ScriptedModel([{"say": "환불은 수령 후 7일 이내에 고객센터 앱 화면에서 신청합니다."}])
    workshop = Workshop("", "ko", documents, (), (), Says(), None, lambda system: model)  # type: ignore[arg-type]
    retrieval = replace(Retrieval(k=1, unsupported="remove", least_support=0.9), **changes)
    return System("scripted", retrieval=retrieval, documents=documents), workshop, model


def asked(count: int) -> list[Example]:
    return [Example(str(i), (Message("user", "환불 기한은?"),)) for i in range(count)]


def test_right_sentences_that_their_sources_half_say_are_kept_from_then_on(tmp_path: Path) -> None:
    system, workshop, model = supported(tmp_path / "d.jsonl")
    better, notes = with_support(system, asked(4), workshop)
    assert better.retrieval is not None
    assert 0 < better.retrieval.least_support < 0.9
    assert notes[0].endswith("0 -> 4 of 4 validation answers")
    assert len(model.requests) == 4  # each question once, however many shares are tried


def test_two_answers_more_may_be_luck_and_change_nothing(tmp_path: Path) -> None:
    system, workshop, _ = supported(tmp_path / "d.jsonl")
    assert with_support(system, asked(2), workshop) == (system, ())


def test_where_nothing_is_removed_or_answers_are_quotes_nobody_is_asked(tmp_path: Path) -> None:
    marking, workshop, model = supported(tmp_path / "d.jsonl", unsupported="mark")
    quoting = supported(tmp_path / "d.jsonl")[0].with_(decoding=Decoding(quote=1))
    for system in (marking, quoting):
        assert with_support(system, asked(4), workshop) == (system, ())
    assert model.requests == []
