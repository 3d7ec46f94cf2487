"""Attention over a trie against a softmax over all pairs, masked by hand; and what it refuses."""

import math
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from one_by_one import row_sets, rows_of
from sadari.errors import ModelError
from sadari.model.sight import Sight
from sadari.train import attention
from sadari.train.attention import Layout, attend
from sadari.train.rows import Row
from sadari.train.trie import Trie, build_trie

CPU = torch.device("cpu")
H, H_KV, D = 4, 2, 8

windows = st.sampled_from([None, 1, 2, 3, 5, 8])
prefixes = st.sampled_from([0, 1, 4, 9])


def seen_by_hand(trie: Trie, prefix: int, window: int | None) -> Tensor:
    """Which of P + N keys each token sees: those of its ancestors, found by going up, that are less than a window away."""
    at_depth: list[int] = []
    seen = torch.zeros(len(trie), prefix + len(trie), dtype=torch.bool)
    for token, depth in enumerate(trie.depth.tolist()):
        at_depth[depth:] = [token]
        path = [*range(prefix), *(prefix + ancestor for ancestor in at_depth)]
        seen[token, path if window is None else path[-window:]] = True
    return seen


def by_hand(query: Tensor, key: Tensor, value: Tensor, seen: Tensor) -> Tensor:
    """Softmax over all pairs, shape (1, N, H, D)."""
    key, value = (t.repeat_interleave(H // H_KV, dim=1) for t in (key, value))
    scores = (query @ key.mT / math.sqrt(D)).masked_fill(~seen, float("-inf"))
    return (scores.softmax(dim=-1) @ value).transpose(1, 2)


def vectors(trie: Trie, prefix: int, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    draw = torch.Generator().manual_seed(len(trie))
    shapes = (1, H, len(trie), D), (1, H_KV, prefix + len(trie), D), (1, H_KV, prefix + len(trie), D)
    return [torch.randn(shape, generator=draw, dtype=dtype).requires_grad_() for shape in shapes]


def outcome(out: Tensor, inputs: list[Tensor]) -> list[Tensor]:
    """The output, and the gradients of something that depends on all of it."""
    target = torch.randn(out.shape, generator=torch.Generator().manual_seed(1), dtype=out.dtype)
    return [out.detach(), *torch.autograd.grad((out * target).sum(), inputs)]


def over_trie(trie: Trie, prefix: int, window: int | None, inputs: list[Tensor], **settings: Any) -> Tensor:
    return attend(SimpleNamespace(), *inputs, Sight(window), trie_layout=Layout(trie, prefix, CPU), **settings)[0]


def assert_equal(found: list[Tensor], expected: list[Tensor], rel: float) -> None:
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=rel, atol=rel * (1 + float(theirs.abs().max())))


@settings(max_examples=50, deadline=None)
@given(row_sets(), windows, prefixes, st.sampled_from([0, 2, 16]))
def test_pieces_equal_a_masked_softmax_in_output_and_gradients(
    rows: list[Row], window: int | None, prefix: int, short: int
) -> None:
    """Whatever the length up to which segments are attended together."""
    trie = build_trie(rows)
    inputs = vectors(trie, prefix)
    expected = outcome(by_hand(*inputs, seen_by_hand(trie, prefix, window)), inputs)
    with patch.object(attention, "SHORT", short):
        assert_equal(outcome(over_trie(trie, prefix, window, inputs), inputs), expected, rel=1e-10)


def test_a_group_of_short_segments_is_filled_up_without_a_trace_even_where_scores_are_extreme() -> None:
    """The filling of a segment must not weigh in, nor overflow: its own exponential could be beyond all numbers."""
    trie = build_trie(rows_of("abcdeFX", "abGX", "hiJKLMX", "nX"))
    inputs = [(40 * t).detach().requires_grad_() for t in vectors(trie, 0)]
    expected = outcome(by_hand(*inputs, seen_by_hand(trie, 0, None)), inputs)
    assert_equal(outcome(over_trie(trie, 0, None, inputs), inputs), expected, rel=1e-10)


@settings(max_examples=50, deadline=None)
@given(row_sets(), windows, prefixes)
def test_the_dense_mask_is_the_one_made_by_hand(rows: list[Row], window: int | None, prefix: int) -> None:
    trie = build_trie(rows)
    assert torch.equal(Layout(trie, prefix, CPU).dense_mask(window)[0, 0], seen_by_hand(trie, prefix, window))


@settings(max_examples=20, deadline=None)
@given(row_sets(), windows, prefixes)
def test_the_mask_for_flexattention_is_the_one_made_by_hand(rows: list[Row], window: int | None, prefix: int) -> None:
    trie = build_trie(rows)
    sees = Layout(trie, prefix, CPU).block_mask(window).mask_mod
    q, k = torch.meshgrid(torch.arange(len(trie)), torch.arange(prefix + len(trie)), indexing="ij")
    none = torch.zeros((), dtype=torch.long)
    assert torch.equal(sees(none, none, q, k), seen_by_hand(trie, prefix, window))


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize("window", [None, 40])
def test_flexattention_over_blocks_equals_the_pieces(window: int | None) -> None:
    """Long enough for several blocks of 128, some of them empty, some full."""
    from torch.nn.attention.flex_attention import flex_attention

    trie = build_trie(rows_of("a" * 150 + "b" * 140 + "CX", "a" * 150 + "d" * 200 + "EX"))
    inputs = [t.detach() for t in vectors(trie, 5, torch.float32)]
    with torch.no_grad():
        mask = Layout(trie, 5, CPU).block_mask(window)
        out = flex_attention(*inputs, block_mask=mask, scale=D**-0.5, enable_gqa=True)
        torch.testing.assert_close(out.transpose(1, 2), over_trie(trie, 5, window, inputs), rtol=1e-5, atol=1e-6)


LONG = {
    "in the shared beginning": ("a" * 1100 + "bCX", "a" * 1100 + "deFX"),
    "in the branches": ("ab" + "c" * 700 + "DX", "ae" + "f" * 600 + "GX"),
    "across many branchings": ("a" * 300 + "b" * 300 + "CX", "a" * 300 + "b" * 200 + "d" * 300 + "EX", "a" * 200 + "f" * 350 + "X"),
}


@pytest.mark.parametrize("window", [None, 520, 600])
@pytest.mark.parametrize("texts", LONG.values(), ids=LONG)
def test_a_window_that_leaves_whole_blocks_of_keys_unseen_stays_exact(texts: tuple[str, ...], window: int | None) -> None:
    """The kernel walks keys in blocks of 512: for many queries here, the first block of a piece holds nothing that they see."""
    trie = build_trie(rows_of(*texts))
    inputs = vectors(trie, 3, torch.float32)
    expected = outcome(by_hand(*inputs, seen_by_hand(trie, 3, window)), inputs)
    assert_equal(outcome(over_trie(trie, 3, window, inputs), inputs), expected, rel=1e-5)


def test_no_mask_is_larger_than_a_window_of_keys() -> None:
    """Memory must not grow with the square of a row that is longer than the window."""
    own, above = Layout(build_trie(rows_of("a" * 2000 + "BX")), 0, CPU).pieces(64)
    sizes = [piece.mask.numel() for piece in (*own, *above) if piece.mask is not None]
    assert 0 < sum(sizes) <= 2001 * 64


@pytest.mark.parametrize("threads", [1, 2])
def test_the_number_of_threads_does_not_matter(threads: int) -> None:
    trie, before = build_trie(rows_of("a" * 90 + "b" * 60 + "CX", "a" * 90 + "d" * 70 + "EX")), torch.get_num_threads()
    inputs = vectors(trie, 0, torch.float32)
    expected = outcome(by_hand(*inputs, seen_by_hand(trie, 0, 50)), inputs)
    try:
        torch.set_num_threads(threads)
        assert_equal(outcome(over_trie(trie, 0, 50, inputs), inputs), expected, rel=1e-5)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_sixteen_bits_stay_near_the_exact_result(dtype: torch.dtype) -> None:
    trie = build_trie(rows_of("abcdefghiJX", "abcdeklMX", "abnoPX", "qrSX"))
    inputs = vectors(trie, 2)
    expected = by_hand(*inputs, seen_by_hand(trie, 2, 6)).detach()
    found = over_trie(trie, 2, 6, [t.to(dtype) for t in inputs])
    assert found.dtype == dtype
    assert float((found.detach() - expected).norm() / expected.norm()) < 1e-2


def test_under_autocast_queries_that_a_norm_left_in_float32_meet_values_in_bfloat16() -> None:
    trie = build_trie(rows_of("abcdeFX", "abcGX"))
    query, key, value = vectors(trie, 0, torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        assert over_trie(trie, 0, None, [query, key, value.bfloat16()]).dtype == torch.bfloat16


def test_values_of_another_width_than_keys_take_the_dense_mask() -> None:
    """As in multi-head latent attention."""
    trie = build_trie(rows_of("abcdeFX", "abcGX"))
    query, key, value = vectors(trie, 0)
    wide = torch.cat([value, value], dim=-1).detach().requires_grad_()
    expected = torch.cat([by_hand(query, key, value, seen_by_hand(trie, 0, 3))] * 2, dim=-1)
    inputs = [query, key]
    assert_equal(outcome(over_trie(trie, 0, 3, [query, key, wide]), inputs), outcome(expected, inputs), rel=1e-10)


def test_the_scale_of_the_layer_is_used() -> None:
    trie = build_trie(rows_of("abcdeFX", "abcGX"))
    query, key, value = vectors(trie, 0)
    expected = by_hand(query * math.sqrt(D) * 0.3, key, value, seen_by_hand(trie, 0, None))
    torch.testing.assert_close(over_trie(trie, 0, None, [query, key, value], scaling=0.3), expected)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"softcap": 30.0}, "softcap"),
        ({"s_aux": torch.zeros(H)}, "s_aux"),
        ({"dropout": 0.1}, "drops attention weights at random"),
        ({"trie_layout": None}, "no layout was passed on"),
    ],
)
def test_what_a_layer_asks_for_and_does_not_get_is_named(settings: dict[str, Any], told: str) -> None:
    trie = build_trie(rows_of("abcDX"))
    with pytest.raises(ModelError, match=told):
        attend(SimpleNamespace(), *vectors(trie, 0), Sight(None), **{"trie_layout": Layout(trie, 0, CPU), **settings})


