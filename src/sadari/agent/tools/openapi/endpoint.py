"""One operation as a tool calls it: its arguments in one flat list, and where each goes in the request.

Covered: an argument cannot leave its place: a part of a path holds no slash and is not `.` or `..`, however it is encoded; values
of a query or a form are encoded; headers are one line. Not covered: what the service makes of a value.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal
from urllib.parse import quote, unquote, urlencode

from sadari.agent.tools.openapi.document import Document, Node, Operation
from sadari.agent.tools.openapi.schema import Schema, Trimmer, short_description, without_null
from sadari.errors import ConfigError

Part = Literal["path", "query", "header", "body"]

_JSON = re.compile(r"application/(?:[a-z0-9.+-]+\+)?json")
_FORM = "application/x-www-form-urlencoded"
_SEPARATORS = {"spaceDelimited": " ", "pipeDelimited": "|"}
_IGNORED_HEADERS = {"accept", "content-type", "authorization"}
"""By the standard, parameters of these names are ignored."""


class ArgumentError(Exception):
    """An argument that cannot be put in its place.

    Args:
        name: Of the argument.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@dataclass(frozen=True, slots=True)
class Slot:
    """Where an argument goes.

    Args:
        name: Of the argument.
        key: What the service calls it.
        style, explode: How a list or an object is written, as in the document.
        is_json: Whether it is written as JSON.
    """

    name: str
    part: Part
    key: str
    schema: Schema
    is_required: bool = False
    style: str = "form"
    explode: bool = True
    is_json: bool = False


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An operation that can be called.

    Args:
        body: Content type of the body; "" if there is none.
        is_whole: Whether the body is one argument, and not one for each of its properties.
    """

    operation: Operation
    slots: tuple[Slot, ...]
    body: str = ""
    is_whole: bool = False

    def parameters(self, without: Iterable[str] = ()) -> Schema:
        """The arguments as a JSON Schema.

        Args:
            without: Keys that the host fills.
        """
        hidden = {key.lower() for key in without}
        slots = [slot for slot in self.slots if slot.key.lower() not in hidden]
        required = [slot.name for slot in slots if slot.is_required]
        schema: Schema = {"type": "object", "properties": {slot.name: slot.schema for slot in slots}, "additionalProperties": False}
        return {**schema, "required": required} if required else schema


@dataclass(frozen=True, slots=True)
class Filled:
    """A request without its server: the path with its query, headers, and a body."""

    target: str
    headers: Mapping[str, str]
    body: bytes | None = None


def endpoint_of(operation: Operation, document: Document) -> Endpoint:
    """The operation with its arguments.

    Raises:
        ConfigError: If it takes a body or a parameter of a kind that is not written here.
    """
    trimmer = Trimmer(document, operation.id)
    slots = [slot for node in operation.parameters if (slot := _slot(node, operation, document, trimmer))]
    for key in re.findall(r"\{([^{}]*)\}", operation.path):
        if not any(slot.part == "path" and slot.key == key for slot in slots):
            slots.append(Slot(key, "path", key, {"type": "string", "minLength": 1}, True, "simple", False))
    if not operation.body:
        return Endpoint(operation, _named_apart(slots))
    kind, schema = _content(operation, document)
    made = trimmer.trim(schema)
    needed = operation.body.get("required") is True
    properties = made.get("properties") if made.get("type") == "object" and "anyOf" not in made else None
    if not properties:
        body = Slot("body", "body", "", made, needed)
        return Endpoint(operation, _named_apart([*slots, body]), kind, is_whole=True)
    required = set(made.get("required", ())) if needed else set()
    for key, inner in properties.items():
        slots.append(Slot(key, "body", key, inner if key in required else without_null(inner), key in required))
    return Endpoint(operation, _named_apart(slots), kind)


def _slot(node: Node, operation: Operation, document: Document, trimmer: Trimmer) -> Slot | None:
    part, key = node.get("in"), str(node.get("name") or "")
    is_required = node.get("required") is True or part == "path"
    style = str(node.get("style") or ("form" if part == "query" else "simple"))
    if not key or (part != "query" and (part not in ("path", "header") or style != "simple")):
        if is_required:
            what = f"{operation.id}: the parameter {key!r} in {part!r} is required and cannot be sent"
            raise ConfigError(f"{document.shown}: {what}. Leave the operation out of `allow`.")
        return None
    if (part == "header" and key.lower() in _IGNORED_HEADERS) or (node.get("deprecated") is True and not is_required):
        return None
    content = node.get("content")
    media = next(iter(content.values()), None) if isinstance(content, Mapping) else None
    is_json = isinstance(media, Mapping)
    schema = trimmer.trim((media if isinstance(media, Mapping) else node).get("schema", {}))
    described = short_description(node.get("description"))
    schema = {**schema, "description": described} if described else schema
    explode = node["explode"] if isinstance(node.get("explode"), bool) else style == "form"
    return Slot(key, part, key, schema if is_required else without_null(schema), is_required, style, explode, is_json)


def _content(operation: Operation, document: Document) -> tuple[str, Any]:
    """The content type of the body, and its schema."""
    content = operation.body.get("content")
    kinds = dict(content) if isinstance(content, Mapping) else {}
    for name, media in kinds.items():
        base = "application/json" if name == "*/*" else str(name).partition(";")[0].strip().lower()
        if isinstance(media, Mapping) and (_JSON.fullmatch(base) or base == _FORM):
            return base, media.get("schema", {})
    what = f"{operation.id} takes a body of {', '.join(map(str, kinds)) or 'no kind'}, which is not written here"
    raise ConfigError(f"{document.shown}: {what}. Leave it out: name the others in `allow`.")


def _named_apart(slots: list[Slot]) -> tuple[Slot, ...]:
    """With a name of its own for each: where two are called the same, the later says where it goes (`id`, `id_body`)."""
    made: list[Slot] = []
    for slot in slots:
        name = re.sub(r"[^\w.$-]", "_", slot.name)
        while any(other.name == name for other in made):
            name = f"{name}_{slot.part}"
        made.append(replace(slot, name=name))
    return tuple(made)


# --- filling it ---------------------------------------------------------------------------------------------------------


def fill(endpoint: Endpoint, arguments: Mapping[str, Any], given: Mapping[str, str]) -> Filled:
    """The request that these arguments make.

    Args:
        given: What the host fills, by key, wherever it goes; what the model says of it is not looked at. Case does not matter.

    Raises:
        ArgumentError: If an argument cannot be put in its place.
    """
    hosts = {key.lower(): value for key, value in given.items()}
    path, query, headers, body = endpoint.operation.path, [], {}, {}
    for slot in endpoint.slots:
        value = hosts[slot.key.lower()] if slot.key.lower() in hosts else arguments.get(slot.name)
        if value is None and not (slot.part == "body" and slot.name in arguments):
            if slot.part == "path":
                raise ArgumentError(slot.name)
            continue
        if slot.part == "path":
            path = path.replace("{" + slot.key + "}", _segment(slot, value))
        elif slot.part == "query":
            query += _pairs(slot, value)
        elif slot.part == "header":
            headers[slot.key] = _line(slot, value)
        else:
            body[slot.key] = value
    if query:
        path = f"{path}{'&' if '?' in path else '?'}{urlencode(query, quote_via=quote)}"
    return Filled(path, *_written(endpoint, headers, body))


def _segment(slot: Slot, value: Any) -> str:
    """A value as one part of a path, also where somebody on the way decodes it before the path is taken apart."""
    text = _joined(slot, value, ",")
    read = unquote(unquote(text))  # a proxy may decode once, the service again
    if read.strip() in ("", ".", "..") or any(letter in "/\\" or letter < " " or letter == "\x7f" for letter in read):
        raise ArgumentError(slot.name)
    return quote(text, safe=",")


def _pairs(slot: Slot, value: Any) -> list[tuple[str, str]]:
    if slot.is_json:
        return [(slot.key, json.dumps(value, ensure_ascii=False))]
    if isinstance(value, Mapping):
        if slot.style == "deepObject":
            return [(f"{slot.key}[{key}]", _plain(inner)) for key, inner in value.items()]
        if slot.explode:
            return [(str(key), _plain(inner)) for key, inner in value.items() if key in slot.schema.get("properties", {})]
    if isinstance(value, (list, tuple)) and slot.explode:
        return [(slot.key, _plain(inner)) for inner in value]
    return [(slot.key, _joined(slot, value, _SEPARATORS.get(slot.style, ",")))]


def _line(slot: Slot, value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False) if slot.is_json else _joined(slot, value, ",")
    if any(letter < " " or letter == "\x7f" for letter in text):
        raise ArgumentError(slot.name)
    return text


def _joined(slot: Slot, value: Any, separator: str) -> str:
    if isinstance(value, Mapping):
        pairs = ((str(key), _plain(inner)) for key, inner in value.items())
        return separator.join(f"{key}={inner}" if slot.explode else f"{key}{separator}{inner}" for key, inner in pairs)
    return separator.join(map(_plain, value)) if isinstance(value, (list, tuple)) else _plain(value)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _written(endpoint: Endpoint, headers: dict[str, str], body: dict[str, Any]) -> tuple[dict[str, str], bytes | None]:
    if not endpoint.body or not body:
        return headers, b"" if endpoint.operation.method in ("post", "put", "patch") else None
    value = body[""] if endpoint.is_whole else body
    if endpoint.body == _FORM:
        pairs = value.items() if isinstance(value, Mapping) else ()
        text = urlencode([(key, _plain(inner)) for key, inner in pairs], quote_via=quote)
        return {**headers, "Content-Type": _FORM}, text.encode()
    return {**headers, "Content-Type": endpoint.body}, json.dumps(value, ensure_ascii=False).encode()
