"""The small examples keep what their READMEs promise: exact spans, honest splits, and what each of them is about."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from sadari.measure.scorers import AnswerSchema
from sadari.prompt.fields import read_fields
from sadari.task import Task, load_task
from sadari.types import Chunk

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
NAMES = ("manual", "legal", "clinic", "news")
ABSTENTION = "문서에서 확인할 수 없습니다."

each = pytest.mark.parametrize("name", NAMES)


@cache
def rows(name: str, split: str) -> tuple[dict[str, Any], ...]:
    return tuple(json.loads(line) for line in (EXAMPLES / name / "data" / f"{split}.jsonl").read_text("utf-8").splitlines())


@cache
def documents(name: str) -> dict[str, str]:
    docs = EXAMPLES / name / "docs"
    return {path.relative_to(docs).as_posix(): path.read_text("utf-8") for path in sorted(docs.rglob("*.md"))}


@cache
def task(name: str) -> Task:
    return load_task(EXAMPLES / name)


def both(name: str) -> list[dict[str, Any]]:
    return [*rows(name, "train"), *rows(name, "test")]


def question(row: dict[str, Any]) -> str:
    return str(row["messages"][0]["content"])


def answer(row: dict[str, Any]) -> str:
    return str(row["messages"][-1]["content"])


def cited(row: dict[str, Any]) -> str:
    return str(row["spans"][0]["document"])


@each
def test_the_example_is_small_but_large_enough_to_judge_by(name: str) -> None:
    assert 12 <= len(documents(name)) <= 30
    assert 100 <= len(rows(name, "train")) <= 200
    assert 100 <= len(rows(name, "test")) <= 150


@each
def test_a_tenth_or_a_little_more_of_the_questions_have_no_answer(name: str) -> None:
    for split in ("train", "test"):
        assert 0.10 <= sum(row["abstain"] for row in rows(name, split)) / len(rows(name, split)) <= 0.15


@each
def test_every_answer_is_a_sentence_that_stands_where_its_span_says(name: str) -> None:
    for row in both(name):
        assert row["abstain"] == (answer(row) == ABSTENTION) == (not row["spans"]) == (not row["facts"])
        for span in row["spans"]:
            assert documents(name)[span["document"]][span["start"] : span["end"]] == span["quote"] == answer(row)


@each
def test_every_fact_stands_in_its_quote_as_first_spelt(name: str) -> None:
    for row in both(name):
        assert all(spellings[0] in answer(row) for spellings in row["facts"]), row["id"]


@each
def test_no_group_and_no_fact_is_on_both_sides(name: str) -> None:
    sides = [rows(name, "train"), rows(name, "test")]
    for key in ("group", "question", "answer"):
        read = {"group": lambda row: row["group"], "question": question, "answer": answer}[key]
        train, test = ({read(row) for row in side if key != "answer" or not row["abstain"]} for side in sides)
        assert not train & test


@each
def test_the_task_is_read_without_faults_leaks_or_near_duplicates(name: str) -> None:
    assert task(name).dropped_train == 0
    assert not [note for note in task(name).notes if "duplicate" in note or "leak" in note or "groups stand" in note]
    assert [rung.name for rung in task(name).ladder] == ["prompt", "retrieval"]


@each
def test_the_readme_names_the_command_and_what_it_does_not_show(name: str) -> None:
    readme = (EXAMPLES / name / "README.md").read_text("utf-8")
    assert f"sadari climb examples/{name}" in readme
    assert "## 보여 주지 않는 것" in readme
    for figure in (len(documents(name)), len(rows(name, "train")), len(rows(name, "test"))):
        assert str(figure) in readme


def test_the_manual_answers_from_the_version_that_the_question_names() -> None:
    for row in both("manual"):
        if not row["abstain"]:
            number = re.search(r"1\.2|2\.0", question(row))
            assert number, question(row)
            assert cited(row).startswith(f"v{number[0]}/")


def test_both_versions_of_the_manual_have_the_same_headings_and_other_values() -> None:
    pages = documents("manual")
    for name in (page.removeprefix("v1.2/") for page in pages if page.startswith("v1.2/")):
        old, new = pages[f"v1.2/{name}"], pages[f"v2.0/{name}"]
        assert old != new
        assert re.findall("^## .*", old, re.MULTILINE) == re.findall("^## .*", new, re.MULTILINE)


def test_every_legal_answer_names_its_article_and_its_value() -> None:
    for row in both("legal"):
        if not row["abstain"]:
            assert len(row["facts"]) == 2
            assert re.fullmatch(r"제\d+조", row["facts"][0][0])
            assert answer(row).startswith(row["facts"][0][0] + "(")


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_legal_json_rows_say_the_same_in_json(split: str) -> None:
    schema = AnswerSchema.read(EXAMPLES / "legal" / "answer.schema.json")
    asked = {row["id"]: row for row in rows("legal", split)}
    said = rows("legal", f"{split}-json")
    assert [row["id"] for row in said] == list(asked)
    for row in said:
        value, plain = json.loads(row["answer"]), asked[row["id"]]
        assert schema.fault(value) == ""
        assert row["question"] == question(plain)
        assert [value["조항"], value["값"]] == ([None, None] if plain["abstain"] else [fact[0] for fact in plain["facts"]])


def test_the_article_of_every_legal_json_answer_can_be_read_from_its_clause() -> None:
    schema = json.loads((EXAMPLES / "legal" / "answer.schema.json").read_text())
    fields = read_fields(json.dumps({"type": "object", "properties": {"조항": schema["properties"]["조항"]}, "required": ["조항"]}))
    for row in rows("legal", "test-json"):
        clauses = [Chunk(s["document"], "", s["start"], s["end"], s["quote"]) for s in row["spans"]]
        made = fields.fill(clauses, row["question"])
        assert made is not None
        assert json.loads(made)["조항"] == json.loads(row["answer"])["조항"]


def test_the_legal_json_task_is_read_as_well() -> None:
    assert load_task(EXAMPLES / "legal" / "json.yaml").score.by == "json"


def test_every_guidance_sheet_of_an_illness_says_when_to_see_a_doctor() -> None:
    sheets = {name: text for name, text in documents("clinic").items() if name != "visit.md"}
    for name, text in sheets.items():
        assert re.search("응급실|119|진료를 받|진료를? 받|바로 의원에|의논하러", text), name


def test_every_article_begins_with_the_date_in_its_name() -> None:
    for name, text in documents("news").items():
        assert text.startswith(f"---\ndate: {name[:10]}\n---\n"), name


def test_superseded_news_is_answered_from_the_newest_article_on_it() -> None:
    found = [row for row in both("news") if "superseded" in row["tags"]]
    assert len(found) >= 80
    for row in found:
        topic = cited(row)[11:]
        assert cited(row) == max(name for name in documents("news") if name.endswith(topic) and name[10] == "-")
