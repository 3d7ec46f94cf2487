"""The evidence behind a verdict: `make bench-evidence`, or `python benchmarks/evidence/run.py`. Under 5 minutes on two cores.

Prints tables: the Korean traps; false climbs, coverage and power on made-up systems whose truth is known; the same two systems
judged in three ways; a test set used again; seconds. Ends with one line of JSON: `false_climb_rate, coverage_min, coverage_max,
power_gap_max, power_paired_n300, particle_recognised, references_damaged, hangul_identity_min, unrelated_number_max, score_1000_s,
bootstrap_s`. Rates are in [0, 1]. Needs the `dev` extra (sacrebleu, rouge-score), no network and no data.
"""

import json
import os
import time
from collections.abc import Sequence

# One thread per process: the arrays are small, and threads beside those of other programs only slow them down.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import simulations as made_up
from korean import korean_figures
from rich.console import Console
from rich.table import Table
from speed import bootstrap_seconds, scoring_seconds

from sadari.measure.power import power_of

_CONSOLE = Console(width=132)


def main() -> int:
    """Run everything; the exit code is 0 unless something fails."""
    started = time.perf_counter()
    figures: dict[str, float] = {}
    # Speed first, and the Korean tables before the simulations: what is shown is shown early.
    for part in (_speed, korean_figures, _false_climbs, _coverage, _power, _judges, _margins, _seeds, _reuse):
        figures |= part()
    _CONSOLE.print(f"{time.perf_counter() - started:.0f} s")
    print(json.dumps({name: round(figures[name], 4) for name in KEYS}))
    return 0


KEYS = (
    *("false_climb_rate", "coverage_min", "coverage_max", "power_gap_max", "power_paired_n300", "particle_recognised"),
    *("references_damaged", "hangul_identity_min", "unrelated_number_max", "score_1000_s", "bootstrap_s"),
)


def _speed() -> dict[str, float]:
    spent = scoring_seconds(1000)
    total, total_cpu = (sum(column) for column in zip(*spent.values(), strict=True))
    rows = [(name, f"{wall:.2f}", f"{cpu:.2f}") for name, (wall, cpu) in (*spent.items(), ("all", (total, total_cpu)))]
    _show("seconds to score 1,000 answers", ("metric", "on the clock", "of the processor"), rows)
    seconds = bootstrap_seconds(10_000, 1000)
    _CONSOLE.print(f"10,000 resamples of 1,000 graded differences: {seconds:.2f} s\n")
    return {"score_1000_s": total, "bootstrap_s": seconds}


def _false_climbs() -> dict[str, float]:
    rates = {f"pass/fail, {n} examples": made_up.false_climbs(climbs, n) for n, climbs in ((50, 4000), (200, 4000), (1000, 1000))}
    rates["graded, 200 examples"] = made_up.false_graded_climbs(200)
    rows = [(name, f"{rate:.1%}") for name, rate in rates.items()]
    _show("climbs over six rungs as good as the baseline that take one (allowed: 5 %)", ("scores", "false climbs"), rows)
    return {"false_climb_rate": max(rates.values())}


def _coverage() -> dict[str, float]:
    counted: list[float] = []
    rows = []
    for n in made_up.SIZES:
        for disagreement in made_up.DISAGREEMENTS:
            gains = [gain for gain in made_up.GAINS if gain < disagreement]
            ours = [made_up.pass_fail_coverage(n, disagreement, gain, 10_000) for gain in gains]
            plain = [made_up.resampled_coverage(n, disagreement, gain, 2000) for gain in gains]
            counted += ours
            rows.append((f"pass/fail, {disagreement:.0%} differ", str(n), _range(ours), _range(plain)))
    for kind in made_up.GRADED:
        for n in made_up.SIZES:
            rate = made_up.graded_coverage(kind, n, 2000)
            # Of 50 sparse differences a dozen tell anything: too few for any bootstrap. Shown, and not promised.
            too_few = kind is made_up.sparse and n == 50
            counted += [] if too_few else [rate]
            rows.append((f"graded, {kind.__name__}{', not counted' * too_few}", str(n), f"{rate:.1%}", ""))
    for graded in (False, True):
        for groups in (10, 50):
            told, untold = made_up.grouped_coverage(groups, 1500, graded=graded)
            counted.append(told)
            name = f"{'graded' if graded else 'pass/fail'}, {groups} documents"
            rows.append((name, str(5 * groups), f"{told:.1%}", f"{untold:.1%} without groups"))
    _show("how often the 95 % interval holds the truth", ("differences", "n", "covered", "plain percentile bootstrap"), rows)
    return {"coverage_min": min(counted), "coverage_max": max(counted)}


