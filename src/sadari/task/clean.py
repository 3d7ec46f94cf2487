"""A clean copy of a task: bad rows left out, invisible characters removed, repeats and leaks dropped, personal data masked.

The user's own files are never touched, and a test row is never dropped: it is changed only where masking is asked for.
"""

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import yaml

from sadari.errors import ConfigError, DataError, LeakError
from sadari.files import whole_folder, write_text
from sadari.task.config import TASK_FILE, LeaksConfig, TaskConfig, load_config, task_file
from sadari.task.documents import read_documents
from sadari.task.duplicates import NearIndex, question_text
from sadari.task.files import read_text, resolve_path
from sadari.task.leaks import Twin, find_twins
from sadari.task.mask import Masker, map_texts, mask_project, published
from sadari.task.readers import Row, scan_rows
from sadari.task.splits import cut_test
from sadari.task.task import NO_AUDIT, load_task
from sadari.task.text import fold
from sadari.task.writers import write_documents, write_examples
from sadari.text.findings import INVISIBLE
from sadari.types import Document, Example

SPLITS = ("train", "validation", "test", "audit")
_LEARNT = ("train", "validation")
_JUDGED = ("test", "audit")
_EMOJI = "\u200d\ufe0e\ufe0f"  # join and shape emoji
_UNSEEN = re.compile(f"(?![{_EMOJI}])[{INVISIBLE}]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?=\n)")
_FLAG = re.compile("\U0001f3f4[\U000e0020-\U000e007f]+")


@dataclass(frozen=True, slots=True)
class CleanOptions:
    """What is done beside dropping bad rows, repeats and leaks.

    Args:
        mask: Put placeholders for personal data and credentials, in every split and in the documents.
        keep_published: With `mask`, leave the documents and what stands in them as they are, in rows too: a company's own number.
        near: Similarity from which a train row with the same answer repeats another, in (0, 1]; 1 drops equal questions only.
    """

    mask: bool = False
    keep_published: bool = False
    near: float = 0.9


