"""The scorer that the references call for."""

import pytest

from sadari.errors import ConfigError, DataError
from sadari.measure.choice import choose_scorer, labels_of
from sadari.types import Example, Message, Reference, ToolCall


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


def test_a_named_scorer_is_taken_and_an_unknown_name_lists_the_known() -> None:
    assert choose_scorer(rows(["a"]), "text").name.startswith("text")
    with pytest.raises(ConfigError, match="Use auto, label, number"):
        choose_scorer(rows(["a"]), "bleu")
    with pytest.raises(DataError, match="no examples"):
        choose_scorer([])
