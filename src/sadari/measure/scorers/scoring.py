"""Asking a scorer: errors score 0, what is no score is refused, and a failure names its example."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from sadari.errors import DataError, SadariError
from sadari.types import Answer, Example, Score, Scorer

Pair = tuple[Example, Answer]


@runtime_checkable
class BatchScorer(Protocol):
    """A scorer that is faster on many answers at once, such as one that asks a model."""

    @property
    def name(self) -> str:
        """As of `Scorer`."""
        ...

    def score(self, example: Example, answer: Answer) -> Score:
        """As of `Scorer`."""
        ...

    def score_all(self, pairs: Sequence[Pair]) -> list[Score]:
        """One score per pair, in order."""
        ...


def score_answer(scorer: Scorer, example: Example, answer: Answer) -> Score:
    """The score of one answer; an answer with an `error` gets 0 and its scorer is not asked.

    Raises:
        DataError: If the scorer fails, or gives no number in [0, 1]; the message names the example.
        SadariError: What the scorer itself raises, such as a judge that cannot be reached.
    """
    if answer.error is not None:
        return _failed(answer)
    try:
        return _checked(scorer, example, scorer.score(example, answer))
    except SadariError:
        raise
    except Exception as failure:
        raise DataError(
            f"example {example.id}: the scorer {scorer.name!r} failed: {type(failure).__name__}: {failure}. "
            "Mend the reference of this example, or the scorer."
        ) from failure


def score_answers(scorer: Scorer, pairs: Sequence[Pair]) -> list[Score]:
    """The score of every answer, as `score_answer` gives it; a `BatchScorer` is asked once for all of them.

    Raises:
        DataError, SadariError: As of `score_answer`.
    """
    asked = [pair for pair in pairs if pair[1].error is None]
    if not isinstance(scorer, BatchScorer) or not asked:
        return [score_answer(scorer, *pair) for pair in pairs]
    try:
        given = scorer.score_all(asked)
    except SadariError:
        raise
    except Exception:  # one by one, the example that it fails on is found and named
        return [score_answer(scorer, *pair) for pair in pairs]
    if len(given) != len(asked):
        raise DataError(f"the scorer {scorer.name!r} gave {len(given)} scores to {len(asked)} answers. Mend the scorer.")
    scores = iter([_checked(scorer, example, score) for (example, _), score in zip(asked, given, strict=True)])
    return [next(scores) if answer.error is None else _failed(answer) for _, answer in pairs]


def accepted_texts(example: Example) -> tuple[str, ...]:
    """The answers accepted for `example`: its references, else its final assistant turn.

    Raises:
        DataError: If there is none.
    """
    texts = example.reference.texts or ((example.target.content,) if example.target.content else ())
    if not texts:
        raise DataError(f"example {example.id}: it has no reference to score against. Give it one, or delete the row.")
    return texts


def shorten(text: str, most: int = 60) -> str:
    """`text` on one line of at most `most` characters, for a reason."""
    line = " ".join(text[: 20 * most].split())
    return line if len(line) <= most and len(text) <= 20 * most else line[: most - 1] + "…"


def _failed(answer: Answer) -> Score:
    return Score(0.0, f"error: {answer.error}")


def _checked(scorer: Scorer, example: Example, score: Score) -> Score:
    if isinstance(score.value, int | float) and 0 <= score.value <= 1:
        return score
    raise DataError(f"example {example.id}: the scorer {scorer.name!r} gave {score.value!r}, which is no number in [0, 1].")
