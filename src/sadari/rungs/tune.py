"""Fine-tuning on the task's conversations: LoRA, QLoRA, adapters, learnt prompts, IA3, or the model itself."""

from collections.abc import Sequence
from pathlib import Path

from sadari.files import kept
from sadari.rungs.conversations import conversations
from sadari.rungs.tuning import choose_decoding, set_up
from sadari.train import (
    CANARIES,
    ROWS_PER_CANARY,
    Canary,
    CrossEntropy,
    Method,
    TuneConfig,
    make_canaries,
    plant,
    render_rows,
)
from sadari.types import Built, Example, System, Workshop


class TuneRung:
    """Trains on conversations rendered exactly as they will be served, retrieved passages and distractors included.

    What tuning absorbs is not shown any more: few-shot examples, retrieved examples and the label list are left out of the
    prompt (labels are held at decoding). Documents stay.
    """

    def __init__(self, method: Method, config: TuneConfig, workshop: Workshop) -> None:
        self.name: str = method
        self._method, self._config, self._workshop = method, config, workshop

    def build(self, incumbent: System, train: Sequence[Example], validation: Sequence[Example], workdir: Path) -> Built:
        """The incumbent, tuned; the best look at validation is kept.

        Raises:
            ModelError: If the incumbent's model is not local.
            TrainingError: If there are no rows to learn from, or training diverges.
        """
        config, workshop = self._config, self._workshop
        used = conversations(train, config.max_rows, workshop.seed)
        bench = set_up(self._method, config, workshop, workdir, incumbent, used)
        rendering = render_rows(used, bench.answerer, bench.local, config.max_cut_share)
        looked_at = list(validation[: config.validation_rows])
        held_out = render_rows(looked_at, bench.answerer, bench.local, 1.0).rows
        rows = plant(rendering.rows, self._canaries(len(rendering.rows), workdir), bench.local)
        fitted = bench.fit([(row,) for row in rows], [(row,) for row in held_out], looked_at, CrossEntropy())
        system, quoting = choose_decoding(fitted.system, looked_at, workshop)
        notes = [*fitted.notes, f"{len(rendering.rows)} of {len(train)} training rows"]
        if rendering.cut:
            notes.append(f"{rendering.cut} rows were longer than the context and left out")
        if rendering.unreachable:
            notes.append(f"{rendering.unreachable} rows were left out: the system could not give their answer there, or no other")
        return Built(system, curves=fitted.trained.curves, notes=(*notes, *quoting))

    def _canaries(self, rows: int, workdir: Path) -> list[Canary]:
        """What is planted among so many rows; written down, for who looks later whether it was learnt by heart."""
        count = min(self._config.canaries, rows // ROWS_PER_CANARY)
        planted = make_canaries(count, seed=self._workshop.seed, language=self._workshop.language)
        return kept(workdir / CANARIES, list[Canary], lambda: list(planted))
