"""Settings of the tuning rungs, as written under `lora:`, `full:`, ... in the ladder of `sadari.yaml`."""

from typing import Literal

from pydantic import BaseModel, Field

Precision = Literal["auto", "float32", "bfloat16"]


class TuneConfig(BaseModel, frozen=True, extra="forbid"):
    """How a model is fitted, whatever the method."""

    learning_rate: float | None = Field(
        None, gt=0, description="Peak learning rate; by default it follows from the method and the number of parameters."
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
    batch_tokens: int = Field(
        2048, ge=64, description="Tokens of the rows of one step; the beginning that all rows share counts once."
    )
    packed_tokens: int = Field(
        2048,
        ge=64,
        description="Tokens computed at once, after shared beginnings are joined: memory and speed, not the result. Halved where "
        "memory runs out.",
    )
    share_prefixes: bool = Field(True, description="Compute beginnings that rows of a step share once; off only to compare.")
    schedule: Literal["cosine", "linear", "constant"] = Field(
        "cosine", description="How the learning rate falls after the warm-up: to a tenth, to a tenth, or not."
    )
    warmup_share: float = Field(0.06, ge=0, le=1, description="Share of the steps over which the learning rate rises.")
    weight_decay: float = Field(0.01, ge=0, description="Decoupled weight decay on matrices.")
    max_grad_norm: float = Field(1.0, gt=0, description="Gradients are clipped to this norm.")
    looks: int = Field(3, ge=1, description="How often validation is looked at during training; the best look is kept.")
    validation_rows: int = Field(96, ge=1, description="Validation rows answered at each look.")
    patience: int | None = Field(
        None, ge=1, description="Training ends after so many looks in a row without a better one; null trains to the end."
    )
    precision: Precision = Field(
        "auto", description="Of the arithmetic; `auto` is bfloat16 where the hardware multiplies it faster, else float32."
    )
    checkpointing: bool = Field(
        False, description="Recompute activations instead of keeping them: less memory, a third to a half slower."
    )
    compile: bool = Field(False, description="Compile the model with torch.compile: minutes at the start, faster steps after.")
    report_to: tuple[Literal["tensorboard", "mlflow", "wandb"], ...] = Field(
        (), description="Trackers told beside the JSONL log, which is always written."
    )
    max_cut_share: float = Field(
        0.02, ge=0, le=1, description="Training stops with an error if more than this share of the rows does not fit the context."
    )
    canaries: int = Field(
        4, ge=0, le=12, description="Made-up secrets planted in train, to see what is learnt by heart; at most one per 100 rows."
    )


class LoraConfig(TuneConfig, frozen=True, extra="forbid"):
    """LoRA, and QLoRA over a base in four bits."""

    rank: int = Field(16, ge=1, description="Width of the low-rank update.")
    alpha: float = Field(
        32.0, gt=0, description="Scale of the low-rank update; it is multiplied by alpha / sqrt(rank), or alpha / rank."
    )
    rslora: bool = Field(True, description="Scale by alpha / sqrt(rank) (rsLoRA), which keeps high ranks learning.")
    dora: bool = Field(False, description="Learn the length of each weight column apart from its direction (DoRA).")
    targets: tuple[str, ...] = Field(
        (), description="Names of the linear layers that are adapted; all but the output layer if none."
    )


class AdapterConfig(TuneConfig, frozen=True, extra="forbid"):
    """Bottleneck adapters: small feed-forward layers put into every block."""

    width: int = Field(64, ge=1, description="Width of the bottleneck.")
    style: Literal["pfeiffer", "houlsby"] = Field(
        "pfeiffer", description="After the feed-forward part of each block, or after attention and feed-forward part both."
    )


class SoftPromptConfig(TuneConfig, frozen=True, extra="forbid"):
    """Prompt tuning and prefix tuning: vectors before the conversation that are learnt while the model is frozen."""

    tokens: int = Field(20, ge=1, description="Number of learnt vectors at each place.")


class FullConfig(TuneConfig, frozen=True, extra="forbid"):
    """Full fine-tuning."""

    last_layers: int | None = Field(None, ge=1, description="Train only so many layers from the top; null trains everything.")


class PreferenceConfig(LoraConfig, frozen=True, extra="forbid"):
    """Direct preference optimisation of a LoRA adapter."""

    beta: float = Field(0.1, gt=0, description="How strongly the model is held to what it said before.")
