"""Rungs in a workshop whose evaluation is told what to find, or is real with a scripted or a tiny model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import pytest

from sadari.answer import Answerer, Engine
from sadari.errors import ConfigError, ModelError, TrainingError
from sadari.files import read_lines, write_lines
from sadari.measure import Asked, choose_scorer, make_scorecard
from sadari.model import ScriptedModel
from sadari.model.local import LocalModel
from sadari.rungs import BaselineRung, check_options, make_rung
from sadari.rungs.retrieval import RetrievalConfig
from sadari.types import (
    Built,
    Decoding,
    Document,
    Example,
    Message,
    Model,
    Prompt,
    Reference,
    Retrieval,
    Rung,
    Scorecard,
    System,
    ToolSpec,
    Workshop,
)

LABELS = ("배송", "환불")


def labelled(name: str, question: str, label: str) -> Example:
    return Example(name, (Message("user", question), Message("assistant", label)), Reference((label,)))


TRAIN = tuple(
    labelled(f"train-{i}-{label}", f"{i}번 {word} 문의", label)
    for i in range(6)
    for word, label in zip(("도착", "취소"), LABELS, strict=True)
)
VALIDATION = tuple(
    labelled(f"val-{i}-{label}", f"{i}째 {word} 질문", label)
    for i in range(3)
    for word, label in zip(("도착", "취소"), LABELS, strict=True)
)


@dataclass
class Looks:
    """Evaluation that prefers the systems it is told to, and remembers whom it was asked about and with which examples."""

    likes: Callable[[System], float]
    systems: list[System] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)

    def __call__(self, system: System, examples: Sequence[Example]) -> Scorecard:
        self.systems.append(system)
        self.ids |= {e.id for e in examples}
        n = len(examples)
        zeros = (0,) * n
        scores = (self.likes(system),) * n
        return Scorecard("", "", tuple(e.id for e in examples), scores, ("",) * n, (0.0,) * n, zeros, zeros, 0, 0, 1, 1, 0)


def workshop(evaluate: Callable[..., Scorecard], load: Callable[[System], Model], **more: Any) -> Workshop:
    settings: dict[str, Any] = {"goal": "문의를 나눈다.", "language": "ko", "documents": None, "labels": LABELS, "tools": ()}
    scorer = choose_scorer(VALIDATION, "label", language="ko")
    return Workshop(**{**settings, "scorer": scorer, "evaluate": evaluate, "load": load, **more})


def scripted(likes: Callable[[System], float] = lambda system: 0.0, **more: Any) -> tuple[Workshop, Looks]:
    looks = Looks(likes)
    return workshop(looks, lambda system: ScriptedModel(), **more), looks


def baseline(shop: Workshop, tmp_path: Path, model: str = "scripted") -> System:
    return BaselineRung(System(model), shop).build(System(model), TRAIN, VALIDATION, tmp_path).system


# --- what a rung is given ----------------------------------------------------------------------------------------------


def test_nothing_that_a_rung_is_made_from_holds_test_examples() -> None:
    assert {f.name for f in fields(Workshop)} == {
        *("goal", "language", "documents", "labels", "tools", "scorer"),
        *("evaluate", "load", "seed", "time_budget_s", "tell", "find_personal", "price_per_hour", "currency", "respond"),
    }


@pytest.mark.parametrize("name", ["prompt", "retrieval"])
def test_a_search_looks_at_validation_alone(name: str, tmp_path: Path) -> None:
    shop, looks = scripted()
    make_rung(name, {}, shop).build(baseline(shop, tmp_path), TRAIN, VALIDATION, tmp_path)
    assert looks.ids == {e.id for e in VALIDATION}


def test_a_misspelt_option_is_told_with_those_there_are() -> None:
    with pytest.raises(
        ConfigError, match=r"ladder: lora: rnak: is no known option\. Did you mean `rank`\? Its options are: learning_rate, epochs"
    ):
        make_rung("lora", {"rnak": 8}, scripted()[0])


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("lora", {"rank": 0}, "rank: input should be greater than or equal to 1, but is 0"),
        ("full", {"epochs": "many"}, "epochs: .*, but is 'many'"),
        ("prompt", {"shots": [9]}, r"shots\.0: input should be less than or equal to 5, but is 9"),
        ("retrieval", {"k": []}, "k: .*at least 1 item"),
        ("retrieval", {"k": [0]}, r"k\.0: .*greater than 0"),
        ("prune", {}, "no rung 'prune'. This version has: prompt, retrieval, prompt_tuning"),
    ],
)
def test_an_option_out_of_range_is_told_with_its_value(name: str, options: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        check_options(name, options)


# --- baseline ----------------------------------------------------------------------------------------------------------


def test_the_baseline_says_the_goal_lists_the_labels_and_is_held_to_them(tmp_path: Path) -> None:
    system = baseline(scripted()[0], tmp_path)
    assert system.prompt == Prompt("문의를 나눈다.", LABELS)
    assert system.decoding.choices == LABELS
    assert (system.retrieval, system.examples, system.adapter) == (None, None, None)


# --- prompt ------------------------------------------------------------------------------------------------------------


def test_the_prompt_that_validation_likes_best_is_taken(tmp_path: Path) -> None:
    shop, _ = scripted(lambda system: float(system.prompt.shots == 2 and "담당자" in system.prompt.instruction))
    built = make_rung("prompt", {}, shop).build(baseline(shop, tmp_path), TRAIN, VALIDATION, tmp_path)
    assert built.system.prompt.shots == 2
    assert built.system.prompt.instruction.startswith("당신은 문의를 정확하게")
    assert built.notes[0] == "chosen on validation: role+form, 2 examples"


def test_a_tie_goes_to_the_simplest_prompt(tmp_path: Path) -> None:
    shop, looks = scripted(lambda system: 0.5)
    built = make_rung("prompt", {}, shop).build(baseline(shop, tmp_path), TRAIN, VALIDATION, tmp_path)
    assert built.system.prompt == Prompt("문의를 나눈다.", LABELS)
    assert {s.prompt.shots for s in looks.systems} == {0, 2, 5}
    assert any(s.prompt.chain_of_thought for s in looks.systems)


def test_prompts_list_the_labels_and_reasoning_is_not_held_to_them(tmp_path: Path) -> None:
    shop, looks = scripted()
    make_rung("prompt", {}, shop).build(baseline(shop, tmp_path), TRAIN, VALIDATION, tmp_path)
    assert all(s.prompt.labels == LABELS for s in looks.systems)
    assert all(s.decoding.choices == (() if s.prompt.chain_of_thought else LABELS) for s in looks.systems)


def test_shots_are_drawn_from_train(tmp_path: Path) -> None:
    shop, _ = scripted(lambda system: system.prompt.shots)
    built = make_rung("prompt", {}, shop).build(baseline(shop, tmp_path), TRAIN, VALIDATION, tmp_path)
    assert built.system.examples is not None
    assert tuple(read_lines(built.system.examples, Example)) == TRAIN


def test_only_the_settings_that_are_asked_for_are_tried(tmp_path: Path) -> None:
    shop, looks = scripted()
    make_rung("prompt", {"shots": [1], "chain_of_thought": [False]}, shop).build(
        baseline(shop, tmp_path), TRAIN, VALIDATION, tmp_path
    )
    assert {(s.prompt.shots, s.prompt.chain_of_thought) for s in looks.systems} == {(1, False)}


def test_of_a_long_catalogue_showing_the_tools_found_is_tried(tmp_path: Path) -> None:
    tools = tuple(ToolSpec(f"tool_{i}", "", {"type": "object"}) for i in range(9))
    shop, looks = scripted(lambda system: float(system.tools_shown == 2))
    start = baseline(shop, tmp_path)
    built = make_rung("prompt", {}, shop).build(start.with_(tools=tools), TRAIN, VALIDATION, tmp_path)
    assert {s.tools_shown for s in looks.systems} == {0, 2, 8}
    assert built.system.tools_shown == 2
    assert built.notes[0].endswith("2 of 9 tools")

    looks.systems.clear()
    make_rung("prompt", {}, shop).build(start.with_(tools=tools[:8]), TRAIN, VALIDATION, tmp_path / "short")
    assert {s.tools_shown for s in looks.systems} == {0}


# --- retrieval ---------------------------------------------------------------------------------------------------------


def test_without_documents_retrieval_finds_training_examples(tmp_path: Path) -> None:
    shop, looks = scripted(lambda system: system.retrieval.k if system.retrieval else 0)
    built = make_rung("retrieval", {"examples_k": [2, 3]}, shop).build(baseline(shop, tmp_path), TRAIN, VALIDATION, tmp_path)
    assert built.system.retrieval == Retrieval("examples", 3)
    assert built.system.examples is not None
    assert tuple(read_lines(built.system.examples, Example)) == TRAIN
    assert all(s.prompt.labels == () and s.decoding.choices == LABELS for s in looks.systems)


def test_one_value_is_a_list_of_one() -> None:
    config = RetrievalConfig(k=2, chunk_tokens=300, reranker="")  # type: ignore[arg-type]
    assert (config.k, config.chunk_tokens, config.reranker) == ((2,), (300,), ("",))


def test_with_documents_retrieval_says_to_answer_from_them_and_tries_quotes(tmp_path: Path) -> None:
    write_lines(tmp_path / "d.jsonl", [Document("a.md", "배송", "배송비는 3,000원입니다.")], Document)
    shop, looks = scripted(lambda system: system.decoding.quote == 1, documents=tmp_path / "d.jsonl", labels=())
    built = make_rung("retrieval", {"k": [2]}, shop).build(baseline(shop, tmp_path), TRAIN, VALIDATION, tmp_path)
    assert built.system.decoding.quote == 1
    assert built.system.documents == tmp_path / "d.jsonl"
    assert built.system.abstention in built.system.prompt.instruction
    assert {s.decoding.quote for s in looks.systems} == {0, 1, 2}


# --- tuning ------------------------------------------------------------------------------------------------------------

TUNE: dict[str, Any] = {"max_steps": 6, "epochs": 20, "validation_rows": 4, "looks": 2, "batch_tokens": 256, "learning_rate": 0.01}


@pytest.fixture
def tiny(checkpoint: Callable[[str], Path]) -> Path:
    return checkpoint("qwen2")


def real(**more: Any) -> Workshop:
    """Loads and evaluates for real."""

    def load(system: System) -> Model:
        return LocalModel(system.model, adapter=system.adapter)

    engine = Engine(load)

    def evaluate(system: System, examples: Sequence[Example]) -> Scorecard:
        answers, seconds = engine.answer(system, examples)
        return make_scorecard("", choose_scorer(VALIDATION, "label", language="ko"), examples, Asked(answers, seconds))

    return workshop(evaluate, load, **more)


def tuned(method: str, tiny: Path, folder: Path, shop: Workshop | None = None, **changes: Any) -> tuple[Built, Rung]:
    shop = shop or real()
    incumbent = baseline(shop, folder, str(tiny)).with_(**changes)
    rung = make_rung(method, TUNE if method == "full" else {**TUNE, "rank": 4}, shop)
    return rung.build(incumbent, TRAIN, VALIDATION, folder / "work"), rung


@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_tuned_label_system_no_longer_lists_its_labels_but_is_held_to_them(method: str, tiny: Path, tmp_path: Path) -> None:
    system = tuned(method, tiny, tmp_path, prompt=Prompt("분류", LABELS, shots=3, chain_of_thought=True))[0].system
    assert system.prompt == Prompt("분류")
    assert system.decoding.choices == LABELS
    assert system.examples is None


def test_lora_leaves_the_base_and_adds_an_adapter_and_full_saves_a_model(tiny: Path, tmp_path: Path) -> None:
    low, whole = (tuned(method, tiny, tmp_path / method)[0].system for method in ("lora", "full"))
    assert (low.model, low.adapter) == (str(tiny), tmp_path / "lora/work/adapter")
    assert (whole.model, whole.adapter) == (str(tmp_path / "full/work/model"), None)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_what_was_trained_is_what_is_served(method: str, tiny: Path, tmp_path: Path) -> None:
    """The system, loaded again from its folder, scores what the best look of its training scored."""
    built, _ = tuned(method, tiny, tmp_path)
    [best] = [float(n.rsplit(" ", 1)[1]) for n in built.notes if n.startswith("best look")]
    served = real().evaluate(built.system, VALIDATION[:4])
    assert served.quality == pytest.approx(best, abs=5e-4)
    assert real().evaluate(baseline(real(), tmp_path, str(tiny)), VALIDATION[:4]).prompt_tokens > served.prompt_tokens


def test_a_row_is_trained_as_it_will_be_asked(tiny: Path, tmp_path: Path) -> None:
    """Every prompt that is rendered for training is, message for message, the one that the tuned system sends."""
    write_lines(tmp_path / "d.jsonl", [Document("a.md", "배송", "도착은 이틀 걸립니다. 취소는 바로 됩니다.")], Document)
    grounded = {"retrieval": Retrieval(), "documents": tmp_path / "d.jsonl"}
    trained: list[tuple[Message, ...]] = []
    prepare = Answerer.prepare

    def noted(self: Answerer, example: Example, *, training: bool = False) -> Any:
        prepared = prepare(self, example, training=training)
        if training:
            trained.append(prepared.request.messages)
        return prepared

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Answerer, "prepare", noted)
        system = tuned("lora", tiny, tmp_path, **grounded)[0].system
    served = Answerer(system, ScriptedModel())
    assert trained[: len(TRAIN)] == [served.prepare(e).request.messages for e in TRAIN]
    assert all("[1] 배송" in messages[-1].content for messages in trained)


def test_a_label_task_with_documents_is_tuned_to_say_labels_not_marks(tiny: Path, tmp_path: Path) -> None:
    write_lines(tmp_path / "d.jsonl", [Document("a.md", "배송", "도착은 이틀 걸립니다. 취소는 바로 됩니다.")], Document)
    system = tuned("full", tiny, tmp_path, real(documents=tmp_path / "d.jsonl"))[0].system
    assert (system.decoding.choices, system.decoding.quote) == (LABELS, 0)


@pytest.mark.parametrize(
    ("answers", "quotes"), [(("도착은 이틀 걸립니다.", "취소는 바로 됩니다."), True), (("이틀", "바로"), False)]
)
def test_a_task_with_documents_is_tuned_to_quote_if_its_answers_are_sentences(
    tiny: Path, tmp_path: Path, answers: tuple[str, str], quotes: bool
) -> None:
    write_lines(tmp_path / "d.jsonl", [Document("a.md", "배송", "도착은 이틀 걸립니다. 취소는 바로 됩니다.")], Document)
    shop = real(documents=tmp_path / "d.jsonl", labels=())
    rows = [
        labelled(f"{i} {word}", f"{i}번 {word} 문의", said)
        for i in range(4)
        for word, said in zip(("도착", "취소"), answers, strict=True)
    ]
    built = make_rung("full", TUNE, shop).build(baseline(shop, tmp_path, str(tiny)), rows, rows[:4], tmp_path / "work")
    assert (built.system.decoding.quote > 0) == quotes


def test_building_again_in_the_same_folder_gives_the_same_and_trains_nothing(tiny: Path, tmp_path: Path) -> None:
    first, _ = tuned("lora", tiny, tmp_path)
    weights = (tmp_path / "work/adapter/adapter_model.safetensors").read_bytes()
    second, _ = tuned("lora", tiny, tmp_path)
    assert second == first
    assert (tmp_path / "work/adapter/adapter_model.safetensors").read_bytes() == weights


def test_the_notes_say_how_much_was_trained_on_what(tiny: Path, tmp_path: Path) -> None:
    shop = real()
    rung = make_rung("lora", {**TUNE, "rank": 4, "max_rows": 5}, shop)
    notes = rung.build(baseline(shop, tmp_path, str(tiny)), TRAIN, VALIDATION, tmp_path / "work").notes
    assert "5 of 12 training rows" in notes
    assert any("6 steps of at most" in n and "ended by max_steps; token trie" in n for n in notes)


def test_a_model_that_runs_elsewhere_cannot_be_tuned(tmp_path: Path) -> None:
    shop, _ = scripted()
    with pytest.raises(ModelError, match=r"runs elsewhere and cannot be tuned here\. Take the rungs that tune out of the ladder"):
        make_rung("lora", {}, shop).build(baseline(shop, tmp_path), TRAIN, VALIDATION, tmp_path)


def test_rows_without_conversations_cannot_be_tuned_on(tiny: Path, tmp_path: Path) -> None:
    shop = real()
    texts = [replace(e, kind="text") for e in TRAIN]
    with pytest.raises(TrainingError, match="no training row is a conversation"):
        make_rung("full", TUNE, shop).build(baseline(shop, tmp_path, str(tiny)), texts, VALIDATION, tmp_path)


def test_decoding_of_the_start_is_kept_by_every_rung(tmp_path: Path) -> None:
    shop, _ = scripted()
    start = System("scripted", decoding=Decoding(max_new_tokens=33))
    system = BaselineRung(start, shop).build(start, TRAIN, VALIDATION, tmp_path).system
    for name in ("prompt", "retrieval"):
        system = make_rung(name, {}, shop).build(system, TRAIN, VALIDATION, tmp_path / name).system
        assert system.decoding.max_new_tokens == 33
