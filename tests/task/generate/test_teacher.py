"""What a teacher says is one JSON object, bounded, or it is refused."""

import pytest

from sadari.errors import ModelError
from sadari.model import ScriptedModel
from sadari.task.generate.collect import Refusal
from sadari.task.generate.teacher import MOST_CHARS, ask_all, lesson, list_of_texts, read_reply, texts_of
from sadari.types import Generation


@pytest.mark.parametrize("text", ['{"a": 1}', '```json\n{"a": 1}\n```', '<think>well, {"b": 2}?</think>\n{"a": 1}', '  {"a": 1}\n'])
def test_an_object_is_read_with_or_without_a_fence(text: str) -> None:
    assert read_reply(text) == {"a": 1}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Sure! {}", "no JSON"),
        ('{"a": 1} and more', "no JSON"),
        ('{"a": NaN}', "no JSON"),
        ('{"a": "\\ud800"}', "no JSON"),
        ("[" * 100_000, "too long"),
        ("[" * (MOST_CHARS - 1), "no JSON"),
        ('{"a": ' + "9" * 9000 + "}", "no JSON"),
        ('{"a":' * 900 + "1" + "}" * 900, "no JSON"),  # deeper than can be walked
        ("[1]", "another shape"),
        ("", "no JSON"),
    ],
)
def test_anything_else_is_refused(text: str, reason: str) -> None:
    found = read_reply(text)
    assert isinstance(found, Refusal)
    assert reason in found.reason


def test_decomposed_hangul_is_composed() -> None:
    assert read_reply('{"a": "\u1100\u1161"}') == {"a": "가"}


def test_texts_must_be_there_and_short() -> None:
    assert texts_of({"a": " x ", "b": "y"}, "a", "b") == ["x", "y"]
    assert isinstance(texts_of({"a": ""}, "a"), Refusal)
    assert isinstance(texts_of({"a": 3}, "a"), Refusal)
    assert isinstance(texts_of({"a": "x" * 11}, "a", most_chars=10), Refusal)
    assert list_of_texts({"a": ["x"]}, "a", most=1) == ["x"]
    assert isinstance(list_of_texts({"a": ["x", "y"]}, "a", most=1), Refusal)
    assert isinstance(list_of_texts({"a": "x"}, "a", most=3), Refusal)


def test_failed_and_cut_answers_are_refused_and_the_others_go_on() -> None:
    answers = [Generation("", finish="error", error="busy"), Generation('{"a"', finish="length"), Generation('{"a": 1}')]
    model = ScriptedModel(lambda request: answers[request.seed])
    found = dict(ask_all(model, ((seed, lesson("do", "it", seed=seed)) for seed in range(3))))
    assert found[0] == Refusal("the teacher did not answer", "busy")
    assert found[1] == Refusal("the teacher's answer was cut off", '{"a"')
    assert found[2] == {"a": 1}


def test_a_teacher_that_never_answers_is_told_at_once() -> None:
    model = ScriptedModel(lambda request: Generation("", finish="error", error="no such model"), "gone")
    with pytest.raises(ModelError, match="gone cannot teach: no such model"):
        list(ask_all(model, [(0, lesson("do", "it", seed=0))]))
