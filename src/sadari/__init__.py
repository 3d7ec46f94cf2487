"""sadari: climb from prompting to fine-tuning with a small language model, and prove at every rung whether it paid."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sadari.agent.tools.functions import tool as tool

__version__ = "0.1.0"
__all__ = ["__version__", "tool"]


def __getattr__(name: str) -> Any:
    """`sadari.tool` for the files of tools that people write; imported when it is asked for."""
    if name == "tool":
        from sadari.agent.tools.functions import tool

        return tool
    raise AttributeError(f"module 'sadari' has no attribute {name!r}")
