"""The techniques on the ladder, cheapest first, one per file. Each only arranges what the other folders offer."""

from sadari.rungs.baseline import BaselineRung
from sadari.rungs.prompt import PromptConfig, PromptRung
from sadari.rungs.registry import IMPLEMENTED, check_options, make_rung, options_of
from sadari.rungs.retrieval import RetrievalConfig, RetrievalRung
from sadari.rungs.seeds import TRAINED, SeededRung

__all__ = [
    "IMPLEMENTED",
    "TRAINED",
    "BaselineRung",
    "PromptConfig",
    "PromptRung",
    "RetrievalConfig",
    "RetrievalRung",
    "SeededRung",
    "check_options",
    "make_rung",
    "options_of",
]
