import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sadari.task import cut, cut_validation, join_groups, read_examples
from sadari.task.splits import AUDIT_FROM, cut_audit, validation_count
from sadari.types import Example, Message


def ask(id: str, question: str, group: str = "") -> Example:
    return Example(id, (Message("user", question), Message("assistant", "답")), group=group)


questions = st.text("가나다라마바사 ", min_size=1, max_size=30).filter(str.strip)
pools = st.lists(st.tuples(questions, st.sampled_from(["", "", "g1", "g2"])), min_size=2, max_size=40).map(
    lambda rows: [ask(str(at), question, group) for at, (question, group) in enumerate(rows)]
)


@given(pools, st.integers(1, 10), st.integers(0, 3), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_a_split_does_not_depend_on_the_order_of_the_rows(pool: list[Example], count: int, seed: int, draw: random.Random) -> None:
    shuffled = list(pool)
    draw.shuffle(shuffled)
    assert {e.id for e in cut(pool, count, seed=seed)[1]} == {e.id for e in cut(shuffled, count, seed=seed)[1]}


@given(pools, st.integers(1, 10), st.integers(0, 3))
@settings(max_examples=100, deadline=None)
def test_no_group_stands_on_both_sides_and_no_row_is_lost(pool: list[Example], count: int, seed: int) -> None:
    rest, taken = cut(pool, count, seed=seed)
    sides = {example.id for example in taken}
    assert sorted(e.id for e in (*rest, *taken)) == sorted(e.id for e in pool)
    assert all(len({pool[at].id in sides for at in group}) == 1 for group in join_groups(pool))
    assert rest


def test_a_generated_row_stays_with_the_row_it_was_made_from() -> None:
    original = ask("r1", "환불은 며칠 걸리나요?")
    made = replace(ask("made", "돈은 언제 돌려받을 수 있어요?", group="r1"), tags=("generated",))
    chance = ask("other", "매장은 어디에 있나요?", group="r1")
    assert sorted(map(sorted, join_groups([original, made]))) == [[0, 1]]
    assert sorted(map(sorted, join_groups([original, chance]))) == [[0], [1]]


def test_groups_join_by_name_by_equal_text_and_by_near_text() -> None:
    long = "어제 주문한 운동화의 배송이 언제 시작되는지 알고 싶습니다"
    pool = [
        ask("0", "환불해 주세요", "a"),
        ask("1", "쿠폰 주세요", "a"),
        ask("2", "쿠폰, 주세요!", "b"),
        ask("3", long),
        ask("4", long + " 네"),
        ask("5", "끝"),
    ]
    assert sorted(sorted(group) for group in join_groups(pool)) == [[0, 1, 2], [3, 4], [5]]


def test_another_seed_takes_other_rows() -> None:
    pool = [ask(str(at), f"질문 {at * 7919}번 {'가나다라마바사아'[at % 8] * 5}") for at in range(60)]
    assert cut(pool, 12, seed=0)[1] != cut(pool, 12, seed=1)[1]


def test_rows_that_all_say_the_same_are_not_split() -> None:
    pool = [ask(str(at), "같은 질문") for at in range(5)]
    assert cut(pool, 1, seed=0) == (tuple(pool), ())


@pytest.mark.parametrize(("rows", "expected"), [(5, 1), (40, 8), (100, 20), (250, 50), (400, 50), (1000, 100), (10_000, 400)])
def test_validation_is_a_tenth_at_least_50_at_most_400_and_never_over_a_fifth(rows: int, expected: int) -> None:
    assert validation_count(rows) == expected


def test_real_rows_give_a_validation_set_without_near_duplicates_in_train(shared_data: Path) -> None:
    pool = read_examples(shared_data / "banking77" / "test.csv")
    train, validation = cut_validation(pool, seed=0)
    assert len(validation) == 308
    assert len(train) + len(validation) == 3080


def test_an_audit_split_is_cut_from_large_test_sets_only() -> None:
    pool = [ask(str(at), f"질문 {at * 7919}번 {'가나다라마바사아'[at % 8] * 5} {at}") for at in range(AUDIT_FROM)]
    assert cut_audit(pool[1:], seed=0) == (tuple(pool[1:]), ())
    test, audit = cut_audit(pool, seed=0)
    assert len(audit) == 100
    assert {e.id for e in test} | {e.id for e in audit} == {e.id for e in pool}
