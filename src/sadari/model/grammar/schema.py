"""JSON Schemas made fit for decoding: checked, with references written out, and with a bound on what could go on without end.

Whatever the result accepts, the schema accepts. Strings and numbers are bounded while they are written (`brake.py`), because a
`maxLength` makes each mask some forty times slower; arrays, open objects and recursion are bounded here. A bound is set only where
one subschema alone decides, so that it never contradicts another (`allOf`, `anyOf` beside `properties`).

An object that declares `properties` and does not mention `additionalProperties` is closed: a model has nothing to add that anyone
reads. Keywords that cannot be held while decoding (`not`, `if`, `uniqueItems`, look-around in a `pattern`) are left out and
reported; formats that llguidance does not know are left out, being annotations by the standard.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from llguidance import LLMatcher

from sadari.errors import ConfigError
from sadari.model.grammar.keywords import APPLICATORS, KINDS, OF_TYPE, REQUIRING, UNENFORCED

MAX_BYTES = 256 * 1024
"""Of a schema, as JSON."""
MAX_DEPTH = 64
"""Objects and lists inside each other."""
MAX_SUBSCHEMAS = 5_000
"""After references are written out; long names and lists of values count by their length."""
MAX_PROPERTIES = 1_000
"""Of one object: the grammar of optional properties grows with the square of their number."""
MAX_DIVISOR = 1_000
"""Of `multipleOf`, without its decimal point: the grammar counts through all remainders."""
MAX_PATTERNS = 50
"""Patterns for the names of one object's properties."""
EXACT_INTEGER = 2**53
FARTHEST_BOUND = 10**18
"""Of numbers: llguidance counts in 64 bits. A bound beyond it is drawn in."""
NO_BOUND = 1e120
"""A bound beyond it is none: with the digits they may have, numbers do not get there."""

Schema = dict[str, Any] | bool


@dataclass(frozen=True, slots=True)
class Limits:
    """How far a value goes where its schema sets no bound.

    Args:
        characters: Of a string, and of a key that the schema leaves open.
        together: Characters of all strings of a value; beyond, each string ends after a few: lists of long strings have no end.
        digits: Of a number before its point, and after it; an exponent has two.
        items: Of an array, and entries of an object without declared properties.
        depth: Levels of a value that the schema leaves open, and turns of a schema that refers to itself.
    """

    characters: int = 512
    together: int = 1536
    digits: int = 18
    items: int = 32
    depth: int = 4


@dataclass(frozen=True, slots=True)
class Bounded:
    """A schema fit for decoding.

    Args:
        schema: Accepts nothing that the original refuses, but for `unenforced`.
        unenforced: Where the original says what cannot be held while decoding, such as "#/properties/tags/uniqueItems".
    """

    schema: Mapping[str, Any]
    unenforced: tuple[str, ...] = ()