@dataclass(frozen=True, slots=True)
class Change:
    """What happened to one row: `where` it stands in the user's file, and `why`."""

    where: str
    split: str
    kind: Literal["broken", "leak", "duplicate", "repaired"]
    why: str


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What is left, and what was done.

    Args:
        splits: Rows by split, in file order.
        read: How many rows each split had, broken ones included.
        changes: Rows dropped or repaired.
        notes: What a person should look at: the same question with different answers.
        placeholders: How often each placeholder was put.
        mapping: What each placeholder stands for: personal data, not to be written unless asked.
    """

    splits: Mapping[str, tuple[Row, ...]]
    documents: tuple[Document, ...] = ()
    read: Mapping[str, int] = field(default_factory=dict)
    changes: tuple[Change, ...] = ()
    notes: tuple[str, ...] = ()
    placeholders: Mapping[str, int] = field(default_factory=dict)
    mapping: Mapping[str, str] = field(default_factory=dict, repr=False)


def clean_rows(
    splits: Mapping[str, Sequence[Row]],
    documents: Sequence[Document] = (),
    options: CleanOptions = CleanOptions(),
    *,
    language: Literal["ko", "en"] = "ko",
    leaks: LeaksConfig | None = None,
) -> Cleaned:
    """Repair, mask, and drop what is learnt twice or judged with.

    Args:
        splits: Rows by split name; "train" and "validation" are learnt from, "test" and "audit" judge.
        documents: What gold spans point into.
        language: Of placeholders.
        leaks: Similarity of near leaks, and whether they are dropped too; the default drops exact ones only.
    """
    repaired, changes = _repair(splits)
    pages, masker = tuple(documents), Masker(language)
    if options.mask:
        repaired, pages, masker = _mask(repaired, documents, options, language)
    kept = {name: list(repaired.get(name, ())) for name in SPLITS}
    changes += _drop_leaks(kept, leaks or LeaksConfig())
    notes: list[str] = []
    for name in _LEARNT:
        kept[name], repeats, conflicts = _drop_repeats(kept[name], name, options.near)
        changes += repeats
        notes += conflicts
    return Cleaned(
        splits={name: tuple(rows) for name, rows in kept.items()},
        documents=pages,
        read={name: len(splits.get(name, ())) for name in SPLITS},
        changes=tuple(changes),
        notes=tuple(notes),
        placeholders=dict(masker.places),
        mapping=masker.mapping,
    )


# --- the steps --------------------------------------------------------------------------------------------------------------


def _repair(splits: Mapping[str, Sequence[Row]]) -> tuple[dict[str, tuple[Row, ...]], list[Change]]:
    """Rows to learn from without characters that nobody sees; rows that judge as they are."""
    changes: list[Change] = []
    repaired: dict[str, tuple[Row, ...]] = {}
    for name, rows in splits.items():
        if name in _JUDGED:
            repaired[name] = tuple(rows)
            continue
        visible = [replace(row, example=map_texts(row.example, lambda text, place, key: _visible(text))) for row in rows]
        why = "invisible characters removed"
        changes += [Change(row.where, name, "repaired", why) for row, own in zip(rows, visible, strict=True) if row != own]
        repaired[name] = tuple(visible)
    return repaired, changes


def _visible(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    flags = [match.span() for match in _FLAG.finditer(text)]
    shown = _UNSEEN.sub(lambda m: m[0] if any(start < m.start() < end for start, end in flags) else "", text)
    return shown if shown.strip() else text


def _mask(
    splits: Mapping[str, Sequence[Row]], documents: Sequence[Document], options: CleanOptions, language: Literal["ko", "en"]
) -> tuple[dict[str, tuple[Row, ...]], tuple[Document, ...], Masker]:
    masker = Masker(language, keep=published(documents) if options.keep_published else ())
    order = [name for name in SPLITS if name in splits]
    examples = {name: [row.example for row in splits[name]] for name in order}
    masked, pages = mask_project(examples, documents, masker, with_documents=not options.keep_published)
    rows = {
        name: tuple(replace(row, example=e) for row, e in zip(splits[name], _named(masked[name]), strict=True)) for name in order
    }
    return rows, pages, masker


def _named(examples: Sequence[Example]) -> list[Example]:
    """Ids that became one placeholder are told apart again."""
    seen: dict[str, int] = {}
    named: list[Example] = []
    for example in examples:
        count = seen[example.id] = seen.get(example.id, 0) + 1
        named.append(example if count == 1 else replace(example, id=f"{example.id}-{count}"))
    return named


def _drop_leaks(kept: dict[str, list[Row]], leaks: LeaksConfig) -> list[Change]:
    """Take rows out of train and validation that also judge, then rows out of train that also choose."""
    changes: list[Change] = []
    for side, judge in [(side, judge) for side in _LEARNT for judge in _JUDGED] + [("train", "validation")]:
        if not kept[side] or not kept[judge]:
            continue
        twins = [t for t in find_twins(kept[side], kept[judge], threshold=leaks.near_threshold) if _is_dropped(t, leaks)]
        dropped = {id(twin.train) for twin in twins}
        changes += [Change(twin.train.where, side, "leak", f"asks what {twin.test.where} asks ({judge})") for twin in twins]
        kept[side] = [row for row in kept[side] if id(row) not in dropped]
    return changes


def _is_dropped(twin: Twin, leaks: LeaksConfig) -> bool:
    return twin.is_leak or (not twin.is_exact and leaks.near in ("stop", "drop_train"))


def _drop_repeats(rows: Sequence[Row], split: str, near: float) -> tuple[list[Row], list[Change], list[str]]:
    """The first of rows that say the same; and which rows answer one question differently, for a person to decide."""
    index = NearIndex([question_text(row.example) for row in rows], threshold=near)
    asked = [_asked(row.example) for row in rows]
    answered = [_answered(row.example) for row in rows]
    context = [_context(row.example) for row in rows]
    first: dict[str, int] = {}
    kept: list[int] = []
    standing: set[int] = set()
    changes: list[Change] = []
    notes: list[str] = []
    for at, row in enumerate(rows):
        alike = [other for other, _ in index.alike(question_text(row.example)) if other in standing] if near < 1 else []
        same = [first[asked[at] + answered[at]]] if asked[at] + answered[at] in first else []
        same += [o for o in alike if answered[o] == answered[at] and context[o] == context[at]]
        if same:
            how = "repeats" if asked[same[0]] == asked[at] else "says nearly the same as"
            changes.append(Change(row.where, split, "duplicate", f"{how} {rows[same[0]].where}"))
            continue
        if asked[at] in first and row.example.kind == "chat":
            notes.append(f"{row.where}: answers the question of {rows[first[asked[at]]].where} differently. Keep the right one.")
        first.setdefault(asked[at], at)
        first.setdefault(asked[at] + answered[at], at)
        standing.add(at)
        kept.append(at)
    return [rows[at] for at in kept], changes, notes


def _asked(example: Example) -> str:
    turns = [[turn.role, fold(turn.content), [[c.name, c.arguments] for c in turn.tool_calls]] for turn in example.prompt]
    if example.kind == "text":
        turns = [["text", fold(example.messages[0].content), []]]
    documents = sorted({span.document for span in example.reference.spans})
    return json.dumps([turns, [tool.name for tool in example.tools], documents], ensure_ascii=False, sort_keys=True)


def _answered(example: Example) -> str:
    if example.kind == "text":
        return "text"
    target = example.target
    weights = [turn.weight for turn in example.messages]
    calls = [[call.name, call.arguments] for call in (*target.tool_calls, *example.reference.calls)]
    rejected = fold(example.rejected) if example.rejected is not None else None
    return json.dumps(
        [fold(target.content), calls, weights, rejected, example.reference.abstain], ensure_ascii=False, sort_keys=True
    )


def _context(example: Example) -> str:
    """All that is asked but the words of the user."""
    turns = [[turn.role, fold(turn.content)] for turn in example.prompt if turn.role != "user"]
    return json.dumps([turns, [tool.name for tool in example.tools]], ensure_ascii=False)


# --- a whole task -----------------------------------------------------------------------------------------------------------


def clean_task(path: Path, out: Path, options: CleanOptions = CleanOptions()) -> Cleaned:
    """Read a task, clean it, and write the clean copy to a new folder, from which `load_task` reads it.

    Rows are written as JSONL of messages under `data/`, documents as they were stored. A test set that is cut from one file stands
    in a file of its own then, so that it stays the same. Other files of the task are named where they are, not copied.

    Raises:
        ConfigError: If `out` exists, or lies where the task reads its documents.
        DataError: If a test row or a document is broken: those are for a person to mend; all of them are named.
    """
    config, file = load_config(path), task_file(path)
    folder = file.parent.resolve()
    out = out.resolve()
    _check_out(out, config, folder)
    documents, _ = read_documents(config.documents, folder)
    splits, broken = _read(config, folder)
    cleaned = clean_rows(splits, documents, options, language=config.answer_language, leaks=config.leaks)
    read = {name: count + sum(change.split == name for change in broken) for name, count in cleaned.read.items()}
    cleaned = replace(cleaned, read=read, changes=(*broken, *cleaned.changes))
    raw = yaml.safe_load(read_text(file, file.name))
    with whole_folder(out) as draft:
        _write_documents(cleaned, config, folder, draft)
        _write_options(_relocated(raw, folder, out), cleaned, config, draft)
        return _write_readable(cleaned, draft)


def write_mapping(path: Path, mapping: Mapping[str, str]) -> None:
    """What the placeholders stand for, as JSON that only its owner may read.

    Raises:
        ConfigError: If the file exists or cannot be made.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise ConfigError(f"{path}: the mapping cannot be written there ({error.strerror}). Name a new file.") from error
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(json.dumps(dict(mapping), ensure_ascii=False, indent=2) + "\n")


