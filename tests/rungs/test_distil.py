"""The rung that learns from a teacher, on tiny models and a scripted one."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from sadari.answer import Engine
from sadari.errors import ConfigError, TrainingError
from sadari.measure import Asked, choose_scorer, make_scorecard
from sadari.model import ScriptedModel
from sadari.model.local import LocalModel
from sadari.rungs.distil import DistilConfig, DistilRung
from sadari.train import LoraConfig, distillation
from sadari.train.methods import attach
from sadari.types import (
    Built,
    Decoding,
    Example,
    Generation,
    Message,
    Model,
    Prompt,
    Reference,
    Request,
    Scorecard,
    System,
    Workshop,
)

SETTINGS: dict[str, Any] = {
    **{"max_steps": 6, "epochs": 50, "validation_rows": 4, "looks": 2, "batch_tokens": 256, "rank": 4, "learning_rate": 0.01}
}
ANSWERS = {"도착": "이틀 걸립니다.", "취소": "바로 됩니다."}


def asked(name: str, word: str) -> Example:
    turns = (Message("user", f"{name}번 {word} 문의"), Message("assistant", ANSWERS[word]))
    return Example(f"{name}-{word}", turns, Reference((ANSWERS[word],)))


TRAIN = tuple(asked(f"t{i}", word) for i in range(5) for word in ANSWERS)
VALIDATION = tuple(asked(f"v{i}", word) for i in range(2) for word in ANSWERS)


class Teacher(ScriptedModel):
    """Knows one of the two answers, and now and then gives none."""

    asked: list[Request]

    def __init__(self) -> None:
        super().__init__()
        self.asked = []

    def generate(self, requests: Sequence[Request]) -> list[Generation]:
        self.asked += requests
        return [self._reply(request.messages[-1].content) for request in requests]

    def _reply(self, question: str) -> Generation:
        if "t4" in question:
            return Generation("", finish="error", error="timeout")
        return Generation("이틀 걸립니다.")


def workshop(teacher: Teacher | None = None, **more: Any) -> Workshop:
    def load(system: System) -> Model:
        if system.is_remote:
            assert teacher is not None
            return teacher
        return LocalModel(system.model, adapter=system.adapter)

    engine, scorer = Engine(load), choose_scorer(VALIDATION, "text", language="ko")

    def evaluate(system: System, examples: Sequence[Example]) -> Scorecard:
        answers, seconds = engine.answer(system, examples)
        return make_scorecard("", scorer, examples, Asked(answers, seconds))

    settings: dict[str, Any] = {"goal": "답한다.", "language": "ko", "documents": None, "labels": (), "tools": ()}
    return Workshop(**{**settings, "scorer": scorer, "evaluate": evaluate, "load": load, **more})


@pytest.fixture
def incumbent(checkpoint: Callable[[str], Path]) -> System:
    return System(str(checkpoint("qwen2")), prompt=Prompt("답한다."), decoding=Decoding(max_new_tokens=8))


@pytest.fixture
def taught_model(checkpoint: Callable[[str], Path], tmp_path: Path) -> str:
    """A model with the student's tokens and other weights."""
    model = LocalModel(checkpoint("qwen2"))
    with torch.no_grad():
        for parameter in model.model.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    model.model.save_pretrained(tmp_path / "taught")
    model.tokenizer.save_pretrained(tmp_path / "taught")
    return str(tmp_path / "taught")


def build(incumbent: System, folder: Path, teacher: str, shop: Workshop | None = None, **options: Any) -> Built:
    rung = DistilRung(DistilConfig(teacher=teacher, **{**SETTINGS, **options}), shop or workshop())
    return rung.build(incumbent, TRAIN, VALIDATION, folder)


def test_a_local_teacher_with_the_same_tokens_teaches_its_probabilities(
    incumbent: System, taught_model: str, tmp_path: Path
) -> None:
    built = build(incumbent, tmp_path / "work", taught_model, max_steps=30, batch_tokens=4096)
    assert built.notes[0] == f"learnt the probabilities that {taught_model} gives to the answers of 10 of 10 rows"
    assert built.system.adapter == tmp_path / "work/adapter"
    losses = [loss for _, loss in built.curves[0].points]
    assert losses[-1] < losses[0] - 0.05


