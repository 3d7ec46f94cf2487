"""A training rung, trained several times: its quality is the mean over the seeds, never that of the best one.

Source:
    Why one seed is not enough: Dodge et al. (2020), arXiv 2002.06305.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from sadari.files import kept
from sadari.types import Built, Curve, Example, Rung, System

TRAINED = frozenset({"prompt_tuning", "prefix", "ia3", "adapter", "lora", "qlora", "full", "dpo", "distil", "pretrain"})
"""The rungs that train here, whose outcome depends on a seed."""


class SeededRung:
    """One rung, once per seed.

    What is served, if the rung is taken, is the system of the first seed, which was fixed before anything was measured.

    Args:
        rungs: The same rung made with different seeds, at least one.
    """

    def __init__(self, rungs: Sequence[Rung]) -> None:
        self.name = rungs[0].name
        self._rungs = rungs

    def build(self, incumbent: System, train: Sequence[Example], validation: Sequence[Example], workdir: Path) -> Built:
        """The first seed's system, with the others as its replicas. After a crash it goes on with the seed it was at."""
        built = []
        for index, rung in enumerate(self._rungs):
            place = workdir / f"seed-{index + 1}"
            built.append(kept(place / "built.json", Built, partial(rung.build, incumbent, train, validation, place / "work")))
        note = f"trained with {len(built)} seeds: quality is their mean; served is the first"
        return replace(
            built[0],
            curves=tuple(_named(curve, seed) for seed, one in enumerate(built, 1) for curve in one.curves),
            notes=(*built[0].notes, note),
            replicas=tuple(one.system for one in built[1:]),
        )


def _named(curve: Curve, seed: int) -> Curve:
    """Those of the seed that is served keep their name, by which they are read later."""
    return curve if seed == 1 else replace(curve, name=f"{curve.name} (seed {seed})")
