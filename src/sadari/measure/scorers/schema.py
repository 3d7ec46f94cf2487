"""A JSON Schema that answers are held to.

Covered: the schema is checked before it is used; an address outside the file is refused, never fetched; patterns, references that
call themselves and lists of many items end within a second.
Not covered: a schema file from somebody who wants to harm; it is read as part of the task.
"""

import json
import time
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError, best_match
from jsonschema.validators import extend
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012, EMPTY_REGISTRY

from sadari.errors import ConfigError
from sadari.measure.scorers.values import path_text

LONGEST_S = 1.0
"""Seconds that one answer may take; one that takes longer does not satisfy the schema."""


@dataclass(frozen=True, slots=True)
class AnswerSchema:
    """A JSON Schema (draft 2020-12) from a file."""

    schema: Any

    @staticmethod
    def read(path: Path) -> "AnswerSchema":
        """The schema in `path`.

        Raises:
            ConfigError: If the file cannot be read, is no JSON Schema, or refers to an address outside itself.
        """
        shown = f"score.json_schema: {path}"
        try:
            schema = json.loads(path.read_text(encoding="utf-8-sig"))
            Draft202012Validator.check_schema(schema)
        except OSError as error:
            raise ConfigError(
                f"{shown} cannot be read ({error.strerror}). A path is relative to the folder of sadari.yaml."
            ) from error
        except SchemaError as error:
            where = path_text(list(error.path))
            raise ConfigError(f"{shown} is no JSON Schema: {error.message[:160]} (at {where}). Mend the file.") from error
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{shown} is no JSON ({error}). Mend the file.") from error
        _check_references(schema, shown)
        _check_patterns(schema, shown)
        return AnswerSchema(schema)

    def fault(self, value: Any) -> str:
        """How `value` breaks the schema, in a few words; "" if it does not."""
        token = _deadline.set(time.monotonic() + LONGEST_S)
        try:
            worst = best_match(_Bounded(self.schema, registry=EMPTY_REGISTRY).iter_errors(value))  # the default one opens addresses
        except (_TooSlowError, RecursionError) as error:
            return str(error) if isinstance(error, _TooSlowError) else "nested too deep for the schema"
        finally:
            _deadline.reset(token)
        return "" if worst is None else f"{path_text(list(worst.path))}: {_brief(worst)}"


def _brief(error: ValidationError) -> str:
    return error.message if len(error.message) <= 120 else f"breaks {error.validator}: {str(error.validator_value)[:80]}"


def _check_references(schema: Any, shown: str) -> None:
    root = DRAFT202012.create_resource(schema)
    resolver = Registry().with_resource(root.id() or "", root).crawl().resolver(root.id() or "")
    for inner in _objects(schema):
        for reference in (inner.get("$ref"), inner.get("$dynamicRef")):
            try:
                if isinstance(reference, str):
                    resolver.lookup(reference)
            except Unresolvable as error:
                remedy = "Nothing is fetched: copy what it names into `$defs` of this file"
                raise ConfigError(f"{shown}: $ref {reference!r} leads nowhere in this file. {remedy}.") from error


def _check_patterns(schema: Any, shown: str) -> None:
    keywords = {keyword for inner in _objects(schema) for keyword in inner}
    if {"patternProperties", "unevaluatedProperties"} <= keywords:  # the one place where a pattern could not be stopped
        raise ConfigError(f"{shown}: patternProperties beside unevaluatedProperties is not read. Use additionalProperties.")


def _objects(schema: Any) -> Iterator[dict[str, Any]]:
    """Every object in the schema, wherever it stands."""
    waiting = [schema]
    while waiting:
        inner = waiting.pop()
        if isinstance(inner, dict):
            yield inner
            waiting += inner.values()
        elif isinstance(inner, list):
            waiting += inner


# --- keywords that could run for ever ------------------------------------------------------------------------------------

_deadline: ContextVar[float] = ContextVar("deadline")


class _TooSlowError(Exception):
    def __init__(self) -> None:
        super().__init__(f"cannot be checked against the schema within {LONGEST_S:g} s")


def _left_s() -> float:
    left = _deadline.get() - time.monotonic()
    if left <= 0:
        raise _TooSlowError
    return left


def _matches(pattern: str, text: str) -> bool:
    import regex  # type: ignore[import-untyped]  # unlike `re`, it can be stopped

    try:
        return regex.search(pattern, text, timeout=_left_s()) is not None
    except TimeoutError:
        raise _TooSlowError from None


def _pattern(validator: Any, pattern: str, value: Any, schema: Any) -> Iterator[ValidationError]:
    if isinstance(value, str) and not _matches(pattern, value):
        yield ValidationError(f"{value!r} does not match {pattern!r}")


def _pattern_properties(validator: Any, patterns: dict[str, Any], value: Any, schema: Any) -> Iterator[ValidationError]:
    for pattern, inner in patterns.items() if isinstance(value, dict) else ():
        for key, item in value.items():
            if _matches(pattern, key):
                yield from validator.descend(item, inner, path=key, schema_path=pattern)


def _additional_properties(validator: Any, inner: Any, value: Any, schema: dict[str, Any]) -> Iterator[ValidationError]:
    patterns, known = schema.get("patternProperties", {}), schema.get("properties", {})
    for key, item in value.items() if isinstance(value, dict) else ():
        if key not in known and not any(_matches(pattern, key) for pattern in patterns):
            if inner is False:
                yield ValidationError(f"{key!r} is no known field")
            else:
                yield from validator.descend(item, inner, path=key)


def _unique_items(validator: Any, unique: bool, value: Any, schema: Any) -> Iterator[ValidationError]:
    if unique and isinstance(value, list) and len({json.dumps(item, sort_keys=True) for item in value}) < len(value):
        yield ValidationError("holds the same item twice")


def _reference(validator: Any, reference: str, value: Any, schema: Any) -> Iterator[ValidationError]:
    _left_s()  # every endless recursion passes here
    yield from Draft202012Validator.VALIDATORS["$ref"](validator, reference, value, schema) or ()


def _dynamic_reference(validator: Any, reference: str, value: Any, schema: Any) -> Iterator[ValidationError]:
    _left_s()
    yield from Draft202012Validator.VALIDATORS["$dynamicRef"](validator, reference, value, schema) or ()


_Bounded: Any = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    {
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional_properties,
        "uniqueItems": _unique_items,
        "$ref": _reference,
        "$dynamicRef": _dynamic_reference,
    },
)
