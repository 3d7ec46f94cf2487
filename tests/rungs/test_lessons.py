"""What a task's own questions teach its search, and that nothing is judged by what it was taught itself."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sadari.files import write_lines
from sadari.retrieve.embed import contrast, load_embedder
from sadari.retrieve.embed.static import StaticEmbedder, load_bundled
from sadari.retrieve.rerank import LearnedReranker, load_reranker
from sadari.rungs import lessons, make_rung
from sadari.rungs.lessons import LEAST_LESSONS, Lessons
from sadari.rungs.retrieval import RetrievalConfig
from sadari.types import Answer, Document, Example, Message, Reference, Retrieval, Score, Scorecard, Span, System, Workshop

TRAIN, VALIDATION = range(LEAST_LESSONS), range(LEAST_LESSONS, LEAST_LESSONS + 12)


def page(i: int) -> Document:
    return Document(f"{i}.md", f"기계 {i}호", f"기계 {i}호의 무게는 {3 * i} kg입니다.")


def asked(i: int) -> Example:
    return Example(str(i), (Message("user", f"{i}호 무게는?"),), Reference(spans=(Span(page(i).id, 0, 12, page(i).text[:12]),)))


def some_lessons(tmp_path: Path, train: Sequence[int] = TRAIN) -> Lessons:
    write_lines(tmp_path / "d.jsonl", [page(i) for i in (*TRAIN, *VALIDATION)], Document)
    return Lessons(tmp_path / "d.jsonl", [asked(i) for i in train], [asked(i) for i in VALIDATION], tmp_path / "lessons")


@pytest.fixture
def pupils(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The questions of every embedder that was trained, in order; none changes, so that a test takes no time."""
    taught: list[list[str]] = []

    def train(pairs: Sequence[tuple[str, str]], *, seed: int) -> StaticEmbedder:
        taught.append([question for question, _ in pairs])
        return load_bundled()

    monkeypatch.setattr(contrast, "train_embedder", train)
    return taught


def test_a_trained_reranker_stands_in_a_folder_and_its_worth_beside_it(tmp_path: Path) -> None:
    found = some_lessons(tmp_path).taught(Retrieval(reranker="trained"))
    reranker = load_reranker(found.reranker)
    assert isinstance(reranker, LearnedReranker)
    usual = load_reranker("learned")
    assert isinstance(usual, LearnedReranker)
    assert reranker.weights != usual.weights
    [note] = some_lessons(tmp_path).notes()
    assert note.startswith("reranker trained for 200 tokens, terms bigrams: the right passage first for ")
    assert note.endswith(" with learned")
    assert " of 12 validation questions, " in note


def test_what_was_learnt_is_not_learnt_again(tmp_path: Path, pupils: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = Retrieval(embedder="trained", reranker="trained")
    first = some_lessons(tmp_path).taught(wanted, weighs=True)
    held = len(pupils)
    monkeypatch.setattr(lessons, "train_reranker", None)
    assert some_lessons(tmp_path).taught(wanted, weighs=True) == first
    assert len(pupils) == held


def test_no_question_is_judged_by_an_embedder_that_it_taught(
    tmp_path: Path, pupils: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    searched: list[tuple[str, list[str]]] = []
    found = Lessons._found

    def noted(self: Lessons, wanted: Retrieval, examples: Sequence[Example]) -> Any:
        searched.append((Path(wanted.embedder).name, [e.question for e in examples]))
        return found(self, wanted, examples)

    monkeypatch.setattr(Lessons, "_found", noted)
    some_lessons(tmp_path).taught(Retrieval(embedder="trained", reranker="trained"))
    everyone, *halves = pupils
    assert sorted(everyone) == sorted(q for half in halves for q in half) == sorted(asked(i).question for i in TRAIN)
    judged = {name: questions for name, questions in searched if name in ("embedder-0", "embedder-1")}
    assert judged == {"embedder-0": halves[1], "embedder-1": halves[0]}


def test_the_weight_of_the_vectors_is_learnt_only_if_asked_for_and_only_with_vectors(tmp_path: Path) -> None:
    taught = some_lessons(tmp_path)
    assert taught.taught(Retrieval(embedder="bundled")) == Retrieval(embedder="bundled")
    assert taught.taught(Retrieval(), weighs=True) == Retrieval()
    learnt = taught.taught(Retrieval(embedder="bundled", vectors=0.97), weighs=True)
    assert replace(learnt, vectors=0.97) == Retrieval(embedder="bundled", vectors=0.97)
    assert learnt.vectors != 0.97  # a step of 0.05
    assert [note.partition(" for ")[0] for note in taught.notes()] == ["reranker trained", f"vectors weigh {learnt.vectors:.2f}"]


def test_a_trained_embedder_stands_in_a_folder(tmp_path: Path, pupils: list[list[str]]) -> None:
    found = some_lessons(tmp_path).taught(Retrieval(embedder="trained"))
    assert load_embedder(found.embedder).dimensions == 256
    assert len(pupils) == 1
    [note] = some_lessons(tmp_path).notes()
    assert note.startswith(f"embedder trained on {LEAST_LESSONS} questions, vectors alone: the right passage first for ")


# --- in the rung -------------------------------------------------------------------------------------------------------


def evaluate(system: System, examples: Sequence[Example]) -> Scorecard:
    """Prefers trained rerankers."""
    is_trained = system.retrieval is not None and "lessons" in system.retrieval.reranker
    ids = tuple(e.id for e in examples)
    return Scorecard("", "", ids, (float(is_trained),) * len(ids), (), (), (), (), 0, 0.0, 0.0, 0.0, 0.0)


class Nothing:
    """Nothing is right."""

    name = "nothing"

    def score(self, example: Example, answer: Answer) -> Score:
        return Score(0.0)


def build(tmp_path: Path, train: Sequence[int]) -> Any:
    given = some_lessons(tmp_path, train)
    shop = Workshop("무게를 말한다.", "ko", given.documents, (), (), Nothing(), evaluate, None)  # type: ignore[arg-type]
    options = {"reranker": ["", "trained"], "k": 1, "chunk_tokens": 200, "sentences": [], "quote": 1}
    return make_rung("retrieval", options, shop).build(System("scripted"), given.train, given.validation, tmp_path / "work")


def test_the_rung_takes_what_was_trained_where_validation_likes_it_and_tells_its_worth(tmp_path: Path) -> None:
    built = build(tmp_path, TRAIN)
    assert Path(built.system.retrieval.reranker).is_relative_to(tmp_path / "work" / "lessons")
    assert any(note.startswith("reranker trained instead of none: +1.000") for note in built.notes)
    assert any(note.startswith("reranker trained for 200 tokens") for note in built.notes)


def test_with_too_few_questions_what_comes_with_sadari_is_tried_and_the_report_says_so(tmp_path: Path) -> None:
    built = build(tmp_path, TRAIN[1:])
    assert built.notes[-1] == "search is not trained: 59 training examples have gold spans, 60 are needed"
    assert not (tmp_path / "work" / "lessons").exists()


def test_what_is_trained_falls_back_on_what_comes_with_sadari() -> None:
    config = RetrievalConfig(embedder=("", "trained"), reranker=("trained", "learned"), vectors=("trained", 0.5))
    usual = config.untrained()
    assert (usual.embedder, usual.reranker, usual.vectors) == (("", "bundled"), ("learned",), (0.3, 0.5))
