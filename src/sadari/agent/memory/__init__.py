"""What an agent remembers: a window of the conversation, a summary of what left it, and facts of each user."""

from sadari.agent.memory.facts import Fact, Memory, forget_me
from sadari.agent.memory.options import MemoryOptions
from sadari.agent.memory.responder import Remembering
from sadari.agent.memory.tools import memory_tools
from sadari.agent.memory.window import Window, fit

__all__ = ["Fact", "Memory", "MemoryOptions", "Remembering", "Window", "fit", "forget_me", "memory_tools"]