@pytest.mark.parametrize(("mask", "told"), [(None, "takes no mask"), (torch.ones(1, 1, 4, 4), "mask of its own")])
def test_a_layer_with_another_mask_is_refused(mask: Tensor | None, told: str) -> None:
    trie = build_trie(rows_of("abcDX"))
    with pytest.raises(ModelError, match=told):
        attend(SimpleNamespace(), *vectors(trie, 0), mask, trie_layout=Layout(trie, 0, CPU))


def test_a_layer_that_sees_only_its_chunk_is_refused() -> None:
    """A chunk begins at fixed places of a row; a window follows the token."""
    trie = build_trie(rows_of("abcDX"))
    module = SimpleNamespace(config=SimpleNamespace(attention_chunk_size=8))
    with pytest.raises(ModelError, match="its own chunk"):
        attend(module, *vectors(trie, 0), Sight(8), trie_layout=Layout(trie, 0, CPU))


def test_keys_that_lack_the_prefix_are_refused() -> None:
    """Activation checkpointing drops cached keys: shifted by the prefix, every token would see the wrong ones."""
    trie = build_trie(rows_of("abcDX"))
    with pytest.raises(ModelError, match="not those of the batch"):
        attend(SimpleNamespace(), *vectors(trie, 0), Sight(None), trie_layout=Layout(trie, 3, CPU))
