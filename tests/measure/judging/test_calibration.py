"""A judge against people: by hand, against statsmodels, and by simulation of judges whose errors are known."""

from contextlib import suppress
from math import isfinite
from pathlib import Path

import numpy as np
import pytest

from sadari.errors import ConfigError, DataError
from sadari.measure.judging.calibration import (
    Calibration,
    calibrate,
    calibration_summary,
    check_gate,
    corrected_gain,
    corrected_rate,
    why_not_corrected,
)
from sadari.measure.judging.human_labels import calibrate_judge, read_labels
from sadari.measure.judging.llm_judge import JudgeScorer
from sadari.measure.statistics import wilson
from sadari.model.scripted import ScriptedModel
from sadari.task.config import JudgeConfig
from sadari.types import Example, Message, Reference

GOOD = Calibration(right=60, called_right=54, wrong=40, called_wrong=32)
Z2 = 1.959963984540054**2


def test_labels_are_counted_by_hand() -> None:
    found = calibrate([True, True, False, False, True], [True, True, True, False, False], unsure=1)

    assert found == Calibration(right=3, called_right=2, wrong=2, called_wrong=1, unsure=1)
    assert (found.n, found.agreement, found.sensitivity, found.specificity) == (5, 0.6, 2 / 3, 1 / 2)
    assert found.sensitivity_interval == wilson(2, 3)
    assert found.specificity_interval == wilson(1, 2)
    with pytest.raises(ValueError, match="1 verdicts and 2 labels"):
        calibrate([True], [True, False])


def test_kappa_and_its_error_equal_statsmodels() -> None:
    oracle = pytest.importorskip("statsmodels.stats.inter_rater").cohens_kappa
    for table in ([[54, 6], [8, 32]], [[1, 30], [2, 40]], [[200, 1], [3, 5]], [[10, 40], [40, 10]]):
        found = Calibration(sum(table[0]), table[0][0], sum(table[1]), table[1][1])
        assert found.kappa == pytest.approx(oracle(np.array(table)).kappa)
        shifted = oracle(np.array(table) + 1)
        low, high = found.kappa_interval or (0, 0)
        assert low == pytest.approx(max(-1, min(shifted.kappa_low, found.kappa)))
        assert high == pytest.approx(min(1, max(shifted.kappa_upp, found.kappa)))


def test_perfect_agreement_is_not_known_without_error() -> None:
    found = Calibration(right=30, called_right=30, wrong=20, called_wrong=20)

    assert found.kappa == 1
    assert found.kappa_interval is not None
    assert found.kappa_interval[0] < 0.95
    assert found.kappa_interval[1] == 1


def test_one_class_of_labels_tells_half_and_no_kappa() -> None:
    found = Calibration(right=60, called_right=54, wrong=0, called_wrong=0)

    assert (found.sensitivity, found.specificity, found.kappa, found.kappa_interval) == (0.9, None, None, None)
    assert found.specificity_interval == (0, 1)
    assert "specificity -" in calibration_summary(found)
    with pytest.raises(ConfigError, match=r"all 60 answers right.*treats wrong ones"):
        check_gate(found, 0)
    with pytest.raises(ConfigError, match="treats right ones"):
        corrected_rate(Calibration(0, 0, 60, 50), 5, 10)
    none = Calibration(0, 0, 0, 0)
    assert (none.agreement, none.kappa) == (None, None)
    assert "0 human labels" in calibration_summary(none)


def test_a_gate_needs_labels_skill_and_kappa() -> None:
    check_gate(GOOD, 0.6)  # kappa is 0.7059 by hand: agreement 0.86, by chance 0.6 * 0.62 + 0.4 * 0.38 = 0.524
    assert GOOD.kappa == pytest.approx((0.86 - 0.524) / (1 - 0.524))

    with pytest.raises(ConfigError, match=r"kappa with people is 0\.71 .* below score\.judge\.min_kappa of 0\.8.*Sharpen"):
        check_gate(GOOD, 0.8)
    with pytest.raises(ConfigError, match=r"on 49 answers, and 50 are needed\. Label 1 more"):
        check_gate(Calibration(25, 25, 24, 24), 0.6)
    with pytest.raises(ConfigError, match="no better than chance"):
        check_gate(Calibration(50, 25, 50, 25), -1)
    assert why_not_corrected(GOOD) is None