def bounded(schema: Mapping[str, Any], limits: Limits | None = None) -> Bounded:
    """The schema with a bound on arrays, open objects and recursion, and without references.

    Raises:
        ConfigError: If it is no valid JSON Schema (draft 2020-12), refers to another document, or is too large or too deep; the
            message says where.
    """
    check_size(schema)
    limits = limits or Limits()
    writer = _Writer(schema, limits)
    try:
        made = writer.write(schema, _Place())
    except _TooManyError:
        if writer.turns and limits.depth:  # a schema that refers to itself in many places gets fewer turns
            return bounded(schema, replace(limits, depth=limits.depth // 2))
        raise ConfigError(
            f"#: this schema has more than {MAX_SUBSCHEMAS:,} subschemas, references written out. Make it smaller, or split it."
        ) from None
    if isinstance(made, bool):
        raise ConfigError("#: this schema refers to itself and says nothing else, so no value satisfies it.")
    return Bounded({**made, "$defs": writer.defs} if writer.defs else made, tuple(dict.fromkeys(writer.unenforced)))


def check_size(value: Any) -> int:
    """About how many bytes a schema has as JSON; what is too large or too deep, or no JSON, is refused before all else.

    Raises:
        ConfigError: With the place.
    """
    size = 0
    waiting: list[tuple[Any, tuple[str, ...]]] = [(value, ())]
    while waiting:
        item, path = waiting.pop()
        size += len(item.encode("utf-8", "replace")) + 3 if isinstance(item, str) else 2
        if isinstance(item, Mapping):
            if not all(isinstance(key, str) for key in item):
                raise ConfigError(f"{_pointer(path)}: the keys of a JSON object are strings.")
            size += sum(len(key) + 3 for key in item)
            waiting.extend((child, (*path, key)) for key, child in item.items())
        elif isinstance(item, (list, tuple)):
            waiting.extend((child, (*path, str(i))) for i, child in enumerate(item))
        elif isinstance(item, int) and item.bit_length() > 1024:
            raise ConfigError(f"{_pointer(path)}: a number of some {item.bit_length() * 3 // 10} digits. No JSON reader takes it.")
        elif not (item is None or isinstance(item, (str, int)) or (isinstance(item, float) and math.isfinite(item))):
            raise ConfigError(f"{_pointer(path)}: {str(item)[:40]!r} is a {type(item).__name__}, which JSON does not have.")
        if len(path) > MAX_DEPTH:
            raise ConfigError(f"{_pointer(path[:6])}/...: this schema is more than {MAX_DEPTH} levels deep. Flatten it.")
        if size > MAX_BYTES:
            raise ConfigError(f"#: this schema is larger than {MAX_BYTES // 1024} KiB. Make it smaller, or split it.")
    return size


class _TooManyError(Exception):
    """More subschemas than are looked at."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a subschema stands.

    Args:
        path: As a JSON pointer into the original.
        is_alone: Whether no other subschema has a say about the same value.
        refs: References followed on the way.
        level: Subschemas inside each other, references followed.
    """

    path: tuple[str, ...] = ()
    is_alone: bool = True
    refs: tuple[str, ...] = ()
    level: int = 0

    def within(self, *keys: str, is_alone: bool) -> "_Place":
        return replace(self, path=(*self.path, *keys), is_alone=is_alone, level=self.level + 1)

    def __str__(self) -> str:
        return _pointer(self.path)


@dataclass(slots=True)
class _Writer:
    root: Mapping[str, Any]
    limits: Limits
    defs: dict[str, Schema] = field(default_factory=dict)
    unenforced: list[str] = field(default_factory=list)
    added: dict[int, set[str]] = field(default_factory=dict)
    """Keywords that narrow what the original says, by the id of the object that holds them."""
    turns: int = 0
    """How often a reference was followed on a way that had followed it before."""
    _written: int = 0

    def write(self, node: Any, place: _Place) -> Schema:
        self._count(1, place)
        if node is True:
            return self._anything() if place.is_alone else True
        if node is False:
            return False
        if not isinstance(node, Mapping):
            raise ConfigError(f"{place}: a schema is an object, true or false, but here stands {_short(node)}.")
        kept = self._held(node, place)
        if not kept:
            return self.write(True, place)
        if set(kept) == {"$ref"}:
            return self._referred(kept["$ref"], place)
        applied = [key for key in APPLICATORS if key in kept]
        others = set(kept) - set(applied) - {"type"}
        is_listed = "const" in kept or "enum" in kept
        decides = place.is_alone and not is_listed and not _constrains(kept, applied)
        branches_alone = place.is_alone and len(applied) == 1 and not others and len(kept.get("allOf", ())) < 2
        out: dict[str, Any] = {}
        for key in kept:  # in their order: it is the order of an object's properties
            if key in APPLICATORS:
                self._apply(key, kept[key], place.within(key, is_alone=branches_alone), out)
        is_sole = place.is_alone and not is_listed and not applied
        types = _types(kept)
        if is_sole and not types:
            types = _implied_types(kept)
            self._add(out, "type")
        if types:
            out["type"] = types
        self._write_scalars(kept, place, out)
        if not types or "object" in types:
            self._write_object(kept, place, out, decides, is_sole)
        if not types or "array" in types:
            self._write_array(kept, place, out, is_sole)
        return out

    # --- applicators ---------------------------------------------------------------------------------------------------

    def _apply(self, key: str, value: Any, place: _Place, out: dict[str, Any]) -> None:
        if key == "$ref":
            out.setdefault("allOf", []).append(self._referred(value, place))
            return
        branches = [self.write(b, replace(place, path=(*place.path, str(i)))) for i, b in enumerate(value)]
        if key == "oneOf" and "oneOf" in _fault({"oneOf": self._as_wide(branches), "$defs": self.defs}):
            self.unenforced.append(str(place))
            key = "anyOf"
        if key == "allOf":
            out.setdefault("allOf", []).extend(branches)
        elif key in out:
            out.setdefault("allOf", []).append({key: branches})
        else:
            out[key] = branches

    def _add(self, out: Mapping[str, Any], key: str) -> None:
        self.added.setdefault(id(out), set()).add(key)

    def _as_wide(self, written: Any) -> Any:
        """Without what was added: alternatives may exclude each other only because they were narrowed."""
        if isinstance(written, dict):
            added = self.added.get(id(written), set())
            return {key: self._as_wide(value) for key, value in written.items() if key not in added}
        return [self._as_wide(item) for item in written] if isinstance(written, list) else written

    def _referred(self, pointer: str, place: _Place) -> Schema:
        turns = place.refs.count(pointer)
        self.turns += turns > 0
        if turns > self.limits.depth:
            return False
        if len(place.refs) >= MAX_DEPTH:
            raise ConfigError(f"{place}: a chain of more than {MAX_DEPTH} references. Refer to the schema directly.")
        path = _parse_pointer(pointer, place)
        target: Any = self.root
        for key in path:
            try:
                target = target[int(key)] if isinstance(target, (list, tuple)) else target[key]
            except (KeyError, IndexError, ValueError, TypeError):
                raise ConfigError(f"{place}: $ref {_short(pointer)} points to nothing in this schema.") from None
        return self.write(target, replace(place, path=path, refs=(*place.refs, pointer), level=place.level + 1))

    def _anything(self) -> Schema:
        """Any JSON value, of so many levels."""
        scalar = {"type": ["null", "boolean", "number", "string"]}
        for level in range(self.limits.depth + 1):
            inner = {"$ref": f"#/$defs/any{level - 1}"}
            several = [
                {"type": ["array"], "items": inner, "maxItems": self.limits.items},
                {"type": ["object"], "additionalProperties": inner, "maxProperties": self.limits.items},
            ]
            self.defs.setdefault(f"any{level}", {"anyOf": [scalar, *several]} if level else scalar)
        return {"$ref": f"#/$defs/any{self.limits.depth}"}

    # --- kinds of values -----------------------------------------------------------------------------------------------

    def _write_object(self, kept: Mapping[str, Any], place: _Place, out: dict[str, Any], decides: bool, is_sole: bool) -> None:
        declared = dict(kept.get("properties", {}))
        patterns = kept.get("patternProperties", {})
        undeclared = [name for name in kept.get("required", ()) if name not in declared]
        if decides and not patterns and "additionalProperties" not in kept:
            declared |= dict.fromkeys(undeclared, True)
            undeclared = []
        if len(declared) > MAX_PROPERTIES:
            raise ConfigError(f"{place}: an object with {len(declared):,} properties; {MAX_PROPERTIES:,} are the most. Group them.")
        self._count(sum(map(len, declared)) // 100, place)
        if declared or "properties" in kept:
            out["properties"] = {
                name: self.write(s, place.within("properties", name, is_alone=decides)) for name, s in declared.items()
            }
        if patterns:
            out["patternProperties"] = {
                name: self.write(s, place.within("patternProperties", name, is_alone=decides)) for name, s in patterns.items()
            }
        if "required" in kept:
            out["required"] = list(dict.fromkeys(kept["required"]))
        if "additionalProperties" in kept:
            inner = place.within("additionalProperties", is_alone=decides)
            out["additionalProperties"] = self.write(kept["additionalProperties"], inner)
        elif decides and ("properties" in out or patterns) and not undeclared:
            out["additionalProperties"] = False
            self._add(out, "additionalProperties")
        elif is_sole:
            out["additionalProperties"] = self._anything()
        self._write_property_counts(kept, place, out, is_sole and not declared)

    def _write_property_counts(self, kept: Mapping[str, Any], place: _Place, out: dict[str, Any], is_map: bool) -> None:
        counts = {key: int(kept[key]) for key in ("minProperties", "maxProperties") if key in kept}
        if is_map and "maxProperties" not in counts and out.get("additionalProperties") is not False:
            counts["maxProperties"] = max(self.limits.items, counts.get("minProperties", 0))
        names = {name: True for name in out.get("properties", {})}
        skeleton = {"type": "object", "properties": names, "required": out.get("required", []), **counts}
        if counts and _fault(skeleton):
            self.unenforced.extend(f"{place}/{key}" for key in counts)
        else:
            out.update(counts)

    def _write_array(self, kept: Mapping[str, Any], place: _Place, out: dict[str, Any], is_sole: bool) -> None:
        first = kept.get("prefixItems", ())
        if first:
            out["prefixItems"] = [self.write(s, place.within("prefixItems", str(i), is_alone=is_sole)) for i, s in enumerate(first)]
        if "items" in kept:
            out["items"] = self.write(kept["items"], place.within("items", is_alone=is_sole))
        elif is_sole:
            out["items"] = False if first else self._anything()
        for key in ("minItems", "maxItems"):
            if key in kept:
                out[key] = int(kept[key])
        if is_sole and "maxItems" not in kept:
            out["maxItems"] = max(self.limits.items, out.get("minItems", 0), len(first))

    def _write_scalars(self, kept: Mapping[str, Any], place: _Place, out: dict[str, Any]) -> None:
        for key in ("minLength", "maxLength"):
            if key in kept:
                out[key] = int(kept[key])
        for key in ("pattern", "multipleOf"):
            if key in kept:
                out[key] = kept[key]
        for key, side in (("minimum", -1), ("exclusiveMinimum", -1), ("maximum", 1), ("exclusiveMaximum", 1)):
            if key in kept and kept[key] * side < NO_BOUND:
                out[key] = kept[key] if kept[key] * side < FARTHEST_BOUND else side * FARTHEST_BOUND
        if "format" in kept and not _fault({"type": "string", "format": kept["format"]}):
            out["format"] = kept["format"]
        for key in ("const", "enum"):
            if key in kept:
                self._count(len(json.dumps(plain(kept[key]))) // 100, place)
                _check_exact(kept[key], f"{place}/{key}")
                out[key] = plain(kept[key])

    # --- keywords ------------------------------------------------------------------------------------------------------

    def _held(self, node: Mapping[str, Any], place: _Place) -> dict[str, Any]:
        """The keywords that are held while decoding, checked."""
        kept: dict[str, Any] = {}
        for key, value in node.items():
            if key in KINDS:
                is_right, wanted = KINDS[key]
                if not is_right(value):
                    raise ConfigError(f"{place}/{key}: must be {wanted}, but is {_short(value)}.")
                if self._can_hold(key, value, place):
                    kept[key] = value
                else:
                    self.unenforced.append(f"{place}/{key}")
            elif key in UNENFORCED and value is not UNENFORCED[key]:
                self.unenforced.append(f"{place}/{key}")
        return kept

    def _can_hold(self, key: str, value: Any, place: _Place) -> bool:
        if key == "pattern":
            self._count(len(value) // 100, place)
            return not _fault({"type": "string", "pattern": value})
        if key == "patternProperties":
            return len(value) <= MAX_PATTERNS and not _fault({"type": "object", "patternProperties": dict.fromkeys(value, True)})
        if key == "multipleOf":  # two of them would be multiplied
            digits = f"{value:.12f}".rstrip("0").replace(".", "")
            return place.is_alone and int(digits) <= MAX_DIVISOR and not _fault({"type": "number", "multipleOf": value})
        return True

    def _count(self, more: int, place: _Place) -> None:
        self._written += more
        if self._written > MAX_SUBSCHEMAS:
            raise _TooManyError
        if place.level > 2 * MAX_DEPTH:
            raise ConfigError(f"{place}: more than {2 * MAX_DEPTH} schemas inside each other, references followed. Flatten it.")


def _constrains(kept: Mapping[str, Any], applied: Sequence[str]) -> bool:
    """Whether a part says more of an object than which of its properties are required."""
    parts = [part for key in applied if key != "$ref" for part in kept[key]]
    return "$ref" in applied or not all(isinstance(part, Mapping) and set(part) <= REQUIRING for part in parts)


def _types(kept: Mapping[str, Any]) -> list[str]:
    named = kept.get("type", ())
    return [named] if isinstance(named, str) else list(named)


def _implied_types(kept: Mapping[str, Any]) -> list[str]:
    """The types that the keywords speak of: what they do not speak of is allowed too, but hardly meant."""
    return [name for name, keywords in OF_TYPE.items() if any(key in kept for key in keywords)]


@lru_cache(maxsize=4096)
def _fault_of(schema: str) -> str:
    try:
        return str(LLMatcher.validate_grammar(LLMatcher.grammar_from_json_schema(schema)))
    except ValueError as e:
        return str(e)


def _fault(schema: Mapping[str, Any]) -> str:
    """What llguidance says against this schema; "" if it can hold it."""
    return _fault_of(json.dumps(plain(schema)))


def _check_exact(value: Any, place: str) -> None:
    for item in _leaves(value):
        if isinstance(item, int) and abs(item) > EXACT_INTEGER:
            raise ConfigError(f"{place}: {item} is beyond 2^53, where numbers are no longer exact. Write it as a string.")


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, (list, tuple, Mapping)):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _leaves(item)
    else:
        yield value


def _parse_pointer(pointer: str, place: _Place) -> tuple[str, ...]:
    if pointer != "#" and not pointer.startswith("#/"):
        raise ConfigError(
            f"{place}: $ref {_short(pointer)} does not point into this schema. Only #/... can be followed; nothing is fetched."
        )
    return tuple(unquote(key).replace("~1", "/").replace("~0", "~") for key in pointer.split("/")[1:])


def _pointer(path: Sequence[str]) -> str:
    return "/".join(["#", *(key.replace("~", "~0").replace("/", "~1") for key in path)])


def plain(value: Any) -> Any:
    """The value in dicts and lists, as `json` takes it."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _short(value: Any) -> str:
    text = json.dumps(plain(value), ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."
