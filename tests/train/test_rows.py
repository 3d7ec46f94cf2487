from collections.abc import Callable
from pathlib import Path

import pytest

from sadari.answer import Answerer
from sadari.errors import DataError, TrainingError
from sadari.files import write_lines
from sadari.model import ScriptedModel
from sadari.model.chat import encode, render_prompt
from sadari.model.local import LocalModel
from sadari.train import render_rows
from sadari.types import Decoding, Document, Example, Message, Prompt, Reference, Retrieval, System


@pytest.fixture(scope="module")
def model(checkpoint: Callable[[str], Path]) -> LocalModel:
    return LocalModel(checkpoint("llama"))


def chat(question: str, answer: str, weight: float | None = None) -> Example:
    return Example(question, (Message("user", question), Message("assistant", answer, weight)), Reference((answer,)))


def answerer(tmp_path: Path) -> Answerer:
    write_lines(tmp_path / "d.jsonl", [Document("a.md", "배송", "배송비는 3,000원입니다. 이틀 걸립니다.")], Document)
    system = System("m", prompt=Prompt("정중하게 답한다."), retrieval=Retrieval(), documents=tmp_path / "d.jsonl")
    return Answerer(system, ScriptedModel())


def test_a_row_is_the_served_prompt_with_the_answer_after_it(model: LocalModel, tmp_path: Path) -> None:
    asks, example = answerer(tmp_path), chat("배송비는 얼마인가요?", "3,000원입니다.")
    [row] = render_rows([example], asks, model, 0.0).rows
    served = render_prompt(model.tokenizer, asks.prepare(example).request.messages)
    assert list(row.ids[: len(served)]) == served
    assert model.tokenizer.decode(row.ids[len(served) :]) == "3,000원입니다.<|eot_id|>"
    assert "[1] 배송" in model.tokenizer.decode(served)


def test_only_the_answer_and_its_end_are_in_the_loss(model: LocalModel, tmp_path: Path) -> None:
    [row] = render_rows([chat("배송비는?", "3,000원", weight=0.5)], answerer(tmp_path), model, 0.0).rows
    learnt = [i for i, w in zip(row.ids, row.weights, strict=True) if w]
    assert learnt == encode(model.tokenizer, "3,000원<|eot_id|>")
    assert {w for w in row.weights if w} == {0.5}


def test_rows_that_do_not_fit_are_counted_and_past_a_share_refused(model: LocalModel, tmp_path: Path) -> None:
    examples = [chat("짧은 질문", "네"), chat("긴 질문 " * 200, "네")]
    rendering = render_rows(examples, answerer(tmp_path), model, 0.5)
    assert ([r.id for r in rendering.rows], rendering.cut) == (["짧은 질문"], 1)
    with pytest.raises(TrainingError, match=r"1 of 2 training rows are longer than the context of 768 tokens.*max_cut_share"):
        render_rows(examples, answerer(tmp_path), model, 0.4)


def test_a_row_that_cannot_be_learnt_is_named(model: LocalModel, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"질문 하나.*no token of \d+ is in the loss"):
        render_rows([chat("질문 하나", "네", weight=0.0)], answerer(tmp_path), model, 0.0)


def held(*labels: str) -> Answerer:
    return Answerer(System("m", decoding=Decoding(choices=labels)), ScriptedModel())


def test_a_label_is_learnt_among_the_labels_and_only_where_there_is_a_choice(model: LocalModel) -> None:
    [row] = render_rows([chat("언제 와요", "배송")], held("배송", "환불"), model, 0.0).rows
    chosen = [(token, among) for token, weight, among in zip(row.ids, row.weights, row.among, strict=True) if weight]
    assert len(chosen) == 1
    assert all(token in among and len(among) == 2 for token, among in chosen)


def test_an_answer_that_could_not_be_given_or_leaves_no_choice_is_left_out(model: LocalModel) -> None:
    """A row without a choice has no token in the loss; alone in a batch it would make the loss NaN."""
    rendering = render_rows([chat("언제 와요", "배송"), chat("바꿔 줘요", "교환")], held("배송", "환불"), model, 0.0)
    assert ([r.id for r in rendering.rows], rendering.unreachable) == (["언제 와요"], 1)
    with pytest.raises(TrainingError):
        render_rows([chat("언제 와요", "배송")], held("배송"), model, 0.0)
