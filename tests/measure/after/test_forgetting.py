"""The probe, and what a change on it means; models are stand-ins whose probabilities are known, and one tiny real one."""

import re
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from sadari.errors import ModelError
from sadari.measure.after.forgetting import GAP, ProbeItem, compare_probes, probe_items, probe_model, worst

ITEMS = (
    ProbeItem("ko-text", "ko", "prose", "가나다라"),
    ProbeItem("en-text", "en", "prose", "ab"),
    ProbeItem("ko-gap", "ko", "particle", "책___ 읽다", ("을", "를", "이", "가")),
)


def by_letters(nats: float, right_bonus: float = 0.0) -> Callable[[Sequence[str]], list[list[float]]]:
    """One token a letter, each as likely; sentences with a right filling of the probe are likelier by the bonus."""
    right = {item.sentences[0] for item in (*ITEMS, *probe_items()) if item.options}
    return lambda texts: [[-nats] * len(text) + ([right_bonus] if text in right else []) for text in texts]


def test_the_probe_is_of_one_size_in_both_languages_and_without_doubles() -> None:
    items = probe_items()
    for language in ("ko", "en"):
        assert sum(i.language == language and bool(i.options) for i in items) == 60
        assert sum(i.language == language and not i.options for i in items) == 40
    assert len({i.id for i in items}) == len({i.text for i in items}) == 200


def test_every_gap_has_four_different_fillings_of_like_length() -> None:
    for item in probe_items():
        if item.options:
            assert item.text.count(GAP) == 1
            assert len(set(item.options)) == 4
            assert all(GAP not in sentence for sentence in item.sentences)
            right, longest = len(item.options[0]), max(map(len, item.options[1:]))
            assert right <= longest + 3, item.id  # or its length would give it away, or hold it back
        assert bool(re.search("[가-힣]", item.text)) == (item.language == "ko"), item.id


def test_losses_are_per_character_and_per_token() -> None:
    probe = probe_model(lambda texts: [[-2.0] * (1 if len(t) == 2 else 2) for t in texts], ITEMS)
    assert probe.loss("ko") == pytest.approx(4 / 4)  # two tokens of 2 nats over four letters
    assert probe.loss("en") == pytest.approx(2 / 2)
    assert probe.loss_per_token("ko") == probe.loss_per_token("en") == pytest.approx(2.0)
    assert (probe.count("ko"), probe.count("en")) == ((1, 1), (1, 0))


def test_the_most_probable_sentence_fills_the_gap_and_a_tie_is_not_right() -> None:
    assert probe_model(by_letters(1.0), ITEMS).accuracy("ko") == 0.0
    assert probe_model(by_letters(1.0, right_bonus=0.1), ITEMS).accuracy("ko") == 1.0
    assert probe_model(by_letters(1.0, right_bonus=-0.1), ITEMS).accuracy("ko") == 0.0


def test_rows_that_do_not_fit_the_texts_are_refused() -> None:
    with pytest.raises(ModelError, match="for 6 texts"):
        probe_model(lambda texts: [[-1.0]], ITEMS)
    with pytest.raises(ModelError, match="for 6 texts"):
        probe_model(lambda texts: [[] for _ in texts], ITEMS)


def test_an_unchanged_model_forgot_nothing() -> None:
    probe = probe_model(by_letters(1.0, 0.5))
    found = compare_probes(probe, probe)
    assert found.level == "none"
    assert [(c.language, c.measure, c.change, c.level) for c in found.changes] == [
        (language, measure, 0.0, "none") for language in ("ko", "en") for measure in ("loss", "accuracy")
    ]
    assert all(c.low <= 0 <= c.high for c in found.changes)


@pytest.mark.parametrize(("rise", "level"), [(0.02, "none"), (0.05, "notice"), (0.15, "serious"), (-0.2, "none")])
def test_the_level_follows_the_rise_of_the_loss(rise: float, level: str) -> None:
    before, after = probe_model(by_letters(2.0, 0.1)), probe_model(by_letters(2.0 * (1 + rise), 0.1))
    found = compare_probes(before, after)
    assert found.level == level
    loss = found.changes[0]
    assert (loss.before, loss.change) == (pytest.approx(2.0), pytest.approx(2.0 * rise))
    assert loss.low <= loss.change <= loss.high


def test_a_rise_that_a_few_texts_make_is_no_warning() -> None:
    before = probe_model(by_letters(1.0, 0.1))
    noise = np.random.default_rng(0)

    def shaken(texts: Sequence[str]) -> list[list[float]]:
        return [[-(1.04 + noise.normal(0, 0.5))] * len(text) for text in texts]

    change = compare_probes(before, probe_model(shaken)).changes[0]
    assert change.low < 0 < change.high
    assert change.level == "none"


def test_the_level_follows_the_accuracy_too_and_the_sentence_says_where() -> None:
    before = probe_model(by_letters(1.0, 99.0))
    unlearnt = [i.sentences[0] for i in probe_items() if i.options and i.language == "en"][:9]

    def forgetful(texts: Sequence[str]) -> list[list[float]]:
        rows = by_letters(1.0, 99.0)(texts)
        return [[-2.0] * len(t) if t in unlearnt else row for t, row in zip(texts, rows, strict=True)]

    found = compare_probes(before, probe_model(forgetful))
    assert [c.level for c in found.changes] == ["none", "none", "none", "serious"]
    assert found.changes[3].change == pytest.approx(-9 / 60)
    assert "English gaps filled right -15.0 points" in found.reason
    assert "영어 빈칸 정답률 -15.0%p" in compare_probes(before, probe_model(forgetful), language="ko").reason


def test_probes_of_different_items_are_not_compared() -> None:
    with pytest.raises(ModelError, match="not asked the same probe"):
        compare_probes(probe_model(by_letters(1.0)), probe_model(by_letters(1.0), ITEMS))


def test_levels_are_ordered() -> None:
    assert worst([]) == "none"
    assert worst(["notice", "none"]) == "notice"
    assert worst(["notice", "serious", "none"]) == "serious"


def test_a_small_model_that_is_trained_on_one_text_alone_forgets_the_rest(
    checkpoint: Callable[[str], Path], tmp_path: Path
) -> None:
    from sadari.model.chat import render_plain
    from sadari.model.likelihood import text_log_probabilities
    from sadari.model.local import LocalModel
    from sadari.train import FullConfig, Job, Learner, Plan, Row, attach, fit

    model = LocalModel(checkpoint("llama"))
    items = [item for item in probe_items() if not item.options][::16]
    ask = partial(text_log_probabilities, model)
    before = probe_model(ask, items)
    losses = [before.loss("en")]
    row = render_plain(model.tokenizer, "배송 배송 배송 배송")
    attached = attach("full", model.model, config := FullConfig(epochs=40, looks=1), seed=0)
    for name in ("a", "b"):
        learnt = [(Row("1", row.ids, row.weights),)]
        job = Job(Learner(model.model), attached.parameters, learnt, config, tmp_path / name, 0)
        fit(job, Plan(8, 1e-2, 1.0, "max_steps"), lambda: (0.0, 1.0))
        losses.append(probe_model(ask, items).loss("en"))
    assert all(later > earlier for earlier, later in pairwise(losses))
    assert compare_probes(before, probe_model(ask, items)).level == "serious"
