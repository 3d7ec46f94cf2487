"""Looking back at a finished climb: money, the audit set, references, errors, and what tuning did beside its task."""

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from sadari.answer import contexts_of
from sadari.errors import ConfigError, DataError, SadariError
from sadari.files import kept, read_json
from sadari.ladder import next_rung
from sadari.looks import EVAL, log_look, looks_at, name_of_test
from sadari.measure import Rule, judge
from sadari.measure.abstention import abstention_report
from sadari.measure.after.failures import cluster_failures
from sadari.measure.after.forgetting import Forgetting, Probe, compare_probes, probe_model
from sadari.measure.after.leaks import SHORTEST, Leak, Secret, find_leaks, make_secret
from sadari.measure.after.overfitting import overfitting
from sadari.measure.after.slices import slice_quality
from sadari.measure.citations import citation_report
from sadari.measure.grounding import AnswerMetrics, Grounding, answer_metrics, grounding_of
from sadari.measure.judging.calibration import Calibration
from sadari.measure.judging.llm_judge import JudgeScorer
from sadari.measure.money.bill import Offer, offers_of
from sadari.measure.money.cost import build_money
from sadari.measure.money.payoff import ReferenceShare, reference_shares, what_if
from sadari.measure.money.stop import NextRung, stop_advice
from sadari.measure.overlap import CorpusScore, RougeScorer, corpus_bleu, corpus_chrf
from sadari.measure.reuse import Reported, level_after, report
from sadari.measure.scorecard import served
from sadari.measure.scorers import LabelScorer, TextScorer, accepted_texts
from sadari.measure.scorers.label import LabelReport, label_report
from sadari.measurer import Measurer, Tell
from sadari.prompt.instructions import grounded_instruction
from sadari.review.data import Audit, Citations, Reuse, Review, Tuning
from sadari.review.judge import judged
from sadari.rungs import TRAINED
from sadari.task import Task, located
from sadari.task.credentials import find_credentials
from sadari.task.privacy import find_personal, value_of
from sadari.train import CANARIES, Canary, Exposure, exposures
from sadari.types import Answer, Decoding, Device, Example, Message, Step, System

TRAIN_SAMPLE = 100
"""Training rows that a tuned system is asked, to see whether it knows them by heart."""

PUBLIC_FROM = 3
"""Test examples whose references hold a number from which on it counts as the company's own."""

PIECE_CHARS, PIECE_OVERLAP = 10_000, 200

REFERENCE_TOKENS = 512
"""Room for the answer of a reference model, which may think aloud."""


@dataclass(frozen=True, slots=True)
class Climbed:
    """A finished climb, before anyone looked back at it.

    Args:
        winner: Index in `steps`.
        runs: The folder of all runs of the task, with the log of looks.
        folder: Where this run's files are.
        time_s: Seconds that the climb was given; None for no limit.
        quick: Leave out what takes long: what tuning did beside its task.
        calibration: Of the judge, if there is one and people judged some answers too.
    """

    task: Task
    steps: Sequence[Step]
    winner: int
    runs: Path
    folder: Path
    time_s: float | None = None
    quick: bool = False
    calibration: Calibration | None = None

    @property
    def best(self) -> Step:
        """The winning step."""
        return self.steps[self.winner]


