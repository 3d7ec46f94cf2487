"""Which scorer suits a task: read from its references, unless the task names one."""

import json
import re
from collections.abc import Callable, Sequence
from statistics import median
from typing import Literal

from sadari.errors import ConfigError, DataError
from sadari.measure.facts import FactsScorer
from sadari.measure.korean import quantities_in
from sadari.measure.scorers import (
    JsonScorer,
    LabelScorer,
    NumberScorer,
    ShortAnswerF1Scorer,
    ShortAnswerScorer,
    TextScorer,
    ToolCallScorer,
    accepted_texts,
)
from sadari.types import Example, Scorer

SHORT_CHARS = 30
LABEL_CHARS = 60

_ASKS = re.compile(
    r"[?？]|누구|언제|어디|무엇|무슨|뭐|몇|얼마|어느|어떤|\b(?:who|what|when|where|which|whose|how (?:many|much|long|old|far))\b",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.!…]\s*$")

SCORER_NAMES = ("label", "number", "short_answer", "short_answer_f1", "text", "json", "tool_call", "facts")
"""What `score.by` may name, beside "auto"."""


def choose_scorer(examples: Sequence[Example], by: str = "auto", *, language: Literal["ko", "en"] = "en") -> Scorer:
    """The scorer named `by`, or the one that the references call for.

    Facts or an abstention call for `facts`, tool calls for `tool_call`, JSON objects for `json`, numbers for `number`, few distinct
    short texts for `label`, short texts that answer questions for `short_answer`, everything else for `text`. Numbers are looked
    for before labels: ratings from 1 to 5 are scored alike by both, and 3,000원 = 3000원 only by `number`.

    Args:
        language: Of the reasons that scores give.

    Raises:
        ConfigError: If `by` names no scorer.
        DataError: If there are no examples.
    """
    makers: dict[str, Callable[[], Scorer]] = {
        "label": LabelScorer,
        "number": NumberScorer,
        "short_answer": ShortAnswerScorer,
        "short_answer_f1": ShortAnswerF1Scorer,
        "text": TextScorer,
        "json": JsonScorer,
        "tool_call": ToolCallScorer,
        "facts": lambda: FactsScorer(language),
    }
    if by != "auto" and by not in makers:
        raise ConfigError(f'score.by is "{by}", which is no scorer. Use auto, {", ".join(SCORER_NAMES)}.')
    return makers[_fitting(examples) if by == "auto" else by]()


def labels_of(examples: Sequence[Example]) -> tuple[str, ...]:
    """The distinct first references, sorted, if they are the labels of a classification task; else ()."""
    if not examples or any(e.reference.facts or e.reference.abstain or e.reference.calls for e in examples):
        return ()
    texts = [accepted_texts(example)[0].strip() for example in examples]
    distinct = sorted(set(texts))
    repeated = len(distinct) * 2 <= len(texts)
    few = len(distinct) >= 2 and repeated and max(map(len, distinct)) <= LABEL_CHARS
    return tuple(distinct) if few and not any(_SENTENCE_END.search(text) for text in distinct) else ()


def _fitting(examples: Sequence[Example]) -> str:
    if not examples:
        raise DataError("there are no examples to choose a scorer by. Give the task at least one.")
    if any(example.reference.facts or example.reference.abstain for example in examples):
        return "facts"
    if any(example.reference.calls for example in examples):
        return "tool_call"
    texts = [accepted_texts(example)[0].strip() for example in examples]
    if all(map(_is_json_object, texts)):
        return "json"
    if all(map(_is_number, texts)):
        return "number"
    if labels_of(examples):
        return "label"
    asked = sum(bool(_ASKS.search(example.question)) for example in examples) >= len(examples) / 2
    sentences = sum(bool(_SENTENCE_END.search(text)) for text in texts) > len(texts) / 2
    return "short_answer" if median(map(len, texts)) <= SHORT_CHARS and asked and not sentences else "text"


def _is_json_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _is_number(text: str) -> bool:
    """Whether the text is one number, with or without its unit, and nothing else."""
    found = quantities_in(text)
    return len(found) == 1 and found[0].value is not None and found[0].start == 0 and found[0].end >= len(text.rstrip(" ."))
