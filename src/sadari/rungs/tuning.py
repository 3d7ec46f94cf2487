"""What the tuning rungs share: what they start from, how the tuned system will be asked, and a fit from set-up to saved system."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from sadari.answer import Answerer
from sadari.errors import ModelError, TrainingError
from sadari.files import kept
from sadari.measure.scorers import score_answers
from sadari.model.chat import encode
from sadari.model.local import LocalModel
from sadari.model.prefix import VirtualPrefix
from sadari.model.shape import shape_of
from sadari.prompt import compose
from sadari.retrieve.chunk import SENTENCE
from sadari.rungs.retrieval import grounded
from sadari.rungs.search import with_threshold
from sadari.train import (
    Attached,
    Item,
    Job,
    Learner,
    Method,
    Objective,
    Plan,
    Trained,
    TuneConfig,
    attach,
    make_plan,
    precision_for,
    save_model,
)
from sadari.train.advice import Advice, needs_by_trial
from sadari.train.dry_run import dry_run
from sadari.train.execution import execution_of
from sadari.train.order import Start, fit_together
from sadari.train.resident import available_bytes, held_bytes
from sadari.types import Example, Message, Model, Retrieval, System, Workshop

TUNED_RETRIEVAL = Retrieval("documents", 1)
"""What is shown where the incumbent retrieves nothing, or single sentences: one section misses little and distracts little."""

READING_RATE = 0.3
"""Share of the usual learning rate where answers are read from documents: how to read was learnt before, and is soon forgotten."""

QUOTABLE_ROWS = 64
"""Training rows by which it is told whether answers are sentences of the documents."""

TRAINING_SHARE = 0.8
"""Share of the rung's time that training may take; the rest is for looks at validation and for saving."""


def starting_point(incumbent: System, method: Method, workshop: Workshop, workdir: Path) -> tuple[System, LocalModel]:
    """The system without an adapter that training starts from, and its model, loaded.

    An adapter that can be merged becomes part of the weights, saved as `workdir/base`: a new adapter belongs to the very weights it
    was trained over. Learnt prompts and bottleneck adapters cannot be merged: then training starts from the model below them.

    Raises:
        ModelError: If the incumbent's model is not local.
    """
    start = incumbent.with_(precision="float32") if incumbent.precision == "nf4" else incumbent
    local = _local(start, workshop)
    if incumbent.adapter is not None:
        if local.is_merged:
            save_model(local.model, local.tokenizer, workdir / "base")
            local.model.name_or_path = str(workdir / "base")  # what is trained now belongs to these weights, and says so
            start = start.with_(model=str(workdir / "base"), adapter=None)
        else:
            start = start.with_(adapter=None)
            local = _local(start, workshop)
    if method == "qlora":
        start = start.with_(precision="nf4")
        local = _local(start, workshop)
    return start, local


def _local(system: System, workshop: Workshop) -> LocalModel:
    model = workshop.load(system)
    if not isinstance(model, LocalModel):
        raise ModelError(
            f"{system.model} runs elsewhere and cannot be tuned here. Take the rungs that tune out of the ladder, use a local "
            "model, or have it tuned where it runs (`remote_finetune`)."
        )
    return model


