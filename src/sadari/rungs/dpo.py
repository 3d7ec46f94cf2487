"""Learn from preference pairs: of two answers to one conversation, say rather the one that was chosen."""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from sadari.errors import TrainingError
from sadari.files import kept
from sadari.rungs.tuning import Bench, set_up
from sadari.train import Item, Learner, PreferenceConfig
from sadari.train.preference import Pairs, Preference, margins, pair_rows, reference_margins
from sadari.types import Built, Example, System, Workshop

PREFERENCE_RATE = 0.01
"""Share of the usual learning rate. A pair says little and is soon learnt by heart: with the bundled model and 70 pairs, the loss
of other pairs fell below that of a coin at a rate of 3e-5, and rose above it at 1e-4 and 5e-4, where the usual one is 5e-3."""

REFERENCE_SHARE = 0.2
"""Share of the rung's time that the reference may be asked for; pairs that it was not asked about are not trained on."""


class DpoRung:
    """Trains LoRA on the preference pairs of train, by direct preference optimisation over the incumbent as it is.

    Unlike other tuning, this teaches no task: what the incumbent is shown (examples, passages, labels) it is shown ever after.

    Source:
        Rafailov et al. (2023), arXiv 2305.18290.
    """

    name = "dpo"

    def __init__(self, config: PreferenceConfig, workshop: Workshop) -> None:
        self._config, self._workshop = config, workshop

    def build(self, incumbent: System, train: Sequence[Example], validation: Sequence[Example], workdir: Path) -> Built:
        """The incumbent with an adapter; the best look at validation is kept.

        Raises:
            ModelError: If the incumbent's model is not local.
            TrainingError: If there are no pairs to learn from, or training diverges.
        """
        config, workshop = self._config, self._workshop
        used = _drawn(train, config.max_rows, workshop.seed)
        bench = self._bench(incumbent, used, workdir)
        pairs = pair_rows(used, bench.answerer, bench.local, config.max_cut_share)
        looked_at = list(validation[: config.validation_rows])
        held_out = self._held_out(looked_at, bench)
        learner = bench.learner()
        started = time.perf_counter()
        reference = self._reference(learner, [*held_out, *pairs.items], bench)
        if workshop.time_budget_s is not None:
            left = max(1.0, workshop.time_budget_s - (time.perf_counter() - started))
            bench = replace(bench, workshop=replace(workshop, time_budget_s=left))
        known = [pair for pair in pairs.items if pair[0].id in reference]
        fitted = bench.fit(known, held_out, looked_at, Preference(config.beta, reference))
        notes = (*fitted.notes, *_told(learner, held_out or known[:64], reference), *_count(known, pairs, used))
        return Built(fitted.system, curves=fitted.trained.curves, notes=notes)

    def _bench(self, incumbent: System, used: Sequence[Example], workdir: Path) -> Bench:
        """Answers as the incumbent does, but for reasoning, which the answers of pairs do not show."""
        config, workshop = self._config, self._workshop
        bench = set_up("lora", config, workshop, workdir, incumbent, used)
        system = incumbent.with_(
            model=bench.system.model,
            adapter=None,
            precision=bench.system.precision,
            prompt=replace(incumbent.prompt, chain_of_thought=False),
            decoding=replace(incumbent.decoding, choices=workshop.labels),
        )
        rate = config.learning_rate or PREFERENCE_RATE * bench.attached.learning_rate
        return replace(bench, system=system, config=config.model_copy(update={"learning_rate": rate}))

    def _held_out(self, validation: Sequence[Example], bench: Bench) -> tuple[Item, ...]:
        pairs = [e for e in validation if e.kind == "preference"]
        with suppress(TrainingError):  # none of them can be answered so
            return pair_rows(pairs, bench.answerer, bench.local, 1.0).items if pairs else ()
        return ()

    def _reference(self, learner: Learner, items: Sequence[Item], bench: Bench) -> dict[str, float]:
        """Of as many pairs as there is time for; written down, so that a run that is continued trains on the same ones."""
        off, budget = bench.attached.off, self._workshop.time_budget_s
        assert off is not None
        time_s = None if budget is None else REFERENCE_SHARE * budget
        return kept(
            bench.workdir / "reference.json", dict[str, float], lambda: reference_margins(learner, items, off, time_s=time_s)
        )


def _drawn(train: Sequence[Example], most: int | None, seed: int) -> list[Example]:
    """The pairs among the rows in an order drawn with the seed, at most so many.

    Raises:
        TrainingError: If there are none.
    """
    pairs = [e for e in train if e.kind == "preference"]
    if not pairs:
        raise TrainingError(
            "no training row is a preference pair. Give rows with `prompt`, `chosen` and `rejected`, or take `dpo` out of the "
            "ladder."
        )
    order = np.random.default_rng(seed).permutation(len(pairs)).tolist()
    return [pairs[i] for i in order[:most]]


def _told(learner: Learner, items: Sequence[Item], reference: dict[str, float]) -> list[str]:
    """How often the chosen answer is the likelier one, before and after."""
    import torch

    with learner.running(), torch.no_grad():
        after = [margin for batch in learner.cut(items) for margin in margins(learner, [items[i] for i in batch]).tolist()]
    shares = [sum(margin > 0 for margin in found) / len(items) for found in ([reference[c.id] for c, _ in items], after)]
    return [f"the chosen answer is the likelier one in {shares[1]:.0%} of {len(items)} pairs, before it was in {shares[0]:.0%}"]


def _count(known: Sequence[Item], pairs: Pairs, used: Sequence[Example]) -> list[str]:
    notes = [f"{len(known)} of {len(used)} preference pairs"]
    if pairs.left_out:
        notes.append(f"{pairs.left_out} pairs were left out: too long, or with answers that the system could not give, or no two")
    if len(known) < len(pairs.items):
        notes.append(f"{len(pairs.items) - len(known)} pairs were left out for want of time")
    return notes
