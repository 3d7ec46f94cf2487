"""A task: what the user has and wants, read once and checked before anything costs money."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from pydantic_core import to_json

from sadari.errors import DataError, LeakError
from sadari.task.config import (
    BudgetConfig,
    LeaksConfig,
    MoneyConfig,
    RungSpec,
    ScoreConfig,
    TaskConfig,
    ToolDeclaration,
    load_config,
    task_file,
)
from sadari.task.documents import read_documents
from sadari.task.files import resolve_path
from sadari.task.labels import distinct_references, label_set
from sadari.task.leaks import check_leaks, find_twins
from sadari.task.readers import Row, Scan, scan_rows
from sadari.task.splits import cut_audit, cut_test, cut_validation
from sadari.types import Document, Example, Span

LEAST_EXAMPLES = 2

NO_AUDIT = "none"
"""What `examples.audit` says where nothing shall be cut from the test set."""


@dataclass(frozen=True, slots=True)
class Task:
    """What a climb works on.

    Args:
        name: The folder's name.
        labels: Labels of a label task, sorted or as listed in the task file; () otherwise.
        audit: Kept for one last look at the winner.
        folder: Where the task file is; paths in it are relative to it.
        notes: What was decided or dropped on the way in, in sentences for the report.
        sources: Example id to where it stands: "data/train.jsonl line 41".
        dropped_train: Train and validation rows dropped because they also stand in test or audit.
        fingerprint: Changes with anything that can change the outcome: options, examples, documents.
        config: The options as read.
    """

    name: str
    goal: str
    language: Literal["ko", "en"]
    model: str
    base_url: str | None
    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    test: tuple[Example, ...]
    audit: tuple[Example, ...]
    documents: tuple[Document, ...]
    labels: tuple[str, ...]
    tools: tuple[ToolDeclaration, ...]
    score: ScoreConfig
    money: MoneyConfig
    budget: BudgetConfig
    ladder: tuple[RungSpec, ...]
    leaks: LeaksConfig
    seed: int
    folder: Path
    config: TaskConfig
    notes: tuple[str, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)
    dropped_train: int = 0
    fingerprint: str = ""

    @property
    def counts(self) -> dict[str, int]:
        """How many of everything there is."""
        splits = {"train": self.train, "validation": self.validation, "test": self.test, "audit": self.audit}
        return {
            **{name: len(examples) for name, examples in splits.items()},
            "documents": len(self.documents),
            "labels": len(self.labels),
            "dropped_train": self.dropped_train,
        }


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows by split while they are being checked; `problems` are faults of the data, `leaks` of the split."""

    splits: Mapping[str, tuple[Row, ...]]
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    leaks: tuple[str, ...] = ()
    dropped: int = 0


def load_task(path: Path | str, overrides: Mapping[str, Any] | None = None) -> Task:
    """Read a task folder: options, examples, documents; split, check for leaks, find the labels.

    Args:
        path: The task's folder, or its YAML file.
        overrides: Options that replace those of the file, by dotted name: `{"budget.time": "2m"}`.

    Raises:
        ConfigError: If options are wrong; all of them are named.
        DataError: If rows or documents are wrong; all of them are named.
        LeakError: If nothing else is wrong, but test rows stand in train and `leaks` says stop.
    """
    config = load_config(Path(path), overrides)
    folder = task_file(Path(path)).parent.resolve()
    documents, left_out, problems = _read_documents(config, folder)
    rows = _read_splits(config, folder)
    rows = _place_spans(rows, documents)
    rows = replace(rows, problems=(*rows.problems, *_unknown_labels(rows, config)))
    rows = _check_leaks(rows, config)
    if problems or rows.problems:
        raise DataError([*problems, *rows.problems, *rows.leaks])
    if rows.leaks:
        raise LeakError(rows.leaks)
    rows = _tell_ids_apart(rows)
    rows = _cut_splits(rows, config)
    if rows.problems:
        raise DataError(rows.problems)
    labels, notes = _find_labels(rows, config)
    examples = {name: tuple(row.example for row in split) for name, split in rows.splits.items()}
    return Task(
        name=folder.name,
        goal=config.goal,
        language=config.answer_language,
        model=located(config.model, folder),
        base_url=config.base_url if config.model.startswith("openai:") else None,
        train=examples["train"],
        validation=examples["validation"],
        test=examples["test"],
        audit=examples["audit"],
        documents=documents,
        labels=labels,
        tools=config.tools,
        score=config.score,
        money=config.money,
        budget=config.budget,
        ladder=config.ladder,
        leaks=config.leaks,
        seed=config.seed,
        folder=folder,
        config=config,
        notes=(*left_out, *rows.notes, *notes),
        sources={row.example.id: row.where for split in rows.splits.values() for row in split},
        dropped_train=rows.dropped,
        fingerprint=_fingerprint(config, examples, documents),
    )


