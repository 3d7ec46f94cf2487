"""Settings of the tuning rungs, as written under `lora:` or `full:` in the ladder of `sadari.yaml`."""

from pydantic import BaseModel, Field


class TuneConfig(BaseModel, frozen=True, extra="forbid"):
    """How a model is fitted. The same options serve every method; `rank` and `alpha` are read by LoRA alone."""

    rank: int = Field(16, ge=1, description="Width of the low-rank update.")
    alpha: float = Field(
        32.0, gt=0, description="Scale of the low-rank update; the update is multiplied by alpha / sqrt(rank) (rsLoRA)."
    )
    learning_rate: float | None = Field(
        None, gt=0, description="Peak learning rate; by default it follows from the number of parameters."
    )
    epochs: float = Field(
        3.0, gt=0, description="Passes over the rows, unless `max_steps` or the time budget ends training before."
    )
    max_steps: int | None = Field(
        None, ge=1, description="Optimiser steps at most. Set it where a run must be repeatable on another machine."
    )
    max_rows: int | None = Field(
        None, ge=2, description="Training rows used at most, drawn with the task's seed; the report says how many."
    )
    batch_tokens: int = Field(2048, ge=64, description="Tokens per step, padding included.")
    warmup_share: float = Field(0.06, ge=0, le=1, description="Share of the steps over which the learning rate rises.")
    weight_decay: float = Field(0.01, ge=0, description="Decoupled weight decay on matrices.")
    max_grad_norm: float = Field(1.0, gt=0, description="Gradients are clipped to this norm.")
    looks: int = Field(3, ge=1, description="How often validation is looked at during training; the best look is kept.")
    validation_rows: int = Field(96, ge=1, description="Validation rows answered at each look.")
    max_cut_share: float = Field(
        0.02, ge=0, le=1, description="Training stops with an error if more than this share of the rows does not fit the context."
    )
    canaries: int = Field(
        4, ge=0, le=12, description="Made-up secrets planted in train, to see what is learnt by heart; at most one per 100 rows."
    )
