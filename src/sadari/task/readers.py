"""Rows from files: JSONL, JSON, CSV and TSV, packed with gzip or not, in every shape that `formats` knows.

All bad rows of a file are found in one reading.
"""

import csv
import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sadari.errors import DataError
from sadari.task.files import read_text, shown_path
from sadari.task.formats import ASKED, EXTRAS, Format, finish_example, format_of, pair_format, shapes_in_words
from sadari.task.messages import RowProblems, kind_of
from sadari.types import Example

SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv")
_JSON_IN_CELLS = frozenset({"messages", "conversations", "answers", "history", *EXTRAS}) - {"id", "group", "reference"}


@dataclass(frozen=True, slots=True)
class Row:
    """An example and where it stands, as messages name it: "data/train.jsonl line 41"."""

    example: Example
    where: str


@dataclass(frozen=True, slots=True)
class Scan:
    """What one reading of a file found: good rows and their shape, a line for each fault, and the keys that nothing was made of."""

    rows: tuple[Row, ...]
    problems: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    shape: str = ""


def read_examples(path: Path, *, folder: Path | None = None) -> tuple[Example, ...]:
    """The examples of a file, in file order.

    Args:
        path: A `.jsonl`, `.json`, `.csv` or `.tsv` file, or one of these with `.gz` after it.
        folder: Messages name the file relative to it.

    Raises:
        DataError: With a line for every bad row: file, line, field and remedy.
    """
    scan = scan_rows(path, folder=folder)
    if scan.problems:
        raise DataError(scan.problems)
    return tuple(row.example for row in scan.rows)


def scan_rows(path: Path, *, folder: Path | None = None) -> Scan:
    """Read a file without stopping at bad rows; the faults stand in `Scan.problems`."""
    shown = shown_path(path, folder)
    suffix = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
    if not path.is_dir() and suffix.lower() not in SUFFIXES:
        return Scan(
            (), (f'{shown}: files ending in "{suffix}" are not read. Give one of {", ".join(SUFFIXES)}, packed as .gz or not.',)
        )
    try:
        text = read_text(path, shown)
    except DataError as error:
        return Scan((), error.problems)
    if not text.strip():
        return Scan((), (f"{shown}: holds no examples: it is empty. Add rows, one example each.",))
    if suffix.lower() in (".csv", ".tsv"):
        return _scan_table(text, shown, delimiter="\t" if suffix.lower() == ".tsv" else ",")
    entries = _json_entries(text, shown) if suffix.lower() == ".json" else _jsonl_entries(text, shown)
    return _scan_entries(entries, shown)


# --- from text to rows of keys -----------------------------------------------------------------------------------------------

_Entry = tuple[str, Mapping[str, Any] | str]  # where it stands, and the row or what is wrong with it


