"""Text to SQL on Spider: a task folder for `sadari climb`, and the execution accuracy of what comes out, behind the SQL guard.

    python benchmarks/tools/text_to_sql.py write FOLDER                   # the task, made of text2sql-spiderman
    sadari climb FOLDER                                                   # tunes mini for at most 20 minutes
    python benchmarks/tools/text_to_sql.py measure FOLDER                 # of mini as it is, and of what the newest climb built

A prompt holds the four tables that have most to do with the question, best first, then the question. An answer counts if the
guard lets it through and the rows of what the guard made of it are those of the gold query (`SqlScorer`). `measure` asks on
databases whose questions were trained on and on databases that training never saw, free and held to `sql_grammar` of the whole
database, and prints one line of JSON. The data set is CC BY-SA 4.0: the folder is yours to make and not to be copied into the
project.
"""

import argparse
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.append(str(Path(__file__).parents[1] / "safety"))

import spider

from sadari.agent.tools.sql import Schema, guard, sql_grammar
from sadari.agent.tools.sql.database import Bounds, QueryError
from sadari.agent.tools.sql.schema import quoted
from sadari.agent.tools.sql.sqlite import SqliteFile
from sadari.answer import Answerer
from sadari.errors import SadariError
from sadari.files import read_json
from sadari.measure.scorers.sql import SqlScorer
from sadari.model.load import load_model
from sadari.run import run_folders
from sadari.task import load_task
from sadari.types import Answer, Built, Example, Grammar, Message, Prompt, Reference, System

Row = Mapping[str, Any]
GOAL = "Answer with SQL only."
TABLES = 4
"""Shown to a question. They hold all tables of the gold query for 98 % of the training questions."""
JUDGED = 60
"""Questions of each test file that the climb itself is judged by."""
SHOWN = 3
SPLITS = {"seen": "test_seen_db", "unseen": "test_unseen_db"}
MOST_ROWS = 10_000
TASK = """# Made by benchmarks/tools/text_to_sql.py from text2sql-spiderman (CC BY-SA 4.0).
goal: Answer with SQL only.
language: en
examples: {train: train.jsonl, test: test.jsonl, audit: none}
score: {by: sql, database: "FOLDER/databases/{group}.sqlite"}
leaks: {exact: drop_train, near: warn}
budget: {time: 20m}
ladder: [full: {looks: 2, validation_rows: 48, canaries: 0}]
"""


@dataclass(frozen=True)
class Spider:
    """The data set, its databases read as they are asked for."""

    folder: Path

    def rows(self, file: str) -> list[Row]:
        """The rows of one of its files."""
        return [json.loads(line) for line in (self.folder / f"{file}.jsonl").read_text(encoding="utf-8").splitlines()]

    @cached_property
    def _schemas(self) -> dict[str, Schema]:
        return {}

    def schema(self, name: str) -> Schema:
        """All that may be read of one database."""
        if name not in self._schemas:
            self._schemas[name] = self.database(name).read_schema()
        return self._schemas[name]

    def database(self, name: str) -> SqliteFile:
        return SqliteFile(self.folder / "databases" / f"{name}.sqlite")

    def prompt(self, row: Row) -> str:
        """The tables that have most to do with the question, by their names alone, and the question."""
        shown = self.schema(row["db_id"]).ranked(row["question"])[:TABLES]
        lines = [f"{table.title}({', '.join(quoted(column.name, 'sqlite') for column in table.columns)})" for table in shown]
        return "\n".join([*lines, "", row["question"]])

    def example(self, row: Row) -> Example:
        return Example(row["id"], (Message("user", self.prompt(row)),), Reference((row["sql"],)), group=row["db_id"])


