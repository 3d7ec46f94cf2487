"""Fit a model to rows: one loop, whatever the method."""

from sadari.train.config import TuneConfig
from sadari.train.loop import Job, Plan, Trained, fit, make_plan
from sadari.train.loss import weighted_loss
from sadari.train.memorisation import CANARIES, ROWS_PER_CANARY, Canary, Exposure, exposures, make_canaries, plant
from sadari.train.methods import attach_adapter, default_learning_rate, save_adapter, save_model
from sadari.train.rows import Rendering, Row, batches_of, render_rows

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
