"""The scorer that the references call for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import pytest

from sadari.errors import ConfigError, DataError
from sadari.measure.choice import SCORER_NAMES, choose_scorer, labels_of
from sadari.measure.scorers import AnswerSchema, JsonScorer, NumberScorer, SqlScorer
from sadari.model.scripted import ScriptedModel
from sadari.task.config import ScoreConfig
from sadari.types import Example, Message, Model, Reference, ToolCall


def rows(references: list[str], question: str = "질문") -> list[Example]:
    return [Example(str(i), (Message("user", question),), Reference((text,))) for i, text in enumerate(references)]


def chosen(examples: list[Example]) -> str:
    return choose_scorer(examples).name.split()[0]


def test_the_scorer_follows_the_reference() -> None:
    user = (Message("user", "?"),)
    assert chosen([Example("1", user, Reference(("a",), facts=(("a",),))), *rows(["b"])]) == "facts"
    assert chosen([Example("1", user, Reference(abstain=True)), *rows(["b"])]) == "facts"
    assert chosen([Example("1", user, Reference(calls=(ToolCall("f", {}),)))]) == "tool_call"
    assert chosen(rows(['{"a": 1}', "{}"])) == "json"
    assert chosen(rows(["3,000원", "12", "3000원", "-1.5", "12"])) == "number"
    assert chosen(rows(["배송", "환불", "배송", "환불", "배송", "교환"])) == "label"
    assert chosen(rows(["이순신", "부산 광역시", "7일"], "누가 했나요?")) == "short_answer"
    assert chosen(rows(["네, 위로해 드릴게요.", "그렇군요.", "힘내세요."], "나 우울해")) == "text"
    assert chosen(rows(["가" * 80, "나" * 90], "왜 그런가요?")) == "text"


def test_the_final_assistant_turn_stands_in_for_a_reference() -> None:
    turns = [(Message("user", "q"), Message("assistant", label)) for label in ("a", "b", "a", "b")]
    assert chosen([Example(str(i), messages) for i, messages in enumerate(turns)]) == "label"


def test_labels_are_listed_only_for_a_label_task() -> None:
    assert labels_of(rows(["환불", "배송", "환불", "배송"])) == ("배송", "환불")
    assert labels_of(rows(["하나", "둘", "셋"])) == ()
    assert labels_of([]) == ()


@dataclass(frozen=True)
class Judge:
    """The judge of a task file."""

    model: str = "openai:judge"
    base_url: str | None = "http://localhost:1/v1"
    rubric: str = "polite"
    max_new_tokens: int = 64


@dataclass(frozen=True)
class Settings:
    """`score:` of a task file."""

    by: str = "auto"
    tolerance: float = 0.0
    json_schema: str | None = None
    database: str | None = None
    time_s: float = 5.0
    judge: Judge | None = None
    aliases: Mapping[str, Sequence[str]] = field(default_factory=dict)


def test_a_named_scorer_is_taken_and_an_unknown_name_lists_the_known() -> None:
    for name in set(SCORER_NAMES) - {"sql", "judge"}:
        assert choose_scorer(rows(["a"]), name).name.split()[0] == name
    with pytest.raises(ConfigError, match="Use auto, label, number"):
        choose_scorer(rows(["a"]), "bleu")
    with pytest.raises(DataError, match="no examples"):
        choose_scorer([])


def test_the_scorers_are_those_that_a_task_file_may_name() -> None:
    assert {"auto", *SCORER_NAMES} == set(get_args(ScoreConfig.model_fields["by"].annotation))
    assert choose_scorer(rows(["a"]), ScoreConfig(by="number", tolerance=0.5)) == NumberScorer(0.5)


def test_settings_reach_the_scorer_that_needs_them(tmp_path: Path) -> None:
    (tmp_path / "shop.db").touch()
    (tmp_path / "order.json").write_text('{"type": "object"}')
    assert choose_scorer(rows(["3", "4"]), Settings(tolerance=0.1)) == NumberScorer(0.1)
    sql = choose_scorer(rows(["SELECT 1"]), Settings("sql", database="shop.db", time_s=2), folder=tmp_path)
    assert sql == SqlScorer(tmp_path / "shop.db", 2)
    fields = choose_scorer(rows(["{}"]), Settings(json_schema="order.json"), folder=tmp_path)
    assert fields == JsonScorer(AnswerSchema({"type": "object"}))


def test_the_judge_is_loaded_by_its_name_and_address(tmp_path: Path) -> None:
    asked: list[tuple[str, str | None]] = []

    def load(name: str, base_url: str | None) -> Model:
        asked.append((name, base_url))
        return ScriptedModel([], name="judge")

    scorer = choose_scorer(rows(["a"]), Settings("judge", judge=Judge()), folder=tmp_path, load=load)
    assert scorer.name.startswith("judge (")
    assert asked == [("openai:judge", "http://localhost:1/v1")]


def test_missing_settings_are_named() -> None:
    with pytest.raises(ConfigError, match=r"score\.database: FILE"):
        choose_scorer(rows(["a"]), "sql")
    with pytest.raises(ConfigError, match="there is no judge"):
        choose_scorer(rows(["a"]), "judge")
    with pytest.raises(ConfigError, match=r"score.database: .* does not exist"):
        choose_scorer(rows(["a"]), Settings("sql", database="nowhere.db"))
    with pytest.raises(ConfigError, match=r"score.json_schema: .* cannot be read"):
        choose_scorer(rows(["{}"]), Settings("json", json_schema="nowhere.json"))
