"""What a task says about MCP servers: the `mcpServers` shape, and what their tools may do."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sadari.agent.tools.place import Place
from sadari.errors import ConfigError
from sadari.types import Effect

_SECRET = re.compile(r"\$\{([A-Za-z_]\w*)(?::-([^}]*))?\}")


class McpServer(BaseModel):
    """One entry of `mcpServers`: a command to start, or an address. Texts may hold `${NAME}` or `${NAME:-default}`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    command: str | None = Field(default=None, min_length=1, description="Program that serves on its standard input and output.")
    args: tuple[str, ...] = Field(default=(), description="Its arguments.")
    env: dict[str, str] = Field(default_factory=dict, description="Its environment; besides, it is given PATH and nothing else.")
    cwd: str | None = Field(default=None, description="Folder it starts in; the task's if not given.")
    url: str | None = Field(default=None, min_length=1, description="Address of a server over streamable HTTP.")
    headers: dict[str, str] = Field(default_factory=dict, description="Sent with every request to that address.")
    type: Literal["stdio", "http", "streamable-http", "streamableHttp"] | None = Field(
        default=None, description="Found from the rest."
    )
    disabled: bool = Field(default=False, description="Whether the server is left out.")

    @model_validator(mode="after")
    def _is_one(self) -> "McpServer":
        if (self.command is None) == (self.url is None):
            raise ValueError("a server has either a `command` or a `url`")
        if self.type is not None and (self.type == "stdio") != (self.command is not None):
            raise ValueError(f"`type: {self.type}` does not go with `{'url' if self.url else 'command'}`")
        if self.url and (self.args or self.env or self.cwd):
            raise ValueError("`args`, `env` and `cwd` go with a `command`, not with a `url`")
        if self.command and self.headers:
            raise ValueError("`headers` go with a `url`, not with a `command`")
        return self


class McpOptions(BaseModel):
    """The kind `mcp`: `{mcp: mcp.json}`, or the servers themselves, or a mapping of these options."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    file: str | None = Field(default=None, description="JSON file with `mcpServers`; relative to the task's folder.")
    servers: dict[str, McpServer] = Field(default_factory=dict, alias="mcpServers", description="The servers by name.")
    only: tuple[str, ...] = Field(
        default=(), description="Tools that are offered, as `server_tool`; all that are pinned if not given."
    )
    effects: dict[str, Effect] = Field(
        default_factory=dict, description="For a server, or a tool as `server_tool`, what its calls change; `write` if not given."
    )
    idempotent: tuple[str, ...] = Field(
        default=(), description="Tools of which the same call made twice changes no more than once."
    )
    timeout_s: float = Field(default=30.0, gt=0, le=3600, description="Seconds after which a call counts as failed.")
    start_timeout_s: float = Field(
        default=60.0, gt=0, le=600, description="Seconds that a server may take to start and to list its tools."
    )
    max_chars: int = Field(default=8_000, ge=500, description="Characters of a result that the model is shown.")

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"file": value}
        inner = [*value.values()] if isinstance(value, dict) else []
        is_servers = bool(inner) and all(isinstance(one, dict) and one.keys() & {"command", "url"} for one in inner)
        return {"mcpServers": value} if is_servers else value

    @model_validator(mode="after")
    def _has_servers(self) -> "McpOptions":
        if (self.file is None) == (not self.servers):
            raise ValueError("give either a `file` with `mcpServers`, or `mcpServers` themselves")
        return self


@dataclass(frozen=True, slots=True)
class Launch:
    """How a server is reached, with secrets put in. Its origin is what a person approved, without secrets.

    Args:
        command: Program and arguments; () if it is reached at `url`.
        environment: All that the program is given.
    """

    name: str
    origin: str
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path = Path()
    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


def launches(options: McpOptions, place: Place) -> list[Launch]:
    """The servers that are not disabled.

    Raises:
        ConfigError: If the file cannot be read, a name or an address cannot be used, or a secret is missing.
    """
    servers = read_servers(place.path(options.file), options.file) if options.file else options.servers
    return [_launch(name, server, place) for name, server in servers.items() if not server.disabled]


def read_servers(path: Path, shown: str) -> dict[str, McpServer]:
    """The `mcpServers` of a file.

    Raises:
        ConfigError: If it cannot be read or has another shape.
    """
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{shown}: cannot be read ({error.strerror}). Paths are meant from the task's folder.") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{shown}: not JSON ({error}).") from error
    servers = content.get("mcpServers") if isinstance(content, dict) else None
    if not isinstance(servers, dict) or not servers:
        raise ConfigError(f'{shown}: has no servers. Write {{"mcpServers": {{"NAME": {{"command": ..., "args": [...]}}}}}}.')
    read = {}
    for name, server in servers.items():
        try:
            read[name] = McpServer.model_validate(server)
        except ValidationError as error:
            fault = error.errors()[0]
            known = ", ".join(McpServer.model_fields)
            at = ".".join(map(str, ("mcpServers", name, *fault["loc"])))
            is_unknown = fault["type"] == "extra_forbidden"
            what = f"is no known option. Known: {known}" if is_unknown else fault["msg"].removeprefix("Value error, ")
            raise ConfigError(f"{shown}: {at}: {what}.") from error
    return read


def _launch(name: str, server: McpServer, place: Place) -> Launch:
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,32}", name):
        raise ConfigError(f"tools: mcp: no server can be called `{name}`: its tools begin with it. Use A-Z, a-z, 0-9, `_` and `-`.")

    def filled(text: str) -> str:
        def value(match: re.Match[str]) -> str:
            if match[2] is not None:
                return place.secrets.get(match[1]) or match[2]
            return place.secret(match[1], f"the MCP server `{name}`")

        return _SECRET.sub(value, text)

    if server.url:
        url = filled(server.url)
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise ConfigError(f"tools: mcp: the address of `{name}` is no http or https address: {server.url}.")
        return Launch(name, server.url, url=url, headers={key: filled(text) for key, text in server.headers.items()})
    command = [server.command or "", *server.args]
    path = place.secrets.get("PATH", "/usr/local/bin:/usr/bin:/bin")
    return Launch(
        name,
        json.dumps(command, ensure_ascii=False),
        command=tuple(filled(word) for word in command),
        environment={"PATH": path, **{key: filled(text) for key, text in server.env.items()}},
        folder=place.path(server.cwd or "."),
    )
