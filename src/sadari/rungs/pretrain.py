"""Read on: continued pretraining on the raw text of train and on the task's documents, for the knowledge of its field."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import Field

from sadari.errors import TrainingError
from sadari.files import read_lines
from sadari.rungs.tuning import set_up
from sadari.train import CrossEntropy, LoraConfig
from sadari.train.raw_text import text_rows
from sadari.types import Built, Document, Example, System, Workshop


class PretrainConfig(LoraConfig, frozen=True, extra="forbid"):
    """A LoRA adapter that reads raw text."""

    length: int = Field(1024, ge=16, description="Most tokens of a block of text; no more than the model's context are taken.")
    documents: bool = Field(True, description="Read the task's documents too, not only raw text among the training rows.")


class PretrainRung:
    """Trains LoRA on raw text; the incumbent's prompt, retrieval and decoding stay as they are.

    Source:
        Gururangan et al. (2020), arXiv 2004.10964.
    """

    name = "pretrain"

    def __init__(self, config: PretrainConfig, workshop: Workshop) -> None:
        self._config, self._workshop = config, workshop

    def build(self, incumbent: System, train: Sequence[Example], validation: Sequence[Example], workdir: Path) -> Built:
        """The incumbent with an adapter; the best look at validation is kept.

        Raises:
            ModelError: If the incumbent's model is not local.
            TrainingError: If there is no raw text, or training diverges.
        """
        config, workshop = self._config, self._workshop
        bench = set_up("lora", config, workshop, workdir, incumbent, train)
        start = bench.system
        bench = replace(bench, system=incumbent.with_(model=start.model, adapter=None, precision=start.precision))
        texts = [e for e in train if e.kind == "text"][: config.max_rows]
        pages = read_lines(workshop.documents, Document) if config.documents and workshop.documents is not None else []
        length = min(config.length, bench.local.context or config.length)
        tokenizer = bench.local.tokenizer
        rows = text_rows(tokenizer, texts, pages, length=length)
        if not rows:
            raise TrainingError(
                "there is no raw text to read on: no training row has only a `text`, and no document is read. Give some, or take "
                "`pretrain` out of the ladder."
            )
        held_out = text_rows(tokenizer, validation, length=length)
        looked_at = list(validation[: config.validation_rows])
        fitted = bench.fit([(row,) for row in rows], [(row,) for row in held_out], looked_at, CrossEntropy())
        read = f"read {len(texts)} texts and {len(pages)} documents in {len(rows)} blocks of at most {length} tokens"
        return Built(fitted.system, curves=fitted.trained.curves, notes=(read, *fitted.notes))
