"""Learn from a teacher: from its probabilities where both models have the same tokens, else from its answers."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from sadari.answer import Answerer
from sadari.errors import ConfigError, TrainingError
from sadari.files import append_line, kept, read_log
from sadari.measure.scorers import score_answers
from sadari.model.local import LocalModel
from sadari.rungs.conversations import conversations
from sadari.rungs.tuning import Bench, choose_decoding, learner_of, set_up
from sadari.train import CrossEntropy, LoraConfig, Objective, Row, render_rows
from sadari.train.distillation import (
    Distillation,
    Distributions,
    Taught,
    distributions_of,
    taught_examples,
    temperature_fault,
    vocabulary_fault,
)
from sadari.types import Answer, Built, Example, Model, System, Workshop

TEACHING_SHARE = 0.4
"""Share of the rung's time that the teacher may take; rows that it was not asked about are not trained on."""

ASKED_AT_ONCE = 64
"""Conversations that a teacher answers between two looks at the clock."""


class DistilConfig(LoraConfig, frozen=True, extra="forbid"):
    """A LoRA adapter that learns from another model."""

    teacher: str = Field(
        min_length=1,
        description="Who teaches: a folder, a Hugging Face name, or openai:NAME, where the training prompts are sent to.",
    )
    base_url: str | None = Field(None, description="Endpoint of a teacher openai:NAME; the default is OpenAI's own.")
    learn: Literal["auto", "probabilities", "answers"] = Field(
        "auto",
        description="What is learnt: the teacher's probabilities of the tokens of the rows' answers, for which it must run here "
        "with the same vocabulary, or its own answers; `auto` takes probabilities where it can.",
    )
    k: int = Field(
        32, ge=1, le=1024, description="Probabilities kept at each token, the largest; eight drawn tokens stand for the rest."
    )
    temperature: float = Field(
        1.0, gt=0, le=20, description="Probabilities of both models are evened out by it before they are compared; 1 leaves them."
    )
    least_score: float = Field(
        0.5, ge=0, le=1, description="An answer of the teacher that scores less on its row is wrong and is not learnt."
    )


@dataclass(frozen=True, slots=True)
class _Lesson:
    """Rows to learn, rows of validation, the loss, and what a person should know."""

    rows: Sequence[Row]
    held_out: Sequence[Row]
    objective: Objective
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Said:
    """One answer of the teacher, written down as it is given."""

    id: str
    answer: Answer


