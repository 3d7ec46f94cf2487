"""Fit a model to rows: one loop, whatever the method and whatever the loss.

What needs torch is imported when it is first asked for: a climb that trains nothing does not wait for it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from sadari.train.batching import Item
from sadari.train.config import (
    AdapterConfig,
    FullConfig,
    LoraConfig,
    PreferenceConfig,
    SoftPromptConfig,
    TuneConfig,
)
from sadari.train.memorisation import CANARIES, ROWS_PER_CANARY, Canary, Exposure, exposures, make_canaries, plant
from sadari.train.rows import Rendering, Row, render_rows

if TYPE_CHECKING:
    from sadari.train.learner import CrossEntropy, Learner, Objective
    from sadari.train.loop import Job, Plan, Trained, fit, make_plan
    from sadari.train.methods import Attached, Method, attach, save_model
    from sadari.train.schedule import precision_for

__all__ = [
    "CANARIES",
    "ROWS_PER_CANARY",
    "AdapterConfig",
    "Attached",
    "Canary",
    "CrossEntropy",
    "Exposure",
    "FullConfig",
    "Item",
    "Job",
    "Learner",
    "LoraConfig",
    "Method",
    "Objective",
    "Plan",
    "PreferenceConfig",
    "Rendering",
    "Row",
    "SoftPromptConfig",
    "Trained",
    "TuneConfig",
    "attach",
    "exposures",
    "fit",
    "make_canaries",
    "make_plan",
    "plant",
    "precision_for",
    "render_rows",
    "save_model",
]

_NEED_TORCH = {
    **dict.fromkeys(("CrossEntropy", "Learner", "Objective"), "learner"),
    **dict.fromkeys(("Job", "Plan", "Trained", "fit", "make_plan"), "loop"),
    **dict.fromkeys(("Attached", "Method", "attach", "save_model"), "methods"),
    "precision_for": "schedule",
}


def __getattr__(name: str) -> object:
    if name in _NEED_TORCH:
        return getattr(import_module(f"sadari.train.{_NEED_TORCH[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
