"""Several processes against one: gloo on a CPU, tiny models; every process that is started ends with its test."""

import multiprocessing
import os
import socket
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file

from one_by_one import assert_same_gradients, rows_of, tiny
from sadari.errors import ConfigError
from sadari.train import Learner, LoraConfig, Row, SoftPromptConfig, attach
from sadari.train.parallel import World, current, divided, fill, fill_optimizer, full, join, shares
from two_processes import CASES, RUNS, SCENES, curves, play

# --- shares --------------------------------------------------------------------------------------------------------------


def item(text: str) -> tuple[Row]:
    return (rows_of(text)[0],)


def test_shares_are_balanced_by_tokens_and_keep_together_what_shares_its_beginning() -> None:
    items = [item("aaaaaaaaB"), item("ccccC"), item("aaaaaaaaD"), item("ddddD"), item("aaaaaaaaE")]
    # 8 tokens are computed of a row of 9. The three that begin alike need 8 together, each of the others 4.
    assert shares(items, 2) == [[0, 2, 4], [1, 3]]


def test_without_a_trie_every_row_is_counted_in_full() -> None:
    items = [item("aaaaaaaaB"), item("ccccC"), item("aaaaaaaaD"), item("ddddD"), item("aaaaaaaaE")]
    # 8, 8, 8, 4, 4: cut after the second, the larger half has 16
    assert shares(items, 2, is_trie=False) == [[0, 2], [4, 1, 3]]


def test_every_item_has_one_share_and_some_processes_may_have_none() -> None:
    items = [item("abC"), item("deF")]

    found = shares(items, 4)

    assert [len(share) for share in found] == [1, 1, 0, 0]
    assert sorted(i for share in found for i in share) == [0, 1]


# --- a world of one ------------------------------------------------------------------------------------------------------


def test_without_torchrun_there_is_one_process_and_nothing_is_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    model = tiny("llama")
    learner = Learner(model)

    assert join() == current() == World()
    assert World().sum(2.0, 3.0) == World().first(lambda: (2.0, 3.0)) == (2.0, 3.0)
    assert World().most(4) == 4
    with divided(learner, dict(model.named_parameters())) as shards:
        assert shards.learner is learner
        with shards.put_together():
            pass


