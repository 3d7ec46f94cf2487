"""Which scorer suits a task: read from its references, unless the task names one."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Literal, Protocol

from sadari.errors import ConfigError, DataError
from sadari.measure.facts import FactsScorer
from sadari.measure.korean import quantities_in
from sadari.measure.overlap import RougeScorer
from sadari.measure.scorers import (
    AnswerSchema,
    JsonScorer,
    LabelScorer,
    NumberScorer,
    ShortAnswerF1Scorer,
    ShortAnswerScorer,
    SqlScorer,
    TextScorer,
    ToolCallScorer,
    WholeTaskScorer,
    accepted_texts,
)
from sadari.types import Example, Model, Scorer

SHORT_CHARS = 30
LABEL_CHARS = 60

_ASKS = re.compile(
    r"[?？]|누구|언제|어디|무엇|무슨|뭐|몇|얼마|어느|어떤|\b(?:who|what|when|where|which|whose|how (?:many|much|long|old|far))\b",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.!…]\s*$")

SCORER_NAMES = (
    "label",
    "number",
    "short_answer",
    "short_answer_f1",
    "text",
    "rouge",
    "json",
    "tool_call",
    "task",
    "sql",
    "facts",
    "judge",
)
"""What `score.by` may name, beside "auto"."""

RULINGS_FOLDER = "runs"
"""Where the rulings of a judge are kept, in the task's folder: every climb of the task shares them."""

Load = Callable[[str, str | None], Model]
"""Loads a model by its name and, for a remote one, the address of its endpoint."""


class JudgeScoring(Protocol):
    """The judge of a task."""

    @property
    def model(self) -> str: ...
    @property
    def base_url(self) -> str | None: ...
    @property
    def rubric(self) -> str: ...
    @property
    def max_new_tokens(self) -> int: ...


class Scoring(Protocol):
    """How the answers of a task are judged, as `score:` of the task file says it."""

    @property
    def by(self) -> str: ...
    @property
    def tolerance(self) -> float: ...
    @property
    def json_schema(self) -> str | None: ...
    @property
    def database(self) -> str | None: ...
    @property
    def time_s(self) -> float: ...
    @property
    def aliases(self) -> Mapping[str, Sequence[str]]: ...
    @property
    def judge(self) -> JudgeScoring | None: ...


def choose_scorer(
    examples: Sequence[Example],
    scoring: Scoring | str = "auto",
    *,
    language: Literal["ko", "en"] = "en",
    folder: Path = Path("."),
    load: Load | None = None,
) -> Scorer:
    """The scorer that `scoring` names, or the one that the references call for.

    Facts or an abstention call for `facts`, tool calls for `tool_call`, JSON objects for `json`, numbers for `number`, few distinct
    short texts for `label`, short texts that answer questions for `short_answer`, everything else for `text`. Numbers are looked
    for before labels: ratings from 1 to 5 are scored alike by both, and 3,000원 = 3000원 only by `number`.

    Args:
        scoring: The settings, or the name of a scorer that needs none.
        language: Of the reasons that scores give.
        folder: What file names of `scoring` are relative to.
        load: Loads the judge; only `judge` needs it.

    Raises:
        ConfigError: If no scorer has that name, or its settings are missing or wrong.
        DataError: If there are no examples.
    """
    by = scoring if isinstance(scoring, str) else scoring.by
    if by != "auto" and by not in SCORER_NAMES:
        raise ConfigError(f'score.by is "{by}", which is no scorer. Use auto, {", ".join(SCORER_NAMES)}.')
    by = _fitting(examples) if by == "auto" else by
    settings = None if isinstance(scoring, str) else scoring
    if by == "judge":
        return _judge(settings, language, folder, load)
    makers: dict[str, Callable[[], Scorer]] = {
        "label": LabelScorer,
        "number": lambda: NumberScorer(settings.tolerance if settings else 0.0),
        "short_answer": lambda: ShortAnswerScorer(aliases=settings.aliases if settings else {}),
        "short_answer_f1": lambda: ShortAnswerF1Scorer(aliases=settings.aliases if settings else {}),
        "text": TextScorer,
        "rouge": RougeScorer,
        "json": lambda: JsonScorer(_schema(settings, folder)),
        "tool_call": ToolCallScorer,
        "task": WholeTaskScorer,
        "sql": lambda: _sql(settings, folder),
        "facts": lambda: FactsScorer(language),
    }
    return makers[by]()


def _schema(settings: Scoring | None, folder: Path) -> AnswerSchema | None:
    name = settings.json_schema if settings else None
    return AnswerSchema.read(folder / Path(name).expanduser()) if name else None


def _sql(settings: Scoring | None, folder: Path) -> Scorer:
    if settings is None or settings.database is None:
        raise ConfigError("score.by is sql, but nothing says which database. Set `score.database: FILE`.")
    return SqlScorer(folder / Path(settings.database).expanduser(), settings.time_s)


def _judge(settings: Scoring | None, language: Literal["ko", "en"], folder: Path, load: Load | None) -> Scorer:
    from sadari.measure.judging.llm_judge import JudgeScorer

    if settings is None or settings.judge is None or load is None:
        raise ConfigError("score.by is judge, but there is no judge. Set `score.judge: {model: NAME, rubric: WORDS}`.")
    return JudgeScorer(load(settings.judge.model, settings.judge.base_url), settings.judge, language, folder / RULINGS_FOLDER)


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
    except (ValueError, RecursionError):
        return False


def _is_number(text: str) -> bool:
    """Whether the text is one number, with or without its unit, and nothing else."""
    found = quantities_in(text)
    return len(found) == 1 and found[0].value is not None and found[0].start == 0 and found[0].end >= len(text.rstrip(" ."))
