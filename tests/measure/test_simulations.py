"""What sadari says of systems whose truth is known, judged thousands of times: the bounds that a verdict promises."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

PATH = Path(__file__).parents[2] / "benchmarks" / "evidence" / "simulations.py"


@pytest.fixture(scope="module")
def simulations() -> ModuleType:
    """The simulations of the benchmark, here with fewer draws."""
    spec = importlib.util.spec_from_file_location("evidence_simulations", PATH)
    assert spec is not None
    assert spec.loader is not None
    loaded = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.mark.parametrize("n", [50, 200])
def test_a_climb_over_six_equal_rungs_takes_one_less_than_one_time_in_twenty(simulations: ModuleType, n: int) -> None:
    assert simulations.false_climbs(1000, n) < 0.05


def test_so_does_a_climb_with_graded_scores(simulations: ModuleType) -> None:
    assert simulations.false_graded_climbs(60, n=100) <= 0.1  # 3 of 100 in the benchmark; 60 climbs tell no more than this


@pytest.mark.parametrize("n", [50, 100, 300])
@pytest.mark.parametrize(("disagreement", "gain"), [(0.1, 0.05), (0.2, 0.1), (0.4, 0.0)])
def test_pass_fail_intervals_cover_the_truth_95_times_in_100(
    simulations: ModuleType, n: int, disagreement: float, gain: float
) -> None:
    assert 0.93 <= simulations.pass_fail_coverage(n, disagreement, gain, 5000) <= 0.97


@pytest.mark.parametrize("n", [50, 100, 300])
def test_graded_intervals_cover_the_truth_95_times_in_100(simulations: ModuleType, n: int) -> None:
    assert 0.925 <= simulations.graded_coverage(simulations.lumpy, n, 700) <= 0.975  # 93 to 97 in the benchmark, of more draws


@pytest.mark.parametrize("graded", [True, False])
def test_groups_must_be_told_for_the_interval_to_cover(simulations: ModuleType, graded: bool) -> None:
    told, untold = simulations.grouped_coverage(50, 500, graded=graded)
    assert 0.925 <= told <= 0.975
    assert untold < 0.85


@pytest.mark.parametrize(("n", "gain", "disagreement"), [(50, 0.1, 0.2), (100, 0.15, 0.3), (300, 0.06, 0.14)])
@pytest.mark.parametrize("alpha", [0.05, 0.05 / 6])
def test_reported_power_is_within_three_points_of_the_simulated(
    simulations: ModuleType, n: int, gain: float, disagreement: float, alpha: float
) -> None:
    reported, found = simulations.power_gap(n, gain, disagreement, alpha, 5000)
    assert reported == pytest.approx(found, abs=0.03)


def test_the_paired_test_finds_what_overlapping_intervals_hide(simulations: ModuleType) -> None:
    found = simulations.three_judges(300, 0.80, 0.86, 2000)
    assert found["paired test"] > 1.4 * found["unpaired z-test"]
    assert found["intervals overlap?"] < found["unpaired z-test"] < found["paired test"]
    assert simulations.three_judges(300, 0.80, 0.80, 2000)["paired test"] < 0.035  # 2.5 % on this side


@pytest.mark.parametrize(("margin", "disagreement"), [(0.02, 0.03), (0.05, 0.1)])
def test_a_loss_of_the_margin_is_seldom_called_not_worse(simulations: ModuleType, margin: float, disagreement: float) -> None:
    assert simulations.false_non_inferiority(200, margin, disagreement, 3000) < 0.035


def test_reporting_the_best_seed_finds_gains_that_are_not_there(simulations: ModuleType) -> None:
    wrong = simulations.seed_errors(3, 150, 150)
    assert wrong["seeds and examples resampled"] < 0.06
    assert wrong["best seed"] > 2 * wrong["seeds and examples resampled"]


def test_the_ladder_stops_the_test_set_from_being_learnt_by_trying(simulations: ModuleType) -> None:
    assert simulations.overfitting(500, ladder=False) > 0.15
    assert simulations.voting(500, ladder=False) > 0.15
    # One standard error at 300 examples is 3 points: what is told stays within two of the truth.
    assert simulations.overfitting(500, ladder=True) < 0.06
    assert simulations.voting(500, ladder=True) < 0.06
