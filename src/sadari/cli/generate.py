"""`sadari data generate`: more rows to learn from, out of what the task already holds."""

import json as jsonlib
import os
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from sadari.cli.show import Progress, errors, output, print_json
from sadari.errors import ConfigError, DataError
from sadari.types import Example, Generation, Message, Model, Request, ToolSpec

if TYPE_CHECKING:
    from sadari.task import Task
    from sadari.task.generate import Generated, Order

LISTED = 5
"""Refused rows that are printed; `--json` holds more."""

_CARRIED = (
    "Each row carries its own passages. For a ladder with retrieval, which looks them up itself, make the rows with --passages 0."
)


class Source(Enum):
    """What rows are made from."""

    tools = "tools"
    documents = "documents"
    rationales = "rationales"
    paraphrases = "paraphrases"


def generate(
    task: Annotated[Path, typer.Argument(help="Task folder, or its sadari.yaml.")] = Path("."),
    source: Annotated[
        Source,
        typer.Option(
            "--from",
            help="tools: conversations with tool calls; documents: grounded questions; rationales: the reasoning before known "
            "answers; paraphrases: the same questions in other words.",
        ),
    ] = Source.tools,
    rows: Annotated[int, typer.Option(min=1, help="How many rows.")] = 100,
    teacher: Annotated[
        str | None, typer.Option(help="Model that words them: a folder, a Hugging Face name, openai:NAME; default: templates.")
    ] = None,
    base_url: Annotated[str | None, typer.Option(help="Address of an openai:NAME teacher; default: the task's.")] = None,
    out: Annotated[
        Path | None, typer.Option("--output", help="New .jsonl file; default: generated-FROM.jsonl in the task.")
    ] = None,
    tools: Annotated[
        Path | None, typer.Option(help="JSON list of tools in OpenAI's shape, beside those of the train rows.")
    ] = None,
    passages: Annotated[
        int, typer.Option(min=0, help="With --from documents: passages in each row; 0 if the system looks them up itself.")
    ] = 4,
    seed: Annotated[int, typer.Option(help="The same seed gives the same rows; another one gives others.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print what was made and refused as one JSON document.")] = False,
) -> None:
    """Make rows from the task's tools, documents or train rows; each is checked, and none asks what a test row asks.

    The rows go to a new file, tagged `generated`; your own files are not touched. Read some of them before you learn from them.
    """
    from sadari.task import load_task

    if tools is not None and source is not Source.tools:
        raise ConfigError(f"--tools gives tools, but rows are made from {source.value}: say --from tools, or leave it out.")
    if source is Source.rationales and teacher is None:
        raise ConfigError("--from rationales needs someone who reasons: name a model with --teacher.")
    loaded = load_task(task)
    place = out or loaded.folder / f"generated-{source.value}.jsonl"
    _check_place(place)
    order = _order(loaded, rows, seed)
    with Progress(errors).shown() as progress:
        made = _made(loaded, source, order, _teacher(teacher, base_url or loaded.base_url, progress), _read_tools(tools), passages)
    if not made.rows:
        reasons = (
            "; ".join(f"{count} times {why}" for why, count in made.report.refused.items()) or "there is nothing to make them from"
        )
        raise DataError([f"no row could be made from the {source.value} of {loaded.name}: {reasons}.", *made.report.notes])
    _write_new(place, made.rows)
    if source is Source.documents and passages:
        made = replace(made, report=replace(made.report, notes=(*made.report.notes, _CARRIED)))
    if json:
        print_json(_as_json(made, place))
    else:
        _print(made, place)


def _made(
    task: "Task", source: Source, order: "Order", teacher: Model | None, given: Sequence[ToolSpec], passages: int
) -> "Generated":
    from sadari.prompt import ANSWER_MARKS
    from sadari.retrieve import chunk_documents, sentences_of
    from sadari.task.generate import generate_grounded_rows, generate_paraphrases, generate_rationales, generate_tool_rows
    from sadari.types import Retrieval

    if source is Source.tools:
        known = _distinct([*given, *(tool for example in task.train for tool in example.tools)])
        if not known:
            raise DataError(f"{task.name}: no train row declares `tools`. Name a JSON file of them with --tools.")
        return generate_tool_rows(known, order, teacher)
    if source is Source.documents:
        if not task.documents:
            raise DataError(f"{task.name}: has no documents to ask about. Give `documents:` a folder in sadari.yaml.")
        chunks = chunk_documents(task.documents, Retrieval().chunk_tokens)
        return generate_grounded_rows(chunks, order, sentences_of, teacher, shown=passages)
    if source is Source.paraphrases:
        return generate_paraphrases(task.train, order, teacher)
    assert teacher is not None
    return generate_rationales(task.train, order, teacher, marks=ANSWER_MARKS)


