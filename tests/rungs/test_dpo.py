"""The rung that learns from preference pairs, on a tiny model."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from sadari.answer import Answerer, Engine
from sadari.errors import ModelError, TrainingError
from sadari.files import read_json
from sadari.measure import Asked, choose_scorer, make_scorecard
from sadari.model import ScriptedModel
from sadari.model.local import LocalModel
from sadari.rungs.dpo import DpoRung
from sadari.train import PreferenceConfig, preference
from sadari.types import Built, Decoding, Example, Message, Model, Prompt, Reference, Scorecard, System, Workshop

SETTINGS: dict[str, Any] = {"max_steps": 6, "epochs": 50, "validation_rows": 4, "looks": 2, "batch_tokens": 256, "rank": 4}


def pair(name: str, question: str) -> Example:
    """Polite answers are chosen."""
    turns = (Message("user", question), Message("assistant", "네, 고객님."))
    return Example(name, turns, Reference(("네, 고객님.",)), kind="preference", rejected="아니요 몰라요")


TRAIN = tuple(pair(f"train-{i}", f"{i}번 주문 배송 문의") for i in range(8))
VALIDATION = tuple(pair(f"val-{i}", f"{i}째 환불 질문") for i in range(4))


def workshop(**more: Any) -> Workshop:
    """Loads and evaluates for real."""

    def load(system: System) -> Model:
        return LocalModel(system.model, adapter=system.adapter) if not system.is_remote else ScriptedModel()

    engine, scorer = Engine(load), choose_scorer(VALIDATION, "text", language="ko")

    def evaluate(system: System, examples: Sequence[Example]) -> Scorecard:
        answers, seconds = engine.answer(system, examples)
        return make_scorecard("", scorer, examples, Asked(answers, seconds))

    settings: dict[str, Any] = {"goal": "정중하게 답한다.", "language": "ko", "documents": None, "labels": (), "tools": ()}
    return Workshop(**{**settings, "scorer": scorer, "evaluate": evaluate, "load": load, **more})


@pytest.fixture
def incumbent(checkpoint: Callable[[str], Path]) -> System:
    return System(str(checkpoint("qwen2")), prompt=Prompt("정중하게 답한다."), decoding=Decoding(max_new_tokens=8))


def build(incumbent: System, folder: Path, shop: Workshop | None = None, **options: Any) -> Built:
    rung = DpoRung(PreferenceConfig(**{**SETTINGS, **options}), shop or workshop())
    return rung.build(incumbent, TRAIN, VALIDATION, folder)


def test_chosen_answers_become_likelier_than_rejected_ones(incumbent: System, tmp_path: Path) -> None:
    built = build(incumbent, tmp_path, max_steps=20, learning_rate=0.01, batch_tokens=4096)
    losses = [loss for _, loss in built.curves[0].points]
    assert losses[0] == pytest.approx(0.6931, abs=1e-3)  # before the first step the model is its reference
    assert losses[-1] < 0.4
    [told] = [note for note in built.notes if "likelier" in note]
    assert told.startswith("the chosen answer is the likelier one in 100% of 4 pairs")
    assert "8 of 8 preference pairs" in built.notes


def test_what_the_incumbent_is_shown_stays_and_only_an_adapter_is_added(incumbent: System, tmp_path: Path) -> None:
    assert build(incumbent, tmp_path).system == incumbent.with_(adapter=tmp_path / "adapter")


def test_an_adapter_of_the_incumbent_becomes_part_of_the_base(incumbent: System, tmp_path: Path) -> None:
    first = build(incumbent, tmp_path / "first", learning_rate=0.01).system
    second = build(first, tmp_path / "second").system
    assert (second.model, second.adapter) == (str(tmp_path / "second/base"), tmp_path / "second/adapter")
    reference = LocalModel(second.model).generate([Answerer(first, ScriptedModel()).prepare(VALIDATION[0]).request])
    before = LocalModel(first.model, adapter=first.adapter).generate(
        [Answerer(first, ScriptedModel()).prepare(VALIDATION[0]).request]
    )
    assert reference[0].text == before[0].text
    LocalModel(second.model, adapter=second.adapter)  # the new adapter says that it belongs to the merged weights


def test_the_usual_learning_rate_is_a_hundredth_of_that_of_other_tuning(incumbent: System, tmp_path: Path) -> None:
    from sadari.train import LoraConfig, Plan, attach

    build(incumbent, tmp_path)
    usual = attach("lora", LocalModel(incumbent.model).model, LoraConfig(rank=4), seed=0).learning_rate
    assert read_json(tmp_path / "plan.json", Plan).learning_rate == pytest.approx(0.01 * usual)


def test_building_again_asks_the_reference_no_more_and_gives_the_same(
    incumbent: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = build(incumbent, tmp_path)
    monkeypatch.setattr("sadari.rungs.dpo.reference_margins", lambda *_, **__: pytest.fail("the reference was asked again"))
    assert build(incumbent, tmp_path) == first


def test_pairs_that_there_is_no_time_for_are_not_trained_on(
    incumbent: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preference, "PAIRS_AT_ONCE", 6)  # four of validation and two of train
    monkeypatch.setattr("sadari.rungs.dpo.REFERENCE_SHARE", 0.0)
    notes = build(incumbent, tmp_path, workshop(time_budget_s=60.0)).notes
    assert "2 of 8 preference pairs" in notes
    assert "6 pairs were left out for want of time" in notes


def test_rows_without_pairs_are_an_error_that_says_how_pairs_look(incumbent: System, tmp_path: Path) -> None:
    chats = [Example("a", (Message("user", "배송?"), Message("assistant", "네")))]
    with pytest.raises(TrainingError, match=r"no training row is a preference pair\. Give rows with `prompt`, `chosen`"):
        DpoRung(PreferenceConfig(), workshop()).build(incumbent, chats, VALIDATION, tmp_path)


def test_a_model_that_runs_elsewhere_cannot_be_tuned(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="runs elsewhere and cannot be tuned here"):
        build(System("openai:gpt"), tmp_path)


def test_validation_without_pairs_is_looked_at_all_the_same(incumbent: System, tmp_path: Path) -> None:
    chats = [Example(e.id, e.messages, e.reference) for e in VALIDATION]
    built = DpoRung(PreferenceConfig(**SETTINGS), workshop()).build(incumbent, TRAIN, chats, tmp_path)
    assert any("of 8 pairs" in note for note in built.notes)