def test_the_corrected_rate_is_the_plug_in_cut_to_a_share() -> None:
    # Sensitivity 0.9 and specificity 0.8: (0.55 + 0.8 - 1) / 0.7 = 0.5.
    assert corrected_rate(GOOD, 55, 100).value == pytest.approx(0.5)
    assert corrected_rate(GOOD, 0, 100).value == 0
    assert corrected_rate(GOOD, 100, 100).value == 1
    with pytest.raises(ValueError, match="3 called right of 2"):
        corrected_rate(GOOD, 3, 2)
    with pytest.raises(ValueError, match="0 called right of 0"):
        corrected_rate(GOOD, 0, 0)
    with pytest.raises(ConfigError, match="no better than chance"):
        corrected_rate(Calibration(50, 25, 50, 25), 5, 10)


def test_with_endless_labels_the_interval_is_agresti_and_coulls_stretched() -> None:
    confint = pytest.importorskip("statsmodels.stats.proportion").proportion_confint
    endless = Calibration(right=10**9, called_right=9 * 10**8, wrong=10**9, called_wrong=8 * 10**8)

    found = corrected_rate(endless, 55, 100)

    low, high = confint(55, 100, method="agresti_coull")
    assert (found.low, found.high) == pytest.approx(((low - 0.2) / 0.7, (high - 0.2) / 0.7), abs=1e-6)


def test_fewer_labels_make_the_interval_wider() -> None:
    tenfold = Calibration(600, 540, 400, 320)
    few, many = corrected_rate(GOOD, 110, 200), corrected_rate(tenfold, 110, 200)

    assert few.high - few.low > 1.2 * (many.high - many.low)


def test_what_no_rate_explains_is_marked() -> None:
    # One answer in five should be called right by mistake alone; of 1,000 none was.
    assert not corrected_rate(Calibration(500, 450, 500, 400), 0, 1000).fits
    assert corrected_rate(GOOD, 18, 100).fits


def test_a_gain_is_stretched_by_what_the_judge_misses() -> None:
    first, second = [0.0] * 50 + [1.0] * 50, [1.0] * 20 + [0.0] * 30 + [1.0] * 44 + [0.0] * 6

    found = corrected_gain(GOOD, first, second)

    assert found.value == pytest.approx(0.14 / 0.7)
    assert found.low < 0.14 / 0.7 < found.high
    back = corrected_gain(GOOD, second, first)
    assert (back.value, back.low, back.high) == pytest.approx((-found.value, -found.high, -found.low))
    same = corrected_gain(GOOD, first, first)
    assert same.value == 0
    assert same.low < 0 < same.high


def test_the_ends_of_a_corrected_gain_solve_fiellers_equation() -> None:
    gained, lost, n = 20, 6, 100
    found = corrected_gain(GOOD, [0] * gained + [1] * lost + [1] * 74, [1] * gained + [0] * lost + [1] * 74)

    gain = (gained - lost) / (n + 2)
    gain_error2 = ((gained + lost + 1) / (n + 2) - gain**2) / (n + 2)
    sens, spec = 55 / 62, 33 / 42
    slope_error2 = sens * (1 - sens) / 62 + spec * (1 - spec) / 42
    for end in (found.low, found.high):
        assert (gain - end * (sens + spec - 1)) ** 2 == pytest.approx(Z2 * (gain_error2 + end**2 * slope_error2))


def test_gains_of_a_judge_that_is_not_shown_to_see_are_refused() -> None:
    with pytest.raises(ConfigError, match="do not show that the judge does better than chance"):
        corrected_gain(Calibration(25, 14, 25, 13), [0, 1], [1, 1])
    with pytest.raises(ValueError, match="two rows of 0 and 1"):
        corrected_gain(GOOD, [0, 1], [1])
    for scores in ([], [0.5], [float("nan")]):
        with pytest.raises(ValueError, match="two rows of 0 and 1"):
            corrected_gain(GOOD, scores, scores)


def test_no_table_gives_anything_but_numbers() -> None:
    for right in (0, 1, 50):
        for wrong in (0, 1, 50):
            for share in (0, 0.5, 1):
                table = Calibration(right, int(right * share), wrong, int(wrong * share))
                assert "nan" not in calibration_summary(table).lower()
                if why_not_corrected(table) is None:
                    for called in (0, 1):
                        found = corrected_rate(table, called, 1)
                        assert all(map(isfinite, (found.value, found.low, found.high)))
                        assert 0 <= found.low <= found.value <= found.high <= 1