def _order(task: "Task", rows: int, seed: int) -> "Order":
    from sadari.task.formats import ABSTENTION
    from sadari.task.generate import Order

    told = Counter(example.target.content for example in task.train if example.reference.abstain and example.target.content)
    return Order(
        rows,
        seed=seed,
        beside=(*task.train, *task.validation),
        judged=(*task.test, *task.audit),
        near=task.leaks.near_threshold,
        abstention=told.most_common(1)[0][0] if told else ABSTENTION,
    )


def _distinct(tools: Sequence[ToolSpec]) -> list[ToolSpec]:
    """The first tool of each name: one row cannot offer two of a name."""
    return list({tool.name: tool for tool in reversed(tools)}.values())[::-1]


def _read_tools(file: Path | None) -> tuple[ToolSpec, ...]:
    from sadari.task.files import read_text
    from sadari.task.messages import RowProblems, read_tools

    if file is None:
        return ()
    try:
        declared = jsonlib.loads(read_text(file, str(file)))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file}: not JSON ({error}). Write a list of tools as OpenAI has them.") from error
    problems = RowProblems(str(file))
    found = read_tools(declared, "tools", problems)
    if problems.found or not found:
        raise DataError(problems.found or f"{file}: holds no tool. Write a list of tools as OpenAI has them.")
    return found


# --- the teacher ------------------------------------------------------------------------------------------------------


class _Counted:
    """A model that tells how often it was asked."""

    def __init__(self, model: Model, progress: Progress) -> None:
        self._model, self._progress, self._asked = model, progress, 0

    @property
    def name(self) -> str:
        return self._model.name

    def generate(self, requests: Sequence[Request]) -> list[Generation]:
        self._asked += len(requests)
        self._progress.tell(f"{self.name}: {self._asked} requests answered")
        return self._model.generate(requests)

    def count_tokens(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> int:
        return self._model.count_tokens(messages, tools)


def _teacher(name: str | None, base_url: str | None, progress: Progress) -> Model | None:
    from sadari.model import load_model

    if name is None:
        return None
    if name.startswith("openai:"):
        errors.print(f"{name} is asked: texts of this task are sent to it.", markup=False, highlight=False, soft_wrap=True)
        return _Counted(load_model(name, base_url=base_url), progress)
    return _Counted(load_model(name), progress)


# --- the file and what is said about it -------------------------------------------------------------------------------


def _check_place(place: Path) -> None:
    if place.suffix != ".jsonl":
        raise ConfigError(f"{place}: rows are written as JSON lines. Name a new file that ends in .jsonl with --output.")
    if place.exists():
        raise ConfigError(f"{place} exists and is not written over. Name a new file with --output, or remove it.")


def _write_new(place: Path, rows: Sequence[Example]) -> None:
    """Write the file whole, unless one has come there meanwhile."""
    from sadari.task.writers import write_examples

    draft = place.with_name(f".{place.name}.{os.getpid()}.new")
    write_examples(draft, rows)
    try:
        os.link(draft, place)  # fails where a file is, unlike a rename
    except FileExistsError:
        _check_place(place)
    except OSError:  # a disk without links
        _check_place(place)
        draft.replace(place)
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def _as_json(made: "Generated", place: Path) -> dict[str, Any]:
    report = made.report
    return {
        "file": str(place),
        "asked": report.asked,
        "made": report.made,
        "tried": report.tried,
        "kinds": dict(report.kinds),
        "refused": dict(report.refused),
        "shown": list(report.shown),
        "notes": list(report.notes),
    }


def _print(made: "Generated", place: Path) -> None:
    report = made.report
    table = Table(header_style="bold")
    table.add_column("kind")
    table.add_column("rows", justify="right")
    for kind, count in report.kinds.items():
        table.add_row(kind, str(count))
    output.print(table)
    for why, count in report.refused.items():
        output.print(f"refused {count}: {why}", markup=False, highlight=False, soft_wrap=True)
    for line in [*report.shown[:LISTED], *report.notes]:
        output.print(f"  {line}", markup=False, highlight=False, soft_wrap=True, style="dim")
    if report.made < report.asked:
        few = f"{report.made} of {report.asked} rows: there is no more to be made of this. Give more material, or a --teacher."
        output.print(few, markup=False, highlight=False, soft_wrap=True)
    said = (
        f"{place}: {report.made} rows, tagged generated. Read some of them, then add them to your train file; if that has another "
        "format, `sadari data clean` writes both as one."
    )
    output.print(said, markup=False, highlight=False, soft_wrap=True)
