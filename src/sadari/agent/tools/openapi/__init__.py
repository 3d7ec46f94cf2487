"""The operations of an OpenAPI document as tools."""

from sadari.agent.tools.openapi.opening import OpenApiOptions, open_openapi
from sadari.agent.tools.openapi.tool import ApiTool, UnknownEndError

__all__ = ["ApiTool", "OpenApiOptions", "UnknownEndError", "open_openapi"]
