"""The keywords of JSON Schema (draft 2020-12): what each may hold, and which cannot be held to while decoding."""

from collections.abc import Callable, Mapping
from typing import Any

TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")

APPLICATORS = ("$ref", "allOf", "anyOf", "oneOf")

REQUIRING = {"required", "type", "title", "description", "$comment"}
UNENFORCED = {
    "not": False,
    "if": None,
    "contains": None,
    "uniqueItems": False,
    "dependentRequired": None,
    "dependentSchemas": None,
    "dependencies": None,
    "propertyNames": True,
    "unevaluatedItems": True,
    "unevaluatedProperties": True,
    "$dynamicRef": None,
    "$recursiveRef": None,
}
"""Keywords that cannot be held, with the value that asks for nothing."""


def _is_count(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0 and value == int(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_names(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(name, str) for name in value)


def _is_type(value: Any) -> bool:
    names = [value] if isinstance(value, str) else value
    return isinstance(names, (list, tuple)) and bool(names) and all(name in TYPES for name in names)


def _is_full_list(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and bool(value)


_COUNT = (_is_count, "a whole number that is not negative")
_NUMBER = (_is_number, "a number")
_SCHEMAS = (_is_full_list, "a list of at least one schema")
_BY_NAME = (lambda v: isinstance(v, Mapping), "an object of schemas by name")
_ONE = (lambda v: isinstance(v, (Mapping, bool)), "a schema")
_TEXT = (lambda v: isinstance(v, str), "a string")

KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "type": (_is_type, f"one of {', '.join(TYPES)}, or a list of them"),
    "const": (lambda v: True, "any value"),
    "enum": (_is_full_list, "a list of at least one value"),
    **dict.fromkeys(("properties", "patternProperties"), _BY_NAME),
    **dict.fromkeys(("additionalProperties", "items"), _ONE),
    **dict.fromkeys(("prefixItems", "allOf", "anyOf", "oneOf"), _SCHEMAS),
    **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"), _COUNT),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), _NUMBER),
    **dict.fromkeys(("pattern", "format", "$ref"), _TEXT),
    "required": (_is_names, "a list of names"),
    "multipleOf": (lambda v: _is_number(v) and v > 0, "a number above 0"),
}

OF_TYPE = {
    "object": ("properties", "patternProperties", "additionalProperties", "required", "minProperties", "maxProperties"),
    "array": ("items", "prefixItems", "minItems", "maxItems"),
    "string": ("minLength", "maxLength", "pattern", "format"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}
