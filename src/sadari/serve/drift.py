"""Whether people ask what the test set asks: a two-sample test on the opening questions of conversations.

If they ask something else, the scores of the climb say little about them. Questions are compared as vectors of the bundled
embedder, and nothing is trained. Two statistics are looked at, each with a permutation p-value, which is exact for any sample
sizes: the energy distance, which sees another manner or mix of questions; and how much farther questions are from the nearest test
question than test questions are from each other, which sees new ones among many known. Beside them stand the share of character
pairs that the test set does not hold, and the questions that are most unlike any of it.

Covered: a question that is asked many times counts once, and of a group of test examples one is taken, so that what is compared
is independent; under `LEAST_ASKED` questions, or `LEAST_TEST` of the test set, nothing is claimed; a difference that is proven but
small is told as such and is no alarm.
Not covered: `ALARM_P` bounds the false alarms of one look; who looks every hour sees more of them. That some questions are asked
more often than others is no drift here.

Source:
    Energy distance and its coefficient: Székely & Rizzo (2013), doi 10.1016/j.jspi.2013.03.018.
    p-value of a permutation test: Phipson & Smyth (2010), doi 10.2202/1544-6115.1585.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sadari.retrieve.embed import BUNDLED, Embedder, load_embedder
from sadari.serve.journal import Opening
from sadari.types import Example

LEAST_ASKED, LEAST_TEST = 50, 30
"""Different questions that both sides need before anything is claimed."""

MOST_COMPARED = 400
"""Questions of either side that are compared: the newest, and the first of the test set."""

PERMUTATIONS = 499
ALARM_P = 0.01
"""A p-value that is not larger is no chance."""

LARGE_SIZE, LARGE_STRANGE = 0.02, 0.15
"""Energy coefficient, and share of strange questions, from which a difference is large."""

MOST_UNLIKE = 5

_Level = Literal["unknown", "too_few", "none", "slight", "drift"]


@dataclass(frozen=True, slots=True)
class Unlike:
    """A question that is unlike the test set.

    Args:
        text: As it was asked: mask it before it is shown.
        similarity: Cosine with the most similar test question.
    """

    run: str
    text: str
    similarity: float


@dataclass(frozen=True, slots=True)
class Drift:
    """What the comparison found.

    Args:
        level: "unknown" without test questions; "too_few" to tell; "slight" is proven and small; "drift" is the alarm.
        asked, test: Different questions on either side.
        p_value: Of the smaller of the two, doubled; None where nothing was tested.
        size: Energy coefficient less that of chance: from 0, the same, to 1, nothing in common.
        strange: Share of what was asked that is less like any test question than `usual`; 0.05 is expected.
        unseen, unseen_test: Share of character pairs that stand in no other test question: of what was asked, and of the test
            questions themselves.
        usual: Similarity to the nearest other test question that 95 % of the test questions exceed.
        unlike: Those most unlike the test set, the strangest first.
    """

    level: _Level
    asked: int
    test: int
    p_value: float | None = None
    size: float = 0.0
    strange: float = 0.0
    unseen: float = 0.0
    unseen_test: float = 0.0
    usual: float = 0.0
    unlike: tuple[Unlike, ...] = ()


def opening_questions(examples: Iterable[Example]) -> tuple[str, ...]:
    """The first question of each example, one of each group and each only once."""
    found: dict[str, str] = {}
    groups: set[str] = set()
    for example in examples:
        text = next((m.content for m in example.messages if m.role == "user"), "")
        if text and (not example.group or example.group not in groups):
            groups.add(example.group)
            found.setdefault(_plain(text), text)
    return tuple(found.values())


def find_drift(asked: Sequence[Opening], test: Sequence[str], *, seed: int = 0) -> Drift:
    """Compare what was asked with the test questions, as `opening_questions` gives them."""
    newest = list({_plain(one.text): one for one in asked}.values())[-MOST_COMPARED:]
    if len(test) < LEAST_TEST:
        return Drift("unknown", len(newest), len(test))
    if len(newest) < LEAST_ASKED:
        return Drift("too_few", len(newest), len(test))
    known = list(test[:MOST_COMPARED])
    embedder = _embedder()
    there, here = embedder.embed(known), embedder.embed([one.text for one in newest])
    size, p_value = compare(there, here, seed=seed)
    nearest, usual = (here @ there.T).max(axis=1), _usual(there)
    strange, farthest = float((nearest < usual).mean()), np.argsort(nearest, kind="stable")[:MOST_UNLIKE]
    unseen, unseen_test = unseen_shares([one.text for one in newest], known)
    is_large = size >= LARGE_SIZE or strange >= LARGE_STRANGE
    return Drift(
        level="none" if p_value > ALARM_P else "drift" if is_large else "slight",
        asked=len(newest),
        test=len(known),
        p_value=p_value,
        size=size,
        strange=strange,
        unseen=unseen,
        unseen_test=unseen_test,
        usual=usual,
        unlike=tuple(Unlike(newest[i].run, newest[i].text, float(nearest[i])) for i in farthest if nearest[i] < usual),
    )


def compare(first: NDArray[np.float32], second: NDArray[np.float32], *, seed: int = 0) -> tuple[float, float]:
    """How far two samples are apart, and the p-value of that.

    Args:
        first, second: Unit rows, shapes (n, D) and (m, D).

    Returns:
        The energy coefficient, less its mean under permutation and not below 0; and the smaller p-value of the two statistics,
        doubled, since there are two.
    """
    n, m = len(first), len(second)
    rows = np.concatenate([first, second])
    rng = np.random.default_rng(seed)
    orders = [np.arange(n + m), *(rng.permutation(n + m) for _ in range(PERMUTATIONS))]
    cosines = np.clip(rows @ rows.T, -1.0, 1.0)
    energies = _energies(np.sqrt(2 - 2 * cosines.astype(np.float64)), orders, n)
    np.fill_diagonal(cosines, -1.0)  # nothing is near to itself
    novelties = np.array([_novelty(cosines, order[:n], order[n:]) for order in orders])
    size = float(np.clip(energies[0] - energies[1:].mean(), 0.0, 1.0))
    return size, min(1.0, 2 * min(_share_as_large(energies), _share_as_large(novelties)))


def _energies(distances: NDArray[np.float64], orders: Sequence[NDArray[np.int64]], n: int) -> NDArray[np.float64]:
    """The energy coefficient of each division, of which the first `n` of an order are one side."""
    m = len(distances) - n
    np.fill_diagonal(distances, 0.0)
    sides = np.zeros((len(orders), n + m))
    for side, order in zip(sides, orders, strict=True):
        side[order[:n]] = 1.0
    to_first = sides @ distances
    within_first = (to_first * sides).sum(axis=1)
    across = to_first.sum(axis=1) - within_first
    within_second = distances.sum() - within_first - 2 * across
    apart = 2 * across / (n * m)
    energy = apart - within_first / n**2 - within_second / m**2
    coefficients: NDArray[np.float64] = np.divide(energy, apart, out=np.zeros_like(energy), where=apart > 0)
    return coefficients


def _novelty(cosines: NDArray[np.float32], first: NDArray[np.int64], second: NDArray[np.int64]) -> float:
    """How much nearer the first sample is to itself than the second is to it, by the most similar of each."""
    nearest = cosines[:, first].max(axis=1)
    return float(nearest[first].mean() - nearest[second].mean())


def _share_as_large(values: NDArray[np.float64]) -> float:
    """The p-value of the first value among all."""
    return float((values >= values[0] - 1e-12).mean())


def unseen_shares(asked: Sequence[str], test: Sequence[str]) -> tuple[float, float]:
    """Share of the character pairs of `asked` that no test question holds; and of those of each test question, no other one."""
    pairs = [_pairs(text) for text in test]
    held = Counter(pair for one in pairs for pair in set(one))
    own = [[held[pair] == 1 for pair in one] for one in pairs]
    new = [[pair not in held for pair in _pairs(text)] for text in asked]
    return _mean(new), _mean(own)


def _mean(flags: Sequence[Sequence[bool]]) -> float:
    count = sum(map(len, flags))
    return sum(map(sum, flags)) / count if count else 0.0


def _pairs(text: str) -> list[str]:
    letters = re.sub(r"[\W_]+", "", _plain(text))
    return [letters[i : i + 2] for i in range(len(letters) - 1)]


def _plain(text: str) -> str:
    """How texts are told apart: without regard to case, spaces at the ends and repeated ones."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


def _usual(vectors: NDArray[np.float32]) -> float:
    others = vectors @ vectors.T
    np.fill_diagonal(others, -1.0)
    return float(np.quantile(others.max(axis=1), 0.05))


@cache
def _embedder() -> Embedder:
    return load_embedder(BUNDLED)
