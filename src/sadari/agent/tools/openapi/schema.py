"""Schemas of an API made small enough for a small model: what a value may be, in few words, references written out.

Kept: types, enums, formats, patterns, bounds, defaults, what is required. Left out: examples, titles, extensions, what only
answers hold, `null` where an argument may be left out, and optional objects that lie deep. A schema that holds itself becomes an
open object where it begins again. The service still checks what it is sent: what is left out here makes no request wrong.
"""

import re
from collections.abc import Mapping
from typing import Any

from sadari.agent.tools.openapi.document import Document
from sadari.errors import ConfigError

MOST_NODES = 2_000
"""Schemas of one operation, references written out."""
FOLDED_FROM = 2
"""Objects inside each other from which on optional ones are left out."""
DEEPEST = 8
LONGEST_DESCRIPTION = 120

_KEPT = (
    *("type", "enum", "const", "format", "pattern", "default", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
    *("multipleOf", "minLength", "maxLength", "minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties"),
)
_SENTENCE = re.compile(r"(?<=[.!?。])\s")

Schema = dict[str, Any]


class Trimmer:
    """Trims the schemas of one operation."""

    def __init__(self, document: Document, place: str) -> None:
        self._document, self._place = document, place
        self._left = MOST_NODES

    def trim(self, written: Any, depth: int = 0, within: frozenset[str] = frozenset()) -> Schema:
        """A schema in draft 2020-12, without references.

        Args:
            depth: Objects and lists around it.
            within: References that are being written out around it.

        Raises:
            ConfigError: If it is none, leads nowhere or writes out to more than it may.
        """
        self._left -= 1
        if self._left < 0:
            what = f"{self._place}: its schemas write out to more than {MOST_NODES:,} parts"
            raise ConfigError(f"{self._document.shown}: {what}. Leave the operation out of `allow`, or make them smaller.")
        if isinstance(written, bool):
            return {}
        if not isinstance(written, Mapping):
            raise ConfigError(f"{self._document.shown}: {self._place}: a schema is no object. Mend the file.")
        if isinstance(reference := written.get("$ref"), str):
            if reference in within or depth > DEEPEST:
                return {"type": "object"}
            target = self.trim(self._document.lookup(reference, self._place), depth, within | {reference})
            return {**target, **_described(written)}
        return self._own(written, depth, within)

    def _own(self, written: Mapping[str, Any], depth: int, within: frozenset[str]) -> Schema:
        made: Schema = {}
        for part in _listed(written, "allOf"):
            _merge(made, self.trim(part, depth, within))
        _merge(made, {key: written[key] for key in _KEPT if key in written})
        _modernise(made, written)
        for key in ("anyOf", "oneOf"):
            options = [self.trim(part, depth + 1, within) for part in _listed(written, key)]
            if options:
                _merge(made, options[0] if len(options) == 1 else {"anyOf": options})
        if isinstance(written.get("properties"), Mapping):
            _merge(made, self._object(written, depth, within))
        if "items" in written:
            made["items"] = self.trim(written["items"], depth + 1, within) if depth < DEEPEST else {}
        others = written.get("additionalProperties")
        if isinstance(others, Mapping) and others and "properties" not in made:
            made["additionalProperties"] = self.trim(others, depth + 1, within) if depth < DEEPEST else {}
        return {**made, **_described(written)}

    def _object(self, written: Mapping[str, Any], depth: int, within: frozenset[str]) -> Schema:
        required = {name for name in _listed(written, "required") if isinstance(name, str)}
        properties: dict[str, Schema] = {}
        for name, inner in written["properties"].items():
            target = self._document.resolved(inner, self._place) if isinstance(inner, Mapping) else {}
            if target.get("readOnly") is True or (target.get("deprecated") is True and name not in required):
                continue
            if depth >= DEEPEST or (depth >= FOLDED_FROM and name not in required and self._is_object(target)):
                continue
            properties[name] = self.trim(inner, depth + 1, within)
        kept = [name for name in properties if name in required]
        return {"type": "object", "properties": properties, **({"required": kept} if kept else {})}

    def _is_object(self, schema: Mapping[str, Any]) -> bool:
        """Whether it is an object or a list of objects."""
        items = schema.get("items")
        inner = self._document.resolved(items, self._place) if isinstance(items, Mapping) else {}
        return any("properties" in node or node.get("type") == "object" or "allOf" in node for node in (schema, inner))


def without_null(schema: Schema) -> Schema:
    """The schema of an argument that may be left out, which then need not be null."""
    if isinstance(schema.get("type"), list):
        kinds = [kind for kind in schema["type"] if kind != "null"]
        schema = {**schema, "type": kinds[0] if len(kinds) == 1 else kinds} if kinds else schema
    if isinstance(schema.get("enum"), list):
        schema = {**schema, "enum": [value for value in schema["enum"] if value is not None] or schema["enum"]}
    if "anyOf" in schema:
        options = [option for option in schema["anyOf"] if option.get("type") != "null"]
        rest = {key: value for key, value in schema.items() if key != "anyOf"}
        schema = {**options[0], **rest} if len(options) == 1 else {**rest, "anyOf": options or schema["anyOf"]}
    return {key: value for key, value in schema.items() if not (key == "default" and value is None)}


def short_description(text: Any) -> str:
    """The first sentence, if it is short; else its beginning."""
    words = " ".join(str(text or "").split())
    first = _SENTENCE.split(words, 1)[0]
    return first if len(first) <= LONGEST_DESCRIPTION else f"{first[: LONGEST_DESCRIPTION - 1].rstrip()}…"


def _described(written: Mapping[str, Any]) -> Schema:
    text = short_description(written.get("description"))
    return {"description": text} if text else {}


def _listed(written: Mapping[str, Any], key: str) -> list[Any]:
    value = written.get(key)
    return value if isinstance(value, list) else []


def _merge(made: Schema, other: Schema) -> None:
    """Add what another part of `allOf` says; of two that say the same of a thing, the later is taken."""
    properties = {**made.get("properties", {}), **other.get("properties", {})}
    required = list(dict.fromkeys([*made.get("required", []), *other.get("required", [])]))
    made.update(other)
    if properties:
        made["properties"] = properties
    if required:
        made["required"] = required


def _modernise(made: Schema, written: Mapping[str, Any]) -> None:
    """From the words of OpenAPI 3.0 to those of JSON Schema, and without a pattern that cannot be checked."""
    for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if isinstance(made.get(exclusive), bool) and made.pop(exclusive) and bound in made:
            made[exclusive] = made.pop(bound)
    if written.get("nullable") is True and isinstance(made.get("type"), str):
        made["type"] = [made["type"], "null"]
    if "pattern" in made and not _is_plain_pattern(made["pattern"]):
        del made["pattern"]


def _is_plain_pattern(pattern: Any) -> bool:
    try:
        return isinstance(pattern, str) and len(pattern) <= 200 and bool(re.compile(pattern))
    except (re.error, RecursionError, OverflowError):
        return False
