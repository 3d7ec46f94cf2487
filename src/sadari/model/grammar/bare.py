"""Arguments in the notation of Gemma: keys without quotes, texts between markers in which nothing is escaped.

Covered: types, required and optional keys in the order of the schema, enumerations, lists and objects, alternatives.
Not covered: `pattern`, `format` and bounds of numbers, which are left out; `allOf` of several schemas, which is refused.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sadari.errors import ConfigError
from sadari.model.grammar.schema import Limits

_SCALARS = {"boolean": '("true" | "false")', "null": '"null"'}
_KEY = "/[A-Za-z가-힣_][A-Za-z0-9가-힣_-]{0,63}/"


class BareArguments:
    """Rules in Lark for values that bounded schemas accept.

    Args:
        prefix: Of the names of the rules.
        quote: What stands around a text, as Lark has it.
        text: A terminal for what may stand between, for a least and a most number of characters.
    """

    def __init__(self, prefix: str, quote: str, text: Callable[[int, int], str], limits: Limits) -> None:
        self.rules: list[str] = []
        self._prefix, self._quote, self._text, self._limits = prefix, quote, text, limits
        self._defs: dict[str, str] = {}

    def write(self, schema: Mapping[str, Any]) -> str:
        """The name of the rule for a whole schema, its definitions included."""
        for name, part in schema.get("$defs", {}).items():
            self._defs[f"#/$defs/{name}"] = self._rule(self._value(part))
        return self._rule(self._value(schema))

    def _value(self, schema: Mapping[str, Any] | bool) -> str:
        if isinstance(schema, bool) or "$ref" in schema:
            return self._defs[schema["$ref"]] if isinstance(schema, Mapping) else self._types({"type": list(_SCALARS)})
        if "const" in schema or "enum" in schema:
            return " | ".join(self._literal(v) for v in schema.get("enum", [schema.get("const")]))
        for key in ("anyOf", "oneOf", "allOf"):
            if key in schema:
                if key == "allOf" and len(schema[key]) > 1:
                    raise ConfigError("several schemas for one value (allOf) cannot be held in this model's notation of calls.")
                return " | ".join(self._rule(self._value(b)) for b in schema[key] if b is not False)
        return self._types(schema)

    def _types(self, schema: Mapping[str, Any]) -> str:
        return " | ".join(self._rule(self._of_type(name, schema)) for name in schema["type"])

    def _of_type(self, name: str, schema: Mapping[str, Any]) -> str:
        if name == "string":
            least = schema.get("minLength", 0)
            return f"{self._quote} {self._text(least, schema.get('maxLength', least + self._limits.characters))} {self._quote}"
        if name in ("integer", "number"):
            digits = self._limits.digits
            whole = rf"-?(0|[1-9][0-9]{{0,{digits - 1}}})"
            return f"/{whole}/" if name == "integer" else rf"/{whole}(\.[0-9]{{1,{digits}}})?([eE][+-]?[0-9]{{1,2}})?/"
        if name == "array":
            return self._array(schema)
        return self._object(schema) if name == "object" else _SCALARS[name]

    def _array(self, schema: Mapping[str, Any]) -> str:
        first = [self._rule(self._value(s)) for s in schema.get("prefixItems", ())]
        if first or schema["items"] is False:
            return '"[" ' + ' "," '.join(first) + ' "]"'
        return self._several("[", self._rule(self._value(schema["items"])), schema.get("minItems", 0), schema["maxItems"], "]")

    def _object(self, schema: Mapping[str, Any]) -> str:
        if "properties" not in schema:
            inner = schema.get("additionalProperties", False)
            pair = f'{_KEY} ":" {self._rule(self._value(inner))}' if inner is not False else ""
            return self._several("{", self._rule(pair), 0, schema["maxProperties"], "}") if pair else '"{" "}"'
        return '"{" ' + self._members(list(schema["properties"].items()), schema.get("required", ())) + ' "}"'

    def _members(self, properties: Sequence[tuple[str, Any]], required: Sequence[str]) -> str:
        """The rule for these keys in their order, those that are not required perhaps left out."""
        fresh = after = self._rule('""')  # with nothing before, with something before
        for name, schema in reversed(properties):
            if schema is False:
                continue
            pair = self._rule(f"{json.dumps(name + ':', ensure_ascii=False)} {self._rule(self._value(schema))} {after}")
            left_out = (f" | {fresh}", f" | {after}") if name not in required else ("", "")
            fresh, after = self._rule(f"{pair}{left_out[0]}"), self._rule(f'"," {pair}{left_out[1]}')
        return fresh

    def _several(self, opens: str, item: str, least: int, most: int, closes: str) -> str:
        if most == 0:
            return f'"{opens}" "{closes}"'
        inner = f'{item} ("," {item}){{{max(least, 1) - 1},{most - 1}}}' if most > 1 else item
        return f'"{opens}" {inner} "{closes}"' if least else f'"{opens}" ({inner})? "{closes}"'

    def _literal(self, value: Any) -> str:
        if isinstance(value, str):
            return (
                f"{self._quote} {json.dumps(value, ensure_ascii=False)} {self._quote}" if value else f"{self._quote} {self._quote}"
            )
        if isinstance(value, (list, Mapping)):
            raise ConfigError("lists and objects among fixed values cannot be held in this model's notation of calls.")
        return json.dumps(json.dumps(value))

    def _rule(self, body: str) -> str:
        name = f"{self._prefix}_{len(self.rules)}"
        self.rules.append(f"{name}: {body}")
        return name
