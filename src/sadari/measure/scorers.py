"""Scorers: each judges one answer against its example, in [0, 1], and says why.

All compare text as `measure.korean` does. An answer with an `error` scores 0. The rule for answers that cite documents stands in
`measure.facts`, and the choice between scorers in `measure.choice`.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from sadari.errors import DataError
from sadari.measure.korean import KoreanText, character_f1, is_exact, korean_text, normalise, quantities_in
from sadari.types import Answer, Example, Score, Scorer, ToolCall

CHRF_ORDER = 6
CHRF_BETA = 2.0


def score_answer(scorer: Scorer, example: Example, answer: Answer) -> Score:
    """The score of one answer; an answer with an `error` gets 0 and its scorer is not asked.

    Raises:
        DataError: If the scorer fails, or gives no number in [0, 1]; the message names the example.
    """
    if answer.error is not None:
        return Score(0.0, f"error: {answer.error}")
    try:
        score = scorer.score(example, answer)
    except Exception as failure:
        raise DataError(
            f"example {example.id}: the scorer {scorer.name!r} failed: {type(failure).__name__}: {failure}. "
            "Mend the reference of this example, or the scorer."
        ) from failure
    if not (isinstance(score.value, int | float) and 0 <= score.value <= 1):
        raise DataError(f"example {example.id}: the scorer {scorer.name!r} gave {score.value!r}, which is no number in [0, 1].")
    return score


def accepted_texts(example: Example) -> tuple[str, ...]:
    """The answers accepted for `example`: its references, else its final assistant turn.

    Raises:
        DataError: If there is none.
    """
    texts = example.reference.texts or ((example.target.content,) if example.target.content else ())
    if not texts:
        raise DataError(f"example {example.id}: it has no reference to score against. Give it one, or delete the row.")
    return texts


@dataclass(frozen=True, slots=True)
class LabelScorer:
    """1 if the answer is one of the accepted labels, apart from case, spaces, underscores, quotes and a final stop."""

    name: str = "label (exact after normalisation)"

    def score(self, example: Example, answer: Answer) -> Score:
        accepted = accepted_texts(example)
        if any(_label_key(answer.text) == _label_key(label) for label in accepted):
            return Score(1.0)
        return Score(0.0, f"{_short(answer.text)} ≠ {_short(accepted[0])}")


@dataclass(frozen=True, slots=True)
class NumberScorer:
    """1 if the answer's last number (with the reference's unit, if it states that unit) is within `tolerance` of the reference.

    Args:
        tolerance: Relative to the reference; 0 asks for the same number.
    """

    tolerance: float = 0.0

    @property
    def name(self) -> str:
        return f"number (tolerance {self.tolerance:g})"

    def score(self, example: Example, answer: Answer) -> Score:
        said = quantities_in(answer.text)
        accepted = accepted_texts(example)
        for text in accepted:
            wanted = quantities_in(text)
            if not wanted:
                raise ValueError(f"the reference {text!r} holds no number")
            same_unit = [q for q in said if q.unit == wanted[-1].unit]
            if not said:
                continue
            candidate = (same_unit or said)[-1]
            if wanted[-1].value is None or candidate.value is None:
                if candidate.spelling == wanted[-1].spelling:
                    return Score(1.0)
            elif candidate.unit in (wanted[-1].unit, "") or not wanted[-1].unit:
                allowed = max(abs(wanted[-1].value) * Decimal(str(self.tolerance)), Decimal("1e-9"))
                if abs(candidate.value - wanted[-1].value) <= allowed:
                    return Score(1.0)
        return Score(0.0, f"{_short(answer.text)} ≠ {_short(accepted[0])}")


@dataclass(frozen=True, slots=True)
class ShortAnswerScorer:
    """1 if the answer is one of the references, apart from spelling, spaces, punctuation and final particles and endings."""

    korean: KoreanText = field(default_factory=korean_text)

    @property
    def name(self) -> str:
        return f"short_answer (exact; {self.korean.name})"

    def score(self, example: Example, answer: Answer) -> Score:
        accepted = accepted_texts(example)
        if is_exact(answer.text, accepted, self.korean):
            return Score(1.0)
        return Score(0.0, f"{_short(answer.text)} ≠ {_short(accepted[0])}")


@dataclass(frozen=True, slots=True)
class ShortAnswerF1Scorer:
    """The best character F1 over the references; 1 where the answer is exact apart from final particles and endings."""

    korean: KoreanText = field(default_factory=korean_text)

    @property
    def name(self) -> str:
        return f"short_answer_f1 (characters; {self.korean.name})"

    def score(self, example: Example, answer: Answer) -> Score:
        accepted = accepted_texts(example)
        if is_exact(answer.text, accepted, self.korean):
            return Score(1.0)
        value = max(character_f1(stem, text) for stem in self.korean.stems(answer.text) for text in accepted)
        return Score(value, f"F1 {value:.2f}")


@dataclass(frozen=True, slots=True)
class TextScorer:
    """chrF over the references: the F-score of character n-grams, which needs no word borders and so suits Korean.

    Source:
        Popović (2015), chrF, WMT; n-grams of 1 to 6 characters without spaces, recall weighted by beta 2, as sacrebleu's default.
    """

    name: str = f"text (chrF{CHRF_BETA:g}, characters 1-{CHRF_ORDER}, own)"

    def score(self, example: Example, answer: Answer) -> Score:
        value = max(chrf(answer.text, text) for text in accepted_texts(example))
        return Score(value, f"chrF {value:.2f}")


def chrf(answer: str, reference: str, *, order: int = CHRF_ORDER, beta: float = CHRF_BETA) -> float:
    """chrF of one sentence, in [0, 1]; 1 for identical texts, and for two empty ones."""
    said, wanted = ("".join(normalise(text).split()) for text in (answer, reference))
    if said == wanted:
        return 1.0
    precisions, recalls = [], []
    for n in range(1, order + 1):
        said_grams, wanted_grams = (Counter(text[i : i + n] for i in range(len(text) - n + 1)) for text in (said, wanted))
        if said_grams and wanted_grams:
            shared = (said_grams & wanted_grams).total()
            precisions.append(shared / said_grams.total())
            recalls.append(shared / wanted_grams.total())
    if not precisions:
        return 0.0
    precision, recall = sum(precisions) / len(precisions), sum(recalls) / len(recalls)
    if not precision and not recall:
        return 0.0
    return (1 + beta**2) * precision * recall / (beta**2 * precision + recall)


@dataclass(frozen=True, slots=True)
class JsonScorer:
    """The share of fields that are equal, over all fields of the answer and the reference; 0 if the answer is no JSON."""

    name: str = "json (share of equal fields)"

    def score(self, example: Example, answer: Answer) -> Score:
        said = _json_in(answer.text)
        if said is _NO_JSON:
            return Score(0.0, "no JSON in the answer")
        return max((_compare_json(said, json.loads(text)) for text in accepted_texts(example)), key=lambda score: score.value)


@dataclass(frozen=True, slots=True)
class ToolCallScorer:
    """1 if the answer makes exactly the reference's calls, in any order: same names, equal arguments."""

    name: str = "tool_call (names and arguments, any order)"

    def score(self, example: Example, answer: Answer) -> Score:
        wanted = Counter(_call_key(call) for call in example.reference.calls)
        said = Counter(_call_key(call) for call in answer.tool_calls)
        if said == wanted:
            return Score(1.0)
        faults = [f"missing: {_short(call)}" for call in (wanted - said)] + [f"extra: {_short(call)}" for call in (said - wanted)]
        return Score(0.0, "; ".join(faults))