def _check_out(out: Path, config: TaskConfig, folder: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out} exists. The clean rows go to a new folder: name another one with --out, or remove it.")
    paths = [source.path for source in config.documents.sources if source.path is not None] if config.documents else []
    read = [resolve_path(path, folder).resolve() for path in paths]
    if any(out == pages or pages in out.parents for pages in read):
        raise ConfigError(f"{out} lies in the documents of the task, which would then read it. Name a folder beside the task.")


def _read(config: TaskConfig, folder: Path) -> tuple[dict[str, tuple[Row, ...]], list[Change]]:
    """Good rows by split; broken rows to learn from are left out, broken rows that judge are an error."""
    names = {name: getattr(config.examples, name) for name in SPLITS}
    names["train"] = config.examples.all or names["train"]
    splits: dict[str, tuple[Row, ...]] = dict.fromkeys(SPLITS, ())
    broken: list[Change] = []
    faults: list[str] = []
    for split, name in names.items():
        if not name or name == NO_AUDIT:
            continue
        scan = scan_rows(resolve_path(name, folder), folder=folder)
        splits[split] = scan.rows
        if split in _JUDGED or not scan.rows:
            faults += scan.problems
        else:
            broken += _broken(scan.problems, split)
    if faults:
        raise DataError(faults)
    if not config.examples.test:
        splits["train"], splits["test"] = _cut(splits["train"], config)
    return splits, broken


def _broken(problems: Sequence[str], split: str) -> list[Change]:
    """One change for each row, with its first fault."""
    first: dict[str, Change] = {}
    for problem in problems:
        where, _, why = problem.partition(": ")
        first.setdefault(where, Change(where, split, "broken", why))
    return list(first.values())


