"""The log of all runs."""

from sadari.agent.log.event import Draft, Event, Kind
from sadari.agent.log.log import Log, MovedOnError, RunEntry, Spent, Verified

__all__ = ["Draft", "Event", "Kind", "Log", "MovedOnError", "RunEntry", "Spent", "Verified"]