def write_task(data: Spider, folder: Path) -> Counter[str]:
    """Rows of train and, of each test file, `JUDGED`; gold queries are spelt as the grammar spells them."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {"train": data.rows("train"), "test": [row for file in SPLITS.values() for row in _spread(data.rows(file), JUDGED)]}
    for name, rows in files.items():
        lines = [json.dumps(_training_row(data, row), ensure_ascii=False) for row in rows]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "sadari.yaml").write_text(TASK.replace("FOLDER", str(data.folder.resolve())), encoding="utf-8")
    return Counter({name: len(rows) for name, rows in files.items()})


def _training_row(data: Spider, row: Row) -> Row:
    sql = spider._spelt(row["sql"], data.schema(row["db_id"]))
    said = [{"role": "user", "content": data.prompt(row)}, {"role": "assistant", "content": sql}]
    return {"id": row["id"], "messages": said, "group": row["db_id"]}


def _spread(rows: Sequence[Row], most: int) -> list[Row]:
    """At most so many, evenly spread."""
    return [rows[at * len(rows) // most] for at in range(most)] if len(rows) > most else list(rows)


def tuned(folder: Path) -> System:
    """What the newest climb of a task built, taken or not."""
    runs = [run for run in run_folders(folder) if (run / "steps" / "1-full" / "built.json").is_file()]
    if not runs:
        sys.exit(f"{folder} holds no finished rung: say `sadari climb {folder}` first.")
    return read_json(runs[-1] / "steps" / "1-full" / "built.json", Built).system


def questions(data: Spider, folder: Path) -> dict[str, list[Row]]:
    """The questions of the test files on databases that the task trains on, and on those that it does not see at all."""
    trained = {example.group for example in load_task(folder).train}  # validation is cut from the rows of train, by database
    seen = [row for row in data.rows(SPLITS["seen"]) if row["db_id"] in trained]
    return {"seen": seen, "unseen": data.rows(SPLITS["unseen"])}


def measure(data: Spider, system: System, asked: Mapping[str, Sequence[Row]]) -> dict[str, float]:
    """Shares of the questions of each kind, in [0, 1]: right, and run at all."""
    answerer = Answerer(system, load_model(system.model, adapter=system.adapter, precision=system.precision))
    figures: dict[str, float] = {}
    for split, rows in asked.items():
        examples = [data.example(row) for row in rows]
        figures[f"{split}_rows"] = len(examples)
        for way in ("free", "held"):
            started = time.perf_counter()
            said = _answers(data, answerer, examples, is_held=way == "held")
            ends = [judge(data, example, text) for example, text in zip(examples, said, strict=True)]
            figures[f"{split}_{way}"] = fmean(end == "right" for end in ends)
            figures[f"{split}_{way}_runs"] = fmean(end in ("right", "wrong") for end in ends)
            print(f"{split}, {way}: {dict(Counter(ends))}, {time.perf_counter() - started:.0f} s", file=sys.stderr)
            for example, text, end in list(zip(examples, said, ends, strict=True))[:SHOWN]:
                print(f"  {end}: {example.question.splitlines()[-1]} -> {text}", file=sys.stderr)
    return {name: round(value, 4) for name, value in figures.items()}


def _answers(data: Spider, answerer: Answerer, examples: Sequence[Example], *, is_held: bool) -> list[str]:
    @cache
    def grammar(name: str) -> Grammar:
        return Grammar(sql_grammar(data.schema(name)))

    requests = [answerer.prepare(example).request for example in examples]
    if is_held:
        requests = [replace(r, constraint=grammar(e.group)) for r, e in zip(requests, examples, strict=True)]
    return [generation.text for generation in answerer.model.generate(requests)]


def judge(data: Spider, example: Example, sql: str) -> str:
    """ "right", "wrong", or what kept it from running: "refused" by the guard, "fails" in the database."""
    schema, database = data.schema(example.group), data.database(example.group)
    try:
        query = guard(sql, schema, MOST_ROWS, spider.CALLER)
        database.run(query, schema, Bounds(rows=MOST_ROWS), spider.CALLER.now)
    except SadariError:
        return "refused"
    except QueryError:
        return "fails"
    return "right" if SqlScorer(database.path).score(example, Answer(query.sql)).value == 1 else "wrong"


def main() -> None:
    """Write the task, or measure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    shared = Path(os.environ.get("SADARI_DATA", Path(__file__).parents[3] / "shared" / "data"))
    parser.add_argument("what", choices=("write", "measure"))
    parser.add_argument("folder", type=Path, help="folder of the task")
    parser.add_argument("--data", type=Path, default=shared / "text2sql-spiderman", help="folder of the data set")
    parser.add_argument("--most", type=int, default=10_000, help="questions of each kind; by default all")
    options = parser.parse_args()
    if not options.data.is_dir():
        sys.exit(f"no data at {options.data}: set SADARI_DATA to the folder that holds text2sql-spiderman, or give --data.")
    data = Spider(options.data)
    if options.what == "write":
        print(dict(write_task(data, options.folder)))
        return
    asked = {split: _spread(rows, options.most) for split, rows in questions(data, options.folder).items()}
    systems = {"bare": System("mini", prompt=Prompt(GOAL)), "tuned": tuned(options.folder)}
    for name, system in systems.items():
        found = measure(data, system, asked)
        print(json.dumps({f"{name}_{key}": value for key, value in found.items()}), flush=True)


if __name__ == "__main__":
    main()