def served_after_tuning(incumbent: System, train: Sequence[Example], model: Model, workshop: Workshop) -> System:
    """How the tuned system will be asked: what tuning absorbs (shots, similar examples, the list of labels) is not shown any more.

    A task with documents is always tuned with them, even if the untuned model was not proven to profit from them: rows whose
    answers stand in documents that are not shown would teach it to invent.
    """
    retrieval = incumbent.retrieval if incumbent.retrieval and incumbent.retrieval.source == "documents" else None
    if retrieval is not None:
        retrieval = TUNED_RETRIEVAL if retrieval.chunk_tokens == SENTENCE else retrieval
        retrieval = replace(retrieval, min_score=0.0)  # chosen for the untuned model; chosen anew after tuning
    elif workshop.documents is not None:
        quoting = grounded(incumbent, workshop, quote=2).with_(retrieval=TUNED_RETRIEVAL)
        quotes = _quotable(train[:QUOTABLE_ROWS], Answerer(quoting, model)) > 0.5
        incumbent, retrieval = quoting if quotes else grounded(incumbent, workshop, quote=0), TUNED_RETRIEVAL
    prompt = replace(incumbent.prompt, labels=(), shots=0, chain_of_thought=False)
    # Where one sentence is quoted, answers of two could not be learnt; how many are allowed is chosen anew after tuning.
    quote = 2 if incumbent.decoding.quote == 1 else incumbent.decoding.quote
    decoding = replace(incumbent.decoding, quote=quote, choices=workshop.labels)
    # Tools are found by the questions that called them; what the fields of JSON answers look like is read off the rows.
    examples = incumbent.examples if incumbent.tools_shown or incumbent.decoding.schema else None
    return incumbent.with_(prompt=prompt, retrieval=retrieval, examples=examples, decoding=decoding)


@dataclass(frozen=True, slots=True)
class Bench:
    """One local model with the part of it that is trained in place, and the system that its answers are looked at through."""

    method: Method
    config: TuneConfig
    workshop: Workshop
    workdir: Path
    system: System
    local: LocalModel
    attached: Attached

    @property
    def answerer(self) -> Answerer:
        """Answers with the model as it is now."""
        return Answerer(self.system, self.local)

    def learner(self) -> Learner:
        """The model with the way its rows are run."""
        return learner_of(self.attached.model, self.config, self.workshop, self.attached.prefix)

    def fit(self, items: Sequence[Item], held_out: Sequence[Item], validation: Sequence[Example], objective: Objective) -> "Fitted":
        """Train, keep the best look at `validation`, save.

        Args:
            held_out: Rows of validation, for the loss.

        Raises:
            TrainingError: If training diverges, or leaves the model as it was.
        """
        config, workshop = self.config, self.workshop
        learner = self.learner()
        job = Job(
            learner,
            self.attached.parameters,
            items,
            config,
            self.workdir,
            workshop.seed,
            objective,
            price_per_hour=workshop.price_per_hour,
            tell=workshop.tell,
        )
        advice = kept(self.workdir / "estimate.json", Advice, lambda: self._advice(job))
        workshop.tell(advice.in_words(workshop.language))
        plan = kept(self.workdir / "plan.json", Plan, lambda: self._plan(job))
        share = f"{self.attached.trainable:,} of {self.attached.total:,} parameters ({self.attached.share:.2%})"
        workshop.tell(f"{share}, {len(items)} rows, {plan.steps} steps, {learner.way}")
        held_out = held_out or items[:64]  # where no answer of validation can be given in words of the system
        before = learner.mean_loss(held_out, objective)
        answerer, respond = self.answerer, workshop.respond

        def look() -> tuple[float, float]:
            answers = respond(self.system, self.local, validation) if respond else answerer.answer(validation)
            scores = score_answers(workshop.scorer, list(zip(validation, answers, strict=True)))
            return fmean(score.value for score in scores), learner.mean_loss(held_out, objective)

        done = fit_together(job, plan, look, Start(self.system.model, self.system.precision, self.method))
        if self.attached.is_identity() or learner.mean_loss(held_out, objective) == before:
            raise TrainingError(
                f"after {plan.steps} steps the model answers as it did before. Raise `learning_rate` (it was "
                f"{plan.learning_rate:.1e}) or `epochs`, or look whether the rows hold anything to learn."
            )
        notes = (
            f"trained {share}",
            f"{plan.epochs:.2f} passes, {plan.steps} steps of at most {config.batch_tokens} tokens, ended by {plan.cut_by}; "
            f"{learner.way}, {1 - done.tokens_computed / done.tokens_before:.0%} of the tokens spared",
            f"best look at step {done.best_step}: validation {done.best_score:.3f}",
        )
        return Fitted(self._saved(), done, notes)

    def _advice(self, job: Job) -> Advice:
        """Whether it fits, how long it takes and what it costs, from three small steps that are thrown away."""
        model = self.attached.model
        steps = job.steps()[: job.config.max_steps]
        measured = dry_run(
            job.learner, job.parameters, steps, objective=job.objective, running=execution_of(job.learner, job.config)
        )
        width = next(p.element_size() for p in model.parameters())
        needs = needs_by_trial(measured, shape_of(model), self.method, self.config, width)
        workshop = self.workshop
        return Advice(
            needs, held_bytes(model.device) + available_bytes(model.device), len(steps), workshop.price_per_hour, workshop.currency
        )

    def _plan(self, job: Job) -> Plan:
        budget = self.workshop.time_budget_s
        usual = self.attached.learning_rate * (1.0 if self.workshop.documents is None else READING_RATE)
        return make_plan(job, self.config.learning_rate or usual, None if budget is None else TRAINING_SHARE * budget)

    def _saved(self) -> System:
        folder = self.workdir / ("adapter" if self.attached.is_adapter else "model")
        self.attached.save(folder, self.local.tokenizer)
        if self.attached.is_adapter:
            return self.system.with_(adapter=folder)
        return self.system.with_(model=str(folder), adapter=None)


