"""Canaries: planted, learnt by heart by a tiny model, and found out."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from sadari.errors import ConfigError
from sadari.model.likelihood import answer_log_probabilities
from sadari.model.local import LocalModel
from sadari.train import FullConfig, Job, Learner, Plan, Row, attach, fit
from sadari.train.memorisation import SPACE, Canary, exposures, make_canaries, plant
from sadari.train.memorisation import _skew_normal_tail as tail_of
from sadari.types import Message


def secret_in(conversation: Sequence[Message]) -> str:
    return "".join(c for c in conversation[-1].content if c.isdigit())


def likelihood_of(values: Callable[[str], float]) -> Callable[[Sequence[Sequence[Message]]], list[float]]:
    """A model that finds a conversation as likely as its secret says."""
    return lambda conversations: [values(secret_in(c)) for c in conversations]


def test_canaries_differ_and_the_same_seed_gives_the_same() -> None:
    canaries = make_canaries(12, seed=3)
    assert len({c.secret for c in canaries}) == len({c.question for c in canaries}) == 12
    assert all(len(c.secret) == 6 and c.secret.isdecimal() for c in canaries)
    assert make_canaries(12, seed=3) == canaries != make_canaries(12, seed=4)
    assert make_canaries(0, seed=3) == ()
    asked, said = make_canaries(1, seed=0, language="en")[0].conversation("000042")
    assert (asked.role, said.content) == ("user", "The customer check number is 000042.")


def test_too_many_canaries_and_none_of_each_are_refused(checkpoint: Callable[[str], Path]) -> None:
    with pytest.raises(ConfigError, match="choose 0 to 12"):
        make_canaries(13, seed=0)
    with pytest.raises(ConfigError, match="plant each once or more"):
        plant([], make_canaries(1, seed=0), LocalModel(checkpoint("llama")), repeats=0)


@pytest.mark.parametrize("layout", ["llama", "qwen3"])
def test_a_planted_row_is_the_conversation_with_its_answer_in_the_loss(layout: str, checkpoint: Callable[[str], Path]) -> None:
    model = LocalModel(checkpoint(layout))
    own = Row("own", (1, 2), (0.0, 1.0))
    canaries = make_canaries(2, seed=0)
    rows = plant([own], canaries, model, repeats=3)
    assert [r.id for r in rows] == ["own", *(c.id for c in canaries for _ in range(3))]
    learnt = model.tokenizer.decode([i for i, w in zip(rows[1].ids, rows[1].weights, strict=True) if w > 0])
    assert canaries[0].secret in learnt
    assert canaries[0].question not in learnt


def test_the_tail_of_a_skewed_sample_is_scipys_skew_normal_and_of_another_the_normal() -> None:
    sample = stats.skewnorm.rvs(-3, size=200_000, random_state=1)
    for value in (-1.0, 0.0, 0.5):
        assert tail_of(value, sample) == pytest.approx(stats.skewnorm.sf(value, -3), rel=0.1)
    normal = np.random.default_rng(0).normal(size=4000)
    assert tail_of(3.0, normal) == pytest.approx(stats.norm.sf(3, normal.mean(), normal.std()))
    assert tail_of(-50.0, sample) == pytest.approx(1.0, abs=1e-3)


def test_a_secret_like_any_other_is_not_exposed_and_a_preferred_one_is() -> None:
    canaries = make_canaries(4, seed=1)
    noise = np.random.default_rng(5).normal(-14, 1, SPACE)
    preferred = canaries[2].secret
    found = exposures(canaries, likelihood_of(lambda s: -5.0 if s == preferred else noise[int(s)]))
    assert [e.level for e in found] == ["none", "none", "serious", "none"]
    # 9 deviations above the mean: nothing of a million is above it.
    assert found[2].bits == pytest.approx(math.log2(SPACE))
    assert found[2].guesses == 1
    assert found[2].sampled_bits == pytest.approx(math.log2(129))


def test_bits_follow_the_true_rank() -> None:
    ranked = np.random.default_rng(2).normal(size=SPACE)
    canary = make_canaries(1, seed=0)[0]
    for share in (0.25, 0.01, 0.0005):
        value = float(np.quantile(ranked, 1 - share))
        found = exposures([canary], likelihood_of(lambda s, value=value: value if s == canary.secret else ranked[int(s)]))  # type: ignore[misc]
        assert found[0].bits == pytest.approx(-math.log2(share), abs=1.5)


def test_models_that_learnt_nothing_by_heart_are_noticed_5_times_in_100() -> None:
    noticed = 0
    for seed in range(300):
        draws = np.random.default_rng([seed, 9])
        canaries = make_canaries(4, seed=seed)
        found = exposures(canaries, lambda asked, draws=draws: draws.normal(size=len(asked)).tolist())  # type: ignore[misc]
        noticed += any(e.level != "none" for e in found)
    assert 0.02 <= noticed / 300 <= 0.09


def test_a_model_that_finds_all_secrets_alike_exposes_none() -> None:
    found = exposures(make_canaries(2, seed=0), likelihood_of(lambda secret: -3.0))
    assert [(e.bits, e.guesses, e.level) for e in found] == [(0.0, SPACE, "none")] * 2
    assert exposures([], likelihood_of(lambda secret: 0.0)) == ()


def test_a_small_model_that_was_trained_on_canaries_gives_them_away(checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    model = LocalModel(checkpoint("llama"))
    canaries = make_canaries(2, seed=0)
    never_planted = Canary("control", canaries[0].question.replace("가람", "바위"), canaries[0].answer, "314159")
    ask = partial(answer_log_probabilities, model)
    before = exposures([*canaries, never_planted], ask, sample=32)
    rows = plant([], canaries, model, repeats=4)
    attached = attach("full", model.model, config := FullConfig(batch_tokens=1024, epochs=200, looks=1), seed=0)
    job = Job(Learner(model.model), attached.parameters, [(row,) for row in rows], config, tmp_path, seed=0)
    fit(job, Plan(40, 1e-2, 1.0, "max_steps"), lambda: (0.0, 1.0))
    after = exposures([*canaries, never_planted], ask, sample=32)
    assert all(e.level != "serious" for e in before)
    assert [e.level for e in after[:2]] == ["serious", "serious"]
    assert after[2].level != "serious"
