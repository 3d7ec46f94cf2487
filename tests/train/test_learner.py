"""Training on packed rows against the same rows run one by one through the model's own logits: loss and every gradient."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import DynamicCache

from one_by_one import (
    FAMILIES,
    VOCABULARY,
    assert_same_gradients,
    gradients,
    losses,
    mean_loss,
    reference,
    row_sets,
    rows_of,
    tiny,
)
from sadari.errors import TrainingError
from sadari.model.prefix import VirtualPrefix
from sadari.train.learner import CrossEntropy, Learner
from sadari.train.rows import Row
from sadari.train.trie import build_trie

ROWS = rows_of(
    "thequickbrownfoxjumpsOVER",
    "thequickbrownfoxjumpsAWAY",
    "thequickbrownDOG",
    "thequIckbrownfox",  # learnt in the middle: the rest is of no use
    "somethingelseentirelyandlonGER",  # far longer than the windows
    "somethingelseenTIRE",
    "thequickbrownfoxjumpsOVER",  # twice
    "aB",
)
SHORT = rows_of("abcDE", "abcDF", "abGH", "iJKL")


def items_of(rows: Sequence[Row]) -> list[tuple[Row, ...]]:
    return [(row,) for row in rows]


def assert_exact(learner: Learner, rows: Sequence[Row], rel: float = 1e-5) -> None:
    """One step gives the loss and the gradients of the rows one by one."""
    loss, expected = reference(learner.model, rows)
    assert learner.step(items_of(rows)) == pytest.approx(loss, rel=rel)
    assert_same_gradients(gradients(learner.model), expected, rel)


# --- families ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_loss_and_every_gradient_equal_those_of_the_rows_one_by_one(family: str) -> None:
    learner = Learner(tiny(family))
    assert learner.way == "token trie"
    assert_exact(learner, ROWS)
    assert learner.counted.computed == len(build_trie(ROWS)) < learner.counted.before / 2


@pytest.mark.parametrize("family", ["llama", "gemma3", "exaone4"])
def test_in_float64_only_the_scores_of_the_output_layer_are_rounded(family: str) -> None:
    assert_exact(Learner(tiny(family).double()), ROWS, rel=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_low_rank_layers_train_as_they_do_in_peft(family: str) -> None:
    model = with_lora(tiny(family))
    assert_exact(Learner(model), ROWS)
    assert_exact(Learner(model.double()), ROWS, rel=1e-6)


@pytest.mark.parametrize(
    "more", [{"use_dora": True}, {"lora_dropout": 0.3}, {"bias": "all"}, {"target_modules": ["q_proj", "lm_head"]}]
)
def test_other_low_rank_layers_run_as_peft_runs_them(more: dict[str, Any]) -> None:
    model = with_lora(tiny("qwen2"), **more).eval()
    assert_exact(Learner(model), ROWS)


def with_lora(model: Any, **more: Any) -> Any:
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(1)
    config = {"r": 3, "lora_alpha": 2, "target_modules": "all-linear", "use_rslora": True, "init_lora_weights": False, **more}
    return get_peft_model(model, LoraConfig(**config)).eval()


def test_mixtures_of_experts_whose_attention_slides_unsaid_stay_exact() -> None:
    """Qwen2-MoE masks by a window of which its attention is not told."""
    more = {
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 16,
        "sliding_window": 7,
        "use_sliding_window": True,
    }
    model = tiny("Qwen2Moe", **more, layer_types=["sliding_attention", "full_attention"] * 2)
    learner = Learner(model)
    assert learner.way == "token trie"
    assert_exact(learner, ROWS)


@pytest.mark.parametrize("family", ["GPTNeoX", "OPT"])
def test_older_families_whose_places_are_learnt_or_partly_turned_stay_exact(family: str) -> None:
    more = {"attention_dropout": 0.0, "dropout": 0.0, "ffn_dim": 48, "word_embed_proj_dim": 32, "tie_word_embeddings": False}
    learner = Learner(tiny(family, **more))
    assert learner.way == "token trie"
    assert_exact(learner, ROWS)


def test_rows_beyond_the_first_context_of_a_stretched_rotation_go_by_themselves() -> None:
    """Phi's long rotation turns every place otherwise once a row is longer than the first context."""
    stretched = {
        "rope_type": "longrope",
        "rope_theta": 10000.0,
        "short_factor": [1.0] * 4,
        "long_factor": [3.0] * 4,
        "factor": 32.0,
    }
    model = tiny("phi3", rope_parameters=stretched, original_max_position_embeddings=16, sliding_window=None)
    assert_exact(Learner(model), ROWS)