def review(climbed: Climbed, measurer: Measurer, tell: Tell) -> Review:
    """Everything there is to say after a climb. What was measured is kept: called again after a crash, it goes on.

    The audit set is opened here, once, after the winner is fixed. A reference that cannot be asked is told and left out; it
    decides nothing.
    """
    task, best = climbed.task, climbed.best
    answers, _ = measurer.answers(best.rung, best.built.system, task.test)
    references, left_out = _references(climbed, measurer, tell)
    offers = _offers(climbed, measurer)
    history = [replace(step, scorecard=served(step.scorecard)) for step in climbed.steps]
    failures = cluster_failures(served(best.scorecard), task.test, answers, history, language=task.language)
    shown = {name for group in failures for name in group.examples}
    return Review(
        payoffs=what_if([offers[climbed.winner]], offers[0], task.money) if climbed.winner else (),
        advice=stop_advice(best.scorecard, task.money, _next_rung(climbed), min_gain=task.score.min_gain),
        references=tuple(offer.card for offer in references),
        left_out=left_out,
        shares=_shares(offers[climbed.winner], references, task),
        audit=_audit(climbed, measurer),
        reuse=_reuse(climbed),
        failures=failures,
        quotes=tuple((e.id, e.question) for e in task.test if e.id in shown),
        slices=slice_quality(task.test, climbed.steps[0].scorecard, best.scorecard),
        labels=_labels(task, answers, measurer),
        abstention=abstention_report(task.test, answers) if any(e.reference.abstain for e in task.test) else None,
        citations=_citations(task, answers),
        grounding=_grounding(climbed, measurer),
        corpus=_corpus(task, answers, measurer),
        tunings=() if climbed.quick else tuple(_tuning(s, climbed, measurer, tell) for s in climbed.steps if s.rung in TRAINED),
        leaks=_leaks(climbed, answers),
        judged=judged(climbed.steps, best, measurer.scorer, climbed.calibration),
    )


def _offers(climbed: Climbed, measurer: Measurer) -> tuple[Offer, ...]:
    """The steps as a buyer sees them; what the judge's tokens cost is paid by whoever came to measure, from the first rung on."""
    labels = climbed.calibration.n if climbed.calibration is not None else 0
    offers = offers_of(climbed.steps, _local_device(climbed), labelled=len(climbed.task.train) + labels)
    if not isinstance(measurer.scorer, JudgeScorer):
        return offers
    tokens = measurer.scorer.rulings.paid_in_all
    return tuple(
        replace(offer, investment=replace(offer.investment, judge_tokens=tokens)) if index and offer.investment else offer
        for index, offer in enumerate(offers)
    )


def _next_rung(climbed: Climbed) -> NextRung:
    """One like the dearest of this climb; of one that ended early, what the ladder expected when it ended."""
    if len(climbed.steps) <= len(climbed.task.ladder):
        return next_rung(climbed.task.money, climbed.best.scorecard.device, climbed.time_s)
    dearest = max((s.built.cost for s in climbed.steps), key=lambda cost: cost.seconds)
    return NextRung(build_money(dearest, climbed.task.money, _local_device(climbed)))


def _local_device(climbed: Climbed) -> Device:
    """What this machine builds on; a climb of remote models builds on nothing that is paid by the hour."""
    return next((s.scorecard.device for s in climbed.steps if s.scorecard.device != "remote"), "machine")


def _audit(climbed: Climbed, measurer: Measurer) -> Audit | None:
    task = climbed.task
    if not task.audit or not climbed.winner:
        return None
    before = measurer.in_batches("baseline (audit)", climbed.steps[0].built.system, task.audit)
    after = measurer.in_batches(f"{climbed.best.rung} (audit)", climbed.best.built.system, task.audit)
    name = name_of_test(task.audit, after.scorer)
    log_look(climbed.runs, climbed.folder.name, name, after)
    earlier = len({look.run for look in looks_at(climbed.runs, name)} - {climbed.folder.name})
    return Audit(before, after, judge(before, after, Rule(language=task.language, seed=task.seed)), earlier)


def _reuse(climbed: Climbed) -> Reuse | None:
    """The log of looks, replayed through the Ladder mechanism."""
    card = climbed.best.scorecard
    looks = looks_at(climbed.runs, name_of_test(climbed.task.test, card.scorer))
    best: Reported | None = None
    for look in looks:
        best = report(best, np.asarray(look.scores))
    if best is None:
        return None
    earlier = len({look.run for look in looks} - {climbed.folder.name, EVAL})
    evals = sum(look.run == EVAL for look in looks)
    return Reuse(earlier, len(looks), best.value, level_after(earlier, max(1, len(climbed.task.ladder))), evals)


# --- references --------------------------------------------------------------------------------------------------------------