def test_a_teacher_with_other_tokens_teaches_its_answers_and_it_is_said_why(
    incumbent: System, checkpoint: Callable[[str], Path], tmp_path: Path
) -> None:
    other = str(checkpoint("phi3"))
    built = build(incumbent, tmp_path, other, least_score=0.0)
    assert built.notes[0].startswith(f"learnt 10 answers that {other} gave; of 10, 0 were wrong")
    assert any(n.startswith("not from probabilities: ") and "tokens differ" in n for n in built.notes)


def test_probabilities_of_other_tokens_are_refused_where_they_are_asked_for(
    incumbent: System, checkpoint: Callable[[str], Path], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"by its probabilities: .* tokens differ: .*Set `learn: answers`"):
        build(incumbent, tmp_path, str(checkpoint("phi3")), learn="probabilities")


def test_right_answers_of_a_remote_teacher_are_learnt_and_others_counted(incumbent: System, tmp_path: Path) -> None:
    teacher = Teacher()
    built = build(incumbent, tmp_path, "openai:big", workshop(teacher), learn="answers")
    # Of ten questions two get no answer, and of the other eight the one sentence is right for half.
    assert built.notes[0] == "learnt 4 answers that openai:big gave; of 10, 4 were wrong and 2 were none"
    assert len(teacher.asked) == 10
    assert all(request.messages[0].content == "답한다." for request in teacher.asked)


def test_what_the_teacher_said_before_a_crash_is_not_asked_again(
    incumbent: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sadari.rungs.distil.ASKED_AT_ONCE", 4)

    class Dying(Teacher):
        def generate(self, requests: Sequence[Request]) -> list[Generation]:
            if len(self.asked) >= 8:
                raise KeyboardInterrupt
            return super().generate(requests)

    with pytest.raises(KeyboardInterrupt):
        build(incumbent, tmp_path, "openai:big", workshop(Dying()))
    again = Teacher()
    built = build(incumbent, tmp_path, "openai:big", workshop(again))
    assert len(again.asked) == 2
    assert built.notes[0].startswith("learnt 4 answers")
    assert build(incumbent, tmp_path, "openai:big", workshop(last := Teacher())) == built
    assert last.asked == []


def test_a_teacher_that_is_never_right_is_an_error_with_the_counts(incumbent: System, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="of 10 answers of openai:big, 8 were wrong and 2 were none: nothing is left"):
        build(incumbent.with_(prompt=Prompt("x")), tmp_path, "openai:big", workshop(Wrong()))


class Wrong(Teacher):
    def _reply(self, question: str) -> Generation:
        said = super()._reply(question)
        return said if said.error else Generation("zzz")


def test_building_again_asks_a_local_teacher_no_more_and_gives_the_same(
    incumbent: System, taught_model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = build(incumbent, tmp_path / "work", taught_model)
    monkeypatch.setattr("sadari.rungs.distil.distributions_of", lambda *_, **__: pytest.fail("the teacher was asked again"))
    assert build(incumbent, tmp_path / "work", taught_model) == first


def test_rows_that_there_is_no_time_for_are_not_trained_on(
    incumbent: System, taught_model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distillation, "ROWS_AT_ONCE", 7)  # four of validation and three of train
    monkeypatch.setattr("sadari.rungs.distil.TEACHING_SHARE", 0.0)
    built = build(incumbent, tmp_path / "work", taught_model, workshop(time_budget_s=60.0))
    assert built.notes[0].endswith("the answers of 3 of 10 rows")


def test_an_adapter_of_the_incumbent_becomes_part_of_the_student(incumbent: System, taught_model: str, tmp_path: Path) -> None:
    local = LocalModel(incumbent.model)
    attach("lora", local.model, LoraConfig(rank=2), seed=0).save(tmp_path / "older")
    built = build(incumbent.with_(adapter=tmp_path / "older"), tmp_path / "work", taught_model)
    assert (built.system.model, built.system.adapter) == (str(tmp_path / "work/base"), tmp_path / "work/adapter")
