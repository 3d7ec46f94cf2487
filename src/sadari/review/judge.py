"""A judge model held to people's judgement: before a climb, where it may be refused, and after it, in the report."""

from collections.abc import Sequence
from pathlib import Path

from sadari.files import kept
from sadari.measure.calibration import Calibration, check_gate
from sadari.measure.human_labels import calibrate_judge, read_labels
from sadari.measure.llm_judge import JudgeScorer, tally_reasons
from sadari.review.data import Judged
from sadari.task import Task
from sadari.task.files import resolve_path
from sadari.types import Scorer, Step

CALIBRATION = "calibration.json"


def calibrate(task: Task, scorer: Scorer, folder: Path) -> Calibration | None:
    """How well the task's judge agrees with the people whose labels the task names; None without a judge or labels.

    Args:
        scorer: One of its own, so that what the climb asks is counted apart.
        folder: Of the run; a calibration is kept there and not asked again.

    Raises:
        ConfigError: If it agrees with them less than the task asks for: such a judge decides nothing.
        DataError: If the labels cannot be read.
    """
    settings = task.score.judge
    if not isinstance(scorer, JudgeScorer) or settings is None or settings.labels is None:
        return None
    labels = read_labels(resolve_path(settings.labels, task.folder), {e.id: e for e in (*task.train, *task.validation, *task.test)})
    calibration = kept(folder / CALIBRATION, Calibration, lambda: calibrate_judge(scorer, labels))
    check_gate(calibration, settings.min_kappa)
    return calibration


def judged(steps: Sequence[Step], scorer: Scorer, calibration: Calibration | None) -> Judged | None:
    """What the judge could not say, rung by rung; None without a judge."""
    if not isinstance(scorer, JudgeScorer):
        return None
    tallies = {step.rung: tally_reasons(step.scorecard.reasons) for step in steps}
    return Judged(
        unsure={rung: tally.unsure for rung, tally in tallies.items()},
        failed={rung: tally.failed for rung, tally in tallies.items()},
        calibration=calibration,
    )