@pytest.fixture
def group() -> Iterator[None]:
    """The connections of a world of one, so that weights are divided though there is nobody to divide them with."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("group")
def test_a_divided_model_gives_the_same_gradients_and_is_itself_again_afterwards() -> None:
    attached = attach("lora", tiny("qwen3", tie_word_embeddings=True), LoraConfig(rank=4), seed=0)
    learner = Learner(attached.model)
    items = [(row,) for row in rows_of("abcDEF", "abcDGH", "qweRTY")]
    names, kinds = list(attached.model.state_dict()), [type(m) for m in attached.model.modules()]
    loss = learner.step(items)
    expected = {name: p.grad.clone() for name, p in attached.parameters.items() if p.grad is not None}
    attached.model.zero_grad(set_to_none=True)

    with divided(learner, attached.parameters) as shards:
        found = shards.learner.step(items)
        gradients = {name: full(p.grad) for name, p in shards.parameters.items()}
        torch.optim.SGD(shards.parameters.values(), lr=1.0).step()
        after = shards.learner.mean_loss(items)

    assert found == pytest.approx(loss, abs=1e-6)
    assert_same_gradients(gradients, expected)
    assert list(attached.model.state_dict()) == names
    assert [type(m) for m in attached.model.modules()] == kinds
    assert not attached.is_identity()  # whoever held the parameters has them as they are now
    assert learner.mean_loss(items) == pytest.approx(after, abs=1e-6)
    assert after != pytest.approx(loss, abs=1e-3)


@pytest.mark.usefixtures("group")
def test_what_a_checkpoint_holds_is_whole_and_goes_back_into_divided_weights_and_their_optimiser() -> None:
    model = tiny("llama")
    learner = Learner(model)
    items = [(row,) for row in rows_of("abcDEF", "abcDGH")]
    with divided(learner, dict(model.named_parameters())) as shards:
        optimizer = torch.optim.AdamW(shards.parameters.values(), lr=1e-2)
        shards.learner.step(items)
        optimizer.step()
        optimizer.zero_grad()
        weights, state = deepcopy(full(dict(shards.parameters))), deepcopy(full(optimizer.state_dict()))
        shards.learner.step(items)
        optimizer.step()
        expected = shards.learner.mean_loss(items)
        optimizer.zero_grad()

        for name, parameter in shards.parameters.items():
            fill(parameter, weights[name])
        fill_optimizer(optimizer, state)
        shards.learner.step(items)
        optimizer.step()
        found = shards.learner.mean_loss(items)

    tensors = [*weights.values(), *(t for held in state["state"].values() for t in held.values())]
    assert all(type(t) in (torch.Tensor, torch.nn.Parameter) for t in tensors)
    assert found == pytest.approx(expected, abs=1e-5)


@pytest.mark.usefixtures("group")
def test_learnt_prompts_are_not_divided_and_the_error_says_what_to_do() -> None:
    attached = attach("prompt_tuning", tiny("llama"), SoftPromptConfig(tokens=4), seed=0)
    learner = Learner(attached.model, prefix=attached.prefix)

    with pytest.raises(ConfigError, match="Start without torchrun"), divided(learner, attached.parameters):
        pass


# --- two processes -------------------------------------------------------------------------------------------------------


def _in_child(rank: int, port: int, told: Any) -> None:
    os.environ.update(RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    join()
    world = current()
    told.put((rank, (world.sum(1.0, float(rank)), world.most(rank), world.first(lambda: (7.0, 8.0)))))


def test_two_processes_sum_compare_and_hear_the_first() -> None:
    context = multiprocessing.get_context("fork")  # nothing is imported anew, and nothing is computed in them
    told = context.Queue()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = [context.Process(target=_in_child, args=(rank, port, told), daemon=True) for rank in range(2)]
    for child in children:
        child.start()
    try:
        found = dict(told.get(timeout=30) for _ in children)
    finally:
        for child in children:
            child.join(5)
            child.kill()

    assert found[0] == found[1] == ((2.0, 1.0), 1, (7.0, 8.0))


@pytest.mark.slow
def test_two_processes_take_the_same_path_as_one(tmp_path: Path) -> None:
    expected = curves(tmp_path)

    for found in play("curves", tmp_path):
        for case in CASES:
            assert found[case]["losses"] == pytest.approx(expected[case]["losses"], rel=1e-4), case
            assert found[case]["norms"] == pytest.approx(expected[case]["norms"], rel=1e-3), case
            assert found[case]["after"] == pytest.approx(expected[case]["after"], rel=1e-4), case
            assert found[case]["looked"] == pytest.approx(found[case]["after"], rel=1e-6), case
            # rows are counted once, whoever computes them; every process knows the sum
            assert found[case]["tokens"] == expected[case]["tokens"], case


@pytest.mark.slow
@pytest.mark.parametrize(("first", "second"), [(2, 1), (1, 2)])
def test_a_run_that_was_killed_goes_on_with_another_number_of_processes(tmp_path: Path, first: int, second: int) -> None:
    (tmp_path / "straight").mkdir()
    expected = SCENES["ended"](tmp_path / "straight")

    play("begun", tmp_path, first)
    found = play("ended", tmp_path, second)

    for name in RUNS:
        for process in found:
            assert process[name]["training"] == [pytest.approx(point, rel=1e-4) for point in expected[name]["training"]]
            assert process[name]["validation"] == [pytest.approx(point, rel=1e-4) for point in expected[name]["validation"]]
        assert found[0][name]["looks"] == 2  # the first look was not made again
        weights, wanted = (saved(folder / name / "saved") for folder in (tmp_path, tmp_path / "straight"))
        assert weights.keys() == wanted.keys()
        assert all(torch.allclose(weights[key], wanted[key], rtol=1e-3, atol=1e-4) for key in wanted)


def saved(folder: Path) -> dict[str, torch.Tensor]:
    """The tensors of an adapter or a model as it stands on disk."""
    (file,) = folder.glob("*.safetensors")
    return load_file(file)  # type: ignore[no-any-return]


@pytest.mark.slow
def test_a_command_tells_the_other_processes_its_fits_and_dismisses_them(tmp_path: Path, checkpoint: Callable[[str], Path]) -> None:
    (tmp_path / "model").symlink_to(checkpoint("qwen2"))
    expected = SCENES["ordered"](tmp_path)

    first, other = play("ordered", tmp_path, 2)

    assert other == {}
    assert first["training"] == [pytest.approx(point, rel=1e-4) for point in expected["training"]]
    assert first["answers"] == expected["answers"]  # the model is whole again
    assert (tmp_path / "log-1").read_text() == ""  # the other says nothing


@pytest.mark.slow
def test_a_failure_of_the_first_process_ends_the_wait_of_the_others(tmp_path: Path) -> None:
    assert play("failure", tmp_path, timeout_s=120) == [{"error": "ZeroDivisionError"}, {"error": "TrainingError"}]
