"""Steps and cuts: every item once, within the budget, whatever the rows."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from one_by_one import row_sets, rows_of
from sadari.train.batching import Item, cut, cut_padded, steps_of
from sadari.train.rows import Row
from sadari.train.trie import build_trie, needed

many = settings(max_examples=80, deadline=None)


def items_of(*texts: str) -> list[Item]:
    return [(row,) for row in rows_of(*texts)]


def flat(groups: list[list[int]]) -> list[int]:
    return [i for group in groups for i in group]


@many
@given(row_sets(most=12), st.integers(1, 60), st.integers(1, 3), st.integers(0, 9))
def test_every_epoch_takes_every_item_once(rows: list[Row], batch_tokens: int, epochs: int, seed: int) -> None:
    items = [(row,) for row in rows]
    steps = steps_of(items, batch_tokens, epochs, seed)
    assert Counter(flat(steps)) == dict.fromkeys(range(len(items)), epochs)
    once = steps_of(items, batch_tokens, 1, seed)
    assert steps[: len(once)] == once
    assert sorted(flat(once)) == list(range(len(items)))


@many
@given(row_sets(most=12), st.integers(1, 60))
def test_a_step_has_at_most_its_tokens_but_for_one_family_alone(rows: list[Row], batch_tokens: int) -> None:
    """The beginning common to all rows is counted once."""
    items = [(row,) for row in rows]
    lengths = [len(row.ids) for row in rows]
    common = next((i for i, ids in enumerate(zip(*(row.ids for row in rows), strict=False)) if len(set(ids)) > 1), min(lengths))
    for step in steps_of(items, batch_tokens, 1, 0):
        tokens = common + sum(lengths[i] - common for i in step)
        assert tokens <= max(batch_tokens, common + max(lengths[i] - common for i in step))


def test_steps_follow_from_the_seed() -> None:
    items = items_of(*(f"{a}{b}C" for a in "abcdefgh" for b in "ijkl"))
    assert steps_of(items, 30, 2, seed=1) == steps_of(items, 30, 2, seed=1) != steps_of(items, 30, 2, seed=2)
    first, second = steps_of(items, 30, 1, 1), steps_of(items, 30, 2, 1)[len(steps_of(items, 30, 1, 1)) :]
    assert first != second, "each epoch is drawn anew"


@pytest.mark.parametrize(("epochs", "share"), [(0.5, 0.5), (1.25, 1.25)])
def test_a_part_of_an_epoch_takes_its_first_steps(epochs: float, share: float) -> None:
    items = items_of(*(f"{a}xyzB" for a in "abcdefgh"))
    assert len(steps_of(items, 5, 1, 0)) == 8
    assert len(steps_of(items, 5, epochs, 0)) == 8 * share


def test_the_turns_of_a_conversation_stay_together() -> None:
    conversations = [f"sys.{a}.hello" for a in "abcdef"]
    turns = [f"{c}{t}X" for c in conversations for t in ("", ".how", ".how.are", ".how.are.you")]
    for step in steps_of(items_of(*turns), 160, 1, 3):
        for first in {i // 4 for i in step}:
            assert {4 * first + t for t in range(4)} <= set(step)


def test_a_family_larger_than_half_a_step_is_parted() -> None:
    """One conversation must not be all that a step learns from."""
    steps = steps_of(items_of("abZ", *("x" * n + "Y" for n in range(5, 25))), 40, 1, 0)
    assert max(len(step) for step in steps) < 10


def test_rows_that_are_all_alike_still_make_steps() -> None:
    """The common beginning is the whole row: counted once, any number of such rows would be one step."""
    assert len(steps_of(items_of(*["abcD"] * 50), 10, 1, 0)) > 5


@many
@given(row_sets(most=12), st.integers(1, 60), st.booleans())
def test_a_cut_takes_every_item_once_and_keeps_the_budget(rows: list[Row], packed_tokens: int, share: bool) -> None:
    items = [(row,) for row in rows]
    batches = cut(items, packed_tokens, share=share)
    assert sorted(flat(batches)) == list(range(len(items)))
    for batch in batches:
        size = len(build_trie([rows[i] for i in batch], share=share))
        assert size <= packed_tokens or len(batch) == 1


@many
@given(row_sets(most=12), st.integers(1, 60))
def test_pairs_are_cut_as_one(rows: list[Row], packed_tokens: int) -> None:
    items = [(rows[i], rows[-1 - i]) for i in range(len(rows))]
    batches = cut(items, packed_tokens)
    assert sorted(flat(batches)) == list(range(len(items)))
    for batch in batches:
        assert len(build_trie([row for i in batch for row in items[i]])) <= packed_tokens or len(batch) == 1


@many
@given(row_sets(most=12), st.integers(1, 60))
def test_padded_rows_keep_the_budget_with_their_padding(rows: list[Row], padded_tokens: int) -> None:
    items = [(row,) for row in rows]
    batches = cut_padded(items, padded_tokens)
    assert sorted(flat(batches)) == list(range(len(items)))
    for batch in batches:
        assert len(batch) * max(needed(rows[i]) for i in batch) <= padded_tokens or len(batch) == 1


def test_what_is_not_computed_of_a_row_is_not_counted_as_shared() -> None:
    """The first row ends, for the loss, after `B`; the second needs all that they have in common."""
    items = items_of("aBcdefgh", "abcdefgH")
    assert len(build_trie([row for item in items for row in item])) == 7
    assert cut(items, 6) == [[0], [1]]
    assert cut(items, 7) == [[0, 1]]


def test_rows_go_where_they_share_most() -> None:
    items = items_of("aaaaaaaaB", "ccccccccD", "aaaaaaaaE", "ccccccccF")
    assert sorted(map(sorted, cut(items, 9))) == [[0, 2], [1, 3]]


def test_a_few_long_rows_are_filled_up_with_short_ones() -> None:
    """Best fit: two of 6 tokens and four of 3 fill two batches of 12."""
    items = items_of("abcdefG", "hijklmN", "opqR", "stuV", "wxyZ", "bcaD")
    assert len(cut(items, 12)) == 2


def test_batches_are_made_even_where_that_makes_none_more() -> None:
    rows = [Row(str(i), (*range(600), *(1000 + i,) * 100), (0.0,) * 600 + (1.0,) * 100) for i in range(32)]
    batches = cut([(row,) for row in rows], 2048)
    sizes = sorted(len(batch) for batch in batches)
    assert len(batches) == 3, "14 rows of 100 tokens fit behind 600 that they share"
    assert sizes[-1] <= 12, "not 14, 14 and 4"
