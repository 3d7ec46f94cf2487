"""From an OpenAPI document, and what a task file says of it, to tools.

Covered: only operations that are allowed become tools; whatever is not a GET or HEAD changes something unless the task file says
that it reads, and is approved by a person; the address of the service is that of the task file, or the public one of the document.
Not covered: a GET that changes something; descriptions that give orders to the model: read a document that others wrote.
"""

import base64
import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, Field, model_validator

from sadari.agent.tools.openapi.answers import SHORTEST, Secrets, paths_of
from sadari.agent.tools.openapi.document import Document, Operation
from sadari.agent.tools.openapi.endpoint import endpoint_of
from sadari.agent.tools.openapi.schema import short_description
from sadari.agent.tools.openapi.tool import ApiTool, Service
from sadari.agent.tools.place import Place
from sadari.egress import Address, Caps, Egress, EgressError, is_public, parse_address
from sadari.errors import ConfigError
from sadari.types import Effect, Tool, ToolSpec, Traits


class OpenApiOptions(BaseModel, frozen=True, extra="forbid"):
    """An API, as declared under `tools`: `{openapi: api/openapi.yaml}`, or `{openapi: {file: …, base_url: …, allow: […]}}`."""

    file: str = Field(description="The OpenAPI 3.x document, JSON or YAML.")
    base_url: str = Field(default="", description="Address of the service; by default the first https server of the document.")
    private: bool = Field(default=False, description="Whether `base_url` may lead into the company's own network, or over http.")
    authority: str = Field(
        default="", description="File of certificates (PEM) that vouch for the service; by default the system's."
    )
    allow: tuple[str, ...] = Field(default=(), description="The operationIds that become tools; () allows all.")
    secrets: dict[str, str] = Field(
        default_factory=dict,
        description="For a header or query parameter, the name of the secret that the host puts there; never an argument.",
    )
    user: str = Field(default="", description="The parameter that the host fills with who asks; never an argument.")
    rename: dict[str, str] = Field(default_factory=dict, description="For an operationId, the name of its tool.")
    keep: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="For an operationId, the parts of its response that are shown: `items[].name`."
    )
    reads: tuple[str, ...] = Field(default=(), description="operationIds that change nothing though they are no GET, as a search.")
    irreversible: tuple[str, ...] = Field(
        default=(), description="operationIds whose effect cannot be undone; DELETE is among them."
    )
    idempotent: tuple[str, ...] = Field(
        default=(),
        description="operationIds that change no more when repeated with the same Idempotency-Key: they may be repeated.",
    )
    key_header: str = Field(default="Idempotency-Key", description="The header that carries the key against repetition.")
    is_trusted: bool = Field(default=False, description="Whether what it returns is the company's own words and no customer's.")
    timeout_s: float = Field(default=20.0, gt=0, le=600, description="Seconds that a call may take.")
    max_chars: int = Field(default=4_000, ge=500, le=100_000, description="Characters of a response that the model is shown.")

    @model_validator(mode="before")
    @classmethod
    def _from_short_form(cls, value: Any) -> Any:
        return {"file": value} if isinstance(value, str) else value


def open_openapi(options: OpenApiOptions, place: Place) -> list[Tool]:
    """A tool for each allowed operation, in the order of the document.

    Raises:
        ConfigError: If the document, an option or a secret is missing or wrong.
    """
    document = Document.read(place.path(options.file), options.file)
    ids = document.ids()
    _check_names(options, ids, document)
    allowed = list(document.operations(options.allow or ids))
    service = _service(options, document, allowed, place)
    tools: dict[str, Tool] = {}
    for operation in allowed:
        tool = _tool(operation, document, service, options)
        if tool.spec.name in tools:
            remedy = f"Give {operation.id!r} another name under `rename`"
            raise ConfigError(f"{document.shown}: two operations would be the tool {tool.spec.name!r}. {remedy}.")
        tools[tool.spec.name] = tool
    if not tools:
        raise ConfigError(f"{document.shown}: holds no operation. Its `paths` are empty.")
    return list(tools.values())


def _check_names(options: OpenApiOptions, ids: Sequence[str], document: Document) -> None:
    for option in ("allow", "rename", "keep", "reads", "irreversible", "idempotent"):
        for written in getattr(options, option):
            if written not in ids:
                known = ", ".join(difflib.get_close_matches(written, ids, 3) or ids[:8]) or "none"
                raise ConfigError(f"{document.shown}: `{option}` names {written!r}, which is no operation. Known are: {known}.")


