"""What the folder of the served task tells: its climbs and their scores, its prices, and what its test set asks.

Covered: nothing is loaded that answers, and nothing is computed anew: the scores that were kept are compared by the statistics of
the climb; a folder that is damaged, or is being written, is left out or told as an error, and breaks no page.
Not covered: whether a test set was changed between two runs whose looks at it were not logged.
"""

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal

from sadari.errors import DataError, RunError, SadariError
from sadari.files import read_json, read_lines
from sadari.serve.drift import opening_questions
from sadari.serve.figures import Prices
from sadari.types import Scorecard, Verdict

if TYPE_CHECKING:
    from sadari.task import Task
    from sadari.task.config import TaskConfig

MOST_ROWS = 200
"""Examples on which two systems differ that are shown."""


class ExamplesDifferError(RunError):
    """Two systems were not measured on the same test examples."""


@dataclass(frozen=True, slots=True)
class Climb:
    """A finished climb.

    Args:
        ended: When its report was written.
        result: What `report.json` holds.
    """

    number: str
    folder: Path
    ended: datetime
    result: Mapping[str, Any]

    @property
    def steps(self) -> Sequence[Mapping[str, Any]]:
        """Its rungs, as the report tells them."""
        steps: Sequence[Mapping[str, Any]] = self.result["steps"]
        return steps

    @property
    def winner(self) -> int:
        """The index of the rung that won."""
        return max(i for i, step in enumerate(self.steps) if i == 0 or step["taken"])

    @property
    def forgetting(self) -> Sequence[tuple[str, str, str]]:
        """Rung, level ("none", "notice", "serious") and reason of each that was tuned."""
        tunings = self.result.get("review", {}).get("tunings", ())
        found = ((one["rung"], one.get("forgetting")) for one in tunings)
        return [(rung, forgot["level"], forgot["reason"]) for rung, forgot in found if forgot]

    def scorecard(self, index: int) -> Scorecard:
        """The scores of one rung.

        Raises:
            RunError: If they are missing or damaged.
        """
        return read_json(self.folder / "steps" / f"{index}-{self.steps[index]['rung']}" / "scorecard.json", Scorecard)


@dataclass(frozen=True, slots=True)
class Arm:
    """A system whose scores were kept: one rung of one climb. `name` is "2/3" for rung 3 of climb 2."""

    name: str
    climb: Climb
    index: int

    @property
    def rung(self) -> str:
        """What the rung is called."""
        return str(self.climb.steps[self.index]["rung"])


