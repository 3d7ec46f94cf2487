"""What a teacher gives to learn, against torch's own divergence over whole distributions on tiny models."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from transformers import AutoModelForCausalLM

from layouts import LAYOUTS, make_tokenizer
from sadari.errors import RunError
from sadari.train.distillation import (
    DRAWS,
    Distillation,
    Distributions,
    distributions_of,
    taught_examples,
    temperature_fault,
    vocabulary_fault,
)
from sadari.train.learner import CrossEntropy, Learner
from sadari.train.rows import Row
from sadari.types import Answer, Example, Message, Reference, ToolCall


@pytest.fixture(scope="module")
def models(checkpoint: Callable[[str], Path]) -> Callable[[str], tuple[Any, Any]]:
    """A student and a teacher of one layout whose weights differ."""

    def load(layout: str) -> tuple[Any, Any]:
        student, teacher = (AutoModelForCausalLM.from_pretrained(checkpoint(layout), dtype=torch.float32).eval() for _ in range(2))
        draw = torch.Generator().manual_seed(7)
        with torch.no_grad():
            for parameter in teacher.parameters():
                parameter.add_(0.02 * torch.randn(parameter.shape, generator=draw))
        return student, teacher

    return load


def random_rows(seed: int = 0) -> list[Row]:
    """Rows that begin alike; the last two are equal up to their last token."""
    draw = torch.Generator().manual_seed(seed)

    def ids(length: int) -> tuple[int, ...]:
        return tuple(torch.randint(5, 400, (length,), generator=draw).tolist())

    common = ids(9)
    rows = [common + ids(8 + 3 * i) for i in range(3)]
    rows.append((*rows[-1][:-1], 17))
    return [Row(str(i), r, (0.0,) * 9 + (1.0,) * (len(r) - 10) + (0.5,)) for i, r in enumerate(rows)]


def divergence(student: Any, teacher: Any, rows: Sequence[Row], temperature: float = 1.0) -> tuple[torch.Tensor, float]:
    """Mean forward divergence by `torch.nn.functional.kl_div`, row by row; and the mean entropy of the teacher, nats."""
    total, entropy, whole = torch.zeros(()), 0.0, 0.0
    for row in rows:
        ids, weights = torch.tensor([row.ids]), torch.tensor(row.weights[1:])
        with torch.no_grad():
            theirs = torch.log_softmax(teacher(ids).logits[0, :-1] / temperature, dim=-1)
        mine = torch.log_softmax(student(ids).logits[0, :-1] / temperature, dim=-1)
        each = F.kl_div(mine, theirs, reduction="none", log_target=True).sum(dim=1)
        total = total + (each * weights).sum() * temperature**2
        entropy += -float(((theirs.exp() * theirs).sum(dim=1) * weights).sum()) * temperature**2
        whole += float(weights.sum())
    return total / whole, entropy / whole


def gradients(model: Any) -> dict[str, torch.Tensor]:
    found = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    model.zero_grad(set_to_none=True)
    return found


@pytest.mark.parametrize("layout", ["llama", "gemma3", "qwen3"])
@pytest.mark.parametrize(("temperature", "packed_tokens"), [(1.0, 8192), (1.0, 25), (2.5, 8192)])
def test_over_the_whole_vocabulary_loss_and_gradients_are_those_of_the_divergence(
    layout: str, temperature: float, packed_tokens: int, models: Callable[[str], tuple[Any, Any]]
) -> None:
    """The loss is the divergence plus the entropy of the teacher, which no gradient knows."""
    student, teacher = models(layout)
    rows = random_rows()
    given = distributions_of(Learner(teacher, packed_tokens), rows, k=10_000, temperature=temperature)
    learner = Learner(student, packed_tokens)
    loss = learner.step([(row,) for row in given.put_into(rows)], Distillation(temperature))
    mine = gradients(student)
    wanted_loss, entropy = divergence(student, teacher, rows, temperature)
    wanted_loss.backward()
    assert learner.way == "token trie"
    assert given.ids.shape[1] == teacher.config.vocab_size
    assert loss == pytest.approx(wanted_loss.item() + entropy, rel=1e-5)
    for name, gradient in gradients(student).items():
        assert (mine[name] - gradient).norm() <= 1e-4 * gradient.norm(), name


def test_a_student_that_is_its_own_teacher_learns_nothing(models: Callable[[str], tuple[Any, Any]]) -> None:
    student, _ = models("llama")
    rows = random_rows()
    learner = Learner(student)
    learner.step([(row,) for row in rows], CrossEntropy())
    usual = sum(float(g.norm()) for g in gradients(student).values())
    learner.step([(row,) for row in distributions_of(learner, rows, k=10_000).put_into(rows)], Distillation())
    assert sum(float(g.norm()) for g in gradients(student).values()) < 1e-4 * usual


def test_the_most_probable_tokens_have_their_own_probability_and_draws_share_the_rest(
    models: Callable[[str], tuple[Any, Any]],
) -> None:
    _, teacher = models("llama")
    [row] = random_rows()[:1]
    given = distributions_of(Learner(teacher), [row], k=5)
    with torch.no_grad():
        whole = torch.softmax(teacher(torch.tensor([row.ids])).logits[0], dim=-1)[8:-1]  # what predicts the tokens from 9 on
    top = whole.topk(5)
    assert np.array_equal(given.ids[:, :5], top.indices.numpy())
    assert given.shares[:, :5] == pytest.approx(top.values.numpy(), rel=1e-4)
    assert given.shares[:, 5:] == pytest.approx(
        (1 - top.values.sum(dim=1, keepdim=True)).numpy().repeat(DRAWS, 1) / DRAWS, rel=1e-4
    )
    assert not any(set(line[:5]) & set(line[5:]) for line in given.ids.tolist())


def test_on_average_every_token_has_the_probability_that_the_teacher_gives_it() -> None:
    """The mean over every place at which the draws may begin."""
    from sadari.train.distillation import _most_probable

    scores = torch.randn(1, 60, generator=torch.Generator().manual_seed(0))
    offsets = (torch.arange(4000) + 0.5) / 4000
    ids, shares = _most_probable(scores.expand(4000, -1).clone(), 3, offsets)
    mean = np.bincount(ids.ravel(), shares.ravel(), minlength=60) / 4000
    assert mean == pytest.approx(scores.softmax(dim=1)[0].numpy(), abs=1e-4)


def test_the_same_rows_get_the_same_draws_however_they_are_batched(models: Callable[[str], tuple[Any, Any]]) -> None:
    _, teacher = models("llama")
    rows = random_rows()
    together, apart = (distributions_of(Learner(teacher, n, share=s), rows, k=4) for n, s in ((8192, True), (25, False)))
    assert np.array_equal(together.ids, apart.ids)
    assert together.shares == pytest.approx(apart.shares, rel=1e-4)
    reverse = distributions_of(Learner(teacher), rows[::-1], k=4).put_into(rows[::-1])[::-1]
    for row, other in zip(together.put_into(rows), reverse, strict=True):
        assert [[i for i, _ in place] for place in row.soft] == [[i for i, _ in place] for place in other.soft]
        assert [bool(place) for place in row.soft] == [weight > 0 for weight in row.weights]


def test_a_token_that_is_chosen_among_a_few_is_so_for_the_teacher_too(models: Callable[[str], tuple[Any, Any]]) -> None:
    student, teacher = models("llama")
    ids = random_rows()[0].ids
    among = (ids[-1], 33, 44)
    row = Row("r", ids, (0.0,) * (len(ids) - 1) + (1.0,), ((),) * (len(ids) - 1) + (among,))
    given = distributions_of(Learner(teacher), [row], k=2)
    with torch.no_grad():
        expected = dict(zip(among, teacher(torch.tensor([ids])).logits[0, -2, list(among)].softmax(dim=0).tolist(), strict=True))
    found: dict[int, float] = {}
    for token, share in zip(given.ids[0].tolist(), given.shares[0].tolist(), strict=True):
        found[token] = found.get(token, 0.0) + share
    assert {t: s for t, s in found.items() if s > 0} == pytest.approx(expected, rel=1e-4)
    loss = Learner(student).step([(r,) for r in given.put_into([row])], Distillation())
    with torch.no_grad():
        mine = student(torch.tensor([ids])).logits[0, -2, list(among)].log_softmax(dim=0)
    assert loss == pytest.approx(-sum(expected[t] * float(p) for t, p in zip(among, mine, strict=True)), rel=1e-4)


def test_ids_that_only_fill_up_the_output_layer_are_never_given(models: Callable[[str], tuple[Any, Any]]) -> None:
    _, teacher = models("llama")
    given = distributions_of(Learner(teacher), random_rows(), k=500, vocabulary=300)
    assert given.ids[given.shares > 0].max() < 300
    assert given.shares.sum(axis=1) == pytest.approx(1.0, rel=1e-5)


def test_what_was_saved_is_read_back(models: Callable[[str], tuple[Any, Any]], tmp_path: Path) -> None:
    given = distributions_of(Learner(models("llama")[1]), random_rows(), k=4)
    given.save(tmp_path / "teacher")
    again = Distributions.load(tmp_path / "teacher")
    assert np.array_equal(again.ids, given.ids)
    assert np.array_equal(again.shares, given.shares)
    one, other = (held.put_into(random_rows())[1].soft for held in (given, again))
    assert repr(one) == repr(other) != repr(given.put_into(random_rows())[2].soft)  # runs are told apart by it
    with pytest.raises(RunError, match="belongs to other rows"):
        again.put_into(random_rows()[:3])
    (tmp_path / "teacher" / "distributions.npz").write_bytes(b"PK nothing")
    with pytest.raises(RunError, match="is damaged"):
        Distributions.load(tmp_path / "teacher")


# --- vocabularies ------------------------------------------------------------------------------------------------------


def test_equal_vocabularies_have_no_fault() -> None:
    assert vocabulary_fault(make_tokenizer(LAYOUTS["qwen2"]), make_tokenizer(LAYOUTS["qwen3"])) == ""  # templates may differ


def test_vocabularies_of_one_size_whose_tokens_differ_are_told_with_the_first_difference() -> None:
    qwen, phi = make_tokenizer(LAYOUTS["qwen2"]), make_tokenizer(LAYOUTS["qwen2"])
    phi.add_tokens(["배송비"])
    qwen.add_tokens(["환불금"])
    assert len(qwen) == len(phi)
    told = vocabulary_fault(qwen, phi)
    assert told.startswith(f"2 of {len(qwen) + 1} tokens differ: ")
    assert f"'배송비' is none for the student and token {len(qwen) - 1} for the teacher" in told


def test_scores_may_be_divided_before_an_output_layer_that_does_not_cap_them(
    models: Callable[[str], tuple[Any, Any]],
) -> None:
    assert temperature_fault(models("llama")[0]) == ""
    capping, _ = models("gemma3")
    capping.config.final_logit_softcapping = 30.0
    assert temperature_fault(capping) == "it caps its scores"


# --- answers -----------------------------------------------------------------------------------------------------------


def example(name: str) -> Example:
    turns = (Message("system", "답한다."), Message("user", f"{name} 질문"), Message("assistant", "정답", weight=0.5))
    return Example(name, turns, Reference(("정답",)), tags=("mall",))


def test_answers_of_the_teacher_are_learnt_and_the_wrong_ones_left_out_and_counted() -> None:
    call = ToolCall("lookup", {"order": 1})
    answers = [Answer("맞는 답"), Answer("틀린 답"), Answer("", error="timeout"), Answer(" "), Answer("", (call,))]
    rows = [example(str(i)) for i in range(5)]
    taught = taught_examples(rows, answers, [0.5, 0.49, 1.0, 1.0, 1.0])
    assert (taught.unanswered, taught.wrong) == (2, 1)
    assert [e.id for e in taught.examples] == ["0", "4"]
    first, called = taught.examples
    assert first.messages == (*rows[0].messages[:2], Message("assistant", "맞는 답", weight=0.5))
    assert called.target.tool_calls == (call,)
    assert first.tags == ("mall", "generated")
    assert first.reference == rows[0].reference
