"""A model as scorer: it judges each answer by a rubric, and says right, wrong or unsure.

An answer that the judge does not call right scores 0. An unsure judge has proven nothing, and leaving such examples out would give
two systems different tests. `measure.calibration` counts "unsure" in the same way, so its corrected rate allows for it.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sadari.errors import ModelError
from sadari.measure.judging.judge_prompt import ANSWER_VERDICTS, Language, answer_question, said
from sadari.measure.judging.rulings import FAILED, NO_TOKENS, UNSURE, Ruling, Rulings
from sadari.types import Answer, Example, Model, Score, Usage

MOST_FAILED = 0.05
"""Share of requests that may fail before the zeros of a measurement say more about the judge than about the answers."""

_REASONS: dict[Language, dict[str, str]] = {
    "en": {
        "right": "judge: right",
        "wrong": "judge: wrong",
        UNSURE: "judge: unsure, counts as not right",
        FAILED: "judge failed, counts as not right",
    },
    "ko": {
        "right": "판정: 맞음",
        "wrong": "판정: 틀림",
        UNSURE: "판정: 알 수 없음, 맞지 않은 것으로 셈",
        FAILED: "판정 실패, 맞지 않은 것으로 셈",
    },
}
_EMPTY: dict[Language, str] = {"en": "empty answer", "ko": "빈 답변"}


class JudgeSettings(Protocol):
    """What the judge is told; `JudgeConfig` of the task file satisfies it."""

    @property
    def base_url(self) -> str | None:
        """Where a remote judge is."""
        ...

    @property
    def rubric(self) -> str:
        """What a right answer is, in words."""
        ...

    @property
    def max_new_tokens(self) -> int:
        """Longest reply of the judge."""
        ...


@dataclass(frozen=True, slots=True)
class JudgeTally:
    """How often a judge said what.

    Args:
        failed: Requests that came to nothing, timeouts included. With `unsure` they are the answers not judged, which score 0.
        asked: Requests sent; the rest was known already.
        usage: Tokens of those requests.
    """

    right: int = 0
    wrong: int = 0
    unsure: int = 0
    failed: int = 0
    asked: int = 0
    usage: Usage = NO_TOKENS

    @property
    def n(self) -> int:
        """Answers that were to be judged."""
        return self.right + self.wrong + self.unsure + self.failed


class JudgeScorer:
    """1 if the judge calls the answer right, else 0; the reason tells wrong, unsure and failed apart.

    An answer with an `error`, or an empty one, scores 0 and is not shown to the judge.

    Args:
        model: The judge.
        settings: The rubric, and how the judge is asked.
        language: Of the instruction and of the reasons.
        folder: Where rulings are kept; None keeps them in memory only.

    Raises:
        RunError: If the file of rulings cannot be read.
    """

    def __init__(self, model: Model, settings: JudgeSettings, language: Language = "en", folder: Path | None = None) -> None:
        self.rulings = Rulings(model, folder=folder, base_url=settings.base_url, max_new_tokens=settings.max_new_tokens)
        self._rubric, self._language = settings.rubric.strip(), language
        told = f"{settings.base_url} {language} {self._rubric}".encode("utf-8", "surrogatepass")
        self._name = f"judge ({model.name}, rubric {hashlib.sha256(told).hexdigest()[:8]})"
        self._counts = dict.fromkeys((*ANSWER_VERDICTS, FAILED), 0)

    @property
    def name(self) -> str:
        """The judge's model and a code of its rubric: scores by two rubrics are not compared."""
        return self._name

    @property
    def tally(self) -> JudgeTally:
        """What this scorer has heard so far."""
        counts, known = self._counts, self.rulings
        return JudgeTally(counts["right"], counts["wrong"], counts[UNSURE], counts[FAILED], known.asked, known.paid)

    def score(self, example: Example, answer: Answer) -> Score:
        """The score of one answer."""
        return self.score_all([(example, answer)])[0]

    def score_all(self, pairs: Sequence[tuple[Example, Answer]]) -> list[Score]:
        """One score per pair, in order; the model is asked in batches.

        Raises:
            SadariError: What the model raises because every other request would meet it too (a refused key, a spent budget).
            RunError: If the file of rulings cannot be written.
        """
        scores = [_unasked(answer, self._language) for _, answer in pairs]
        waiting = [index for index, score in enumerate(scores) if score is None]
        rulings = self.rulings.of([answer_question(self._rubric, *pairs[index], self._language) for index in waiting])
        for index, ruling in zip(waiting, rulings, strict=True):
            self._counts[ruling.verdict] += 1
            scores[index] = Score(float(ruling.verdict == "right"), _reason(ruling, self._language))
        return [score for score in scores if score is not None]


def tally_reasons(reasons: Iterable[str]) -> JudgeTally:
    """The tally of scores that were kept, such as `Scorecard.reasons`; requests and tokens do not stand there."""
    counts = dict.fromkeys((*ANSWER_VERDICTS, FAILED), 0)
    for reason in reasons:
        for verdict in counts:
            counts[verdict] += any(reason.startswith(words[verdict]) for words in _REASONS.values())
    return JudgeTally(counts["right"], counts["wrong"], counts[UNSURE], counts[FAILED])


def check_tally(tally: JudgeTally, most_failed: float = MOST_FAILED) -> None:
    """Refuse a measurement in which the judge itself failed.

    Raises:
        ModelError: If a larger share than `most_failed` of the requests failed.
    """
    if tally.failed > most_failed * tally.n:
        raise ModelError(
            f"the judge failed on {tally.failed} of {tally.n} answers, so their zeros say nothing about the answers. Mend the "
            "judge's endpoint or its settings, and run the same command again: what it has judged is kept."
        )


def _unasked(answer: Answer, language: Language) -> Score | None:
    """The score of an answer that need not be shown to the judge, else None."""
    if answer.error is not None:
        return Score(0.0, f"error: {answer.error}")
    return None if said(answer) else Score(0.0, _EMPTY[language])


def _reason(ruling: Ruling, language: Language) -> str:
    words = _REASONS[language][ruling.verdict]
    return f"{words}: {ruling.detail}" if ruling.detail else words