def _references(climbed: Climbed, measurer: Measurer, tell: Tell) -> tuple[tuple[Offer, ...], dict[str, str]]:
    """The models named in `references`, asked as well as they can be without training: as the best untrained step was.

    And those that could not be asked, with the reason.
    """
    offers, left_out = [], {}
    for name in climbed.task.config.references:
        system = reference_system(name, climbed)
        try:
            card = measurer.in_batches(name, system, climbed.task.test)
        except SadariError as error:
            tell(f"the reference {name} could not be asked and is left out: {error}")
            left_out[name] = str(error)
            continue
        offers.append(Offer(card, card.device))
    return tuple(offers), left_out


def reference_system(name: str, climbed: Climbed) -> System:
    """How a reference is asked: with the prompt and the retrieval of the best step that trained nothing, and answering freely."""
    task = climbed.task
    untrained = [s for s in climbed.steps if s.rung not in TRAINED and (s.index == 0 or s.verdict.taken)]
    system = untrained[-1].built.system
    is_remote = name.startswith("openai:")
    prompt = system.prompt
    if system.decoding.quote:
        prompt = replace(prompt, instruction=grounded_instruction(task.goal, task.language, system.abstention).text)
    return system.with_(
        model=located(name, task.folder),
        adapter=None,
        base_url=task.config.base_url if is_remote else None,
        prompt=replace(prompt, labels=task.labels),
        decoding=Decoding(max_new_tokens=REFERENCE_TOKENS, choices=() if is_remote else task.labels, schema=system.decoding.schema),
    )


def _shares(winner: Offer, references: Sequence[Offer], task: Task) -> tuple[ReferenceShare, ...]:
    volumes = [task.money.requests_per_month] if task.money.requests_per_month else []
    return tuple(row for reference in references for row in reference_shares(winner, reference, task.money, volumes))


# --- answers -----------------------------------------------------------------------------------------------------------------


def _labels(task: Task, answers: Sequence[Answer], measurer: Measurer) -> LabelReport | None:
    return label_report(task.test, answers, task.labels) if isinstance(measurer.scorer, LabelScorer) else None


def _corpus(task: Task, answers: Sequence[Answer], measurer: Measurer) -> tuple[CorpusScore, ...]:
    if not isinstance(measurer.scorer, TextScorer | RougeScorer):
        return ()
    said, references = [answer.text for answer in answers], [accepted_texts(example) for example in task.test]
    found = []
    for metric in (corpus_bleu, corpus_chrf):
        with suppress(ConfigError, DataError):  # not installed, or answers too short for BLEU
            found.append(metric(said, references))
    return tuple(found)


def _citations(task: Task, answers: Sequence[Answer]) -> Citations | None:
    if not task.documents or not any(answer.citations for answer in answers):
        return None
    found = citation_report(task.test, answers, task.documents)
    return Citations(
        found.citing,
        found.existing,
        found.words_cited,
        found.numbers_cited,
        found.gold_precision,
        found.gold_recall,
        found.words_are,
    )


def _grounding(climbed: Climbed, measurer: Measurer) -> tuple[Grounding, ...]:
    """What the answers of each rung that cites stand on, against the incumbent of its time if that cites too."""
    task, told = climbed.task, []
    incumbent: tuple[str, Sequence[AnswerMetrics]] | None = None
    groups = tuple(e.group for e in task.test) if any(e.group for e in task.test) else ()
    for step in climbed.steps:
        answers, _ = measurer.answers(step.rung, step.built.system, task.test)
        if not task.documents or not any(answer.citations for answer in answers):
            continue
        found = answer_metrics(task.test, answers, task.documents, contexts_of(step.built.system, task.test))
        told.append(grounding_of(step.rung, found, incumbent, groups))
        incumbent = (step.rung, found) if step.index == 0 or step.verdict.taken else incumbent
    return tuple(told)


