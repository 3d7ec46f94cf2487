"""Blocks that are recomputed or compiled give the same losses and gradients."""

from pathlib import Path
from typing import Any

import pytest
import torch

from one_by_one import assert_same_gradients
from sadari.errors import ConfigError
from sadari.model.bottleneck import blocks_of
from sadari.model.prefix import VirtualPrefix
from sadari.train import TuneConfig
from sadari.train.execution import execution_of
from small_runs import make_job


def gradients(family: str, **options: Any) -> tuple[list[float], dict[str, torch.Tensor]]:
    """Losses of steps of different shapes, and the sum of their gradients."""
    job = make_job(Path(), family, **options)
    model = job.learner.model.train()
    running = execution_of(job.learner, job.config)
    losses = []
    for first, count in ((0, 6), (6, 3), (9, 9)):
        with running():
            losses.append(job.learner.step(job.items[first : first + count]))
    return losses, {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("family", ["llama", "gemma3", "qwen3"])
def test_recomputed_activations_give_the_same_losses_and_gradients(family: str) -> None:
    losses, wanted = gradients(family)
    found_losses, found = gradients(family, checkpointing=True)
    assert found_losses == losses
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], value) for name, value in wanted.items())


def test_blocks_are_run_again_for_the_gradient_and_attention_over_the_trie_with_them() -> None:
    job = make_job(Path(), checkpointing=True)
    model, calls = job.learner.model.train(), []
    blocks_of(model)[0].self_attn.register_forward_hook(lambda *_: calls.append(model.config._attn_implementation))
    with execution_of(job.learner, job.config)():
        job.learner.step(job.items[:3])
    assert calls == ["sadari_trie"] * 2


def wrapped(model: Any) -> int:
    return sum("forward" in vars(block) for block in blocks_of(model))


def test_blocks_are_as_they_were_outside_of_a_step_even_one_that_fails() -> None:
    job = make_job(Path(), checkpointing=True)

    def fail() -> None:
        with execution_of(job.learner, job.config)():
            assert wrapped(job.learner.model) == 4
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert wrapped(job.learner.model) == 0


def test_nothing_is_wrapped_where_nothing_is_asked_for() -> None:
    job = make_job(Path())
    with execution_of(job.learner, job.config)():
        assert wrapped(job.learner.model) == 0


@pytest.mark.slow
@pytest.mark.parametrize("checkpointing", [False, True])
def test_compiled_blocks_give_the_same_losses_and_gradients(checkpointing: bool) -> None:
    losses, wanted = gradients("gemma3")
    found_losses, found = gradients("gemma3", compile=True, checkpointing=checkpointing)
    assert found_losses == pytest.approx(losses, rel=1e-5)
    assert_same_gradients(found, wanted)


@pytest.mark.slow
def test_blocks_are_compiled_once_whatever_the_shape_of_a_batch() -> None:
    from torch._dynamo.utils import counters

    job = make_job(Path(), compile=True)
    running = execution_of(job.learner, job.config)
    counts = []
    for some in (job.items[:6], job.items[6:9], job.items[9:18], job.items[:1]):
        with running():
            job.learner.step(some)
        counts.append(counters["stats"]["unique_graphs"])
    assert counts[0] > 0
    assert counts == [counts[0]] * 4


def test_learnt_keys_do_not_go_with_recomputing_and_the_error_says_what_to_do() -> None:
    learner = make_job(Path()).learner
    learner.prefix = VirtualPrefix(2, key_values=lambda: [])
    with pytest.raises(ConfigError, match=r"checkpointing: true does not go with prefix tuning.*lower `packed_tokens`"):
        execution_of(learner, TuneConfig(checkpointing=True))