def _tool(operation: Operation, document: Document, service: Service, options: OpenApiOptions) -> ApiTool:
    try:
        endpoint = endpoint_of(operation, document)
    except RecursionError:
        raise ConfigError(f"{document.shown}: {operation.id} is nested too deeply. Leave it out of `allow`.") from None
    hidden = {name.lower() for name in (*options.secrets, options.key_header)}
    slots = tuple(slot for slot in endpoint.slots if slot.part not in ("header", "query") or slot.key.lower() not in hidden)
    endpoint = replace(endpoint, slots=slots)
    parameters = endpoint.parameters((options.user,) if options.user else ())
    _check_schema(parameters, operation, document)
    name = options.rename.get(operation.id) or re.sub(r"[^A-Za-z0-9_-]+", "_", operation.id).strip("_")[:64]
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
        raise ConfigError(f"{document.shown}: {name!r} is no name of a tool. Under `rename`, write letters, digits, _ and -.")
    spec = ToolSpec(name, short_description(operation.summary) or name, parameters)
    paths = paths_of(options.keep.get(operation.id, ()), f"{document.shown}: `keep` of {operation.id}")
    return ApiTool(endpoint, service, spec, _traits(operation, options), paths)


def _traits(operation: Operation, options: OpenApiOptions) -> Traits:
    effect: Effect = "write"
    if operation.id in options.irreversible or operation.method == "delete":
        effect = "irreversible"
    elif operation.method in ("get", "head") or operation.id in options.reads:
        effect = "read"
    is_idempotent = operation.id in options.idempotent
    return Traits(
        effect,
        is_idempotent,
        is_trusted=options.is_trusted,
        timeout_s=options.timeout_s + 5,  # so that the tool's own message about the time comes first
        retries=1 if effect == "read" or is_idempotent else 0,
        max_chars=options.max_chars,
    )


def _check_schema(schema: Mapping[str, Any], operation: Operation, document: Document) -> None:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError

    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        where = "/".join(map(str, error.path))
        raise ConfigError(f"{document.shown}: {operation.id}: {error.message[:160]} (at {where}). Mend the schema.") from error


# --- the service --------------------------------------------------------------------------------------------------------


def _service(options: OpenApiOptions, document: Document, allowed: Sequence[Operation], place: Place) -> Service:
    address = _base(options, document)
    base_url = str(address).rstrip("/")
    in_query = {str(s.get("name")) for s in document.security() if (s.get("type"), s.get("in")) == ("apiKey", "query")}
    in_query |= {str(node.get("name")) for operation in allowed for node in operation.parameters if node.get("in") == "query"}
    headers, query = _credentials(options, document, in_query, place)
    if (headers or query) and address.scheme != "https" and not options.private:
        remedy = "Write https://, or `private: true` inside"
        raise ConfigError(f"{document.shown}: {base_url} would send secrets in the open. {remedy}.")
    authority = place.path(options.authority) if options.authority else None
    if authority and not authority.is_file():
        raise ConfigError(f"{document.shown}: `authority` {options.authority!r} is no file. Give the certificates (PEM) to trust.")
    inside = (address.origin,) if options.private else ()
    egress = Egress((address.host,), inside, (address.scheme,), (address.port,), authority=str(authority) if authority else None)
    secrets = Secrets.of([*headers.values(), *query.values(), *(place.secret(name, "") for name in options.secrets.values())])
    caps = Caps(options.timeout_s, redirects=2)
    return Service(base_url, egress, caps, headers, query, secrets, options.user, options.key_header)


def _base(options: OpenApiOptions, document: Document) -> Address:
    written = options.base_url or document.server
    try:
        address = parse_address(written)
    except EgressError as error:
        said = f"the address of the service is {written!r}" if written else "it names no server"
        raise ConfigError(f"{document.shown}: {said}. Write a whole one: `base_url: https://…`.") from error
    if "?" in address.target:
        raise ConfigError(f"{document.shown}: the address {written!r} holds a query. Leave it out.")
    if not options.base_url and address.scheme != "https":
        raise ConfigError(f"{document.shown}: its first server is {written!r}. Write it as `base_url` if it is meant.")
    is_hidden = address.host == "localhost" or (address.is_literal and not is_public(address.host))
    if is_hidden and not options.private:
        raise ConfigError(f"{document.shown}: {written!r} is not public. If the service is inside, say `private: true`.")
    return address


def _credentials(
    options: OpenApiOptions, document: Document, in_query: Collection[str], place: Place
) -> tuple[dict[str, str], dict[str, str]]:
    """Headers and query parameters with their secrets."""
    headers, query = {}, {}
    for name, secret in options.secrets.items():
        value = place.secret(secret, f"{document.shown}: `secrets` {name}").strip()
        if len(value) < SHORTEST or any(letter < " " or letter == "\x7f" for letter in value):
            raise ConfigError(f"{document.shown}: the secret {secret} is shorter than {SHORTEST} letters, or not one line.")
        if name in in_query:
            query[name] = value
        elif re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name) and name.lower() != "cookie":
            headers[name] = _authorization(value, document) if name.lower() == "authorization" else value
        else:
            raise ConfigError(f"{document.shown}: `secrets` names {name!r}, which is no header and no parameter of a query.")
    return headers, query


def _authorization(value: str, document: Document) -> str:
    """The value of the header as the document says: with Basic or Bearer before it, unless it says so itself."""
    if " " in value:
        return value
    schemes = {str(scheme.get("scheme", "")).lower() for scheme in document.security() if scheme.get("type") == "http"}
    return f"Basic {base64.b64encode(value.encode()).decode()}" if schemes == {"basic"} else f"Bearer {value}"
