"""A judge model held to people's judgement: before a climb, where it may be refused, and after it, in the report."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sadari.files import kept
from sadari.measure.judging.calibration import (
    Calibration,
    Corrected,
    check_gate,
    corrected_gain,
    corrected_rate,
    why_not_corrected,
)
from sadari.measure.judging.human_labels import calibrate_judge, read_labels
from sadari.measure.judging.llm_judge import JudgeScorer, tally_reasons
from sadari.measure.judging.pairwise import PositionBias, compare_pairs, position_bias
from sadari.measure.judging.rulings import Rulings
from sadari.measure.statistics import mcnemar_mid_p
from sadari.review.data import Judged
from sadari.task import Task
from sadari.task.files import resolve_path
from sadari.types import Answer, Model, Scorer, Step

CALIBRATION = "calibration.json"


@dataclass(frozen=True, slots=True)
class Preferred:
    """Which of two systems a judge prefers, asked in both orders over the whole test set.

    Args:
        a, b, ties, unsure: Examples; `unsure` where the two orders disagree.
        p_value: Two-sided, that both are preferred alike.
        bias: How much the judge goes by the place of an answer.
    """

    a: int
    b: int
    ties: int
    unsure: int
    p_value: float
    bias: PositionBias


def calibrate(task: Task, make_scorer: Callable[[], Scorer], folder: Path) -> Calibration | None:
    """How well the task's judge agrees with the people whose labels the task names; None without a judge or labels.

    Args:
        make_scorer: Makes the judge anew, so that what the climb asks is counted apart; not called without labels.
        folder: Of the run; a calibration is kept there and not asked again.

    Raises:
        ConfigError: If it agrees with them less than the task asks for: such a judge decides nothing.
        DataError: If the labels cannot be read.
    """
    settings = task.score.judge
    if task.score.by != "judge" or settings is None or settings.labels is None:
        return None
    scorer = make_scorer()
    assert isinstance(scorer, JudgeScorer), "`by: judge` makes a judge"
    labels = read_labels(resolve_path(settings.labels, task.folder), {e.id: e for e in (*task.train, *task.validation, *task.test)})
    calibration = kept(folder / CALIBRATION, Calibration, lambda: calibrate_judge(scorer, labels))
    check_gate(calibration, settings.min_kappa)
    return calibration


def judged(steps: Sequence[Step], winner: Step, scorer: Scorer, calibration: Calibration | None) -> Judged | None:
    """What the judge could not say, rung by rung; None without a judge."""
    if not isinstance(scorer, JudgeScorer):
        return None
    tallies = {step.rung: tally_reasons(step.scorecard.reasons) for step in steps}
    corrected: dict[str, Corrected] = {}
    gain = None
    cards = [step.scorecard for step in steps]
    if calibration is not None and why_not_corrected(calibration) is None and not any(card.by_seed for card in cards):
        corrected = {card.rung: corrected_rate(calibration, round(sum(card.scores)), len(card.scores)) for card in cards}
        if winner.index:
            gain = corrected_gain(calibration, cards[0].scores, winner.scorecard.scores)
    return Judged(
        unsure={rung: tally.unsure for rung, tally in tallies.items()},
        failed={rung: tally.failed for rung, tally in tallies.items()},
        calibration=calibration,
        corrected=corrected,
        gain=gain,
    )


def preferred(task: Task, judge_model: Model, a: Sequence[Answer], b: Sequence[Answer]) -> Preferred:
    """Let the task's judge choose between two answers to every test example; nothing that it chose before is asked again."""
    settings = task.score.judge
    assert settings is not None, "a task without a judge has no pairs to ask about"
    rulings = Rulings(judge_model, folder=task.folder / "runs", base_url=settings.base_url, max_new_tokens=settings.max_new_tokens)
    found = compare_pairs(rulings, settings.rubric, list(zip(task.test, a, b, strict=True)), task.language)
    counts = {winner: sum(one.winner == winner for one in found) for winner in ("a", "b", "tie", "unsure")}
    p_value = mcnemar_mid_p(counts["a"], counts["b"])
    return Preferred(counts["a"], counts["b"], counts["tie"], counts["unsure"], p_value, position_bias(found))