@dataclass(frozen=True, slots=True)
class Fitted:
    """What a fit made."""

    system: System
    trained: Trained
    notes: tuple[str, ...]


def learner_of(model: Any, config: TuneConfig, workshop: Workshop, prefix: VirtualPrefix | None = None) -> Learner:
    """A model, run as the settings say."""
    return Learner(
        model,
        config.packed_tokens,
        prefix,
        share=config.share_prefixes,
        precision=precision_for(config, model.device),
        fuse=not config.compile,
        tell=workshop.tell,
    )


def set_up(
    method: Method, config: TuneConfig, workshop: Workshop, workdir: Path, incumbent: System, train: Sequence[Example]
) -> Bench:
    """A bench for tuning `incumbent` by a method."""
    start, local = starting_point(incumbent, method, workshop, workdir)
    system = served_after_tuning(start, train, local, workshop)
    attached = attach(method, local.model, config, seed=workshop.seed, prompt_ids=_prompt_ids(incumbent, local))
    local.prefix = attached.prefix
    return Bench(method, config, workshop, workdir, system, local, attached)


def _prompt_ids(incumbent: System, local: LocalModel) -> list[int]:
    """The incumbent's system text as tokens, its list of labels included: what learnt prompts begin as."""
    system = compose(incumbent.prompt, (Message("user", ""),))[0]
    return encode(local.tokenizer, system.content) if system.role == "system" else []


def choose_decoding(system: System, validation: Sequence[Example], workshop: Workshop) -> tuple[System, tuple[str, ...]]:
    """How many sentences a tuned model may quote, and when it abstains: validation says."""
    if system.retrieval is None or system.retrieval.source != "documents":
        return system, ()
    found = {}
    for quote in (2, 1) if system.decoding.quote else (0,):
        candidate = system.with_(decoding=replace(system.decoding, quote=quote))
        found[quote] = (workshop.evaluate(candidate, validation).quality, candidate)
    best = max(found, key=lambda q: found[q][0])  # ties go to the incumbent's way
    told = ", ".join(f"{q or 'free'}: {quality:.3f}" for q, (quality, _) in found.items())
    system, threshold = with_threshold(found[best][1], validation, workshop)
    return system, (*threshold, f"quoted sentences at most {best or 'free'} (validation by number: {told})")


def _quotable(examples: Sequence[Example], answerer: Answerer) -> float:
    """Share of the answers that are sentences of what is shown, or the abstention."""
    prepared = [answerer.prepare(e, training=True) for e in examples]
    said = [p.said(e.target.content, answerer.system.abstention) for e, p in zip(examples, prepared, strict=True)]
    return fmean(s is not None for s in said) if said else 0.0
