"""Fill a JSON Schema with what quoted sentences say, and with nothing else.

A small model can point at the sentence that answers, but not write JSON. So it quotes, and the fields are read from the quote: an
object property by property, a list one item a sentence, and each value as a piece of a sentence (`prompt.spans`). What no
sentence says is null, or left out, where the schema lets it be.

Covered: a value that is not in the sentences is never written; what comes out satisfies the schema; nothing is fetched; a pattern
that would run without end is stopped.
Not covered: a schema from somebody who wants to harm; it is read as part of the task. True and false, which no piece of a sentence
is.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import regex  # type: ignore[import-untyped]  # unlike `re`, it can be stopped

from sadari.errors import ConfigError
from sadari.prompt.spans import (
    EXPECTED,
    Piece,
    Weights,
    days_of,
    learn_weights,
    likeliest_first,
    matches_of,
    named_in,
    numbers_of,
    runs_of_words,
)
from sadari.schema import check_schema, worst_fault
from sadari.text.forms import normalise
from sadari.types import Chunk, Example

DEEPEST = 16
"""Objects and references within each other that are filled."""

LONGEST_S = 0.2
"""Seconds that a pattern may take on one sentence; one that takes longer matches nothing there."""

Place = tuple[str, ...]
"""The keys that lead to a field; "[]" stands for the items of a list."""

_NOTHING: Any = object()


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of a schema, and how their values are told from the rest of a sentence."""

    schema: Mapping[str, Any]
    weights: Mapping[Place, Weights]

    def fill(self, sentences: Sequence[Chunk], question: str = "") -> str | None:
        """The schema filled with what the sentences say, as JSON; None if the schema wants more than they say.

        Args:
            question: Tells which of several values is meant.
        """
        value = self._filled(self.schema, sentences, question, ())
        is_right = value is not _NOTHING and worst_fault(self.schema, value) is None
        return json.dumps(value, ensure_ascii=False) if is_right else None

    def nothing(self) -> str | None:
        """What says that the documents do not say it: every field null or left out; None if the schema wants more."""
        return self.fill(())

    def is_nothing(self, text: str) -> bool:
        """Whether an answer is the JSON that says nothing, however it is spaced."""
        nothing = self.nothing()
        try:
            return nothing is not None and json.loads(text) == json.loads(nothing)
        except (ValueError, RecursionError):
            return False

    def _filled(self, schema: Any, sentences: Sequence[Chunk], question: str, place: Place) -> Any:
        plain, is_nullable = _plain(schema, self.schema)
        found = _NOTHING
        if len(place) < DEEPEST and "properties" in plain:
            found = self._object(plain, sentences, question, place)
        elif len(place) < DEEPEST and plain.get("type") == "array":
            items = (self._filled(plain.get("items", {}), [s], question, (*place, "[]")) for s in sentences)
            found = [item for item in items if item is not _NOTHING and item is not None]
        elif "const" in plain:
            return plain["const"]
        else:
            ranked = likeliest_first(pieces_for(plain, sentences), question, self.weights.get(place, EXPECTED))
            found = next((piece.value for piece in ranked if _fits(plain, piece.value)), _NOTHING)
        return None if found is _NOTHING and is_nullable else found

    def _object(self, schema: Mapping[str, Any], sentences: Sequence[Chunk], question: str, place: Place) -> Any:
        made = {}
        for name, inner in schema["properties"].items():
            value = self._filled(inner, sentences, question, (*place, name))
            if value is _NOTHING and name in schema.get("required", ()):
                return _NOTHING
            if value is not _NOTHING:
                made[name] = value
        return made


def read_fields(schema: str, rows: Sequence[Example] = ()) -> Fields:
    """The fields of a schema; what their values look like is learnt from rows that name where their answer stands.

    Args:
        schema: JSON text.
        rows: Of them those count whose answer is JSON and that have gold spans.

    Raises:
        ConfigError: If it is no JSON Schema of an object, or refers to another file.
    """
    try:
        parsed = json.loads(schema)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"the schema of the answers is no JSON ({error}). Mend its file.") from error
    check_schema(parsed, "the schema of the answers")
    if not isinstance(parsed, dict):
        raise ConfigError(f"the schema of the answers is {parsed!r}, which lets everything or nothing be. Write an object.")
    told = [row for row in map(_told, rows) if row is not None]
    return Fields(parsed, {place: _learnt(place, leaf, told) for place, leaf in _leaves(parsed, parsed, ())})


def pieces_for(schema: Mapping[str, Any], sentences: Sequence[Chunk]) -> list[Piece]:
    """The pieces of the sentences that a field may hold; where none of a kind is in them, of their titles and table heads."""
    around = [text for s in sentences for text in (s.header, s.title) if text]
    looked = ([s.text for s in sentences], [] if _is_free(schema) else around)
    for texts in looked:
        pieces = [piece for text in texts for piece in _pieces(schema, text)]
        if pieces:
            return pieces
    return []


