"""What follows a climb, in figures."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sadari.measure.abstention import AbstentionReport
from sadari.measure.after.failures import FailureGroup
from sadari.measure.after.forgetting import Forgetting
from sadari.measure.after.leaks import Leak
from sadari.measure.after.overfitting import Overfitting
from sadari.measure.after.slices import Slice
from sadari.measure.grounding import Grounding
from sadari.measure.judging.calibration import Calibration, Corrected
from sadari.measure.money.payoff import Payoff, ReferenceShare
from sadari.measure.money.stop import StopAdvice
from sadari.measure.overlap import CorpusScore
from sadari.measure.scorers.label import LabelReport
from sadari.train.memorisation import Exposure
from sadari.types import Scorecard, Verdict


@dataclass(frozen=True, slots=True)
class Tuning:
    """What a training rung did beside its task.

    Args:
        forgetting: Of a fixed general probe, against the model it was tuned from; None for a model that was not probed.
        exposures: Of the canaries planted in its rows; () if none were.
    """

    rung: str
    overfitting: Overfitting
    forgetting: Forgetting | None = None
    exposures: tuple[Exposure, ...] = ()


@dataclass(frozen=True, slots=True)
class Audit:
    """The look at the audit set: the baseline and the winner, as they are served, on examples that decided nothing.

    Args:
        earlier: Climbs that had opened it before; with 0, nobody had looked at it.
    """

    baseline: Scorecard
    winner: Scorecard
    verdict: Verdict
    earlier: int = 0


@dataclass(frozen=True, slots=True)
class Reuse:
    """How often the test set has been used, and what can still be believed.

    Args:
        climbs: Earlier climbs on this very test set.
        looks: Systems measured on it so far, this climb's included.
        told: What the Ladder mechanism lets be told: of all of them, the quality of the best that was not luck.
        level: What p would have to stay below for the error over all climbs to stay small.
        evals: Of the looks, those of no climb: `sadari eval`, `compare`, `gate`.
    """

    climbs: int
    looks: int
    told: float
    level: float
    evals: int = 0


@dataclass(frozen=True, slots=True)
class Citations:
    """Shares over the winner's answers, in [0, 1]; None of nothing."""

    citing: float | None
    existing: float | None
    words_cited: float | None
    numbers_cited: float | None
    gold_precision: float | None
    gold_recall: float | None
    words_are: str


@dataclass(frozen=True, slots=True)
class Judged:
    """How often a judge model could not say, by rung, and how well it agrees with people (None: nobody looked).

    Args:
        corrected: By rung, the share of right answers after what the judge errs was taken out; {} where that cannot be done.
        gain: The same of the winner's gain over the baseline.
    """

    unsure: dict[str, int]
    failed: dict[str, int]
    calibration: Calibration | None = None
    corrected: dict[str, Corrected] = field(default_factory=dict)
    gain: Corrected | None = None


@dataclass(frozen=True, slots=True)
class Review:
    """What follows a climb. What was not looked at is None or empty; all but `audit` is about the test set.

    Args:
        payoffs: The winner against the baseline, by volume; the task's own volume first, if it was given.
        left_out: References that could not be asked, and why.
        shares: The winner against each reference, by volume.
        failures, slices, labels, abstention, citations, leaks: Of the winner.
        grounding: What the answers of each rung that cites stand on.
        corpus: Of free text: BLEU and chrF over all answers together, as far as they can be counted.
        quotes: Of the examples that `failures` shows: id and question.
    """

    payoffs: tuple[Payoff, ...] = ()
    advice: StopAdvice | None = None
    references: tuple[Scorecard, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    shares: tuple[ReferenceShare, ...] = ()
    audit: Audit | None = None
    reuse: Reuse | None = None
    failures: tuple[FailureGroup, ...] = ()
    quotes: tuple[tuple[str, str], ...] = ()
    slices: tuple[Slice, ...] = ()
    labels: LabelReport | None = None
    abstention: AbstentionReport | None = None
    citations: Citations | None = None
    grounding: tuple[Grounding, ...] = ()
    corpus: tuple[CorpusScore, ...] = ()
    tunings: tuple[Tuning, ...] = ()
    leaks: tuple[Leak, ...] = ()
    judged: Judged | None = None
