"""examples/mall keeps what its README promises: exact spans, honest splits, files that the generator wrote."""

import importlib.util
import json
import re
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

MALL = Path(__file__).resolve().parents[2] / "examples" / "mall"
ABSTENTION = "문서에서 확인할 수 없습니다."


@cache
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("mall_generate", MALL / "generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@cache
def built() -> tuple[dict[str, str], dict[str, float]]:
    return generator().build()


@cache
def rows(split: str) -> tuple[dict[str, Any], ...]:
    return tuple(json.loads(line) for line in (MALL / "data" / f"{split}.jsonl").read_text("utf-8").splitlines())


def question(row: dict[str, Any]) -> str:
    return row["messages"][0]["content"]


def answer(row: dict[str, Any]) -> str:
    return row["messages"][-1]["content"]


def test_the_committed_files_are_what_the_generator_writes() -> None:
    assert list(generator().stale_files(built()[0])) == []


def test_the_generator_writes_the_same_bytes_again() -> None:
    assert generator().build()[0] == built()[0]


def test_the_example_is_as_large_as_promised() -> None:
    figures = built()[1]
    assert figures["pages"] >= 25
    assert figures["facts asked"] >= 250
    assert len(rows("train")) >= 900
    assert len(rows("test")) >= 240
    assert figures["intents"] >= 40


def test_much_of_the_test_set_is_never_met_in_training() -> None:
    figures = built()[1]
    assert figures["pages asked only in test"] >= 8
    assert figures["intents only in test"] >= 10
    assert figures["share of templates only in test"] >= 0.30
    assert figures["share of test references that occur in train"] < 0.05


def test_the_readme_states_the_figures_that_were_measured() -> None:
    readme = (MALL / "README.md").read_text("utf-8")
    for name, value in built()[1].items():
        shown = f"{value:.3f}" if isinstance(value, float) else str(value)
        assert f"| {name} | {shown} |" in readme, f"README.md does not say that {name} is {shown}"


def test_the_shares_of_row_kinds_are_as_promised() -> None:
    figures = built()[1]
    assert 0.09 <= figures["share of unanswerable test rows"] <= 0.12
    assert 0.10 <= figures["share of unanswerable train rows"] <= 0.14
    assert 0.08 <= figures["share of English test rows"] <= 0.10
    assert 0.13 <= figures["share of two-sentence answers"] <= 0.17


@pytest.mark.parametrize("split", ["train", "test"])
def test_every_span_stands_in_its_document_and_makes_up_the_answer(split: str) -> None:
    texts = {path.name: path.read_text("utf-8") for path in (MALL / "docs").glob("*.md")}
    for row in rows(split):
        for span in row["spans"]:
            assert texts[span["document"]][span["start"] : span["end"]] == span["quote"]
        if not row["abstain"]:
            assert answer(row) == " ".join(span["quote"] for span in row["spans"])


@pytest.mark.parametrize("split", ["train", "test"])
def test_every_fact_stands_in_the_quotes_as_first_spelt(split: str) -> None:
    for row in rows(split):
        quotes = " ".join(span["quote"] for span in row["spans"])
        for spellings in row["facts"]:
            assert spellings[0] in quotes, row["id"]
        assert row["abstain"] or row["facts"], f"{row['id']} requires nothing"


@pytest.mark.parametrize("split", ["train", "test"])
def test_unanswerable_rows_abstain_and_no_others_do(split: str) -> None:
    for row in rows(split):
        assert row["abstain"] == (answer(row) == ABSTENTION) == (not row["facts"]) == ("unanswerable" in row["tags"])


def test_no_group_no_fact_and_no_question_is_on_both_sides() -> None:
    train, test = rows("train"), rows("test")
    assert not {row["group"] for row in train} & {row["group"] for row in test}
    assert not {question(row) for row in train} & {question(row) for row in test}
    sentences = {split: {s["quote"] for row in rows(split) for s in row["spans"]} for split in ("train", "test")}
    assert not sentences["train"] & sentences["test"]


def test_no_test_question_is_a_near_duplicate_of_a_training_question() -> None:
    def grams(text: str) -> set[str]:
        return {text[i : i + 5] for i in range(len(text) - 4)}

    seen = [grams(question(row)) for row in rows("train")]
    for row in rows("test"):
        asked = grams(question(row))
        for other in seen:
            shared = len(asked & other)
            assert shared < 0.8 * (len(asked) + len(other) - shared), question(row)


def test_questions_and_ids_are_unique() -> None:
    for split in ("train", "test"):
        assert len({row["id"] for row in rows(split)}) == len(rows(split))
        assert len({question(row) for row in rows(split)}) == len(rows(split))


def test_sections_are_long_enough_to_stand_alone_and_short_enough_to_retrieve() -> None:
    for path in (MALL / "docs").glob("*.md"):
        title, *sections = re.split(r"^## .*\n", path.read_text("utf-8"), flags=re.MULTILINE)
        assert title.startswith("# ")
        assert len(sections) >= 3, path.name
        for section in sections:
            assert 100 <= len(section.strip()) <= 300, f"{path.name}: {section}"


def test_the_task_file_states_the_rule_of_correctness() -> None:
    task = yaml.safe_load((MALL / "sadari.yaml").read_text("utf-8"))
    assert {"goal", "model", "examples", "documents", "score", "money", "budget", "ladder"} == set(task)
    for word in ("사실", "인용", "숫자나 날짜", "확인할 수 없다"):
        assert word in task["score"]["rule"]


@pytest.mark.parametrize(
    ("noun", "particle", "expected"),
    [
        ("배송비", "은", "배송비는"),
        ("쿠폰", "은", "쿠폰은"),
        ("방법", "으로", "방법으로"),
        ("메일", "으로", "메일로"),
        ("책", "과", "책과"),
    ],
)
def test_particles_follow_the_last_sound(noun: str, particle: str, expected: str) -> None:
    assert format(generator().Noun(noun), particle) == expected
