"""Fit a model to rows: one loop, whatever the method.

What needs torch is imported when it is first asked for: a climb that trains nothing does not wait for it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from sadari.train.config import TuneConfig
from sadari.train.memorisation import CANARIES, ROWS_PER_CANARY, Canary, Exposure, exposures, make_canaries, plant
from sadari.train.rows import Rendering, Row, batches_of, render_rows

if TYPE_CHECKING:
    from sadari.train.loop import Job, Plan, Trained, fit, make_plan
    from sadari.train.loss import weighted_loss
    from sadari.train.methods import attach_adapter, default_learning_rate, save_adapter, save_model

__all__ = [
    "CANARIES",
    "ROWS_PER_CANARY",
    "Canary",
    "Exposure",
    "Job",
    "Plan",
    "Rendering",
    "Row",
    "Trained",
    "TuneConfig",
    "attach_adapter",
    "batches_of",
    "default_learning_rate",
    "exposures",
    "fit",
    "make_canaries",
    "make_plan",
    "plant",
    "render_rows",
    "save_adapter",
    "save_model",
    "weighted_loss",
]

_NEED_TORCH = {
    **dict.fromkeys(("Job", "Plan", "Trained", "fit", "make_plan"), "loop"),
    "weighted_loss": "loss",
    **dict.fromkeys(("attach_adapter", "default_learning_rate", "save_adapter", "save_model"), "methods"),
}


def __getattr__(name: str) -> object:
    if name in _NEED_TORCH:
        return getattr(import_module(f"sadari.train.{_NEED_TORCH[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