# --- comparing ---------------------------------------------------------------------------------------------------------

_NO_JSON = object()
_FENCED = re.compile(r"```(?:json)?\s*(.*?)```", re.DOTALL)


def _label_key(text: str) -> str:
    text = re.sub(r"[\s_]+", " ", normalise(text)).strip(" \"'`.")
    return text.casefold()


def _json_in(text: str) -> Any:
    """The JSON value of an answer, in a code fence or with words around it; `_NO_JSON` if there is none."""
    text = normalise(text).strip()
    fenced = _FENCED.search(text)
    for piece in ([fenced[1]] if fenced else []) + [text]:
        try:
            return json.loads(piece)
        except (ValueError, RecursionError):
            pass
    decoder = json.JSONDecoder()
    for opening in list(re.finditer(r"[{\[]", text))[:50]:
        try:
            return decoder.raw_decode(text, opening.start())[0]
        except (ValueError, RecursionError):
            pass
    return _NO_JSON


def _compare_json(said: Any, wanted: Any) -> Score:
    said_fields, wanted_fields = dict(_fields(said)), dict(_fields(wanted))
    paths = said_fields.keys() | wanted_fields.keys()
    unequal = sorted(path for path in paths if said_fields.get(path, _NO_JSON) != wanted_fields.get(path, _NO_JSON))
    value = 1 - len(unequal) / len(paths) if paths else 1.0
    return Score(value, f"differs: {', '.join(path or 'value' for path in unequal[:5])}" if unequal else "")


def _fields(value: Any, path: str = "") -> Iterator[tuple[str, tuple[str, Any]]]:
    """Every leaf with its path; the kind keeps true from 1."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _fields(inner, f"{path}.{normalise(str(key))}".lstrip("."))
    elif isinstance(value, list) and value:
        for index, inner in enumerate(value):
            yield from _fields(inner, f"{path}[{index}]")
    else:
        yield path, _leaf(value)


def _leaf(value: Any) -> tuple[str, Any]:
    if isinstance(value, bool):
        return "truth", value
    if isinstance(value, int | float):
        return "number", "NaN" if math.isnan(value) else value
    if isinstance(value, str):
        return "text", " ".join(normalise(value).split())
    return type(value).__name__, repr(value)


def _call_key(call: ToolCall) -> str:
    """Name and sorted arguments; 1 and 1.0 are one number, "1" is not."""
    written = {
        path: repr(value) if kind == "text" else str(float(value)) if kind == "number" else str(value)
        for path, (kind, value) in _fields(dict(call.arguments))
    }
    return f"{call.name}({', '.join(f'{path}={value}' for path, value in sorted(written.items()))})"


def _short(text: str, most: int = 60) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"
