"""How a server is held to a constraint, and how its answer is read and checked.

Covered: an answer that is outside the constraint that was sent is an error, whatever the server claims.
Not covered: `pattern` in a JSON Schema, a `Regex` and a `Grammar`; the server alone enforces those. A `OneOf` of more than one
option, or at a server of no known kind, is not sent: the answer is free text, and may lie outside.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from sadari.errors import ConfigError
from sadari.model.remote.kinds import Dialect
from sadari.types import Constraint, Grammar, JsonSchema, OneOf, Regex


class NotHeldError(Exception):
    """An answer is not what the constraint asks for."""


@dataclass(frozen=True, slots=True)
class Hold:
    """What is sent to hold one answer to its constraint.

    Args:
        fields: Of the request.
        constraint: What the answer is checked against; None where nothing was sent.
        is_wrapped: The answer is a JSON object whose `answer` is the text.
    """

    fields: Mapping[str, Any] = field(default_factory=dict)
    constraint: Constraint | None = None
    is_wrapped: bool = False

    def read(self, text: str) -> str:
        """The answer that stands in `text`.

        Raises:
            NotHeldError: If it is outside the constraint.
        """
        if self.is_wrapped:
            value = _parsed(text)
            text = value["answer"] if isinstance(value, dict) and isinstance(value.get("answer"), str) else text
        if isinstance(self.constraint, OneOf) and text not in self.constraint.options:
            raise NotHeldError(f"it is none of the {len(self.constraint.options)} options")
        if isinstance(self.constraint, JsonSchema):
            _check_schema(_parsed(text), self.constraint.schema)
        return text


def hold_to(constraint: Constraint | None, dialect: Dialect, structured: bool | None) -> Hold:
    """How a server of this kind is held to `constraint`.

    Args:
        structured: Whether a `OneOf` is sent; None sends it where the kind of server is known to keep to it.

    Raises:
        ConfigError: If this kind of server cannot be held to it.
    """
    match constraint:
        case None:
            return Hold()
        case OneOf():
            choosing = dialect.choosing or ("object" if structured else "")
            return Hold() if structured is False or constraint.most != 1 or not choosing else _choice(constraint, choosing)
        case JsonSchema():
            return Hold(_response_format("answer", dict(constraint.schema)), constraint)
        case Regex() if dialect.patterns:
            return Hold(_pattern(constraint.pattern, dialect), constraint)
        case Grammar() if dialect.grammars:
            return Hold({"structured_outputs": {"grammar": constraint.lark}}, constraint)
    what, takers = ("pattern", "vllm or sglang") if isinstance(constraint, Regex) else ("Lark grammar", "vllm")
    raise ConfigError(
        f"this kind of server cannot be held to a {what}. Use a JSON Schema, a list of options, or a local model; or set `kind` of "
        f"the endpoint if it is {takers}."
    )


def _choice(constraint: OneOf, choosing: str) -> Hold:
    options = list(constraint.options)
    match choosing:
        case "choice":
            return Hold({"structured_outputs": {"choice": options}}, constraint)
        case "regex":
            return Hold({"regex": "(" + "|".join(map(_escaped, options)) + ")"}, constraint)
        case "gbnf":
            return Hold({"grammar": "root ::= " + " | ".join(map(_gbnf_literal, options))}, constraint)
    schema = {
        "type": "object",
        "properties": {"answer": {"type": "string", "enum": options}},
        "required": ["answer"],
        "additionalProperties": False,
    }
    return Hold(_response_format("choice", schema), constraint, is_wrapped=True)


def _response_format(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"response_format": {"type": "json_schema", "json_schema": {"name": name, "strict": True, "schema": schema}}}


def _pattern(pattern: str, dialect: Dialect) -> dict[str, Any]:
    return {"regex": pattern} if dialect.choosing == "regex" else {"structured_outputs": {"regex": pattern}}


def _escaped(text: str) -> str:
    """`text` as a pattern: only what has a meaning is escaped, since dialects differ on what else may be."""
    return "".join("\\" + ch if ch in r"\.^$|?*+()[]{}" else {"\n": r"\n", "\r": r"\r", "\t": r"\t"}.get(ch, ch) for ch in text)


def _gbnf_literal(text: str) -> str:
    return '"' + "".join({"\\": r"\\", '"': r"\"", "\n": r"\n", "\r": r"\r", "\t": r"\t"}.get(ch, ch) for ch in text) + '"'


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as e:
        raise NotHeldError("it is no JSON") from e


def _check_schema(value: Any, schema: Mapping[str, Any]) -> None:
    from jsonschema.exceptions import best_match
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import EMPTY_REGISTRY

    try:
        worst = best_match(_validator()(schema, registry=EMPTY_REGISTRY).iter_errors(value))  # the default one opens addresses
    except (Unresolvable, RecursionError) as e:
        raise NotHeldError(f"it cannot be checked against the schema ({type(e).__name__})") from e
    if worst is not None:
        raise NotHeldError(f"against the schema, {worst.json_path} {worst.message[:120]}")


@cache
def _validator() -> Any:
    """Without patterns: one that was written to take for ever would."""
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    return extend(Draft202012Validator, {"pattern": None})  # type: ignore[no-untyped-call]