@dataclass(frozen=True, slots=True)
class Row:
    """One example on which two systems differ."""

    id: str
    question: str
    answers: tuple[str, str]
    scores: tuple[float, float]
    reasons: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two systems on the same examples.

    Args:
        verdict: Whether `b` is proven better than `a`.
        differ: On how many examples their scores differ; `rows` are the first of these, the largest differences first.
    """

    a: Arm
    b: Arm
    cards: tuple[Scorecard, Scorecard]
    verdict: Verdict
    differ: int
    rows: tuple[Row, ...]


class Climbs:
    """The climbs of one task.

    Args:
        task: Its folder; None if what is served belongs to no task.
    """

    def __init__(self, task: Path | None) -> None:
        self.folder = task
        self._lock = Lock()
        self._read: dict[Path, tuple[int, Climb]] = {}
        self._task: tuple[int, Task | SadariError] | None = None

    def all(self) -> list[Climb]:
        """Those that are finished, newest first."""
        return [climb for folder in self._folders() if (climb := self._climb(folder)) is not None]

    def unfinished(self) -> list[str]:
        """The numbers of those that were begun and have no report."""
        return [folder.name for folder in self._folders() if not (folder / "report.json").is_file()]

    def climb(self, number: str) -> Climb | None:
        """A finished climb; None if there is none of that number."""
        return next((climb for climb in self.all() if climb.number == number), None)

    def _folders(self) -> list[Path]:
        from sadari.run import run_folders  # and with it all that trains and measures

        return run_folders(self.folder)[::-1] if self.folder is not None else []

    def _climb(self, folder: Path) -> Climb | None:
        from sadari.run import load_result

        report = folder / "report.json"
        try:
            written = report.stat()
            if folder not in self._read or self._read[folder][0] != written.st_mtime_ns:
                result = load_result(folder)
                made = Climb(folder.name, folder, datetime.fromtimestamp(written.st_mtime, UTC).astimezone(), result)
                str(made.steps[made.winner]["rung"])  # a report without rungs is none
                self._read[folder] = (written.st_mtime_ns, made)
            return self._read[folder][1]
        except (OSError, RunError, KeyError, TypeError, ValueError):
            return None

    # --- the task --------------------------------------------------------------------------------------------------------

    def config(self) -> "TaskConfig | None":
        """The options of the task; None without one, or if they are wrong."""
        from sadari.task.config import load_config

        try:
            return load_config(self.folder) if self.folder is not None else None
        except SadariError:
            return None

    def task(self) -> "Task":
        """The task with its examples, read anew when its file has changed.

        Raises:
            SadariError: If there is none, or it cannot be read.
        """
        from sadari.task import load_task
        from sadari.task.config import task_file

        if self.folder is None:
            raise DataError("what is served belongs to no task.")
        with self._lock:
            changed = task_file(self.folder).stat().st_mtime_ns
            if self._task is None or self._task[0] != changed:
                try:
                    self._task = (changed, load_task(self.folder))
                except SadariError as error:
                    self._task = (changed, error)
            kept = self._task[1]
        if isinstance(kept, SadariError):
            raise kept
        return kept

    def test_questions(self) -> tuple[str, ...]:
        """The opening questions of the test set; () if they cannot be read."""
        try:
            return opening_questions(self.task().test)
        except (SadariError, OSError):
            return ()

    def prices(self) -> Prices:
        """What serving costs where the newest climb was measured; nothing that is rented by the month is priced by use."""
        from sadari.measure.money.bill import is_rented
        from sadari.measure.money.cost import hour_price

        config, newest = self.config(), next(iter(self.all()), None)
        if config is None:
            return Prices()
        money, device = config.money, "remote" if config.model.startswith("openai:") else "machine"
        with suppress(RunError):
            device = newest.scorecard(newest.winner).device if newest is not None else device
        if device == "remote":
            read, written = money.price_per_1k_prompt_tokens, money.price_per_1k_completion_tokens
            return Prices(money.currency, None, read, written)
        if is_rented(money, device):  # type: ignore[arg-type]
            return Prices(money.currency)
        return Prices(money.currency, hour_price(money, device))  # type: ignore[arg-type]

    # --- two systems -----------------------------------------------------------------------------------------------------

    def arms(self) -> list[Arm]:
        """All systems whose scores were kept, those of the newest climb first."""
        return [Arm(f"{climb.number}/{i}", climb, i) for climb in self.all() for i in range(len(climb.steps))]

    def compare(self, a: str, b: str, language: Literal["ko", "en"]) -> Comparison:
        """The verdict between two systems by the names of their arms, and where they differ.

        Raises:
            ExamplesDifferError: If they were not measured on the same examples.
            RunError: If one is missing, or they were not measured in the same way.
        """
        from sadari.measure import Rule, judge
        from sadari.run import test_of_run

        arms = {arm.name: arm for arm in self.arms()}
        unknown = next((name for name in (a, b) if name not in arms), None)
        if unknown is not None:
            raise RunError(f"{unknown[:40]}: there are no scores of that name.")
        first, second = arms[a], arms[b]
        cards = (first.climb.scorecard(first.index), second.climb.scorecard(second.index))
        tests = {test_of_run(arm.climb.folder, card) for arm, card in zip((first, second), cards, strict=True)} - {None}
        if len(tests) > 1 or cards[0].ids != cards[1].ids:
            raise ExamplesDifferError(f"{a} and {b} were measured on different test examples. Climb again to compare them.")
        config = self.config()
        rule = Rule(language=language)
        if config is not None:
            rule = Rule(min_gain=config.score.min_gain, money=config.money, language=language, seed=config.seed)
        verdict = judge(*cards, rule)
        rows = self._rows(first, second)
        return Comparison(first, second, cards, verdict, len(rows), tuple(rows[:MOST_ROWS]))

    def _rows(self, a: Arm, b: Arm) -> list[Row]:
        from sadari.measurer import Prediction

        kept = [
            {row.id: row for row in read_lines(arm.climb.folder / "predictions" / f"{arm.index}-{arm.rung}.jsonl", Prediction)}
            for arm in (a, b)
        ]
        questions = self._questions()
        rows = [
            Row(one, questions.get(one, ""), (x.answer.text, y.answer.text), (x.score, y.score), (x.reason, y.reason))
            for one, x in kept[0].items()
            if (y := kept[1].get(one)) is not None and x.score != y.score
        ]
        return sorted(rows, key=lambda row: -abs(row.scores[0] - row.scores[1]))

    def _questions(self) -> Mapping[str, str]:
        try:
            return {example.id: example.question for example in self.task().test}
        except (SadariError, OSError):
            return {}


_STYLE = re.compile(r"<style>(.*?)</style>", re.DOTALL)


def report_policy(html: str) -> str:
    """The content security policy of a report: its own style sheet, by its hash, and nothing else; no script whatever it holds."""
    style = _STYLE.search(html)
    told = f"'sha256-{b64encode(sha256(style[1].encode()).digest()).decode()}'" if style else "'none'"
    return (
        f"sandbox; default-src 'none'; style-src {told}; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