# --- falling back ------------------------------------------------------------------------------------------------------

RECURRENT = {"state_size": 4, "num_hidden_layers": 2}
LINEAR = {
    "head_dim": 8,
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 16,
    "shared_expert_intermediate_size": 16,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 2,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
}


@pytest.mark.parametrize(
    ("family", "more", "why"),
    [
        ("Gemma2", {"head_dim": 8, "sliding_window": 7, "final_logit_softcapping": 5.0}, "softcap"),
        ("Mamba", RECURRENT, "hidden states differ"),
        ("FalconMamba", RECURRENT, "hidden states differ"),
        ("Qwen3Next", LINEAR, "hidden states differ"),
        ("GptOss", {"head_dim": 8, "sliding_window": 7, "num_local_experts": 2, "num_experts_per_tok": 1}, "s_aux"),
        ("Bloom", {"n_layer": 2, "n_head": 4}, "its layers take no other attention"),
    ],
)
def test_a_model_that_cannot_take_a_trie_runs_padded_and_says_why(family: str, more: dict[str, Any], why: str) -> None:
    learner = Learner(tiny(family, **more))
    assert learner.way.startswith("padded rows: ")
    assert why in learner.way
    assert_exact(learner, ROWS)


@pytest.mark.parametrize(
    ("family", "more"), [("llama", {"attention_dropout": 0.1}), ("BioGpt", {"attention_probs_dropout_prob": 0.1})]
)
def test_attention_weights_that_are_dropped_at_random_run_padded(family: str, more: dict[str, Any]) -> None:
    learner = Learner(tiny(family, **more))
    assert "at random" in learner.way
    assert_exact(learner, ROWS)


def test_a_model_that_attends_to_later_tokens_is_found_out() -> None:
    """A fault that no setting tells: the probe must see it in the hidden states."""
    model = tiny("llama")
    model.model.layers[1].register_forward_hook(lambda module, args, out: out + out.cumsum(dim=1))
    assert "hidden states differ" in Learner(model).way


def test_a_model_without_hidden_states_is_refused_with_advice() -> None:
    model = tiny("llama")
    model.get_decoder = lambda: model
    with pytest.raises(TrainingError, match=r"LlamaForCausalLM gives no hidden states.*Choose another base model"):
        Learner(model)


def test_the_probe_leaves_no_trace() -> None:
    model = tiny("llama").train()
    before, state = model.config._attn_implementation, torch.get_rng_state()
    learner = Learner(model, precision="bfloat16")
    assert (model.training, learner.precision, learner.counted.before) == (True, "bfloat16", 0)
    assert model.config._attn_implementation == before
    assert torch.equal(torch.get_rng_state(), state)
    assert all(p.grad is None for p in model.parameters())


# --- batches -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def llama() -> Any:
    return tiny("llama", num_hidden_layers=2)


@settings(max_examples=15, deadline=None)
@given(row_sets(constrained=True), st.integers(1, 40), st.booleans(), st.booleans())
def test_any_rows_cut_anyhow_shared_or_not_give_the_same(
    llama: Any, rows: list[Row], packed_tokens: int, share: bool, is_padded: bool
) -> None:
    learner = Learner(llama, packed_tokens=packed_tokens, share=share)
    learner.is_trie = not is_padded
    assert_exact(learner, rows)


@pytest.mark.parametrize("family", ["gemma3", "exaone4"])
@pytest.mark.parametrize("packed_tokens", [1, 20, 40])
def test_no_cut_changes_the_result_of_sliding_windows(family: str, packed_tokens: int) -> None:
    assert_exact(Learner(tiny(family), packed_tokens=packed_tokens), ROWS)


@settings(max_examples=15, deadline=None)
@given(row_sets(constrained=True), st.integers(1, 40))
def test_log_probabilities_are_those_of_the_rows_one_by_one(llama: Any, rows: list[Row], packed_tokens: int) -> None:
    learner = Learner(llama)
    with torch.no_grad():
        expected = [-losses(llama, row).sum() for row in rows]
        torch.testing.assert_close(learner.log_probabilities(rows), torch.stack(expected).float(), rtol=1e-5, atol=1e-5)


def test_a_conversation_in_one_pass_equals_a_row_for_each_turn(llama: Any) -> None:
    whole = rows_of("hello.WORLD.how.are.you.FINE.and.now.BYE")
    turns = rows_of("hello.WORLD", "hello.world.how.are.you.FINE", "hello.world.how.are.you.fine.and.now.BYE")
    learner = Learner(llama)
    one = learner.step(items_of(whole)), gradients(llama)
    many = learner.step(items_of(turns)), gradients(llama)
    assert one[0] == pytest.approx(many[0], rel=1e-6)
    assert_same_gradients(many[1], one[1], 1e-6)
    assert len(build_trie(turns)) == len(build_trie(whole))