def located(model: str, folder: Path) -> str:
    """A model folder or a file of rules that stands beside the task file is found from anywhere, as every other path is."""
    kind, colon, rest = model.rpartition(":")
    beside = folder / rest
    return f"{kind}{colon}{beside}" if kind in ("", "scripted", "llamacpp") and model != "mini" and beside.exists() else model


def _read_documents(config: TaskConfig, folder: Path) -> tuple[tuple[Document, ...], tuple[str, ...], tuple[str, ...]]:
    """Documents, notes on what was left out, and problems, which are told with those of the rows."""
    try:
        return (*read_documents(config.documents, folder), ())
    except DataError as error:
        return (), (), error.problems


def _read_splits(config: TaskConfig, folder: Path) -> _Rows:
    """Read every file that is named; a single file stands under "train" until it is cut."""
    files = {
        "train": config.examples.all or config.examples.train,
        "validation": config.examples.validation,
        "test": config.examples.test,
        "audit": None if config.examples.audit == NO_AUDIT else config.examples.audit,
    }
    splits: dict[str, tuple[Row, ...]] = {}
    problems: list[str] = []
    notes: list[str] = []
    for split, name in files.items():
        scan = _scan(name, folder) if name else Scan(())
        splits[split] = scan.rows
        problems += scan.problems
        if name and not scan.problems and len(scan.rows) < LEAST_EXAMPLES:
            problems.append(f"{name}: holds 1 example, which is too few to {_purpose(split)}. Add rows.")
        if split != "train":
            problems += [
                f"{row.where}: raw text has no answer to judge. Give `question` and `answer`, or move the row to train."
                for row in scan.rows
                if row.example.kind == "text"
            ]
        if scan.unused:
            notes.append(f"{name}: not used: {', '.join(scan.unused)}.")
    return _Rows(splits, tuple(problems), tuple(notes))


def _scan(name: str, folder: Path) -> Scan:
    try:
        return scan_rows(resolve_path(name, folder), folder=folder)
    except DataError as error:
        return Scan((), error.problems)


def _purpose(split: str) -> str:
    return {"train": "learn from and to choose on", "validation": "choose on"}.get(split, "judge with")


def _place_spans(rows: _Rows, documents: Sequence[Document]) -> _Rows:
    """Check each gold span against its document; a quote that stands elsewhere in it is found there."""
    if not documents:
        return rows
    texts = {document.id: document.text for document in documents}
    problems: list[str] = []
    moved = 0
    splits: dict[str, tuple[Row, ...]] = {}
    for name, split in rows.splits.items():
        placed_rows: list[Row] = []
        for row in split:
            spans: list[Span] = []
            for at, span in enumerate(row.example.reference.spans):
                placed = _place(span, texts)
                if isinstance(placed, str):
                    problems.append(f"{row.where}: spans[{at}]: {placed}")
                    continue
                moved += placed != span
                spans.append(placed)
            reference = replace(row.example.reference, spans=tuple(spans))
            placed_rows.append(replace(row, example=replace(row.example, reference=reference)) if spans else row)
        splits[name] = tuple(placed_rows)
    note = (f"{moved} gold spans moved to where their quote stands in the document.",) if moved else ()
    return replace(rows, splits=splits, problems=(*rows.problems, *problems), notes=(*rows.notes, *note))


def _place(span: Span, texts: Mapping[str, str]) -> Span | str:
    text = texts.get(span.document)
    if text is None:
        return f'there is no document "{span.document}". Use a path relative to the documents folder.'
    if text[span.start : span.end] == span.quote:
        return span
    begins = [at for at in range(len(text)) if text.startswith(span.quote, at)] if span.quote else []
    if not begins:
        return f'"{span.quote[:60]}" does not stand in {span.document}. Quote the document word for word.'
    start = min(begins, key=lambda at: abs(at - span.start))
    return replace(span, start=start, end=start + len(span.quote))


def _check_leaks(rows: _Rows, config: TaskConfig) -> _Rows:
    """Compare train and validation with test and audit, then train with validation."""
    splits = dict(rows.splits)
    notes, leaks, dropped = list(rows.notes), list(rows.leaks), 0
    for side in ("train", "validation"):
        for judge in ("test", "audit"):
            if splits[side] and splits[judge]:
                check = check_leaks(splits[side], splits[judge], config.leaks, sides=(side, judge))
                splits[side] = check.kept
                dropped += len(check.dropped)
                notes += check.notes
                leaks += check.problems
    if splits["train"] and splits["validation"]:
        check = check_leaks(splits["train"], splits["validation"], config.leaks, sides=("train", "validation"))
        splits["train"] = check.kept
        notes += check.notes
        leaks += check.problems
    leaks += [
        f"{twin.train.where} (id {twin.train.example.id}): the same question as {twin.test.where} (id {twin.test.example.id}), so "
        "that audit would not be the first look at it. Remove it from audit."
        for twin in (find_twins(splits["test"], splits["audit"]) if splits["test"] and splits["audit"] else ())
        if twin.is_leak
    ]
    shared = {row.example.group for row in splits["train"] if row.example.group} & {
        row.example.group for row in splits["test"] if row.example.group
    }
    if shared:
        notes.append(f"{len(shared)} groups stand in train and in test, for example {min(shared)}.")
    problems = list(rows.problems)
    if dropped and len(splits["train"]) < LEAST_EXAMPLES:
        problems.append(
            f"{len(splits['train'])} rows of train are left after {dropped} were dropped for standing in test. Add other rows."
        )
    return replace(rows, splits=splits, problems=tuple(problems), notes=tuple(notes), leaks=tuple(leaks), dropped=dropped)


