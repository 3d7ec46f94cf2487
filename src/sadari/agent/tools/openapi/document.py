"""An OpenAPI 3.x document: read from a file, its references followed, its operations found.

Covered: files that are too large, too deep or no JSON or YAML; references in circles, to other files or addresses, and to nothing;
references of a document that would write out to more than it may (a YAML file of aliases of aliases). Nothing is fetched.
Not covered: a document that describes another service than the one it is used with.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from sadari.errors import ConfigError

MOST_BYTES = 10_000_000
MOST_YAML = 2_000_000
"""Characters. A safe reader of YAML takes some 70,000 a second; the fast one ends the process where the nesting is deep."""
MOST_HOPS = 32
"""References that lead from one to the next."""

METHODS = ("get", "head", "post", "put", "patch", "delete")

Node = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation as the document has it.

    Args:
        id: Its operationId; method and path where it has none.
        parameters: Those of the path and of the operation, references followed.
        body: The request body; {} if there is none.
    """

    id: str
    method: str
    path: str
    summary: str
    parameters: tuple[Node, ...]
    body: Node


@dataclass(frozen=True, slots=True)
class Document:
    """A document, and how messages name it."""

    root: Node
    shown: str

    @staticmethod
    def read(path: Path, shown: str) -> "Document":
        """The document in a JSON or YAML file.

        Raises:
            ConfigError: If it cannot be read, or is no OpenAPI 3.x document.
        """
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ConfigError(
                f"{shown}: cannot be read ({error.strerror}). A path is relative to the folder of the task."
            ) from error
        if len(data) > MOST_BYTES:
            raise ConfigError(f"{shown}: holds {len(data):,} bytes; the limit is {MOST_BYTES:,}. Leave out what is not used.")
        try:
            root = _parsed(data.decode("utf-8-sig"))
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{shown}: is no JSON or YAML ({str(error)[:200] or 'nested too deeply'}). Mend the file.") from error
        version = str(root.get("openapi", "")) if isinstance(root, dict) else ""
        if not version.startswith("3."):
            said = f"it says {version!r}" if version else "it has no `openapi: 3.…`"
            raise ConfigError(f"{shown}: is no OpenAPI 3.x document; {said}. Convert an older one (Swagger 2.0) first.")
        return Document(root, shown)

    def resolved(self, node: Any, place: str) -> Node:
        """A node, the references that it consists of followed.

        Raises:
            ConfigError: If one leads nowhere, out of the document or in a circle.
        """
        for _ in range(MOST_HOPS):
            if not isinstance(node, Mapping):
                raise ConfigError(f"{self.shown}: {place} is no object. Mend the file.")
            if not isinstance(node.get("$ref"), str):
                return node
            node = self.lookup(node["$ref"], place)
        raise ConfigError(f"{self.shown}: {place}: the references lead in a circle. Mend the file.")

    def lookup(self, reference: str, place: str) -> Any:
        """What a `#/…` reference names.

        Raises:
            ConfigError: If it leads nowhere, or out of the document.
        """
        if not reference.startswith("#/"):
            remedy = "Only #/… is followed and nothing is fetched: copy what it names into this file"
            raise ConfigError(f"{self.shown}: {place}: $ref {reference[:100]!r}. {remedy}.")
        node: Any = self.root
        for written in reference[2:].split("/"):
            key = unquote(written).replace("~1", "/").replace("~0", "~")
            if isinstance(node, list) and key.isdecimal() and int(key) < len(node):
                node = node[int(key)]
            elif isinstance(node, Mapping) and key in node:
                node = node[key]
            else:
                raise ConfigError(f"{self.shown}: {place}: $ref {reference[:100]!r} leads nowhere. Mend the file.")
        return node

    def ids(self) -> list[str]:
        """Of all operations, in the order of the file: their operationIds, method and path where they have none.

        Raises:
            ConfigError: If two are the same.
        """
        found = [name for name, *_ in self._items()]
        twice = next((name for name in found if found.count(name) > 1), "") if len(set(found)) < len(found) else ""
        if twice:
            raise ConfigError(f"{self.shown}: two operations have the operationId {twice!r}. Give each its own.")
        return found

    def operations(self, ids: Collection[str]) -> Iterator[Operation]:
        """Those of these ids, in the order of the file; references of others are not followed."""
        for name, method, path, item in self._items():
            if name in ids:
                yield self._operation(name, method, path, item)

    def _items(self) -> Iterator[tuple[str, str, str, Node]]:
        """Id, method and path of each operation, and the path item in which it stands."""
        for path, written in self.resolved(self.root.get("paths", {}), "paths").items():
            if not path.startswith("/"):
                continue  # extensions
            item = self.resolved(written, f"paths {path}")
            for method in METHODS:
                if method in item:
                    place = f"{method.upper()} {path}"
                    named = self.resolved(item[method], place).get("operationId")
                    yield named if isinstance(named, str) and named else place, method, path, item

    def _operation(self, name: str, method: str, path: str, item: Node) -> Operation:
        node = self.resolved(item[method], name)
        parameters: dict[tuple[str, str], Node] = {}
        for listed in (item.get("parameters"), node.get("parameters")):
            for number, written in enumerate(listed if isinstance(listed, list) else ()):
                parameter = self.resolved(written, f"{name} parameter {number + 1}")
                parameters[str(parameter.get("in", "")), str(parameter.get("name", ""))] = parameter
        body = self.resolved(node["requestBody"], f"{name} requestBody") if "requestBody" in node else {}
        summary = next((text for key in ("summary", "description") if isinstance(text := node.get(key), str) and text.strip()), "")
        return Operation(name, method, path, summary, tuple(parameters.values()), body)

    @property
    def server(self) -> str:
        """The address of its first server, variables replaced by their defaults; "" if it has none."""
        servers = self.root.get("servers")
        server = servers[0] if isinstance(servers, list) and servers and isinstance(servers[0], Mapping) else {}
        address, variables = str(server.get("url", "")), server.get("variables")
        for name, variable in variables.items() if isinstance(variables, Mapping) else ():
            default = variable.get("default", "") if isinstance(variable, Mapping) else ""
            address = address.replace("{" + str(name) + "}", str(default))
        return address

    def security(self) -> Iterator[Node]:
        """Its declared ways of proving who asks."""
        components = self.root.get("components")
        schemes = components.get("securitySchemes") if isinstance(components, Mapping) else None
        for name, written in schemes.items() if isinstance(schemes, Mapping) else ():
            yield self.resolved(written, f"securitySchemes {name}")