def test_a_row_that_stands_twice_counts_twice(llama: Any) -> None:
    first, second = rows_of("abcDE", "abFG")
    with torch.no_grad():
        a, b = (float(losses(llama, row).sum()) for row in (first, second))
    assert Learner(llama).mean_loss(items_of([first, second, first])) == pytest.approx((2 * a + b) / 6, rel=1e-5)


def test_the_mean_loss_without_gradients_is_that_of_the_step(llama: Any) -> None:
    learner = Learner(llama, packed_tokens=20)
    assert learner.mean_loss(items_of(ROWS)) == pytest.approx(learner.step(items_of(ROWS)), rel=1e-6)
    taken = gradients(llama)
    learner.mean_loss(items_of(ROWS))
    assert taken
    assert not gradients(llama)


def test_gradients_are_added_to_those_that_are_there(llama: Any) -> None:
    learner = Learner(llama)
    learner.step(items_of(SHORT))
    once = gradients(llama)
    learner.step(items_of(SHORT))
    learner.step(items_of(SHORT))
    assert_same_gradients(gradients(llama), {name: 2 * grad for name, grad in once.items()}, 1e-6)


def test_hidden_states_asked_for_outside_a_step_are_those_of_the_trie(llama: Any) -> None:
    """Without the attention over tries the rows of a batch would see each other, and nothing would say so."""
    learner = Learner(llama)
    with torch.no_grad():
        loss = learner.summed(ROWS) / CrossEntropy().weight(items_of(ROWS))
        assert float(loss) == pytest.approx(float(mean_loss(llama, ROWS)), rel=1e-5)


def test_activation_checkpointing_changes_nothing() -> None:
    model = tiny("gemma3")
    loss, expected = reference(model, ROWS)
    model.activation_checkpointing_enable({"use_reentrant": False})
    learner = Learner(model.train())
    assert learner.step(items_of(ROWS)) == pytest.approx(loss, rel=1e-5)
    assert_same_gradients(gradients(model), expected)


@pytest.mark.parametrize("family", ["llama", "qwen3", "gemma3", "cohere2"])
@pytest.mark.parametrize("packed_tokens", [8192, 1])
def test_bfloat16_stays_near_float32(family: str, packed_tokens: int) -> None:
    model = tiny(family)
    loss, expected = reference(model, ROWS)
    learner = Learner(model, packed_tokens=packed_tokens, precision="bfloat16")
    assert learner.step(items_of(ROWS)) == pytest.approx(loss, rel=1e-2)
    found = gradients(model)
    assert all(grad.dtype == torch.float32 for grad in found.values())
    together = [torch.cat([grads[name].flatten() for name in expected]) for grads in (found, expected)]
    assert float((together[0] - together[1]).norm() / together[1].norm()) < 5e-2


def test_weights_held_in_bfloat16_take_the_trie() -> None:
    model = tiny("qwen3").bfloat16()
    learner = Learner(model)
    assert learner.way == "token trie"
    assert learner.step(items_of(ROWS)) == pytest.approx(float(mean_loss(model, ROWS).detach()), rel=1e-2)


# --- learnt vectors before every row -------------------------------------------------------------------------------------

P = 9  # longer than the windows


def embedded(table: Tensor) -> VirtualPrefix:
    return VirtualPrefix(P, embeddings=lambda: table.to(torch.float32))


def cached(table: Tensor) -> VirtualPrefix:
    return VirtualPrefix(P, key_values=lambda: pairs_of(table))


def pairs_of(table: Tensor) -> list[tuple[Tensor, Tensor]]:
    return [(layer[0][None], layer[1][None]) for layer in table]


def table_for(model: Any, as_keys: bool) -> Tensor:
    heads, width = 2, model.model.layers[0].self_attn.head_dim
    shape = (4, 2, heads, P, width) if as_keys else (P, 32)
    return torch.randn(shape, generator=torch.Generator().manual_seed(3)).requires_grad_()


def own_logits(model: Any, table: Tensor, as_keys: bool) -> Callable[[Tensor], Tensor]:
    """By hand: the vectors before the row's own, through the model itself."""

    def logits(ids: Tensor) -> Tensor:
        if not as_keys:
            vectors = torch.cat([table[None], model.get_input_embeddings()(ids)], dim=1)
            return model(inputs_embeds=vectors).logits[:, P:]
        cache = DynamicCache()
        for layer, (keys, values) in enumerate(pairs_of(table)):
            cache.update(keys, values, layer)
        return model(ids, past_key_values=cache).logits

    return logits