# --- coverage ----------------------------------------------------------------------------------------------------------

DRAWS = 3000


def draw_calibration(rng: np.random.Generator, right: int, wrong: int, sens: float, spec: float) -> list[Calibration]:
    pairs = zip(rng.binomial(right, sens, DRAWS).tolist(), rng.binomial(wrong, spec, DRAWS).tolist(), strict=True)
    return [Calibration(right, called_right, wrong, called_wrong) for called_right, called_wrong in pairs]


@pytest.mark.parametrize(
    ("right", "wrong", "sens", "spec", "rate", "n"),
    [
        (25, 25, 0.9, 0.9, 0.6, 100),
        (50, 50, 0.85, 0.75, 0.3, 100),
        (80, 20, 0.95, 0.7, 0.9, 300),
        (150, 150, 0.75, 0.75, 0.6, 300),
        (240, 60, 0.9, 0.9, 0.9, 100),
        (60, 240, 0.9, 0.9, 0.05, 300),
    ],
)
def test_the_corrected_rate_lies_in_its_interval_19_times_of_20(right, wrong, sens, spec, rate, n) -> None:
    rng = np.random.default_rng(1)
    called = rng.binomial(n, rate * sens + (1 - rate) * (1 - spec), DRAWS).tolist()

    found = [corrected_rate(c, k, n) for c, k in zip(draw_calibration(rng, right, wrong, sens, spec), called, strict=True)]

    assert 0.93 <= np.mean([f.low <= rate <= f.high for f in found]) <= 0.97


def test_the_judges_own_rate_misses_the_truth_that_its_correction_finds() -> None:
    rng = np.random.default_rng(2)
    called = rng.binomial(300, 0.9 * 0.85 + 0.1 * 0.25, DRAWS).tolist()

    naive = [wilson(k, 300) for k in called]

    assert np.mean([low <= 0.9 <= high for low, high in naive]) < 0.05


@pytest.mark.parametrize(("right", "wrong"), [(45, 5), (90, 10)])
def test_few_labels_of_one_class_err_to_the_safe_side(right: int, wrong: int) -> None:
    rng = np.random.default_rng(3)
    rate, sens, spec = 0.6, 0.85, 0.75
    called = rng.binomial(200, rate * sens + (1 - rate) * (1 - spec), DRAWS).tolist()
    tables = draw_calibration(rng, right, wrong, sens, spec)

    found = [corrected_rate(c, k, 200) for c, k in zip(tables, called, strict=True) if why_not_corrected(c) is None]

    assert np.mean([f.low <= rate <= f.high for f in found]) >= 0.95


