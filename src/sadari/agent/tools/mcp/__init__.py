"""Servers of the Model Context Protocol as tools, and tools as such a server.

    tools: [{mcp: mcp.json}]

A server tells what its tools do, and how they are called, in its own words. Those words are shown to a person and pinned before any
model reads them (`review`, `pin`); after that the model reads what was pinned, and a tool that differs from its pin is refused.
"""

from sadari.agent.tools.mcp.client import McpTool, Offer, open_mcp, pin, review
from sadari.agent.tools.mcp.options import McpOptions, McpServer
from sadari.agent.tools.mcp.pins import PINS_FILE, Pin, Pinned, read_pins
from sadari.agent.tools.mcp.server import mcp_server, serve_stdio

__all__ = [
    "PINS_FILE",
    "McpOptions",
    "McpServer",
    "McpTool",
    "Offer",
    "Pin",
    "Pinned",
    "mcp_server",
    "open_mcp",
    "pin",
    "read_pins",
    "review",
    "serve_stdio",
]