class DistilRung:
    """Trains LoRA on what a teacher gives to the conversations of train, rendered as they will be served.

    Source:
        Hinton et al. (2015), arXiv 1503.02531; from answers: Kim and Rush (2016), arXiv 1606.07947.
    """

    name = "distil"

    def __init__(self, config: DistilConfig, workshop: Workshop) -> None:
        self._config, self._workshop = config, workshop

    def build(self, incumbent: System, train: Sequence[Example], validation: Sequence[Example], workdir: Path) -> Built:
        """The incumbent, taught; the best look at validation is kept.

        Raises:
            ConfigError: If the teacher's probabilities are asked for and cannot be learnt from; says why.
            ModelError: If the incumbent's model is not local, or the teacher cannot be had.
            TrainingError: If the teacher gives nothing to learn from, or training diverges.
        """
        config, workshop = self._config, self._workshop
        used = conversations(train, config.max_rows, workshop.seed)
        used = [used[i] for i in np.random.default_rng(workshop.seed).permutation(len(used)).tolist()]
        bench = set_up("lora", config, workshop, workdir, incumbent, used)
        looked_at = list(validation[: config.validation_rows])
        started = time.perf_counter()
        lesson = self._lesson(incumbent, bench, used, looked_at)
        if workshop.time_budget_s is not None:
            left = max(1.0, workshop.time_budget_s - (time.perf_counter() - started))
            bench = replace(bench, workshop=replace(workshop, time_budget_s=left))
        rows, held_out = ([(row,) for row in some] for some in (lesson.rows, lesson.held_out))
        fitted = bench.fit(rows, held_out, looked_at, lesson.objective)
        system, quoting = choose_decoding(fitted.system, looked_at, workshop)
        return Built(system, curves=fitted.trained.curves, notes=(*lesson.notes, *fitted.notes, *quoting))

    def _lesson(self, incumbent: System, bench: Bench, used: Sequence[Example], looked_at: Sequence[Example]) -> _Lesson:
        """What is learnt. The teacher is loaded for as long as this takes."""
        config = self._config
        asked = incumbent.with_(model=config.teacher, adapter=None, precision="float32", base_url=config.base_url)
        teacher = self._workshop.load(asked)
        fault = self._fault(bench, teacher)
        if fault and config.learn == "probabilities":
            raise ConfigError(
                f"distil: {config.teacher} cannot teach {bench.system.model} by its probabilities: {fault}. Set `learn: answers`."
            )
        if isinstance(teacher, LocalModel) and not fault and config.learn != "answers":
            return self._from_probabilities(teacher, bench, used, looked_at)
        lesson = self._from_answers(Answerer(asked, teacher), bench, used, looked_at)
        return lesson if config.learn == "answers" else replace(lesson, notes=(*lesson.notes, f"not from probabilities: {fault}"))

    def _fault(self, bench: Bench, teacher: Model) -> str:
        """Why probabilities cannot be learnt; "" if they can."""
        if not isinstance(teacher, LocalModel):
            return "it does not run here, so they are not known"
        fault = vocabulary_fault(bench.local.tokenizer, teacher.tokenizer)
        if not fault and self._config.temperature != 1:
            fault = temperature_fault(bench.attached.model)
            fault = fault and f"scores of {bench.system.model} cannot be divided by a temperature, since {fault}"
        return fault

    def _from_probabilities(
        self, teacher: LocalModel, bench: Bench, used: Sequence[Example], looked_at: Sequence[Example]
    ) -> _Lesson:
        config, workshop = self._config, self._workshop
        rows = render_rows(used, bench.answerer, bench.local, config.max_cut_share).rows
        held_out = render_rows(looked_at, bench.answerer, bench.local, 1.0).rows
        folder = bench.workdir / "teacher"
        if not folder.exists():
            learner = learner_of(teacher.model, config, workshop)
            distributions_of(
                learner,
                [*held_out, *rows],
                k=config.k,
                temperature=config.temperature,
                vocabulary=_tokens(bench.local, teacher),
                time_s=self._teaching_s(),
            ).save(folder)
        given = Distributions.load(folder).put_into([*held_out, *rows])
        held_out, learnt = tuple(given[: len(held_out)]), given[len(held_out) :]
        told = f"learnt the probabilities that {config.teacher} gives to the answers of {len(learnt)} of {len(rows)} rows"
        return _Lesson(learnt, held_out, Distillation(config.temperature), (told,))

    def _from_answers(self, teacher: Answerer, bench: Bench, used: Sequence[Example], looked_at: Sequence[Example]) -> _Lesson:
        config = self._config
        taught = kept(bench.workdir / "taught.json", Taught, lambda: self._taught(teacher, used, bench.workdir / "said.jsonl"))
        counts = f"{taught.wrong} were wrong and {taught.unanswered} were none"
        asked = len(taught.examples) + taught.wrong + taught.unanswered
        if not taught.examples:
            raise TrainingError(
                f"of {asked} answers of {config.teacher}, {counts}: nothing is left to learn. Take a better teacher, "
                "or lower `least_score`."
            )
        rendering = render_rows(taught.examples, bench.answerer, bench.local, config.max_cut_share)
        held_out = render_rows(looked_at, bench.answerer, bench.local, 1.0).rows
        notes = [
            f"learnt {len(rendering.rows)} answers that {config.teacher} gave; of {asked}, {counts}",
            *([f"{rendering.unreachable} answers were left out: the system could not give them"] if rendering.unreachable else []),
        ]
        return _Lesson(rendering.rows, held_out, CrossEntropy(), tuple(notes))

    def _taught(self, teacher: Answerer, used: Sequence[Example], log: Path) -> Taught:
        """Asks for as long as there is time; what was said before a crash is not asked again, since it may have cost money."""
        answers = {said.id: said.answer for said in read_log(log, _Said)}
        limit, started = self._teaching_s(), time.perf_counter()
        open_rows = [example for example in used if example.id not in answers]
        for start in range(0, len(open_rows), ASKED_AT_ONCE):
            if answers and limit is not None and time.perf_counter() - started > limit:
                break
            some = open_rows[start : start + ASKED_AT_ONCE]
            for example, answer in zip(some, teacher.answer(some), strict=True):
                append_line(log, _Said(example.id, answer), _Said)
                answers[example.id] = answer
            self._workshop.tell(f"the teacher answered {len(answers)} of {len(used)}")
        answered = [example for example in used if example.id in answers]
        given = [answers[example.id] for example in answered]
        scores = score_answers(self._workshop.scorer, list(zip(answered, given, strict=True)))
        return taught_examples(answered, given, [s.value for s in scores], least_score=self._config.least_score)

    def _teaching_s(self) -> float | None:
        budget = self._workshop.time_budget_s
        return None if budget is None else TEACHING_SHARE * budget


def _tokens(student: LocalModel, teacher: LocalModel) -> int:
    """How many ids stand for tokens in both models: output layers may be filled up beyond them."""
    named = 1 + max(int(i) for i in student.tokenizer.get_vocab().values())
    return min(named, *(len(model.model.get_output_embeddings().weight) for model in (student, teacher)))
