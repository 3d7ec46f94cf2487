"""The whole check: everything that can be said about a task before money is spent on it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sadari.answer import Answerer
from sadari.check.advice import advise
from sadari.check.bases import Base, suggest_bases
from sadari.check.costs import RungCost, Setting, estimate_rungs, remark_costs
from sadari.check.gains import ProvableGain, provable_gains, remark_gains
from sadari.check.growth import Growth, measure_growth, remark_growth
from sadari.check.labels import LabelCount, count_labels, remark_labels
from sadari.check.leaks import remark_leaks
from sadari.check.lengths import SPLITS, Lengths, measure_lengths, remark_lengths, tuned_system
from sadari.check.machine import CALIBRATED_ANSWERS, CALIBRATED_ROWS, Machine, Speed, guess_speed, measure_speed, this_machine
from sadari.check.privacy import remark_privacy
from sadari.check.remark import Remark
from sadari.check.repeats import remark_repeats
from sadari.errors import DataError, TrainingError
from sadari.files import write_lines
from sadari.model import load_model
from sadari.model.choices import Licence
from sadari.model.local import LocalModel
from sadari.model.shape import shape_of
from sadari.run import check_climb, scorer_of
from sadari.rungs import check_options
from sadari.task import Task, scan_rows
from sadari.task.files import resolve_path
from sadari.train import TuneConfig, render_rows
from sadari.types import Document, Model


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """What a check does beside reading.

    Args:
        deep: Measure a learning curve and the speed of this machine: seconds to minutes.
        models: Suggest base models also where the task names one.
        licence: What their licences must allow at least.
    """

    deep: bool = False
    models: bool = False
    licence: Licence = "any"


@dataclass(frozen=True, slots=True)
class SplitFacts:
    """One split: where it comes from, in which of the row shapes, and its lengths in tokens (prompt and answer)."""

    name: str
    file: str
    shape: str
    rows: int
    median_tokens: int
    p95_tokens: int
    longest_tokens: int
    too_long: int
    abstain: int


@dataclass(frozen=True, slots=True)
class Checkup:
    """Everything that a check found."""

    task: Task
    scorer: str
    context: int | None
    splits: tuple[SplitFacts, ...]
    labels: tuple[LabelCount, ...]
    gains: tuple[ProvableGain, ...]
    costs: tuple[RungCost, ...]
    machine: Machine
    speed: Speed | None
    growth: Growth | None
    bases: tuple[Base, ...]
    remarks: tuple[Remark, ...]

    def as_json(self) -> dict[str, Any]:
        """All of it for machines."""
        task = self.task
        return {
            "task": str(task.folder),
            "model": task.model,
            "context": self.context,
            "scorer": self.scorer,
            "splits": {split.name: asdict(split) for split in self.splits},
            "documents": len(task.documents),
            "labels": len(task.labels),
            "label_counts": [asdict(c) for c in self.labels],
            "ladder": [rung.name for rung in task.ladder],
            "provable_gains": [asdict(g) for g in self.gains],
            "rungs": [asdict(c) for c in self.costs],
            "machine": asdict(self.machine),
            "speed": asdict(self.speed) if self.speed else None,
            "growth": asdict(self.growth) if self.growth else None,
            "base_models": [asdict(b) | {"order": b.model.order} for b in self.bases],
            "remarks": [asdict(r) for r in self.remarks],
            "notes": list(task.notes),
        }


def check_task(task: Task, options: CheckOptions) -> Checkup:
    """Check a task that was read without errors.

    Raises:
        ConfigError: If the ladder or the budget of the task cannot be climbed with.
        ModelError: If its model cannot be loaded.
    """
    check_climb(task)
    model = load_model(task.model, base_url=task.base_url)
    machine = this_machine()
    lengths = measure_lengths(task, model)
    shape = shape_of(model.model) if isinstance(model, LocalModel) else None
    scorer = scorer_of(task)
    labels = count_labels(task)
    growth = measure_growth(task, scorer) if options.deep else None
    speed = _speed(task, model, lengths, machine, deep=options.deep)
    gains = provable_gains(task)
    costs = estimate_rungs(Setting(task, lengths, machine, shape, speed))
    remarks = [
        *remark_lengths(task, lengths, _max_cut_share(task)),
        *remark_labels(task, labels),
        *remark_repeats(task),
        *remark_leaks(task),
        *remark_privacy(task),
        *remark_gains(task, gains),
        *advise(task),
        *(remark_growth(task, growth) if growth else ()),
        *remark_costs(task, costs, machine),
    ]
    return Checkup(
        task,
        scorer.name,
        lengths.context,
        _split_facts(task, lengths),
        labels,
        gains,
        costs,
        machine,
        speed,
        growth,
        suggest_bases(task, machine, options.licence) if options.models or task.model == "mini" else (),
        tuple(sorted(remarks, key=lambda r: ("error", "warning", "info").index(r.level))),
    )


def _max_cut_share(task: Task) -> float | None:
    """The smallest `max_cut_share` of the tuning rungs; None without one."""
    configs = [check_options(rung.name, rung.options) for rung in task.ladder]
    return min((c.max_cut_share for c in configs if isinstance(c, TuneConfig)), default=None)


def _split_facts(task: Task, lengths: Lengths) -> tuple[SplitFacts, ...]:
    shapes = _shapes(task)
    facts = []
    for name in SPLITS:
        examples, totals = getattr(task, name), sorted(lengths.totals(name))
        if not examples:
            continue
        file, shape = shapes.get(name, ("", ""))
        too_long = 0 if lengths.context is None else sum(n > lengths.context for n in totals)
        middle, high = totals[len(totals) // 2], totals[min(len(totals) - 1, len(totals) * 95 // 100)]
        abstain = sum(e.reference.abstain for e in examples)
        facts.append(SplitFacts(name, file, shape, len(examples), middle, high, totals[-1], too_long, abstain))
    return tuple(facts)


def _shapes(task: Task) -> dict[str, tuple[str, str]]:
    """For each split the file that it comes from, as the task names it, and the shape of the rows in it."""
    given = task.config.examples
    source = given.all or given.train
    test = given.test or source
    files = {"train": source, "validation": given.validation or source, "test": test, "audit": given.audit or test}
    shapes: dict[str, tuple[str, str]] = {}
    for split, file in files.items():
        if file is not None:
            known = next((shape for named, shape in shapes.values() if named == file), None)
            shapes[split] = (file, known or _shape(file, task.folder))
    return shapes


def _shape(file: str, folder: Path) -> str:
    try:
        return scan_rows(resolve_path(file, folder), folder=folder).shape
    except DataError:  # it was read a moment ago; somebody moved it
        return ""


def _speed(task: Task, model: Model, lengths: Lengths, machine: Machine, *, deep: bool) -> Speed | None:
    if not isinstance(model, LocalModel):
        return None
    shape = shape_of(model.model)
    if not deep:
        return guess_speed(shape)
    with TemporaryDirectory() as folder:
        documents = Path(folder) / "documents.jsonl" if task.documents else None
        if documents is not None:
            write_lines(documents, task.documents, Document)
        answerer = Answerer(tuned_system(task, documents, int(lengths.answer) + 8), model)
        some = [e for e in task.train if e.kind == "chat"][:CALIBRATED_ROWS]
        try:
            rows: Sequence[Any] = render_rows(some, answerer, model, 1.0).rows
        except TrainingError:  # none of them fits the context
            rows = ()
        requests = [answerer.prepare(e).request for e in task.test[:CALIBRATED_ANSWERS]]
    return measure_speed(model, shape, rows, requests, 0.8 * machine.memory_gib)
