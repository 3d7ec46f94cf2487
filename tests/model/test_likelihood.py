"""Likelihoods on tiny random models: the same numbers as transformers gives one text at a time."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from sadari.errors import DataError, ModelError
from sadari.model.engine import scheduler
from sadari.model.likelihood import answer_log_probabilities, text_log_probabilities
from sadari.model.local import LocalModel
from sadari.types import Message

TEXTS = ["배송은 이틀 걸립니다.", "The refund policy", "가", "", "교환 신청은 쿠폰과 함께 주문 조회에서 하실 수 있습니다. " * 4]


@pytest.fixture(scope="module", params=["llama", "qwen3", "gemma3"])
def model(request: pytest.FixtureRequest, checkpoint: Callable[[str], Path]) -> LocalModel:
    return LocalModel(checkpoint(request.param))


def direct(model: LocalModel, ids: list[int], since: int) -> list[float]:
    """From the plain logits of one row."""
    with torch.no_grad():
        logits = model.model(input_ids=torch.tensor([ids])).logits[0].double().log_softmax(-1)
    return [float(logits[i - 1, ids[i]]) for i in range(since, len(ids))]


def test_texts_in_a_batch_have_the_log_probabilities_of_transformers(model: LocalModel) -> None:
    opening = [model.tokenizer.bos_token_id]
    if opening == [None]:
        opening = model.tokenizer("\n", add_special_tokens=False).input_ids
    for text, found in zip(TEXTS, text_log_probabilities(model, TEXTS), strict=True):
        ids = [*opening, *model.tokenizer(text, add_special_tokens=False).input_ids]
        assert found == pytest.approx(direct(model, ids, len(opening)), abs=1e-4)


def test_batches_within_little_memory_give_the_same(model: LocalModel, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = text_log_probabilities(model, TEXTS)
    monkeypatch.setattr(scheduler, "SCORES_BYTES", 1)
    for one, other in zip(text_log_probabilities(model, TEXTS), whole, strict=True):
        assert one == pytest.approx(other, abs=1e-4)


def test_an_answer_is_as_likely_as_rank_options_says(checkpoint: Callable[[str], Path]) -> None:
    from sadari.types import OneOf, Request

    model = LocalModel(checkpoint("qwen2"))
    asked = Message("user", "쿠폰을 쓸 수 있나요?")
    ranked = dict(model.rank_options(Request((asked,), constraint=OneOf(("네", "아니요")))))
    found = answer_log_probabilities(model, [(asked, Message("assistant", text)) for text in ranked])
    # The template writes a line break after the end of turn; it is no part of the answer in either.
    assert found == pytest.approx(list(ranked.values()), abs=1e-3)


def test_a_conversation_without_an_answer_is_refused(checkpoint: Callable[[str], Path]) -> None:
    with pytest.raises(DataError, match="no token of"):
        answer_log_probabilities(LocalModel(checkpoint("llama")), [(Message("user", "안녕하세요"),)])


def test_a_text_beyond_the_context_and_a_damaged_model_are_refused(checkpoint: Callable[[str], Path]) -> None:
    model = LocalModel(checkpoint("llama"))
    assert model.context is not None
    with pytest.raises(ModelError, match="does not fit the context"):
        text_log_probabilities(model, ["가" * 3 * model.context])
    with torch.no_grad():
        model.model.get_output_embeddings().weight.fill_(float("nan"))
    with pytest.raises(ModelError, match="not finite"):
        text_log_probabilities(model, ["가나다"])


def test_a_model_under_training_stays_under_training(checkpoint: Callable[[str], Path]) -> None:
    model = LocalModel(checkpoint("llama"))
    model.model.train()
    text_log_probabilities(model, ["가나다"])
    assert model.model.training
