"""Fine-tuning: `lora` trains a small update beside the model, `full` the model itself."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

import numpy as np

from sadari.answer import Answerer
from sadari.errors import ModelError, TrainingError
from sadari.files import kept
from sadari.measure.scorers import score_answers
from sadari.model.local import LocalModel
from sadari.rungs.retrieval import SENTENCE, grounded
from sadari.rungs.search import with_threshold
from sadari.train import (
    CANARIES,
    ROWS_PER_CANARY,
    Canary,
    Job,
    Plan,
    Row,
    TuneConfig,
    attach_adapter,
    default_learning_rate,
    fit,
    make_canaries,
    make_plan,
    plant,
    render_rows,
    save_adapter,
    save_model,
    weighted_loss,
)
from sadari.types import Built, Example, Model, Retrieval, System, Workshop

TUNED_RETRIEVAL = Retrieval("documents", 1)
"""What is shown where the incumbent retrieves nothing, or single sentences: one section misses little and distracts little."""

READING_RATE = 0.3
"""Share of the usual learning rate where answers are read from documents: how to read was learnt before, and is soon forgotten."""

QUOTABLE_ROWS = 64
"""Training rows by which it is told whether answers are sentences of the documents."""

TRAINING_SHARE = 0.8
"""Share of the rung's time that training may take; the rest is for looks at validation and for saving."""


