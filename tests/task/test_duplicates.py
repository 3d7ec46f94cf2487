import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sadari.task import DuplicateIndex, NearIndex, fold, near_duplicates
from sadari.types import Example, Message


def ask(id: str, question: str, group: str = "") -> Example:
    return Example(id, (Message("user", question), Message("assistant", "답")), group=group)


def jaccard(one: str, other: str) -> float:
    """The definition, on sets of strings."""
    left, right = ({text[at : at + 5] for at in range(max(1, len(text) - 4))} for text in (fold(one), fold(other)))
    return len(left & right) / len(left | right)


words = st.lists(st.sampled_from(["배송", "환불", "언제", "되나요", "카드", "주문", "ab", "x"]), min_size=1, max_size=12).map(
    " ".join
)


@given(st.lists(words, min_size=1, max_size=25), words, st.sampled_from([0.3, 0.5, 0.8, 1.0]))
@settings(max_examples=150, deadline=None)
def test_the_index_finds_exactly_the_texts_above_the_threshold(texts: list[str], asked: str, threshold: float) -> None:
    found = NearIndex(texts, threshold=threshold).alike(asked)
    expected = {at for at, text in enumerate(texts) if jaccard(text, asked) >= threshold - 1e-9}
    assert {at for at, _ in found} == expected
    assert all(similarity == pytest.approx(jaccard(texts[at], asked)) for at, similarity in found)


def test_near_duplicates_are_listed_by_similarity() -> None:
    pool = ["완전히 다른 이야기입니다", "주문한 상품의 배송은 언제쯤 도착하나요", "주문한 상품의 배송은 언제쯤 도착하나요??"]
    assert near_duplicates(["주문한 상품의 배송은 언제쯤 도착하나요!"], pool) == [(1, 2)]


def test_an_empty_pool_has_no_duplicates() -> None:
    assert near_duplicates(["a"], []) == [()]


def test_a_threshold_outside_its_range_is_refused() -> None:
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        NearIndex(["a"], threshold=0)


def test_an_example_excludes_itself_its_group_and_its_near_duplicates() -> None:
    long = "어제 주문한 운동화의 배송이 언제 시작되는지 알고 싶습니다"
    pool = [
        ask("self", long),
        ask("near", long + "!"),
        ask("mate", "전혀 다른 질문", "g"),
        ask("friend", long, "h"),
        ask("kin", "남남", "h"),
        ask("far", "쿠폰 문의"),
    ]
    index = DuplicateIndex(pool)
    assert index.alike(ask("self", long, "g")) == {"self", "near", "mate", "friend", "kin"}
    assert index.alike(ask("new", "처음 보는 질문입니다")) == frozenset()


def test_ten_thousand_rows_are_searched_in_seconds() -> None:
    draw = random.Random(0)
    letters = "가나다라마바사아자차카타파하거너더러머버서어저처커터퍼허"
    pool = ["".join(draw.choices(letters, k=40)) for _ in range(10_000)]
    index = NearIndex(pool)
    assert all(index.alike(text)[0] == (at, 1.0) for at, text in enumerate(pool[:3000]))