@pytest.mark.parametrize(
    ("only_first", "only_second", "both", "n", "labels"),
    [(0.05, 0.05, 0.5, 50, 50), (0.05, 0.15, 0.4, 100, 100), (0.02, 0.3, 0.3, 300, 300), (0.0, 0.0, 0.8, 100, 50)],
)
def test_the_corrected_gain_lies_in_its_interval_19_times_of_20(only_first, only_second, both, n, labels) -> None:
    rng, sens, spec = np.random.default_rng(4), 0.85, 0.8
    truth = rng.choice(4, size=(DRAWS, n), p=[both, only_first, only_second, 1 - both - only_first - only_second])
    first = np.where(np.isin(truth, (0, 1)), rng.random((DRAWS, n)) < sens, rng.random((DRAWS, n)) > spec).astype(float)
    second = np.where(np.isin(truth, (0, 2)), rng.random((DRAWS, n)) < sens, rng.random((DRAWS, n)) > spec).astype(float)
    tables = draw_calibration(rng, labels // 2, labels // 2, sens, spec)

    found = []
    for table, a, b in zip(tables, first, second, strict=True):
        with suppress(ConfigError):  # fifty labels do not always show that this judge sees
            found.append(corrected_gain(table, a, b))

    gain = only_second - only_first
    assert len(found) > 0.98 * DRAWS
    assert 0.93 <= np.mean([f.low <= gain <= f.high for f in found]) <= 0.97


@pytest.mark.parametrize(
    ("right", "sens", "spec", "n"), [(0.5, 0.9, 0.9, 50), (0.8, 0.95, 0.7, 50), (0.5, 0.7, 0.7, 100), (0.9, 0.9, 0.8, 100)]
)
def test_kappa_lies_in_its_interval_19_times_of_20(right: float, sens: float, spec: float, n: int) -> None:
    shares = np.array([right * sens, right * (1 - sens), (1 - right) * (1 - spec), (1 - right) * spec])
    columns, rows = (shares[0] + shares[2], shares[1] + shares[3]), (right, 1 - right)
    agreed, chance = shares[0] + shares[3], columns[0] * rows[0] + columns[1] * rows[1]
    truth = (agreed - chance) / (1 - chance)
    tables = np.random.default_rng(5).multinomial(n, shares, DRAWS).tolist()

    intervals = [Calibration(a + b, a, c + d, d).kappa_interval for a, b, c, d in tables]

    known = [interval for interval in intervals if interval is not None]
    assert len(known) > 0.98 * DRAWS
    assert 0.93 <= np.mean([low <= truth <= high for low, high in known]) <= 0.97


# --- the labels of people ----------------------------------------------------------------------------------------------

KNOWN = Example("test-3", (Message("user", "배송비는 얼마인가요?"),), Reference(("3,000원",)))


def test_labels_are_read_and_the_judge_is_held_against_them(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text(
        '{"id": "test-3", "answer": "3,000원입니다", "right": true}\n\n'
        '{"question": "반품은 며칠 안에?", "answer": "7일", "reference": "7일", "right": true}\n'
        '{"messages": [{"role": "user", "content": "교환?"}], "answer": "몰라", "reference": ["7일", "일주일"], "right": false}\n',
        encoding="utf-8",
    )

    labels = read_labels(path, {"test-3": KNOWN})

    assert [label.right for label in labels] == [True, True, False]
    assert labels[0].example is KNOWN
    assert labels[1].example.question == "반품은 며칠 안에?"
    assert labels[2].example.reference.texts == ("7일", "일주일")
    said = iter(['{"verdict": "right"}', '{"verdict": "unsure"}', '{"verdict": "wrong"}'])
    judge = JudgeScorer(ScriptedModel(lambda request: next(said)), JudgeConfig(model="x", rubric="같은 값"), "ko")
    assert calibrate_judge(judge, labels) == Calibration(right=2, called_right=1, wrong=1, called_wrong=1, unsure=1)


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ('{"question": "q", "answer": "a", "right": "yes"}', r'right: must be true or false, but is "yes"'),
        ('{"question": "q", "answer": 3, "right": true}', "answer: must be text, but is 3"),
        ('{"answer": "a", "right": true}', "exactly one of id, question, messages, but holds none"),
        ('{"id": "test-3", "question": "q", "answer": "a", "right": true}', "holds id and question"),
        ('{"id": "test-9", "answer": "a", "right": true}', r'no example is called "test-9"'),
        ('{"id": "test-3", "reference": "r", "answer": "a", "right": true}', "brings its own"),
        ('{"question": " ", "answer": "a", "right": true}', "question: must be text that is not empty"),
        ('{"messages": [], "answer": "a", "right": true}', "messages: must be a list of turns"),
        ('{"messages": [{"role": "boss", "content": "q"}], "answer": "a", "right": true}', "a turn needs a role"),
        ('{"messages": [{"role": "assistant", "content": "q"}], "answer": "a", "right": true}', "must end before the answer"),
        ('{"question": "q", "reference": 7, "answer": "a", "right": true}', "reference: must be a text or a list"),
        ('{"question": "q", "answr": "a", "right": true}', "answr: is no known field"),
        ("[1]", "not a JSON object"),
        ("{", "broken JSON"),
        ("[" * 100_000, "broken JSON"),
    ],
)
def test_a_bad_label_names_its_line_and_field(tmp_path: Path, row: str, what: str) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text('{"question": "q", "answer": "fine", "right": true}\n' + row + "\n", encoding="utf-8")

    with pytest.raises(DataError, match=rf"labels.jsonl line 2: .*{what}"):
        read_labels(path, {"test-3": KNOWN})


def test_repeated_absent_and_empty_labels_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text('{"question": "q", "answer": "a", "right": true}\n{"question": "q", "answer": "a", "right": false}\n')
    with pytest.raises(DataError, match="line 2: the same answer to the same question stands in line 1"):
        read_labels(path)
    path.write_text("\n")
    with pytest.raises(DataError, match="holds no labels"):
        read_labels(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="not UTF-8"):
        read_labels(path)
    with pytest.raises(DataError, match="cannot be read"):
        read_labels(tmp_path / "absent.jsonl")