@pytest.mark.parametrize("way", ["trie", "padded"])
@pytest.mark.parametrize("as_keys", [False, True], ids=["embeddings", "keys"])
@pytest.mark.parametrize("family", ["llama", "qwen3", "gemma3", "exaone4", "mistral"])
def test_learnt_vectors_before_every_row_equal_those_put_there_by_hand(family: str, as_keys: bool, way: str) -> None:
    model = tiny(family)
    table = table_for(model, as_keys)
    loss, expected = reference(model, ROWS, own_logits(model, table, as_keys))
    expected["prefix"], table.grad = table.grad, None
    learner = Learner(model, packed_tokens=40, prefix=cached(table) if as_keys else embedded(table))
    assert learner.is_trie
    learner.is_trie = way == "trie"
    assert learner.step(items_of(ROWS)) == pytest.approx(loss, rel=1e-5)
    assert_same_gradients({**gradients(model), "prefix": table.grad}, expected)


def test_learnt_keys_and_checkpointing_are_refused_together(llama: Any) -> None:
    model = tiny("llama")
    model.activation_checkpointing_enable({"use_reentrant": False})
    with pytest.raises(TrainingError, match="checkpointing: true"):
        Learner(model, prefix=cached(table_for(model, as_keys=True)))


# --- memory ------------------------------------------------------------------------------------------------------------


@dataclass
class RunsOut(CrossEntropy):
    """Memory runs out at some batches, counted over all tries, after others have left their gradients."""

    at: tuple[int, ...]
    calls: int = field(default=0)

    def summed(self, learner: Learner, items: Sequence[tuple[Row, ...]]) -> Tensor:
        self.calls += 1
        if self.calls - 1 in self.at:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore")
        return super().summed(learner, items)


def test_when_memory_runs_out_the_budget_is_halved_and_the_step_is_that_of_an_undisturbed_run() -> None:
    model, told = tiny("llama", num_hidden_layers=2), list[str]()
    table = torch.randn(P, 32).requires_grad_()
    learner = Learner(model, packed_tokens=64, prefix=embedded(table), tell=told.append)
    loss = learner.step(items_of(ROWS))
    expected = {**gradients(model), "prefix": table.grad}
    table.grad, tokens, learner.packed_tokens = None, replace(learner.counted), 50
    objective = RunsOut((1,))
    assert learner.step(items_of(ROWS), objective) == pytest.approx(loss, rel=1e-6)
    assert objective.calls > 3
    assert_same_gradients({**gradients(model), "prefix": table.grad}, expected)
    assert learner.packed_tokens == 29 == len(ROWS[4].ids) - 1
    assert told == ["memory ran out: computing 29 tokens at once from here on"]
    assert learner.counted.before == 2 * tokens.before


def test_when_memory_runs_out_gradients_of_steps_before_are_kept(llama: Any) -> None:
    learner = Learner(llama, packed_tokens=50)
    learner.step(items_of(SHORT))
    learner.step(items_of(ROWS))
    expected = gradients(llama)
    learner.step(items_of(SHORT))
    learner.step(items_of(ROWS), RunsOut((1,)))
    assert_same_gradients(gradients(llama), expected)


def test_a_row_that_does_not_fit_alone_is_named(llama: Any) -> None:
    learner = Learner(llama, packed_tokens=4096)
    with pytest.raises(TrainingError, match=r"row 4 alone, of 29 tokens \(CUDA out of memory\. Tried to allocate 2\.00 GiB\.\)"):
        learner.step(items_of(ROWS), RunsOut(tuple(range(99))))
    assert learner.packed_tokens == 29
    assert not gradients(llama)


def test_other_errors_are_not_taken_for_memory(llama: Any) -> None:
    class Fails(CrossEntropy):
        def summed(self, learner: Learner, items: Sequence[tuple[Row, ...]]) -> Tensor:
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        Learner(llama).step(items_of(SHORT), Fails())


def test_memory_that_runs_out_while_looking_is_survived_too(llama: Any) -> None:
    learner = Learner(llama, packed_tokens=4096)
    assert learner.mean_loss(items_of(ROWS), RunsOut((0,))) == pytest.approx(float(mean_loss(llama, ROWS).detach()), rel=1e-5)


def test_the_vocabulary_of_these_models_holds_all_letters() -> None:
    assert max(token for row in ROWS for token in row.ids) < VOCABULARY
