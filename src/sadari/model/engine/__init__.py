"""The local engine: rows of any length, begun at any time, computed together, what they share computed once."""

from sadari.model.engine.engine import Engine, TorchEngine
from sadari.model.engine.row import Chosen, Row, Sampling
from sadari.model.engine.scheduler import Counts, Limits, Scheduler

__all__ = ["Chosen", "Counts", "Engine", "Limits", "Row", "Sampling", "Scheduler", "TorchEngine"]
