"""TRL's `SFTTrainer`, at its defaults and at settings that make it faster here."""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from recipe import Recipe, Timed
from shapes import device

from sadari.train.rows import Row

IGNORED = -100
"""The label of a token that is not in the loss."""


@dataclass(frozen=True, slots=True)
class Setting:
    """How TRL is set; what is not named here stays at its default.

    Args:
        micro_rows: `per_device_train_batch_size`; a step of more rows is accumulated. TRL's default is 8.
        checkpointing: `gradient_checkpointing`, on by default.
        padding_free: Lays the rows of a micro-batch end to end, as `packing` does, but keeps the rows of a step together.
        by_length: Whether the rows of a step are sorted by length, which leaves less padding and the same step.
        keeps_memory: Whether the C library keeps freed memory, as sadari has it do; no setting of TRL, but a variable of the
            environment can do it for any program.
    """

    name: str
    micro_rows: int = 8
    checkpointing: bool = True
    padding_free: bool = False
    by_length: bool = False
    keeps_memory: bool = False


DEFAULT = Setting("defaults")
CANDIDATES = (
    Setting("2 rows at once, by length", 2, checkpointing=False, by_length=True, keeps_memory=True),
    Setting("8 rows at once", checkpointing=False, keeps_memory=True),
    Setting("8 rows at once, padding-free", checkpointing=False, padding_free=True, keeps_memory=True),
)
"""All without checkpointing. Few rows at once, sorted, leave less padding and smaller blocks of scores."""


def peer_trainer(model: Any, batches: Sequence[Sequence[Row]], recipe: Recipe, setting: Setting, folder: str) -> Any:
    """An `SFTTrainer` that takes one optimiser step per batch, in order; `batches` are all of one size.

    The precision is the recipe's, not TRL's default of bfloat16, so that every cell computes in the same one.
    """
    import datasets
    from trl import SFTConfig, SFTTrainer

    datasets.disable_progress_bars()
    rows = [row for batch in batches for row in (_longest_first(batch) if setting.by_length else batch)]
    size = len(batches[0])
    config = SFTConfig(
        output_dir=folder,
        per_device_train_batch_size=min(setting.micro_rows, size),
        gradient_accumulation_steps=max(1, size // setting.micro_rows),
        gradient_checkpointing=setting.checkpointing,
        padding_free=setting.padding_free,
        max_length=None,  # no row is longer than the default of 1024 but for real ones; padding-free asks for it
        max_steps=len(batches),
        train_sampling_strategy="sequential",
        learning_rate=recipe.learning_rate,
        lr_scheduler_type=recipe.schedule,
        warmup_steps=recipe.warmup_steps,
        use_cpu=device() == "cpu",
        bf16=device() != "cpu",
        dataloader_pin_memory=device() != "cpu",
        report_to="none",
        save_strategy="no",
        logging_steps=1,
        disable_tqdm=True,
        seed=recipe.seed,
    )
    data = datasets.Dataset.from_dict({"input_ids": [list(row.ids) for row in rows], "labels": [labels(row) for row in rows]})
    return SFTTrainer(model=model, args=config, train_dataset=data, processing_class=_tokenizer())


def peer_steps(model: Any, batches: Sequence[Sequence[Row]], recipe: Recipe, setting: Setting) -> Timed:
    """Train; the seconds of each step are those between the ends of steps, so that collating and logging count too."""
    from transformers import ProgressCallback, TrainerCallback
    from transformers.trainer_callback import PrinterCallback

    from sadari.train.memory import keep_freed_memory

    ends: list[float] = []

    class Clock(TrainerCallback):
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            ends.append(time.perf_counter())

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            ends.append(time.perf_counter())
            if recipe.is_spent(ends[-1] - ends[0]):
                control.should_training_stop = True

    if setting.keeps_memory:
        keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        trainer = peer_trainer(model, batches, recipe, setting, folder)
        trainer.remove_callback(PrinterCallback)
        trainer.remove_callback(ProgressCallback)
        trainer.add_callback(Clock())
        trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return Timed(tuple(b - a for a, b in pairwise(ends)), tuple(losses))


def labels(row: Row) -> list[int]:
    """The row's ids where they are in the loss, `IGNORED` elsewhere: TRL's own column for it."""
    return [token if weight > 0 else IGNORED for token, weight in zip(row.ids, row.weights, strict=True)]


def _longest_first(batch: Sequence[Row]) -> list[Row]:
    return sorted(batch, key=lambda row: -len(row.ids))


def _tokenizer() -> Any:
    """TRL asks for one, though all rows are token ids already; it knows padding and the end, and nothing else."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"<pad>": 0, "<eos>": 1}, unk_token="<pad>"))
    return PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", eos_token="<eos>")
