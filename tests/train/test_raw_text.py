"""Raw text as rows: nothing is lost, nothing is counted twice."""

from collections import Counter
from itertools import pairwise
from typing import Any

import pytest

from layouts import LAYOUTS, make_tokenizer
from sadari.model.chat import render_plain
from sadari.train.raw_text import text_rows
from sadari.types import Document, Example, Message

LONG = "환불 규정을 알려 드리겠습니다. 배송은 이틀 걸립니다. The refund policy: returns within seven days. " * 6


@pytest.fixture(scope="module", params=["qwen2", "llama"])  # without and with a token that begins texts
def tokenizer(request: pytest.FixtureRequest) -> Any:
    return make_tokenizer(LAYOUTS[request.param])


def text(name: str, content: str, weight: float | None = None) -> Example:
    return Example(name, (Message("assistant", content, weight),), kind="text")


@pytest.mark.parametrize("length", [2, 3, 17, 64, 127, 10_000])
def test_every_token_but_the_first_is_learnt_exactly_once_after_the_one_before_it(length: int, tokenizer: Any) -> None:
    ids = render_plain(tokenizer, LONG).ids
    rows = text_rows(tokenizer, [text("t", LONG)], length=length)
    learnt = [(row.ids[i - 1], row.ids[i]) for row in rows for i in range(1, len(row.ids)) if row.weights[i] == 1]
    assert learnt == list(pairwise(ids))
    assert all(len(row.ids) <= length for row in rows)
    assert all(row.weights[0] == 0 for row in rows)


def test_blocks_are_as_few_as_they_can_be_and_of_even_size(tokenizer: Any) -> None:
    """Hand calculation: n - 1 learnt tokens, at most 63 to a block of 64; sizes differ by at most one."""
    learnt = len(render_plain(tokenizer, LONG).ids) - 1
    sizes = [len(row.ids) - 1 for row in text_rows(tokenizer, [text("t", LONG)], length=64)]
    assert len(sizes) == -(-learnt // 63)
    assert (sum(sizes), max(sizes) - min(sizes) <= 1) == (learnt, True)


def test_the_end_of_a_text_is_learnt(tokenizer: Any) -> None:
    [row] = text_rows(tokenizer, [text("t", "배송은 이틀")], length=64)
    assert row.ids[-1] == tokenizer.eos_token_id
    assert row.weights[-1] == 1


def test_only_raw_text_is_taken_and_its_weight_is_kept(tokenizer: Any) -> None:
    chat = Example("chat", (Message("user", "배송"), Message("assistant", "이틀")))
    rows = text_rows(tokenizer, [chat, text("half", "배송은", 0.5), text("none", "환불은", 0.0), text("empty", "")], length=64)
    # An empty text is one token where texts have a beginning and an end, and nothing to predict where they have but one of them.
    assert [row.id for row in rows if row.id != "empty"] == ["half"]
    assert Counter(rows[0].weights[1:]).keys() == {0.5}


def test_a_document_stands_under_its_title_once(tokenizer: Any) -> None:
    pages = [Document("a.md", "배송", "# 배송\n\n이틀 걸립니다."), Document("b", "환불", "7일 안에 합니다.")]
    told = [tokenizer.decode(row.ids, skip_special_tokens=True) for row in text_rows(tokenizer, documents=pages, length=64)]
    assert told == ["# 배송\n\n이틀 걸립니다.", "환불\n\n7일 안에 합니다."]


def test_blocks_of_one_token_are_refused(tokenizer: Any) -> None:
    with pytest.raises(ValueError, match="at least 2"):
        text_rows(tokenizer, [text("t", LONG)], length=1)