def _cut(rows: Sequence[Row], config: TaskConfig) -> tuple[tuple[Row, ...], tuple[Row, ...]]:
    by_id = {row.example.id: row for row in rows}
    rest, taken = cut_test([row.example for row in rows], seed=config.seed)
    if not rest or not taken:
        name = config.examples.all or config.examples.train
        raise DataError(
            f"{name}: no test set can be cut from its {len(rows)} rows. Give a test file, or rows with other questions."
        )
    return tuple(by_id[example.id] for example in rest), tuple(by_id[example.id] for example in taken)


def _write_documents(cleaned: Cleaned, config: TaskConfig, folder: Path, draft: Path) -> None:
    if not cleaned.documents or config.documents is None:
        return
    # Text does not go under the name of a PDF, and who may read what is kept.
    is_plain = all(d.id.endswith((".md", ".markdown", ".txt")) and not (d.access or d.metadata) for d in cleaned.documents)
    first, *others = config.documents.sources
    is_folder = not others and first.path is not None and not resolve_path(first.path, folder).is_file()
    if not (is_folder and is_plain):
        write_documents(draft / "documents.jsonl", cleaned.documents)
        return
    for document in cleaned.documents:
        write_text(draft / "docs" / document.id, document.text)


def _write_options(raw: dict[str, Any], cleaned: Cleaned, config: TaskConfig, draft: Path) -> None:
    raw["examples"] = {name: f"data/{name}.jsonl" for name in SPLITS if cleaned.splits[name]}
    if config.examples.audit == NO_AUDIT:
        raw["examples"]["audit"] = NO_AUDIT
    if cleaned.documents:
        raw["documents"] = "docs/" if (draft / "docs").is_dir() else "documents.jsonl"
    head = "# Written by `sadari data clean`. The rows and documents beside it are the clean ones.\n"
    write_text(draft / TASK_FILE, head + yaml.safe_dump(raw, allow_unicode=True, sort_keys=False, width=120))


def _write_readable(cleaned: Cleaned, draft: Path) -> Cleaned:
    """Write the rows; leave out what a task refuses though each row by itself is good: a label that is not listed, a lost quote."""
    while True:
        for name, rows in cleaned.splits.items():
            if rows:
                write_examples(draft / "data" / f"{name}.jsonl", [row.example for row in rows])
        try:
            load_task(draft)
            return cleaned
        except LeakError:
            raise
        except DataError as error:
            cleaned = _without_refused(cleaned, error)


_REFUSED = re.compile(r"data/(train|validation)\.jsonl line (\d+): (.*)", re.DOTALL)


def _without_refused(cleaned: Cleaned, error: DataError) -> Cleaned:
    told = [_REFUSED.fullmatch(problem) for problem in error.problems]
    if not all(told):
        where = {
            f"data/{name}.jsonl line {at}": row.where for name, rows in cleaned.splits.items() for at, row in enumerate(rows, 1)
        }
        raise DataError(
            [re.sub(r"data/\w+\.jsonl line \d+", lambda m: where.get(m[0], m[0]), problem) for problem in error.problems]
        )
    refused = {(match[1], int(match[2]) - 1): match[3] for match in told if match}
    splits = {name: tuple(row for at, row in enumerate(rows) if (name, at) not in refused) for name, rows in cleaned.splits.items()}
    changes = [Change(cleaned.splits[name][at].where, name, "broken", why) for (name, at), why in refused.items()]
    return replace(cleaned, splits=splits, changes=(*cleaned.changes, *changes))


def _relocated(raw: dict[str, Any], folder: Path, out: Path) -> dict[str, Any]:
    """The options with paths that still find their files from the new folder."""

    def moved(name: Any) -> Any:
        kind, colon, rest = str(name).rpartition(":") if str(name).startswith("scripted:") else ("", "", str(name))
        if not isinstance(name, str) or not rest or Path(rest).is_absolute() or "://" in rest:
            return name
        place = resolve_path(rest, folder)
        begins = place if "{" not in rest else place.parent  # a name with `{group}` in it
        return f"{kind}{colon}{os.path.relpath(place, out)}" if begins.exists() else name

    def within(value: Any, change: Callable[[Any], Any]) -> Any:
        if isinstance(value, dict):
            return {key: within(item, change) for key, item in value.items()}
        return [within(item, change) for item in value] if isinstance(value, list) else change(value)

    for key in ("model", "references", "tools"):
        if raw.get(key) is not None and raw[key] != "mini":
            raw[key] = within(raw[key], moved)
    score = raw.get("score")
    if isinstance(score, dict):
        for key in ("json_schema", "database"):
            if key in score:
                score[key] = moved(score[key])
        judge = score.get("judge")
        if isinstance(judge, dict):
            score["judge"] = {key: moved(value) if key in ("model", "labels") else value for key, value in judge.items()}
    return raw
