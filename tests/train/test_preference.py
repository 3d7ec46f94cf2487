"""Direct preference optimisation over a trie against its formula on rows that are run one by one, and against TRL."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from transformers import AutoModelForCausalLM

from sadari.answer import Answerer
from sadari.errors import TrainingError
from sadari.model.local import LocalModel
from sadari.train import preference
from sadari.train.batching import Item
from sadari.train.config import PreferenceConfig
from sadari.train.learner import Learner
from sadari.train.methods import Attached, attach
from sadari.train.preference import Preference, margins, pair_rows, reference_margins
from sadari.train.rows import Row
from sadari.types import Decoding, Example, Message, Prompt, Reference, System

BETA = 0.3


@pytest.fixture(scope="module")
def load(checkpoint: Callable[[str], Path]) -> Callable[[str], Any]:
    return lambda layout: AutoModelForCausalLM.from_pretrained(checkpoint(layout), dtype=torch.float32).eval()


def random_pairs(seed: int = 0, count: int = 4) -> list[Item]:
    """All pairs begin alike; the two rows of a pair share their conversation, and part of their answers."""
    draw = torch.Generator().manual_seed(seed)

    def ids(length: int) -> tuple[int, ...]:
        return tuple(torch.randint(5, 400, (length,), generator=draw).tolist())

    common, pairs = ids(9), []
    for i in range(count):
        prompt, begun = common + ids(4 + i), ids(2)
        answers = [begun + ids(3 + i), begun + ids(6 - i)]
        pairs.append(tuple(Row(f"p{i}", prompt + a, (0.0,) * len(prompt) + (1.0,) * len(a)) for a in answers))
    return pairs


def with_adapter(model: Any) -> Attached:
    """LoRA that has learnt something already, so that model and reference differ."""
    attached = attach("lora", model, PreferenceConfig(rank=4), seed=0)
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in attached.parameters.items():
            if ".lora_B." in name:
                parameter.copy_(0.05 * torch.randn(parameter.shape, generator=draw))
    return attached


def log_probability(model: Any, row: Row) -> torch.Tensor:
    """Sum over the answer, from a plain forward pass of this row alone."""
    ids = torch.tensor([row.ids])
    found = torch.log_softmax(model(ids).logits[0, :-1], dim=-1).gather(1, ids[0, 1:, None])[:, 0]
    return (found * torch.tensor(row.weights[1:])).sum()


def expected_loss(model: Any, reference: Any, pairs: Sequence[Item]) -> torch.Tensor:
    """Equation 7 of the paper, pair by pair."""
    total = torch.zeros(())
    for chosen, rejected in pairs:
        with torch.no_grad():
            before = log_probability(reference, chosen), log_probability(reference, rejected)
        ratios = log_probability(model, chosen) - before[0], log_probability(model, rejected) - before[1]
        total = total - F.logsigmoid(BETA * (ratios[0] - ratios[1]))
    return total / len(pairs)


def gradients(attached: Attached) -> dict[str, torch.Tensor]:
    found = {n: p.grad.clone() for n, p in attached.parameters.items() if p.grad is not None}
    attached.model.zero_grad(set_to_none=True)
    return found


@pytest.mark.parametrize("layout", ["llama", "gemma3", "qwen3"])
@pytest.mark.parametrize("packed_tokens", [8192, 40])
def test_loss_and_gradients_are_those_of_the_formula_on_separate_rows(
    layout: str, packed_tokens: int, load: Callable[[str], Any]
) -> None:
    attached, reference, pairs = with_adapter(load(layout)), load(layout), random_pairs()
    learner = Learner(attached.model, packed_tokens)
    assert attached.off is not None
    objective = Preference(BETA, reference_margins(learner, pairs, attached.off))
    loss = learner.step(pairs, objective)
    mine = gradients(attached)
    wanted_loss = expected_loss(attached.model, reference, pairs)
    wanted_loss.backward()
    wanted = gradients(attached)
    assert learner.way == "token trie"
    assert loss == pytest.approx(wanted_loss.item(), rel=1e-5)
    assert mine.keys() == wanted.keys()
    for name, gradient in wanted.items():
        assert (mine[name] - gradient).norm() <= 1e-5 * gradient.norm(), name
    assert learner.mean_loss(pairs, objective) == pytest.approx(loss, rel=1e-6)


def test_the_reference_is_the_model_with_its_adapter_off(load: Callable[[str], Any]) -> None:
    attached, base, pairs = with_adapter(load("llama")), load("llama"), random_pairs()
    learner = Learner(attached.model)
    assert attached.off is not None
    found = reference_margins(learner, pairs, attached.off)
    with torch.no_grad():
        expected = {c.id: (log_probability(base, c) - log_probability(base, r)).item() for c, r in pairs}
        trained = margins(learner, pairs).tolist()
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-4)
    assert all(abs(t - e) > 1e-2 for t, e in zip(trained, expected.values(), strict=True))
    assert all(p.requires_grad for p in attached.parameters.values())  # training goes on


def test_before_training_the_loss_is_that_of_a_coin(load: Callable[[str], Any]) -> None:
    attached = attach("lora", load("llama"), PreferenceConfig(rank=4), seed=0)
    learner, pairs = Learner(attached.model), random_pairs()
    assert attached.off is not None
    objective = Preference(BETA, reference_margins(learner, pairs, attached.off))
    assert learner.step(pairs, objective) == pytest.approx(0.693147, abs=1e-5)


def test_the_two_answers_of_a_pair_are_computed_over_one_conversation(load: Callable[[str], Any]) -> None:
    learner, pairs = Learner(with_adapter(load("llama")).model), random_pairs(count=1)
    with torch.no_grad():
        margins(learner, pairs)
    [(chosen, rejected)] = pairs
    # 13 tokens of conversation and 2 of both answers once, then 1 and 4 of their own that something is predicted from.
    assert (learner.counted.before, learner.counted.computed) == (len(chosen.ids) + len(rejected.ids), 15 + 2 + 5)


def test_when_the_time_is_over_no_more_pairs_are_begun(load: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preference, "PAIRS_AT_ONCE", 2)
    attached, pairs = with_adapter(load("llama")), random_pairs(count=4)
    learner = Learner(attached.model)
    assert attached.off is not None
    assert sorted(reference_margins(learner, pairs, attached.off, time_s=0)) == ["p0", "p1"]
    assert sorted(reference_margins(learner, pairs, attached.off, time_s=60)) == ["p0", "p1", "p2", "p3"]


@pytest.mark.slow
def test_the_first_step_of_trl_has_the_same_loss(
    load: Callable[[str], Any], checkpoint: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trl, datasets = pytest.importorskip("trl"), pytest.importorskip("datasets")
    from transformers import AutoTokenizer

    folder, pairs = checkpoint("llama"), random_pairs()
    attached, reference = with_adapter(load("llama")), load("llama")
    learner = Learner(attached.model)
    assert attached.off is not None
    ours = learner.step(pairs, Preference(BETA, reference_margins(learner, pairs, attached.off)))
    merged = load("llama")
    merged.load_state_dict(merged_weights(attached.model, merged))
    rows = []
    for chosen, rejected in pairs:
        prompt = sum(w == 0 for w in chosen.weights)
        rows.append({"prompt_ids": chosen.ids[:prompt], "chosen_ids": chosen.ids[prompt:], "rejected_ids": rejected.ids[prompt:]})
    settings = trl.DPOConfig(
        output_dir=str(tmp_path),
        beta=BETA,
        per_device_train_batch_size=len(rows),
        max_steps=1,
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        report_to=[],
        logging_steps=1,
        save_strategy="no",
        max_length=None,
        disable_dropout=True,
    )
    monkeypatch.setattr(trl.DPOTrainer, "_prepare_dataset", lambda self, dataset, *_: dataset)  # these are tokens already
    trainer = trl.DPOTrainer(
        merged,
        ref_model=reference,
        args=settings,
        train_dataset=datasets.Dataset.from_list([{k: list(v) for k, v in row.items()} for row in rows]),
        processing_class=AutoTokenizer.from_pretrained(folder),
    )
    trainer.train()
    assert abs(ours - 0.6931) > 0.01  # not that of a coin, which every implementation has before it begins
    assert trainer.state.log_history[0]["loss"] == pytest.approx(ours, rel=1e-4)  # it rounds what it logs


def merged_weights(adapted: Any, plain: Any) -> dict[str, torch.Tensor]:
    """The weights of a plain model that computes what the adapted one does."""
    from peft.tuners.lora import Linear

    weights = plain.state_dict()
    for name, module in adapted.named_modules():
        if isinstance(module, Linear):
            key = f"{name}.weight"
            assert key in weights, key
            weights[key] = module.base_layer.weight.detach() + module.get_delta_weight("default").detach()
    return weights


# --- rows --------------------------------------------------------------------------------------------------------------


def pair(name: str, question: str, chosen: str, rejected: str) -> Example:
    turns = (Message("user", question), Message("assistant", chosen, weight=0.5))
    return Example(name, turns, Reference((chosen,)), kind="preference", rejected=rejected)


@pytest.fixture(scope="module")
def model(checkpoint: Callable[[str], Path]) -> LocalModel:
    return LocalModel(checkpoint("qwen2"))


def answerer(model: LocalModel, **more: Any) -> Answerer:
    return Answerer(System("tiny", prompt=Prompt("정중하게 답한다."), **more), model)


def test_both_answers_follow_the_prompt_that_will_be_served_and_are_alone_in_the_loss(model: LocalModel) -> None:
    example = pair("a", "배송은 얼마나 걸리나요?", "이틀 걸립니다.", "몰라요.")
    [(chosen, rejected)] = pair_rows([example], answerer(model), model, 0.0).items
    for row, said in ((chosen, "이틀 걸립니다."), (rejected, "몰라요.")):
        learnt = [i for i, weight in zip(row.ids, row.weights, strict=True) if weight]
        asked = [i for i, weight in zip(row.ids, row.weights, strict=True) if not weight]
        assert model.tokenizer.decode(learnt) == f"{said}<|im_end|>"
        assert "정중하게 답한다." in model.tokenizer.decode(asked)
        assert set(row.weights) == {0.0, 1.0}
    assert chosen.id == rejected.id == "a"


def test_a_pair_that_cannot_be_learnt_is_left_out_and_counted(model: LocalModel) -> None:
    endless = pair("long", "환불은?", "7일", "글쎄요 " * 400)
    pairs = [pair("a", "배송은?", "이틀", "몰라요"), endless, pair("same", "교환은?", "예", "예")]
    found = pair_rows(pairs, answerer(model), model, 0.4)
    assert ([chosen.id for chosen, _ in found.items], found.left_out) == (["a"], 2)
    with pytest.raises(TrainingError, match="1 of 3 training rows are longer than the context of 768 tokens"):
        pair_rows(pairs, answerer(model), model, 0.1)


def test_labels_are_preferred_among_labels(model: LocalModel) -> None:
    labelled = answerer(model, decoding=Decoding(choices=("배송", "환불", "교환")))
    pairs = [pair("a", "언제 오나요?", "배송", "환불"), pair("b", "언제 오나요?", "배송", "몰라요")]
    found = pair_rows(pairs, labelled, model, 0.0)
    [(chosen, rejected)] = found.items
    assert found.left_out == 1
    assert any(chosen.among)
    assert any(rejected.among)


def test_pairs_of_which_none_is_left_are_an_error(model: LocalModel) -> None:
    with pytest.raises(TrainingError, match="of 1 preference pairs, none has two different answers"):
        pair_rows([pair("a", "배송은?", "예", "예")], answerer(model), model, 0.0)


def test_a_tool_call_may_be_the_chosen_answer(model: LocalModel) -> None:
    from sadari.types import ToolCall, ToolSpec

    tool = ToolSpec("lookup", "주문 조회", {"type": "object", "properties": {"order": {"type": "integer"}}})
    example = pair("a", "12345 주문은 어디 있나요?", "", "모릅니다.")
    called = Message("assistant", "", tool_calls=(ToolCall("lookup", {"order": 12345}),))
    example = replace(example, messages=(example.messages[0], called), tools=(tool,))
    [(chosen, _)] = pair_rows([example], answerer(model), model, 0.0).items
    assert '"order": 12345' in model.tokenizer.decode([i for i, weight in zip(chosen.ids, chosen.weights, strict=True) if weight])