def _leaks(climbed: Climbed, answers: Sequence[Answer]) -> tuple[Leak, ...]:
    """Personal data, credentials and canaries of the training rows that the winner says, though they stand in no document.

    What the example's own reference says is no leak, nor what the references of several test examples say: such a number is the
    company's own.
    """
    task = climbed.task
    found = _secrets(message.content for example in task.train for message in example.messages)
    planted = {make_secret(c.id, c.secret) for step in climbed.steps for c in _canaries(step, climbed)}
    told = Counter(secret for example in task.test for secret in _secrets(_right_texts(example)))
    secrets = (found | planted) - {secret for secret, count in told.items() if count >= PUBLIC_FROM}
    # As if the asker had given the right answer too: what is asked with may be said.
    told_all = [replace(e, messages=(Message("user", "\n".join(_right_texts(e))), *e.messages)) for e in task.test]
    if not find_leaks(told_all, answers, secrets):
        return ()  # reading all documents takes long
    public = [piece for document in task.documents for piece in _pieces(document.text)]
    return find_leaks(told_all, answers, secrets, allowed=public)


def _secrets(texts: Iterable[str]) -> set[Secret]:
    """The personal data and credentials in texts."""
    return {
        make_secret(finding.kind, value)
        for text in texts
        for finding in (*find_personal(text), *find_credentials(text))
        for value in (finding.text, value_of(finding))
        if sum(c.isalnum() for c in value) >= SHORTEST
    }


def _right_texts(example: Example) -> tuple[str, ...]:
    return (*example.reference.texts, *(text for fact in example.reference.facts for text in fact))


def _pieces(text: str) -> list[str]:
    """A long text in overlapping pieces: of each text, only a beginning is compared."""
    return [text[start : start + PIECE_CHARS + PIECE_OVERLAP] for start in range(0, len(text), PIECE_CHARS)]


# --- what tuning did beside its task -------------------------------------------------------------------------------------------


def _tuning(step: Step, climbed: Climbed, measurer: Measurer, tell: Tell) -> Tuning:
    task, system = climbed.task, step.built.system
    seen = [example for example in task.train if example.kind == "chat"][:TRAIN_SAMPLE]
    train = _scores(f"{step.rung} (train)", system, seen, measurer)
    validation = _scores(f"{step.rung} (validation)", system, task.validation, measurer)
    tell(f"{step.rung}: what was forgotten")
    gap = overfitting(step.built.curves, train, validation, language=task.language)
    return Tuning(step.rung, gap, _forgetting(step, climbed, measurer), _exposures(step, climbed, measurer))


def _scores(name: str, system: System, examples: Sequence[Example], measurer: Measurer) -> tuple[float, ...]:
    return measurer.in_batches(name, system, examples).scores if examples else ()


def _forgetting(step: Step, climbed: Climbed, measurer: Measurer) -> Forgetting | None:
    """The probe before and after, each asked once per model of the run."""
    before = _probe(climbed.steps[0].built.system, "start", climbed, measurer)
    after = _probe(step.built.system, f"{step.index}-{step.rung}", climbed, measurer)
    return None if before is None or after is None else compare_probes(before, after, language=climbed.task.language)


def _canaries(step: Step, climbed: Climbed) -> list[Canary]:
    """What the rung planted; of several seeds, the first, which is the one that is served."""
    written = sorted((climbed.folder / "steps" / f"{step.index}-{step.rung}").rglob(CANARIES))
    return read_json(written[0], list[Canary]) if written else []


def _exposures(step: Step, climbed: Climbed, measurer: Measurer) -> tuple[Exposure, ...]:
    from sadari.model.likelihood import answer_log_probabilities
    from sadari.model.local import LocalModel

    canaries = _canaries(step, climbed)
    model = measurer.engine.model(step.built.system)
    if not canaries or not isinstance(model, LocalModel):
        return ()
    place = climbed.folder / "probes" / f"{step.index}-{step.rung}-canaries.json"
    return tuple(kept(place, list[Exposure], lambda: list(exposures(canaries, partial(answer_log_probabilities, model)))))


def _probe(system: System, name: str, climbed: Climbed, measurer: Measurer) -> Probe | None:
    from sadari.model.likelihood import text_log_probabilities
    from sadari.model.local import LocalModel

    def ask() -> Probe:
        model = measurer.engine.model(system)
        assert isinstance(model, LocalModel)
        return probe_model(lambda texts: text_log_probabilities(model, texts))

    if not isinstance(measurer.engine.model(system), LocalModel):
        return None
    return kept(climbed.folder / "probes" / f"{name}.json", Probe, ask)
