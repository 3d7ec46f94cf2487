from pathlib import Path

import pytest

from sadari.errors import ConfigError
from sadari.task import TEMPLATES, init_task, load_task
from sadari.task.duplicates import near_duplicates, question_text
from sadari.task.template_rows import DOCS, FACTS, INTENTS


@pytest.mark.parametrize(("template", "train", "validation", "test"), [("support", 98, 24, 86), ("label", 56, 14, 60)])
def test_a_template_is_a_task_that_loads_without_leaks(
    tmp_path: Path, template: str, train: int, validation: int, test: int
) -> None:
    task = load_task(init_task(tmp_path / "shop", template))
    assert (len(task.train), len(task.validation), len(task.test)) == (train, validation, test)
    assert task.notes == (f"validation ({validation} rows) was cut from data/train.jsonl by group, with seed 0.",)
    assert [path.name for path in tmp_path.iterdir()] == ["shop"]


@pytest.mark.parametrize("template", TEMPLATES)
def test_no_question_of_a_template_is_nearly_another(tmp_path: Path, template: str) -> None:
    task = load_task(init_task(tmp_path / "shop", template))
    questions = [question_text(example) for example in (*task.train, *task.validation, *task.test)]
    assert near_duplicates(questions, questions, threshold=0.5) == [(at,) for at in range(len(questions))]


def test_every_fact_is_held_by_its_quoted_sentence_and_no_page_holds_two_places_for_it() -> None:
    for fact in FACTS:
        assert fact.fact in fact.quote
        assert DOCS[fact.page].count(fact.quote) == 1


def test_every_intent_has_as_many_questions_as_any_other() -> None:
    assert {(len(texts["train"]), len(texts["test"])) for texts in INTENTS.values()} == {(14, 12)}


def test_support_answers_stand_in_the_documents_and_label_answers_are_labels(tmp_path: Path) -> None:
    support = load_task(init_task(tmp_path / "support", "support"))
    texts = {document.id: document.text for document in support.documents}
    assert len(texts) == 3
    for example in (*support.train, *support.validation, *support.test):
        reference = example.reference
        assert reference.abstain or reference.facts[0][0] in texts[reference.spans[0].document]
    assert len(load_task(init_task(tmp_path / "label", "label")).labels) == 5


def test_a_folder_that_holds_something_is_never_touched(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(ConfigError, match="is not empty"):
        init_task(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    assert init_task(tmp_path / "shop").is_file()


def test_nothing_half_written_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(ConfigError, match="No space left on device"):
        init_task(tmp_path / "shop")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_template_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Use one of support, label"):
        init_task(tmp_path / "x", "chat")
