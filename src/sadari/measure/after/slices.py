"""Quality by slice: for each tag, and for each language of the question, what the baseline and the winner achieve.

Slices are looked at to find where a system is weak, not to prove anything: with twenty of them one is "significant" by chance. The
p of every slice that is large enough is therefore shown adjusted for all that were looked at, and small slices are flagged.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from sadari.errors import DataError
from sadari.measure.scorecard import part_of
from sadari.measure.seeds import resample_seeds_and_items
from sadari.measure.statistics import holm
from sadari.types import Example, Scorecard

TOO_FEW = 10
"""Examples below which a slice says nothing."""

MOST_SLICES = 40
"""Tags shown at most, the most frequent first; a file that tags every row with its own name has no slices."""

KOREAN_SHARE, ENGLISH_SHARE = 0.6, 0.1
"""From this share of Hangul among its letters a question is Korean; below the other it is English."""

_HANGUL = re.compile(r"[가-힣ㄱ-ㆎ\u1100-\u11ff]")
_LATIN = re.compile(r"[A-Za-zＡ-Ｚａ-ｚ]")

QuestionLanguage = Literal["ko", "en", "mixed", "other"]


@dataclass(frozen=True, slots=True)
class Slice:
    """Quality on the examples that share a tag, or the language of their question.

    Args:
        count: Examples in it; with fewer than 10, `is_too_few`.
        baseline, winner: Mean scores, in [0, 1], each with its 95 % interval.
        gain: Winner minus baseline, in pairs, with its 95 % interval, unadjusted.
        p_value: Two-sided, of the pairs, adjusted after Holm for all slices that are not too small; None for those that are.
    """

    by: Literal["tag", "language"]
    name: str
    count: int
    baseline: float
    baseline_low: float
    baseline_high: float
    winner: float
    winner_low: float
    winner_high: float
    gain: float
    gain_low: float
    gain_high: float
    p_value: float | None
    is_too_few: bool


def slice_quality(examples: Sequence[Example], baseline: Scorecard, winner: Scorecard) -> tuple[Slice, ...]:
    """Every slice, languages first and then tags, each by size; a slice that holds every example or none is left out.

    Raises:
        DataError: If the cards and the examples are not of the same ids.
    """
    ids = tuple(example.id for example in examples)
    if baseline.ids != ids or winner.ids != ids:
        raise DataError(f"rungs {baseline.rung} and {winner.rung} were not measured on these {len(ids)} examples. Give the same.")
    members: dict[tuple[Literal["tag", "language"], str], list[int]] = {}
    for index, example in enumerate(examples):
        members.setdefault(("language", question_language(example.question)), []).append(index)
        for tag in set(example.tags):
            members.setdefault(("tag", tag), []).append(index)
    parts = {key: rows for key, rows in members.items() if len(rows) < len(ids)}
    order = sorted(parts, key=lambda key: (key[0], -len(parts[key]), key[1]))
    shown = [key for key in order if key[0] == "language"] + [key for key in order if key[0] == "tag"][:MOST_SLICES]
    found = [_slice(*key, part_of(baseline, parts[key]), part_of(winner, parts[key])) for key in shown]
    adjusted = iter(holm([piece.p_value for piece in found if piece.p_value is not None]))
    return tuple(piece if piece.p_value is None else replace(piece, p_value=next(adjusted)) for piece in found)


def question_language(text: str) -> QuestionLanguage:
    """ "ko" if at least 0.6 of the letters are Hangul, "en" if less than 0.1 are, "mixed" between; "other" without either.

    Letters of other scripts are not counted.
    """
    hangul, latin = len(_HANGUL.findall(text[:10_000])), len(_LATIN.findall(text[:10_000]))
    if not hangul + latin:
        return "other"
    share = hangul / (hangul + latin)
    return "ko" if share >= KOREAN_SHARE else "en" if share < ENGLISH_SHARE else "mixed"


def slices_caution(slices: Sequence[Slice], *, language: Literal["ko", "en"] = "en") -> str:
    """One sentence on how many slices were looked at and what that means; "" if there are none."""
    small, looked = sum(s.is_too_few for s in slices), len(slices)
    if not looked:
        return ""
    counts: Mapping[str, int] = {"looked": looked, "small": small, "few": TOO_FEW}
    return _CAUTIONS[language].format(**counts)


_CAUTIONS = {
    "ko": (
        "{looked}개 부분을 함께 보았으므로 p는 Holm 방법으로 보정했습니다. 구간은 보정하지 않았습니다. "
        "{few}개 미만인 부분 {small}개는 너무 작아 보이지 않습니다. 부분은 약한 곳을 찾는 데 쓰고, 판정은 전체 점수로 합니다."
    ),
    "en": (
        "{looked} slices were looked at together, so p is adjusted after Holm; the intervals are not. {small} of them hold fewer "
        "than {few} examples, too few to judge, and are not shown. Slices show where to look; the verdict rests on all examples."
    ),
}


def _slice(by: Literal["tag", "language"], name: str, baseline: Scorecard, winner: Scorecard) -> Slice:
    """One slice, its p not yet adjusted; examples of one group are resampled together, and seeds beside them."""
    count = len(winner.ids)
    groups = winner.groups or baseline.groups or None
    found = resample_seeds_and_items(winner.by_seed or winner.scores, baseline.by_seed or baseline.scores, groups)
    return Slice(
        by=by,
        name=name,
        count=count,
        baseline=baseline.quality,
        baseline_low=baseline.low,
        baseline_high=baseline.high,
        winner=winner.quality,
        winner_low=winner.low,
        winner_high=winner.high,
        gain=found.gain,
        gain_low=found.low,
        gain_high=found.high,
        p_value=None if count < TOO_FEW else found.p,
        is_too_few=count < TOO_FEW,
    )
