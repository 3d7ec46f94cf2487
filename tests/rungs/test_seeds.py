"""One rung, several seeds."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sadari.measure.scorecard import mean_of_seeds, part_of, served
from sadari.rungs import SeededRung
from sadari.types import Built, Curve, Example, Scorecard, System


@dataclass
class Trainer:
    """Makes a system named after its seed; fails once if told so."""

    seed: int
    fails: bool = False
    name: str = "lora"
    built: list[Path] = field(default_factory=list)

    def build(self, incumbent: System, train: Sequence[Example], validation: Sequence[Example], workdir: Path) -> Built:
        if self.fails:
            self.fails = False
            raise KeyboardInterrupt
        self.built.append(workdir)
        curve = Curve("loss", ((1, float(self.seed)),))
        return Built(System(f"{incumbent.model}+{self.seed}"), curves=(curve,), notes=(f"seed {self.seed}",))


def test_the_first_seed_is_served_and_the_others_are_measured_with_it(tmp_path: Path) -> None:
    rung = SeededRung([Trainer(0), Trainer(1), Trainer(2)])
    built = rung.build(System("mini"), [], [], tmp_path)
    assert (rung.name, built.system.model) == ("lora", "mini+0")
    assert [s.model for s in built.replicas] == ["mini+1", "mini+2"]
    assert built.notes == ("seed 0", "trained with 3 seeds: quality is their mean; served is the first")


def test_after_a_stop_it_goes_on_with_the_seed_it_was_at(tmp_path: Path) -> None:
    first, second = Trainer(0), Trainer(1, fails=True)
    rung = SeededRung([first, second])
    with pytest.raises(KeyboardInterrupt):
        rung.build(System("mini"), [], [], tmp_path)
    rung.build(System("mini"), [], [], tmp_path)
    assert (len(first.built), len(second.built)) == (1, 1)
    assert first.built != second.built


def test_quality_is_the_mean_over_the_seeds_never_the_best() -> None:
    def card(*scores: float) -> Scorecard:
        return Scorecard("lora", "label", ("a", "b"), scores, ("", ""), (), (0, 0), (0, 0), 1, 0.0, 1.0, 0.0, 2.0)

    pooled = mean_of_seeds([card(1.0, 1.0), card(0.0, 1.0)])
    assert pooled.scores == (0.5, 1.0)
    assert pooled.quality == 0.75
    assert pooled.by_seed == ((1.0, 1.0), (0.0, 1.0))
    assert (pooled.failures, pooled.cost_per_request) == (2, 2.0)
    assert mean_of_seeds([card(1.0, 0.0)]).by_seed == ()


def test_the_curves_of_every_seed_keep_apart_and_those_of_the_served_one_keep_their_name(tmp_path: Path) -> None:
    built = SeededRung([Trainer(0), Trainer(1)]).build(System("mini"), [], [], tmp_path)
    assert built.curves == (Curve("loss", ((1, 0.0),)), Curve("loss (seed 2)", ((1, 1.0),)))


def seeds(*rows: tuple[float, ...]) -> Scorecard:
    n = len(rows[0])
    ids = tuple(f"t{i}" for i in range(n))
    return mean_of_seeds(
        [Scorecard("lora", "label", ids, row, ("",) * n, (), (0,) * n, (0,) * n, 0, 0.0, 1.0, 0.0, 2.0) for row in rows]
    )


def test_the_interval_of_the_mean_knows_that_seeds_differ() -> None:
    half = (1.0, 0.0) * 100
    alike, apart = seeds(half, half, half), seeds((1.0,) * 200, half, (0.0,) * 200)
    assert alike.quality == apart.quality == 0.5
    # Seeds of 0, 1/2 and 1: by Student with 2 degrees of freedom, the mean could be anything.
    assert alike.high - alike.low < 0.2
    assert (apart.low, apart.high) == (0.0, 1.0)
    half_of_it = part_of(apart, range(100))
    assert (half_of_it.low, half_of_it.high) == (0.0, 1.0)


def test_what_is_served_is_the_first_seed_and_not_the_best() -> None:
    card = seeds((0.0, 1.0), (1.0, 1.0), (1.0, 1.0))
    assert served(card).scores == (0.0, 1.0)
    assert served(served(card)) == served(card)