def _jsonl_entries(text: str, shown: str) -> Iterator[_Entry]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{shown} line {number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            if number == 1 and line.strip() == "[":
                yield where, "this is a JSON list, not one row per line. Rename the file to .json."
                return
            yield where, f"broken JSON ({_json_fault(error)}). Each line must be one whole JSON object."
            continue
        yield where, row if isinstance(row, dict) else f"a row must be a JSON object, but this is {kind_of(row)}."


def _json_entries(text: str, shown: str) -> Iterator[_Entry]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        line = f" line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        remedy = " If each line is an object of its own, rename the file to .jsonl." if "Extra data" in str(error) else ""
        yield f"{shown}{line}", f"broken JSON ({_json_fault(error)}).{remedy}"
        return
    if isinstance(data, dict):
        lists = [value for value in data.values() if isinstance(value, list)]
        data = lists[0] if len(data) == 1 and lists else data
    if not isinstance(data, list):
        yield shown, f"must hold a list of rows, but holds {kind_of(data)}."
        return
    for number, row in enumerate(data, start=1):
        yield f"{shown} row {number}", row if isinstance(row, dict) else f"a row must be a JSON object, but this is {kind_of(row)}."


def _json_fault(error: Exception) -> str:
    return f"{error.msg}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else str(error)


def _scan_table(text: str, shown: str, *, delimiter: str) -> Scan:
    longest = csv.field_size_limit(2**31 - 1)
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        lines: list[tuple[int, list[str]]] = []
        begin = 1
        try:
            for cells in reader:
                lines.append((begin, cells))
                begin = reader.line_num + 1
        except csv.Error as error:
            remedy = 'A text that holds quotes or line breaks is put in double quotes, and its own quotes are doubled ("").'
            return Scan((), (f"{shown} line {begin}: broken table ({error}). {remedy}",))
    finally:
        csv.field_size_limit(longest)
    lines = [(number, cells) for number, cells in lines if any(cell.strip() for cell in cells)]
    header = [cell.strip() for cell in lines[0][1]]
    fault = _header_fault(header, [cells for _, cells in lines[1:]])
    if fault:
        return Scan((), (f"{shown} line {lines[0][0]}: {fault}",))
    return _scan_entries(_table_entries(header, lines[1:], shown), shown, _table_format(header))


def _header_fault(header: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        return f"two columns are called `{twice[0]}`. Rename one."
    if len(header) == 1 and any(mark in header[0] for mark in ";\t|"):
        return "the whole line is one column. Separate columns by commas in .csv and by tabs in .tsv."
    if _table_format(header) is None:
        return f"no pair of columns is known as question and answer in {', '.join(header)}. Name them `question` and `answer`."
    is_named = format_of(header) is not None
    if len(header) == 2 and not is_named and any(len(cells) == 2 and cells[1].strip() == header[1] for cells in body):
        return f'there is no header line ("{header[1]}" is a value of the second column). Put `text,label` above it.'
    return ""


def _table_format(header: Sequence[str]) -> Format | None:
    """The shape of a table: known by its column names, else the two columns that are no extras, in their order."""
    content = [name for name in header if name not in EXTRAS]
    known = format_of(header)
    if known is not None and (known.name != "text" or len(content) != 2):
        return known
    return pair_format(content[0], content[1]) if len(content) == 2 else known


def _table_entries(header: Sequence[str], lines: Sequence[tuple[int, list[str]]], shown: str) -> Iterator[_Entry]:
    for number, cells in lines:
        where = f"{shown} line {number}"
        if len(cells) != len(header):
            yield (
                where,
                f"has {len(cells)} columns where the header has {len(header)}. Put a text with a separator in double quotes.",
            )
            continue
        yield where, {name: _cell(name, cell) for name, cell in zip(header, cells, strict=True)}


def _cell(name: str, cell: str) -> Any:
    if name not in _JSON_IN_CELLS:
        return cell
    if cell.lstrip().startswith(("[", "{")):
        try:
            return json.loads(cell)
        except ValueError:
            return cell
    return cell or None


# --- from rows of keys to examples ---------------------------------------------------------------------------------------------


def _scan_entries(entries: Iterator[_Entry], shown: str, shape: Format | None = None) -> Scan:
    rows: list[Row] = []
    problems: list[str] = []
    unused: dict[str, None] = {}
    is_fixed, first_where = shape is not None, ""
    for where, entry in entries:
        if isinstance(entry, str):
            problems.append(f"{where}: {entry}")
            continue
        own = shape if is_fixed else format_of(entry)
        if own is None:
            problems.append(f"{where}: {_no_shape(entry)}")
            continue
        if shape is None:
            shape, first_where = own, where.removeprefix(shown).strip()
        elif own.name != shape.name:
            remedy = "Keep one format per file"
            problems.append(f"{where}: mixed formats: this row is `{own.name}`, but {first_where} is `{shape.name}`. {remedy}.")
            continue
        about = RowProblems(where)
        example = finish_example(entry, own.read(entry, about), about)
        unused.update(dict.fromkeys(key for key in entry if key not in own.uses and key not in EXTRAS))
        if about.found:
            problems += about.found
        else:
            rows.append(Row(example, where))
    if not rows and not problems:
        problems.append(f"{shown}: holds no examples. Add rows, one example each.")
    named, doubled = _name_rows(rows)
    return Scan(tuple(named), (*problems, *doubled), tuple(unused), shape.name if shape is not None else "")


def _no_shape(row: Mapping[str, Any]) -> str:
    keys = ", ".join(f"`{key}`" for key in row) or "no keys"
    asked = next((key for key in ASKED if key in row), None)
    if asked:
        return f"has `{asked}` but no answer (its keys: {keys}). Add `answer`, `output` or `label`, whichever it is."
    return f"has none of the known shapes (its keys: {keys}). Use {shapes_in_words()}."


def _name_rows(rows: Sequence[Row]) -> tuple[list[Row], list[str]]:
    """The rows with an id each: the given one, else a hash of the content, so that it does not depend on file order."""
    named: list[Row] = []
    problems: list[str] = []
    seen: dict[str, str] = {row.example.id: "" for row in rows if row.example.id}
    copies: dict[str, int] = {}
    for row in rows:
        given = row.example.id
        if given:
            if seen[given]:
                other = seen[given]
                problems.append(f'{row.where}: id: "{given}" also stands on {other}. Give each row its own id, or leave ids out.')
            seen[given] = seen[given] or row.where.rsplit(" ", 2)[-2] + " " + row.where.rsplit(" ", 1)[-1]
            named.append(row)
            continue
        base = content_id(row.example)
        copies[base] = copies.get(base, 0) + 1
        own = base if copies[base] == 1 else f"{base}-{copies[base]}"
        named.append(replace(row, example=replace(row.example, id=own)))
    return named, problems


def content_id(example: Example) -> str:
    """Twelve hexadecimal digits of what the example says: its conversation, reference, and rejected answer."""
    turns = [
        [turn.role, turn.content, turn.weight, [[call.name, call.arguments] for call in turn.tool_calls]]
        for turn in example.messages
    ]
    reference = example.reference
    calls = [[call.name, call.arguments] for call in reference.calls]
    content = [turns, reference.texts, reference.facts, calls, reference.abstain, example.kind, example.rejected]
    if reference.accepts:  # added last, so that rows without it keep the ids they had
        content.append([[call.name, call.arguments, call.optional] for call in reference.accepts])
    text = json.dumps(content, ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