class TuneRung:
    """Trains on conversations rendered exactly as they will be served, retrieved passages and distractors included.

    What tuning absorbs is not shown any more: few-shot examples, retrieved examples and the label list are left out of the
    prompt (labels are held at decoding). Documents stay.
    """

    def __init__(self, method: Literal["lora", "full"], config: TuneConfig, workshop: Workshop) -> None:
        self.name: str = method
        self._config, self._workshop = config, workshop

    def build(self, incumbent: System, train: Sequence[Example], validation: Sequence[Example], workdir: Path) -> Built:
        """The incumbent, tuned; the best look at validation is kept.

        Raises:
            ModelError: If the incumbent's model is not local.
            TrainingError: If there are no rows to learn from, or training diverges.
        """
        config, workshop = self._config, self._workshop
        used = _draw(train, config.max_rows, workshop.seed)
        model = workshop.load(incumbent)
        if not isinstance(model, LocalModel):
            raise ModelError(
                f"{incumbent.model} runs elsewhere and cannot be tuned here. "
                f"Take `{self.name}` out of the ladder, or use a local model."
            )
        system = self._served(incumbent, used, model)
        if self.name == "lora" and incumbent.adapter is not None:
            # An adapter belongs to the very weights it was trained over: those of the base with the older adapter merged in.
            save_model(model.model, model.tokenizer, workdir / "base")
            system = system.with_(model=str(workdir / "base"), adapter=None)
        tuned = _Tuned(self.name, model, config, workshop.seed)
        answerer = Answerer(system, model)
        rendering = render_rows(used, answerer, model, config.max_cut_share)
        looked_at = list(validation[: config.validation_rows])
        held_out = render_rows(looked_at, answerer, model, 1.0).rows
        rows = plant(rendering.rows, self._canaries(len(rendering.rows), workdir), model)
        job = Job(tuned.torch_model, rows, config, workdir, tuned.pad_id, workshop.seed, workshop.tell)
        plan = kept(workdir / "plan.json", Plan, lambda: self._plan(tuned, job))
        workshop.tell(f"{tuned.trainable:,} of {tuned.total:,} parameters, {len(rendering.rows)} rows, {plan.steps} steps")

        def look() -> tuple[float, float]:
            answers = answerer.answer(looked_at)
            scores = score_answers(workshop.scorer, list(zip(looked_at, answers, strict=True)))
            return fmean(score.value for score in scores), tuned.loss(held_out)

        done = fit(job, plan, look)
        system, quoting = self._choose_decoding(system.with_(**tuned.save(workdir)), looked_at)
        notes = [
            f"trained {tuned.trainable:,} of {tuned.total:,} parameters ({tuned.trainable / tuned.total:.1%})",
            f"{len(rendering.rows)} of {len(train)} training rows, {plan.epochs:.2f} passes, {plan.steps} steps of at most "
            f"{config.batch_tokens} tokens, ended by {plan.cut_by}",
            f"best look at step {done.best_step}: validation {done.best_score:.3f}",
        ]
        if rendering.cut:
            notes.append(f"{rendering.cut} rows were longer than the context and left out")
        if rendering.unreachable:
            notes.append(f"{rendering.unreachable} rows were left out: the system could not give their answer there, or no other")
        return Built(system, curves=done.curves, notes=(*notes, *quoting))

    def _served(self, incumbent: System, train: Sequence[Example], model: Model) -> System:
        """How the tuned system will be asked.

        A task with documents is always tuned with them, even if the untuned model was not proven to profit from them: rows whose
        answers stand in documents that are not shown would teach it to invent.
        """
        retrieval = incumbent.retrieval if incumbent.retrieval and incumbent.retrieval.source == "documents" else None
        if retrieval is not None:
            retrieval = TUNED_RETRIEVAL if retrieval.chunk_chars == SENTENCE else retrieval
            retrieval = replace(retrieval, min_score=0.0)  # chosen for the untuned model; chosen anew after tuning
        elif self._workshop.documents is not None:
            quoting = grounded(incumbent, self._workshop, quote=2).with_(retrieval=TUNED_RETRIEVAL)
            quotes = _quotable(train[:QUOTABLE_ROWS], Answerer(quoting, model)) > 0.5
            incumbent, retrieval = quoting if quotes else grounded(incumbent, self._workshop, quote=0), TUNED_RETRIEVAL
        prompt = replace(incumbent.prompt, labels=(), shots=0, chain_of_thought=False)
        # Where one sentence is quoted, answers of two could not be learnt; how many are allowed is chosen anew after tuning.
        quote = 2 if incumbent.decoding.quote == 1 else incumbent.decoding.quote
        decoding = replace(incumbent.decoding, quote=quote, choices=self._workshop.labels)
        return incumbent.with_(prompt=prompt, retrieval=retrieval, examples=None, decoding=decoding)

    def _canaries(self, rows: int, workdir: Path) -> list[Canary]:
        """What is planted among so many rows; written down, for who looks later whether it was learnt by heart."""
        count = min(self._config.canaries, rows // ROWS_PER_CANARY)
        planted = make_canaries(count, seed=self._workshop.seed, language=self._workshop.language)
        return kept(workdir / CANARIES, list[Canary], lambda: list(planted))

    def _plan(self, tuned: "_Tuned", job: Job) -> Plan:
        config, budget = self._config, self._workshop.time_budget_s
        usual = default_learning_rate(tuned.total, low_rank=self.name == "lora", rank=config.rank)
        rate = config.learning_rate or usual * (1.0 if self._workshop.documents is None else READING_RATE)
        return make_plan(job, rate, None if budget is None else TRAINING_SHARE * budget)

    def _choose_decoding(self, system: System, validation: Sequence[Example]) -> tuple[System, tuple[str, ...]]:
        """How many sentences a tuned model may quote: validation says."""
        if system.retrieval is None or system.retrieval.source != "documents":
            return system, ()
        found = {}
        for quote in (2, 1) if system.decoding.quote else (0,):
            candidate = system.with_(decoding=replace(system.decoding, quote=quote))
            found[quote] = (self._workshop.evaluate(candidate, validation).quality, candidate)
        best = max(found, key=lambda q: found[q][0])  # ties go to the incumbent's way
        told = ", ".join(f"{q or 'free'}: {quality:.3f}" for q, (quality, _) in found.items())
        system, threshold = with_threshold(found[best][1], validation, self._workshop)
        return system, (
            *threshold,
            f"quoted sentences at most {best or 'free'} (validation by number: {told})",
        )


def _quotable(examples: Sequence[Example], answerer: Answerer) -> float:
    """Share of the answers that are sentences of what is shown, or the abstention."""
    prepared = [answerer.prepare(e, training=True) for e in examples]
    said = [p.said(e.target.content, answerer.system.abstention) for e, p in zip(examples, prepared, strict=True)]
    return fmean(s is not None for s in said)


class _Tuned:
    """The torch model under training, and where its result goes."""

    def __init__(self, method: str, model: LocalModel, config: TuneConfig, seed: int) -> None:
        self._method, self._local = method, model
        self.torch_model: Any = model.model
        self.total = sum(p.numel() for p in self.torch_model.parameters())
        for parameter in self.torch_model.parameters():
            parameter.requires_grad_(method == "full")
        self._peft = attach_adapter(self.torch_model, config, seed) if method == "lora" else None
        self.trainable = sum(p.numel() for p in self.torch_model.parameters() if p.requires_grad)
        self.pad_id: int = model.tokenizer.pad_token_id if model.tokenizer.pad_token_id is not None else 0

    def loss(self, rows: Sequence[Row]) -> float:
        """Mean loss over validation rows, in nats per token."""
        import torch

        with torch.no_grad():
            return fmean(float(weighted_loss(self.torch_model, rows[i : i + 16], self.pad_id)) for i in range(0, len(rows), 16))

    def save(self, workdir: Path) -> dict[str, Any]:
        """Write the result; returns the fields of `System` that point to it."""
        if self._peft is not None:
            save_adapter(self._peft, workdir / "adapter")
            return {"adapter": workdir / "adapter"}
        save_model(self.torch_model, self._local.tokenizer, workdir / "model")
        return {"model": str(workdir / "model"), "adapter": None}


def _draw(train: Sequence[Example], most: int | None, seed: int) -> list[Example]:
    chats = [e for e in train if e.kind == "chat"]
    if not chats:
        raise TrainingError("no training row is a conversation. Raw text and preference pairs are learnt by other rungs.")
    if most is None or most >= len(chats):
        return chats
    kept = sorted(np.random.default_rng(seed).permutation(len(chats))[:most])
    return [chats[int(i)] for i in kept]