def _tell_ids_apart(rows: _Rows) -> _Rows:
    """Files may number their rows alike: an id that stands in two splits gets the name of its split in front, test excepted."""
    taken: set[str] = set()
    splits: dict[str, tuple[Row, ...]] = {}
    for name in ("test", "audit", "validation", "train"):
        ids = {row.example.id for row in rows.splits[name]}
        if ids & taken:
            renamed = tuple(
                replace(row, example=replace(row.example, id=f"{name}:{row.example.id}")) if row.example.id in taken else row
                for row in rows.splits[name]
            )
            splits[name] = renamed
        else:
            splits[name] = rows.splits[name]
        taken |= {row.example.id for row in splits[name]}
    return replace(rows, splits=splits)


def _cut_splits(rows: _Rows, config: TaskConfig) -> _Rows:
    """Cut test and validation from train where they are not given."""
    splits = dict(rows.splits)
    notes, problems = list(rows.notes), list(rows.problems)
    source = config.examples.all or config.examples.train
    for split, cut in (("test", cut_test), ("validation", cut_validation)):
        if splits[split] or getattr(config.examples, split):
            continue
        by_id = {row.example.id: row for row in splits["train"]}
        rest, taken = cut([row.example for row in splits["train"]], seed=config.seed)
        if not taken or not rest:
            problems.append(
                f"{source}: {split} cannot be cut from it: all {len(splits['train'])} rows form one group of near duplicates. "
                f"Give a {split} file, or rows with other questions."
            )
            break
        splits["train"] = tuple(by_id[example.id] for example in rest)
        splits[split] = tuple(by_id[example.id] for example in taken)
        notes.append(f"{split} ({len(taken)} rows) was cut from {source} by group, with seed {config.seed}.")
    if not problems and config.examples.audit is None:
        by_id = {row.example.id: row for row in splits["test"]}
        rest, taken = cut_audit([row.example for row in splits["test"]], seed=config.seed)
        if taken:
            splits["test"] = tuple(by_id[example.id] for example in rest)
            splits["audit"] = tuple(by_id[example.id] for example in taken)
            told = f"audit ({len(taken)} rows) was cut from test by group, for one last look"
            notes.append(told + " (`examples: {audit: none}` cuts none).")
    return replace(rows, splits=splits, notes=tuple(notes), problems=tuple(problems))


def _unknown_labels(rows: _Rows, config: TaskConfig) -> list[str]:
    """A line for each row whose answer is none of the labels that the task file lists."""
    listed = set(config.labels or ())
    return [
        f'{row.where}: "{row.example.reference.texts[0]}" is not in `labels`. Add it there, or mend the row.'
        for split in rows.splits.values()
        for row in split
        if listed and row.example.reference.texts and row.example.reference.texts[0] not in listed
    ]


def _find_labels(rows: _Rows, config: TaskConfig) -> tuple[tuple[str, ...], list[str]]:
    """The labels, as listed or as train and validation show them, and what to note about them."""
    if config.labels is not None:
        return config.labels, []
    if config.score.by not in ("auto", "label"):
        return (), []
    learnt = [row.example for name in ("train", "validation") for row in rows.splits[name]]
    labels = distinct_references(learnt) if config.score.by == "label" else label_set(learnt)
    asked = set(distinct_references([row.example for row in rows.splits["test"]]))
    unseen = sorted(asked - set(labels)) if labels else []
    if config.score.by == "auto" and len(unseen) > len(asked) / 2:
        return (), []
    return labels, [f"{len(unseen)} labels of test never stand in train, for example {unseen[0]}."] if unseen else []


def _fingerprint(config: TaskConfig, examples: Mapping[str, Sequence[Example]], documents: Sequence[Document]) -> str:
    digest = hashlib.sha256(config.model_dump_json().encode("utf-8"))
    # A fresh checkout gives files another time of change; what they say is the same.
    undated = [replace(document, date="") for document in documents]
    digest.update(to_json({"examples": dict(examples), "documents": undated}))
    return digest.hexdigest()[:16]
