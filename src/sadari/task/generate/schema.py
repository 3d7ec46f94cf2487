"""Arguments from a tool's JSON Schema: what a person may ask for, drawn by enum, example, format, type and the words around it."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from random import Random
from typing import Any

from jsonschema import Draft202012Validator
from referencing.exceptions import Unresolvable
from referencing.jsonschema import EMPTY_REGISTRY

from sadari.task.generate.pools import draw_number, draw_text
from sadari.types import ToolCall, ToolSpec

DEEPEST = 4
"""Objects and lists inside each other that are filled in."""

MOST_ITEMS = 3
OPTIONAL_SHARE = 0.3
DRAWS = 8
"""Draws for one call before it is given up: a pattern or a rule across fields may refuse some."""

Path = tuple[str, ...]


class NoValueError(Exception):
    """No value can be drawn; says for what."""


def draw_arguments(tool: ToolSpec, rng: Random, language: str) -> dict[str, Any]:
    """Arguments that fit the tool's schema: all that are required and some that are not.

    Raises:
        NoValueError: If there is an argument of which nothing is known, or what is drawn does not fit.
    """
    schema = tool.parameters
    fault = ""
    for _ in range(DRAWS):
        try:
            drawn = _in_order(_draw_object(schema, _Place(tool, rng, language)))
        except NoValueError as error:
            fault = f"{tool.name}: {error}"
            continue
        fault = call_fault(ToolCall(tool.name, drawn), tool)
        if not fault:
            return drawn
    raise NoValueError(fault)


_BEGINS = re.compile(r"start|begin|from|depart|check_?in", re.IGNORECASE)
_ENDS = re.compile(r"end|until|^to_|return|arriv|check_?out|finish", re.IGNORECASE)


def _in_order(drawn: dict[str, Any]) -> dict[str, Any]:
    """With the earlier of two dates, times or years at the beginning."""
    dated = {name: str(value) for name, value in drawn.items() if re.fullmatch(r"[\d:T. Z월일-]{4,}", str(value))}
    first = next((name for name in dated if _BEGINS.search(name)), None)
    last = next((name for name in dated if name != first and _ENDS.search(name)), None)
    if first and last and _moment(dated[first]) > _moment(dated[last]):
        return {**drawn, first: drawn[last], last: drawn[first]}
    return drawn


def draw_value(tool: ToolSpec, name: str, rng: Random, language: str) -> Any:
    """A value for one argument alone.

    Raises:
        NoValueError: If none can be drawn.
    """
    return _draw(properties_of(tool)[name], _Place(tool, rng, language).inside(name))


def properties_of(tool: ToolSpec) -> dict[str, Mapping[str, Any]]:
    """The arguments of a tool with the schema of each; what is no schema object is taken for one that allows anything."""
    found = tool.parameters.get("properties")
    return {str(k): v if isinstance(v, Mapping) else {} for k, v in found.items()} if isinstance(found, Mapping) else {}


def required_of(tool: ToolSpec) -> list[str]:
    """The names of arguments that must be given, in the order of the schema."""
    found = tool.parameters.get("required")
    names = set(found) if isinstance(found, list) else set()
    return [name for name in properties_of(tool) if name in names]


def call_fault(call: ToolCall, tool: ToolSpec) -> str:
    """How the arguments of `call` differ from the schema of `tool`, formats such as `date` included; "" if they fit."""
    try:
        errors = _validator(json.dumps(tool.parameters, sort_keys=True, default=str)).iter_errors(dict(call.arguments))
        first = next(iter(errors), None)
    except (Unresolvable, RecursionError, re.error) as error:
        return f"{call.name}: cannot be checked ({error})"
    return f"{call.name}: {first.message[:160]}" if first is not None else ""


def leaves(value: Any, path: Path = ()) -> list[tuple[Path, Any]] | None:
    """The scalars and lists of scalars in arguments, each with where it stands; None if there are lists of objects."""
    if isinstance(value, Mapping):
        inside = [leaves(item, (*path, str(key))) for key, item in value.items()]
        return None if None in inside else [leaf for found in inside for leaf in found or ()]
    if isinstance(value, list) and any(isinstance(item, Mapping | list) for item in value):
        return None
    return [(path, value)]


def schema_at(tool: ToolSpec, path: Path) -> Mapping[str, Any]:
    """The schema of the argument at `path`; an empty one if it is not declared."""
    schema: Mapping[str, Any] = tool.parameters
    for name in path:
        schema = _resolved(schema, tool.parameters, 0)
        inner = schema.get("properties")
        found = inner.get(name) if isinstance(inner, Mapping) else None
        schema = found if isinstance(found, Mapping) else {}
    return _resolved(schema, tool.parameters, 0)


@lru_cache(maxsize=2048)
def _validator(schema: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads(schema), registry=EMPTY_REGISTRY, format_checker=Draft202012Validator.FORMAT_CHECKER)


class _Place:
    """Where in a schema a value is drawn."""

    def __init__(self, tool: ToolSpec, rng: Random, language: str, name: str = "", depth: int = 0) -> None:
        self.tool, self.rng, self.language, self.name, self.depth = tool, rng, language, name, depth
        self.root, self.about = tool.parameters, tool.description

    def inside(self, name: str) -> "_Place":
        return _Place(self.tool, self.rng, self.language, name, self.depth + 1)


def _draw(schema: Any, place: _Place) -> Any:
    if not isinstance(schema, Mapping):
        schema = {}
    if place.depth > DEEPEST + 1:
        raise NoValueError(place.name)
    schema = _resolved(schema, place.root, 0)
    if "const" in schema:
        return schema["const"]
    for given in ("enum", "examples"):
        values = schema.get(given)
        if isinstance(values, list) and values:
            return place.rng.choice([value for value in values if value not in (None, "")] or values)
    kind = _type_of(schema, place)
    if kind == "object":
        return _draw_object(schema, place)
    if kind == "array":
        return _draw_list(schema, place)
    if kind == "boolean":
        return place.rng.random() < 0.5
    if kind == "null":
        return None
    is_number = kind in ("integer", "number")
    drawn: Any = draw_number(place.name, schema, place.rng, place.language) if is_number else _draw_string(schema, place)
    if drawn is None:
        raise NoValueError(place.name)
    return drawn


def _draw_object(schema: Any, place: _Place) -> dict[str, Any]:
    if place.depth > DEEPEST:
        raise NoValueError(place.name)
    declared, named = schema.get("properties"), schema.get("required")
    fields: Mapping[str, Any] = declared if isinstance(declared, Mapping) else {}
    required = set(named) if isinstance(named, list) else set()
    drawn: dict[str, Any] = {}
    for name, field in fields.items():
        field = field if isinstance(field, Mapping) else {}
        is_wanted = place.rng.random() < OPTIONAL_SHARE and _is_easily_said(field)
        if name in required or is_wanted:
            drawn[name] = _draw_unlike(field, place.inside(str(name)), drawn.values())
    if not fields and place.depth:
        raise NoValueError(f"{place.name}, an object of unknown fields")
    if required - set(drawn):
        raise NoValueError(", ".join(sorted(required - set(drawn))))
    return drawn


def _moment(dated: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", dated)]


def _draw_unlike(schema: Mapping[str, Any], place: _Place, others: Iterable[Any]) -> Any:
    """A text that is not what another argument holds already: nobody converts dollars to dollars."""
    for _ in range(3):
        value = _draw(schema, place)
        if not isinstance(value, str) or value not in others:
            break
    return value


def _is_easily_said(schema: Mapping[str, Any]) -> bool:
    """Whether a person would give it without being asked."""
    return schema.get("type") in ("string", "integer", "number") or bool(schema.get("enum"))


def _draw_list(schema: Mapping[str, Any], place: _Place) -> list[Any]:
    least = schema.get("minItems", 1)
    least = max(1, least if isinstance(least, int) else 1)
    most = schema.get("maxItems", MOST_ITEMS)
    most = max(least, min(MOST_ITEMS, most if isinstance(most, int) else MOST_ITEMS))
    if least > 2 * MOST_ITEMS:
        raise NoValueError(place.name)
    items = schema.get("items")
    inner: Mapping[str, Any] = items if isinstance(items, Mapping) else {"type": "string"}
    if "description" not in inner:  # the words that tell what is meant stand at the list
        inner = {**inner, "description": schema.get("description", "")}
    drawn: list[Any] = []
    for _ in range(4 * most):
        value = _draw(inner, place.inside(place.name))
        if value not in drawn:
            drawn.append(value)
        if len(drawn) >= place.rng.randint(least, most):
            break
    if len(drawn) < least:
        raise NoValueError(place.name)
    return drawn


def _draw_string(schema: Mapping[str, Any], place: _Place) -> str | None:
    pattern = schema.get("pattern")
    if isinstance(pattern, str):
        return from_pattern(pattern, place.rng)
    text = draw_text(place.name, schema, place.rng, place.language, place.about)
    most = schema.get("maxLength")
    return text[:most] if text is not None and isinstance(most, int) and most >= 1 else text


def _type_of(schema: Mapping[str, Any], place: _Place) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kinds = [one for one in kind if one != "null"]
        return str(kinds[0]) if kinds else "null"
    if isinstance(kind, str):
        return kind
    return "object" if "properties" in schema else "array" if "items" in schema else "string"


def _resolved(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> Mapping[str, Any]:
    """The schema with its local reference followed and the first of its alternatives taken."""
    if depth > DEEPEST:
        raise NoValueError("references without end")
    reference = schema.get("$ref")
    if isinstance(reference, str):
        target: Any = root
        for part in reference.removeprefix("#/").split("/"):
            target = target.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(target, Mapping) else None
        if not reference.startswith("#/") or not isinstance(target, Mapping):
            raise NoValueError(reference)
        return _resolved(target, root, depth + 1)
    for choice in ("anyOf", "oneOf", "allOf"):
        options = [one for one in schema.get(choice) or () if isinstance(one, Mapping) and one.get("type") != "null"]
        if options:
            rest = {key: value for key, value in schema.items() if key != choice}
            return _resolved({**rest, **options[0]}, root, depth + 1)
    return schema


# --- strings of a pattern -----------------------------------------------------------------------------------------------

_PIECE = re.compile(
    r"(?P<set>\[(?!\^)(?:\\.|[^\]\\])+\])|(?P<class>\\[dw])|(?P<escaped>\\[^a-zA-Z0-9])|(?P<plain>[^\\\[\](){}|*+?.^$])"
    r"|(?P<group>\((?:\?:)?(?P<inside>[^()\[\]\\?*+{}]+)\))"
)
_TIMES = re.compile(r"\{(\d{1,2})(?:,(\d{0,2}))?\}|([?*+])")
_RANGE = re.compile(r"(\w)-(\w)|\\([dw])|\\?(.)", re.DOTALL)
_CLASSES = {"d": "0123456789", "w": "abcdefghjkmnpqrstuvwxyz23456789"}


def from_pattern(pattern: str, rng: Random) -> str | None:
    """A text that a simple pattern matches (letters, `\\d`, `[A-Z]`, one choice in brackets, counts); None for any other."""
    body = pattern.removeprefix("^").removesuffix("$")
    made: list[str] = []
    at = 0
    while at < len(body):
        piece = _PIECE.match(body, at)
        if piece is None:
            return None
        at = piece.end()
        times = _TIMES.match(body, at)
        at = times.end() if times else at
        made += [_one_of(piece, rng) for _ in range(_count(times, rng))]
    return "".join(made)


def _one_of(piece: re.Match[str], rng: Random) -> str:
    if piece["set"]:
        return rng.choice(_members(piece["set"][1:-1]))
    if piece["class"]:
        return rng.choice(_CLASSES[piece["class"][1]])
    if piece["inside"]:
        options: list[str] = piece["inside"].split("|")
        return rng.choice(options)
    return str(piece["plain"] or piece["escaped"][1])


def _members(inside: str) -> Sequence[str]:
    members: list[str] = []
    for match in _RANGE.finditer(inside):
        first, last, named, single = match.groups()
        if named:
            members += _CLASSES[named]
        elif single:
            members.append(single)
        else:
            members += [chr(point) for point in range(ord(first), min(ord(last), ord(first) + 200) + 1)]
    return members or ["-"]


def _count(times: re.Match[str] | None, rng: Random) -> int:
    if times is None:
        return 1
    least, most, sign = times.groups()
    if sign:
        return {"?": rng.randint(0, 1), "*": rng.randint(0, 3), "+": rng.randint(1, 4)}[sign]
    if most is None or least is None:
        return int(least or 1)
    return rng.randint(int(least), max(int(least), min(int(most or int(least) + 3), int(least) + 8)))
