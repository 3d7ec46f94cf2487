"""Rows and tokenizers that nothing good can be learnt from, or only little: each told, none lost in silence."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sadari.answer import Answerer
from sadari.errors import DataError, TrainingError
from sadari.model.local import LocalModel
from sadari.train import render_rows
from sadari.types import Example, Message, System


@pytest.fixture(scope="module")
def model(checkpoint: Callable[[str], Path]) -> LocalModel:
    return LocalModel(checkpoint("llama"))


def chat(name: str, *turns: tuple[str, str], weight: float | None = None) -> Example:
    messages = [Message(role, text) for role, text in turns]  # type: ignore[arg-type]
    return Example(name, (*messages[:-1], replace(messages[-1], weight=weight)))


def test_one_example_alone_is_a_row(model: LocalModel) -> None:
    [row] = render_rows(
        [chat("one", ("user", "배송비?"), ("assistant", "3,000원"))], Answerer(System("tiny"), model), model, 0.0
    ).rows
    assert row.id == "one"


def test_a_row_whose_whole_answer_weighs_nothing_is_named(model: LocalModel) -> None:
    silent = chat("row-7", ("user", "배송비?"), ("assistant", "3,000원"), weight=0.0)
    with pytest.raises(DataError, match="row-7: no token"):
        render_rows([silent], Answerer(System("tiny"), model), model, 0.0)


def test_all_assistant_turns_of_a_conversation_are_learnt_in_one_row(model: LocalModel) -> None:
    turns = (("user", "배송비?"), ("assistant", "3,000원"), ("user", "기간은?"), ("assistant", "이틀"))
    [row] = render_rows([chat("long", *turns)], Answerer(System("tiny"), model), model, 0.0).rows
    learnt = model.tokenizer.decode([token for token, weight in zip(row.ids, row.weights, strict=True) if weight > 0])
    assert "3,000원" in learnt
    assert "이틀" in learnt
    assert "배송비" not in learnt


def test_rows_longer_than_the_context_are_counted_and_told(model: LocalModel) -> None:
    assert model.context is not None
    long = chat("long", ("user", "가" * 2 * model.context), ("assistant", "네"))
    with pytest.raises(TrainingError, match=f"1 of 1 training rows are longer than the context of {model.context} tokens"):
        render_rows([long], Answerer(System("tiny"), model), model, 0.5)


def test_an_empty_answer_is_an_end_of_turn_to_learn(model: LocalModel) -> None:
    [row] = render_rows([chat("empty", ("user", "배송비?"), ("assistant", ""))], Answerer(System("tiny"), model), model, 0.0).rows
    assert sum(weight > 0 for weight in row.weights) == 1


def test_a_tokenizer_without_an_end_of_text_is_taught_the_end_of_turn_of_its_template(checkpoint: Callable[[str], Path]) -> None:
    model = LocalModel(checkpoint("qwen3"))
    model.tokenizer.eos_token = None
    [row] = render_rows(
        [chat("one", ("user", "배송비?"), ("assistant", "3,000원"))], Answerer(System("tiny"), model), model, 0.0
    ).rows
    last = max(i for i, weight in enumerate(row.weights) if weight > 0)
    assert model.tokenizer.convert_ids_to_tokens(row.ids[last]) == "<|im_end|>"