def _parsed(text: str) -> Any:
    if text.lstrip().startswith("{"):
        try:
            return json.loads(text)
        except ValueError:
            pass  # YAML may begin with a brace as well
    if len(text) > MOST_YAML:
        raise ValueError(f"{len(text):,} characters are too many to be read as YAML: give the document as JSON")
    import yaml

    try:
        return _with_text_keys(yaml.load(text, Loader=_loader()))  # a SafeLoader that knows fewer types
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error


def _loader() -> Any:
    """Reads YAML as OpenAPI means it (the types of JSON): `no` is a word, a date and `010` are texts."""
    import yaml

    class Loader(yaml.SafeLoader):
        pass

    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in known if tag.rpartition(":")[2] in ("null", "float", "merge")]
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
    Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile("^(?:0|[-+]?[1-9][0-9]{0,30})$"), list("-+0123456789"))
    return Loader


def _with_text_keys(root: Any) -> Any:
    """Keys such as the status 200 as texts; what aliases share stays shared, so that they cannot multiply."""
    done: dict[int, Any] = {}

    def write(node: Any) -> Any:
        if not isinstance(node, (dict, list)):
            return node
        if id(node) not in done:
            made: Any = {} if isinstance(node, dict) else []
            done[id(node)] = made
            if isinstance(node, dict):
                made.update((str(key), write(value)) for key, value in node.items())
            else:
                made.extend(write(value) for value in node)
        return done[id(node)]

    return write(root)
