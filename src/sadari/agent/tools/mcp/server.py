"""The tools of sadari, or a whole agent as one tool, offered as an MCP server.

Covered: every call goes through the function that the host gives, with its policy, judge and approvals; of errors not meant for
a model, only the kind is told.

Not covered: who the client is. On standard input and output it is whoever started this process, with the rights of one user, whom
the host names.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sadari import __version__
from sadari.errors import ToolFailedError, ToolRefusedError
from sadari.types import Outcome, Tool

if TYPE_CHECKING:
    from mcp import types
    from mcp.server import Server

Call = Callable[[str, Mapping[str, Any]], Outcome]
"""Calls a tool by its name; the host's own way, which asks whom it has to ask."""


def mcp_server(name: str, tools: Sequence[Tool], call: Call) -> "Server[Any]":
    """An `mcp.server.Server` with these tools.

    Args:
        name: What clients call the server.
        call: Runs in a thread of its own for each call; several may run at once.
    """
    import anyio.to_thread
    from mcp import types
    from mcp.server import Server

    offered = {tool.spec.name: tool for tool in tools}

    async def list_tools(context: Any, page: Any) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[_described(tool) for tool in offered.values()])

    async def call_tool(context: Any, asked: types.CallToolRequestParams) -> types.CallToolResult:
        if asked.name not in offered:
            return _said(f"There is no tool {asked.name[:64]!r}. Tools: {', '.join(offered)}.", is_error=True)
        try:
            outcome = await anyio.to_thread.run_sync(call, asked.name, asked.arguments or {})
        except (ToolFailedError, ToolRefusedError) as error:
            return _said(str(error), is_error=True)
        except Exception as error:
            return _said(f"{asked.name} did not work ({type(error).__name__}).", is_error=True)
        return _said(outcome.text)

    return Server(name, version=__version__, on_list_tools=list_tools, on_call_tool=call_tool)


def serve_stdio(server: "Server[Any]") -> None:
    """Serve on standard input and output until the input ends."""
    import anyio
    from mcp.server.stdio import stdio_server

    async def serve() -> None:
        async with stdio_server() as (read, write):
            await server.run(read, write, server.create_initialization_options())

    anyio.run(serve)


def _described(tool: Tool) -> "types.Tool":
    from mcp import types

    traits = tool.traits
    hints = types.ToolAnnotations(
        read_only_hint=traits.effect == "read",
        destructive_hint=traits.effect == "irreversible",
        idempotent_hint=traits.may_repeat,
    )
    spec = tool.spec
    return types.Tool(name=spec.name, description=spec.description, input_schema={**spec.parameters}, annotations=hints)


def _said(text: str, *, is_error: bool = False) -> "types.CallToolResult":
    from mcp import types

    return types.CallToolResult(content=[types.TextContent(text=text)], is_error=is_error)