def values_of(text: str) -> list[str]:
    """The values of a JSON answer that say something, as text; [] if it is no JSON, or says nothing."""
    try:
        waiting = [json.loads(text)]
    except (ValueError, RecursionError):
        return []
    values: list[str] = []
    while waiting:
        inner = waiting.pop(0)
        if isinstance(inner, dict | list):
            waiting += inner.values() if isinstance(inner, dict) else inner
        elif inner is not None and not isinstance(inner, bool) and str(inner):
            values.append(str(inner))
    return values


# --- schemas -----------------------------------------------------------------------------------------------------------


def _plain(schema: Any, root: Mapping[str, Any]) -> tuple[Mapping[str, Any], bool]:
    """A schema without references to `$defs` and without null, and whether null is one of its values."""
    is_nullable = False
    for _ in range(DEEPEST):
        if not isinstance(schema, dict):
            return {}, True
        name = str(schema.get("$ref", ""))
        options = [*schema.get("anyOf", ()), *schema.get("oneOf", ())]
        if name.startswith("#/$defs/"):
            schema = root.get("$defs", {}).get(name.removeprefix("#/$defs/"))
        elif options:
            is_nullable |= any(option == {"type": "null"} for option in options)
            schema = next((option for option in options if option != {"type": "null"}), {})
        else:
            break
    kinds = schema.get("type", ())
    kinds = [kinds] if isinstance(kinds, str) else list(kinds)
    is_nullable |= "null" in kinds or None in schema.get("enum", ())
    kind = next((kind for kind in kinds if kind != "null"), "null" if kinds else None)
    return {**schema, **({"type": kind} if kind else {})}, is_nullable


def _leaves(schema: Any, root: Mapping[str, Any], place: Place) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    plain, _ = _plain(schema, root)
    if len(place) >= DEEPEST:
        return
    if "properties" in plain:
        for name, inner in plain["properties"].items():
            yield from _leaves(inner, root, (*place, name))
    elif plain.get("type") == "array":
        yield from _leaves(plain.get("items", {}), root, (*place, "[]"))
    else:
        yield place, plain


def _is_free(schema: Mapping[str, Any]) -> bool:
    """Whether any words may stand in the field."""
    return schema.get("type") == "string" and not {"pattern", "enum", "format"} & schema.keys()


def _pieces(schema: Mapping[str, Any], text: str) -> list[Piece]:
    kind = schema.get("type")
    if "enum" in schema:
        return named_in(text, schema["enum"])
    if kind in ("integer", "number"):
        return numbers_of(text, is_whole=kind == "integer")
    if kind != "string":
        return []
    if schema.get("format") == "date":
        return days_of(text)
    return matches_of(text, partial(_matches, schema["pattern"])) if "pattern" in schema else runs_of_words(text)


def _matches(pattern: str, text: str) -> Iterator[tuple[int, int]]:
    """Where a pattern of whole values matches within a sentence."""
    inner = pattern.removeprefix("^")
    inner = inner.removesuffix("$") if not inner.endswith(r"\$") else inner
    try:
        yield from (match.span() for match in regex.finditer(inner, text, timeout=LONGEST_S) if match[0])
    except (TimeoutError, regex.error):
        return


def _fits(schema: Mapping[str, Any], value: Any) -> bool:
    """Whether a value satisfies a field; its pattern was looked at before."""
    return worst_fault({key: schema[key] for key in schema if key not in ("pattern", "$defs")}, value) is None


# --- learning ----------------------------------------------------------------------------------------------------------

_Told = tuple[Any, list[Chunk], str]


def _told(row: Example) -> _Told | None:
    """The answer of a row, the sentences it stands in, and the question."""
    try:
        value = json.loads(row.target.content)
    except (ValueError, RecursionError):
        return None
    spans = row.reference.spans
    return (value, [Chunk(s.document, s.title, s.start, s.end, s.quote) for s in spans], row.question) if spans else None


def _learnt(place: Place, schema: Mapping[str, Any], rows: Sequence[_Told]) -> Weights:
    judged = []
    for value, sentences, question in rows:
        wanted = {_compared(one) for one in _at(value, place)}
        pieces = pieces_for(schema, sentences) if wanted else []
        judged.append((pieces, question, [_compared(piece.value) in wanted for piece in pieces]))
    return learn_weights(judged)


def _compared(value: Any) -> Any:
    return " ".join(normalise(value).split()) if isinstance(value, str) else value


def _at(value: Any, place: Place) -> list[Any]:
    """What stands at a place: of a list every item, nothing where there is no such field."""
    found = [value]
    for key in place:
        if key == "[]":
            found = [inner for one in found if isinstance(one, list) for inner in one]
        else:
            found = [one[key] for one in found if isinstance(one, dict) and key in one]
    return [one for one in found if isinstance(one, str | int | float)]
