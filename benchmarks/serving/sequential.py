"""How often a canary is stopped for nothing, and after how many conversations a real loss is seen.

    python -m benchmarks.serving.sequential            # 1,000 canaries of each kind, about 12 minutes on one core
    python -m benchmarks.serving.sequential --quick

Each canary is looked at every 10 conversations. Three ways of stopping it: the confidence sequence of
`sadari.measure.sequential`; a 95 % interval that is looked at once, at a sample chosen beforehand for a power of 80 %; and the same
interval looked at every time, as one does who watches a dashboard. Prints one JSON document a line.
"""

import argparse
import json
from dataclasses import dataclass
from math import ceil
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sadari.measure.sequential import difference_interval

EVERY = 10
"""Conversations between two looks."""

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Scene:
    """Canaries of one kind.

    Args:
        quality: Share of good conversations of the incumbent.
        loss: By how much the candidate's is lower.
        share: Of conversations that the candidate answers.
        most: Conversations of one canary.
        spread: Standard deviation of the quality among users, each of whom stays on one side and has 20 conversations; 0 where
            conversations are drawn, not users.
    """

    name: str
    quality: float = 0.8
    loss: float = 0.0
    share: float = 0.1
    most: int = 2_000
    spread: float = 0.0

    def draw(self, rng: np.random.Generator) -> tuple[Bools, Bools]:
        """Which conversations the candidate answers, and which are good."""
        if not self.spread:
            is_new = rng.random(self.most) < self.share
            quality = np.full(self.most, self.quality)
        else:
            users = self.most // 20
            whose = rng.integers(users, size=self.most)
            is_new = (rng.random(users) < self.share)[whose]
            quality = np.clip(self.quality + self.spread * rng.standard_normal(users), 0, 1)[whose]
        return is_new, rng.random(self.most) < quality - self.loss * is_new


SCENES = (
    Scene("no loss, 10 % canary", most=20_000),
    Scene("no loss, 50 % canary", share=0.5, most=20_000),
    Scene("10 points lost, 10 % canary", loss=0.1, most=20_000),
    Scene("10 points lost, 50 % canary", loss=0.1, share=0.5, most=8_000),
    Scene("20 points lost, 10 % canary", loss=0.2, most=8_000),
    Scene("20 points lost, 50 % canary", loss=0.2, share=0.5, most=4_000),
    Scene("no loss, users of one side who differ by 10 points", most=20_000, spread=0.1),
)


def sequence_stops(is_new: Bools, is_good: Bools) -> int | None:
    """After how many conversations the confidence sequence says that something is lost.

    It is asked only where the narrower interval of one look says so too, which saves most of the time and changes nothing.
    """
    for seen in _looks(is_new)[_upper(is_new, is_good) < 0]:
        new = is_new[:seen]
        if difference_interval(is_good[:seen][new], is_good[:seen][~new])[1] < 0:
            return int(seen)
    return None


def peeking_stops(is_new: Bools, is_good: Bools) -> int | None:
    """The same of a 95 % interval that is made for one look."""
    return next((int(seen) for seen in _looks(is_new)[_upper(is_new, is_good) < 0]), None)


def fixed_sample(scene: Scene) -> int | None:
    """Conversations after which one look finds the loss with a power of 80 %; None where nothing is lost."""
    if not scene.loss:
        return None
    normal = NormalDist()
    worse, share = scene.quality - scene.loss, scene.share
    variance = worse * (1 - worse) / share + scene.quality * (1 - scene.quality) / (1 - share)
    return ceil((normal.inv_cdf(0.975) + normal.inv_cdf(0.8)) ** 2 * variance / scene.loss**2)


def _looks(is_new: Bools) -> NDArray[np.int64]:
    return np.arange(EVERY, len(is_new) + 1, EVERY)


def _upper(is_new: Bools, is_good: Bools) -> NDArray[np.float64]:
    """Upper end of the usual 95 % interval at each look; 1 while an arm has fewer than 5."""
    at = _looks(is_new) - 1
    new, good = np.cumsum(is_new)[at], np.cumsum(is_good & is_new)[at]
    old, fine = at + 1 - new, np.cumsum(is_good & ~is_new)[at]
    p, q = good / np.maximum(new, 1), fine / np.maximum(old, 1)
    half = 1.96 * np.sqrt(p * (1 - p) / np.maximum(new, 1) + q * (1 - q) / np.maximum(old, 1))
    return np.where(np.minimum(new, old) < 5, 1.0, p - q + half)


def measure(scene: Scene, canaries: int, most: int) -> dict[str, Any]:
    """How often, and after how many conversations on average, canaries are stopped."""
    stops: dict[str, list[int | None]] = {"sequence": [], "peeking": []}
    fixed, once = fixed_sample(scene), 0
    for seed in range(canaries):
        is_new, is_good = (drawn[:most] for drawn in scene.draw(np.random.default_rng(seed)))
        stops["sequence"].append(sequence_stops(is_new, is_good))
        stops["peeking"].append(peeking_stops(is_new, is_good))
        look = min(len(is_new), fixed or len(is_new)) // EVERY - 1
        once += bool(_upper(is_new, is_good)[look] < 0)
    told: dict[str, Any] = {"scene": scene.name, "canaries": canaries, "looks": min(scene.most, most) // EVERY}
    for name, ended in stops.items():
        found = [seen for seen in ended if seen is not None]
        told[name] = {"stopped": len(found) / canaries, "conversations": round(sum(found) / len(found)) if found else None}
    return told | {"one_look": {"stopped": once / canaries, "conversations": fixed}}


def main() -> None:
    """Print the table."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--quick", action="store_true", help="50 canaries of each kind, at most 3,000 conversations each")
    asked.add_argument("--canaries", type=int, default=1_000, help="canaries of each kind")
    given = asked.parse_args()
    canaries, most = (50, 3_000) if given.quick else (given.canaries, 20_000)
    for scene in SCENES:
        print(json.dumps(measure(scene, canaries, most)), flush=True)


if __name__ == "__main__":
    main()