def _power() -> dict[str, float]:
    rows, gaps = [], []
    for n, gain, disagreement in (
        (50, 0.1, 0.2),
        (100, 0.05, 0.15),
        (100, 0.15, 0.3),
        (300, 0.06, 0.14),
        (300, 0.05, 0.3),
        (1000, 0.03, 0.1),
    ):
        for alpha in (0.05, 0.05 / 6):
            reported, found = made_up.power_gap(n, gain, disagreement, alpha, 10_000)
            gaps.append(abs(reported - found))
            rows.append((str(n), f"{gain:.0%}", f"{disagreement:.0%}", f"{alpha:.3g}", f"{reported:.1%}", f"{found:.1%}"))
    _show("power as reported and as found", ("n", "gain", "differ", "level", "reported", "found"), rows)
    return {"power_gap_max": max(gaps), "power_paired_n300": power_of(300, 0.06, 0.14, made_up.ALPHA)}


def _judges() -> dict[str, float]:
    rows = []
    for n in (100, 300, 1000):
        found = made_up.three_judges(n, 0.80, 0.86, 5000)
        equal = made_up.three_judges(n, 0.80, 0.80, 5000)
        least = min(value for name, value in found.items() if name != "paired test")
        rows += [(str(n), name, f"{found[name]:.1%}", f"{found[name] / least:.1f}", f"{equal[name]:.1%}") for name in found]
    columns = ("n", "judged by", "80 % against 86 %: found", "times the weakest", "80 % against 80 %: found")
    _show("the same two systems judged in three ways", columns, rows)
    return {}


def _margins() -> dict[str, float]:
    rows = []
    for n in (100, 300):
        for margin, disagreement in ((0.02, 0.03), (0.05, 0.1), (0.05, 0.2)):
            rate = made_up.false_non_inferiority(n, margin, disagreement, 10_000)
            rows.append((str(n), f"{margin:.0%}", f"{disagreement:.0%}", f"{rate:.1%}"))
    _show("a loss of exactly the margin called not worse (allowed: 2.5 %)", ("n", "margin", "differ", "falsely"), rows)
    return {}


def _seeds() -> dict[str, float]:
    wrong = made_up.seed_errors(3, 200, 1500)
    rows = [(name, f"{rate:.1%}") for name, rate in wrong.items()]
    _show("three seeds of a technique no better, 200 examples: false gains (allowed: 2.5 %)", ("judged by", "falsely"), rows)
    return {}


def _reuse() -> dict[str, float]:
    rows = []
    for name, attack in (
        ("keep what was told to be better", made_up.overfitting),
        ("vote of what was told to be good", made_up.voting),
    ):
        told = [sum(attack(1000, ladder=ladder, seed=seed) for seed in range(5)) / 5 for ladder in (False, True)]
        rows.append((name, *(f"{100 * value:+.1f}" for value in told)))
    columns = ("1,000 tries at 300 examples", "every result told", "the Ladder")
    _show("points by which the told quality of coin tosses exceeds the truth", columns, rows)
    return {}


def _range(values: Sequence[float]) -> str:
    return f"{min(values):.1%} to {max(values):.1%}"


def _show(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(*columns, title=title, title_justify="left")
    for row in rows:
        table.add_row(*row)
    _CONSOLE.print(table)


if __name__ == "__main__":
    raise SystemExit(main())
