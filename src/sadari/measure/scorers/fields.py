"""A JSON answer: held to a schema, then compared field by field."""

import json
import re
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sadari.errors import DataError
from sadari.measure.scorers.schema import AnswerSchema
from sadari.measure.scorers.scoring import accepted_texts
from sadari.measure.scorers.values import TooDeepError, leaves
from sadari.schema import path_text
from sadari.text.forms import normalise
from sadari.types import Answer, Example, Score, Scorer

MOST_JSON_CHARS = 100_000
"""A longer answer is not read as JSON."""

_NO_JSON = object()
_OPENING = re.compile(r"[{\[]")
_MOST_OPENINGS = 50


@dataclass(frozen=True, slots=True)
class JsonScorer:
    """The share of fields that are equal, over all fields of the answer and the reference; 0 if the answer is no JSON.

    Args:
        schema: What every answer must satisfy; one that does not scores 0, with the fault as reason.
    """

    schema: AnswerSchema | None = None

    @property
    def name(self) -> str:
        return "json (share of equal fields)" if self.schema is None else "json (by schema, then share of equal fields)"

    def score(self, example: Example, answer: Answer) -> Score:
        if len(answer.text) > MOST_JSON_CHARS:
            return Score(0.0, f"longer than {MOST_JSON_CHARS:,} characters")
        said = _json_in(answer.text)
        if said is _NO_JSON:
            return Score(0.0, "no JSON in the answer")
        wanted = [_read_reference(example, text, self.schema) for text in accepted_texts(example)]
        try:
            scores = [_compare(said, value) for value in wanted]
        except TooDeepError as error:
            return Score(0.0, str(error))
        fault = self.schema.fault(said) if self.schema else ""
        return Score(0.0, f"breaks the schema: {fault}") if fault else max(scores, key=lambda score: score.value)


def schema_of(scorer: Scorer) -> str:
    """The JSON Schema that a scorer holds answers to, as JSON text; "" if it holds them to none."""
    schema = scorer.schema if isinstance(scorer, JsonScorer) else None
    return "" if schema is None else json.dumps(schema.schema, ensure_ascii=False)


def _read_reference(example: Example, text: str, schema: AnswerSchema | None) -> Any:
    value = json.loads(text)
    fault = schema.fault(value) if schema else ""
    if fault:
        raise DataError(f"example {example.id}: its reference breaks the schema ({fault}). Mend the reference or the schema.")
    return value


def _json_in(text: str) -> Any:
    """The JSON value of an answer, in a code fence or with words around it; `_NO_JSON` if there is none."""
    text = normalise(text).strip()
    for piece in (fenced(text, "json"), text):
        try:
            return json.loads(piece)
        except (ValueError, RecursionError):
            pass
    decoder = json.JSONDecoder()
    for opening in islice(_OPENING.finditer(text), _MOST_OPENINGS):
        try:
            return decoder.raw_decode(text, opening.start())[0]
        except (ValueError, RecursionError):
            pass
    return _NO_JSON


def fenced(text: str, language: str) -> str:
    """What stands in the first code fence, with or without the name of its language; the whole text if there is no fence."""
    _, opened, rest = text.partition("```")
    inner, closed, _ = rest.partition("```")
    if not opened or not closed:
        return text
    return inner[len(language) :] if inner[: len(language)].lower() == language else inner


def _compare(said: Any, wanted: Any) -> Score:
    said_fields, wanted_fields = dict(leaves(said)), dict(leaves(wanted))
    paths = said_fields.keys() | wanted_fields.keys()
    unequal = [path for path in paths if said_fields.get(path, _NO_JSON) != wanted_fields.get(path, _NO_JSON)]
    shown = ", ".join(sorted(path_text(path) for path in unequal)[:5])
    return Score(1 - len(unequal) / len(paths), f"differs: {shown}" if unequal else "")
