"""Values against a JSON Schema, in bounded time: answers of models, arguments of calls, schemas of strangers.

Covered: what a schema refers to outside itself is refused, never fetched; patterns, references that call themselves and lists of
many items end within a second, and what was not checked by then does not satisfy the schema.
Not covered: formats ("date", "email") are not checked.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError, best_match
from jsonschema.validators import extend
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012, EMPTY_REGISTRY

from sadari.errors import ConfigError

LONGEST_S = 1.0
"""Seconds that one value may take; one that takes longer does not satisfy the schema."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One way in which a value breaks a schema: where, which keyword, and that keyword's value."""

    path: str
    keyword: str
    expected: Any
    message: str


def faults(schema: Any, value: Any) -> list[Fault]:
    """All the ways in which `value` breaks `schema` (draft 2020-12), the outermost first."""
    return _bounded(lambda: [_fault(e) for e in _errors(schema, value)])


def worst_fault(schema: Any, value: Any) -> Fault | None:
    """The one that tells most; None if `value` satisfies the schema."""

    def find() -> list[Fault]:
        worst = best_match(_errors(schema, value))
        return [] if worst is None else [_fault(worst)]

    return next(iter(_bounded(find)), None)


def path_text(path: Sequence[str | int]) -> str:
    """Where a value stands, as people write it: `items[2].name`; "value" for the whole."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".") or "value"


def _errors(schema: Any, value: Any) -> Iterator[ValidationError]:
    return iter(_Bounded(schema, registry=EMPTY_REGISTRY).iter_errors(value))  # the default registry opens addresses


def _bounded(find: Callable[[], list[Fault]]) -> list[Fault]:
    token = _deadline.set(time.monotonic() + LONGEST_S)
    try:
        return find()
    except _TooSlowError as error:
        return [Fault("value", "time", LONGEST_S, str(error))]
    except RecursionError:
        return [Fault("value", "depth", None, "nested too deep for the schema")]
    finally:
        _deadline.reset(token)


def _fault(error: ValidationError) -> Fault:
    return Fault(path_text(list(error.absolute_path)), str(error.validator), error.validator_value, _brief(error))


def _brief(error: ValidationError) -> str:
    return error.message if len(error.message) <= 120 else f"breaks {error.validator}: {str(error.validator_value)[:80]}"


def check_schema(schema: Any, shown: str) -> None:
    """Refuse what is no JSON Schema, leads out of itself, or could not be checked in bounded time.

    Args:
        shown: What the schema is called in the error.

    Raises:
        ConfigError: If it is one of these.
    """
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        where = path_text(list(error.path))
        raise ConfigError(f"{shown} is no JSON Schema: {error.message[:160]} (at {where}). Mend it.") from error
    except RecursionError as error:
        raise ConfigError(f"{shown} is nested too deep.") from error
    _check_references(schema, shown)
    _check_patterns(schema, shown)


def _check_references(schema: Any, shown: str) -> None:
    root = DRAFT202012.create_resource(schema)
    resolver = Registry().with_resource(root.id() or "", root).crawl().resolver(root.id() or "")
    for inner in _objects(schema):
        for reference in (inner.get("$ref"), inner.get("$dynamicRef")):
            try:
                if isinstance(reference, str):
                    resolver.lookup(reference)
            except Unresolvable as error:
                remedy = "Nothing is fetched: copy what it names into its `$defs`"
                raise ConfigError(f"{shown}: $ref {reference!r} leads nowhere in itself. {remedy}.") from error


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
