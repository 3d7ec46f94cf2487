"""Climb on data nobody here wrote: `make bench-real`, or `python benchmarks/real/run.py --only banking77`.

Reads the folder named by SADARI_DATA (default `../shared/data` beside the repository); where it is absent nothing is measured and
the output says so. Prints a table of rungs for each task with the floors it has to beat, and ends with one line of JSON:
`banking77_baseline`, `banking77_best`, `wiki_recall1`, `wiki_recall5`, `chatbot_best`; a figure that was not measured is null.
Stopped at any moment, the same command goes on; what is finished is not repeated.
"""

import argparse
import json
import os
import shutil
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import fmean
from typing import Any

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
NAMES = ("banking77", "ko-wiki-qa", "ko-chatbot")
FIGURES = ("banking77_baseline", "banking77_best", "wiki_recall1", "wiki_recall5", "chatbot_best")
MOODS = {0: "일상", 1: "이별", 2: "사랑"}

# Set before sadari imports torch: nothing is fetched, and tokenizers start no threads beside those of torch.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import sadari  # noqa: E402
from sadari.answer import Answerer  # noqa: E402
from sadari.cli.show import steps_table  # noqa: E402
from sadari.files import read_lines  # noqa: E402
from sadari.measure import choose_scorer, format_p  # noqa: E402
from sadari.measurer import Prediction  # noqa: E402
from sadari.model import ScriptedModel  # noqa: E402
from sadari.retrieve import LexicalIndex  # noqa: E402
from sadari.run import ClimbOptions, load_result, quick_task, run_climb, run_folders  # noqa: E402
from sadari.task import Task, load_task  # noqa: E402
from sadari.task.config import load_config  # noqa: E402
from sadari.types import Example, Retrieval, Step, System  # noqa: E402


@dataclass(frozen=True, slots=True)
class Climbed:
    """One finished climb: the task as climbed, its steps, its run folder, and what `sadari climb --json` prints."""

    task: Task
    steps: tuple[Step, ...]
    folder: Path
    result: dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; the exit code is 0 unless a climb fails."""
    options = _parser().parse_args(arguments)
    # A relative SADARI_DATA is meant as seen from the repository; task files take paths as seen from their own folder.
    data = (REPOSITORY / os.environ.get("SADARI_DATA", "../shared/data")).resolve()
    os.environ["SADARI_DATA"] = str(data)
    figures: dict[str, float | None] = dict.fromkeys(FIGURES)
    record: list[str] = []
    spent_s = 0.0
    started = time.perf_counter()
    for name in options.only or NAMES:
        if not (data / name).is_dir():
            print(f"{name}: skipped, there is no folder {data / name}. Set SADARI_DATA to the folder that holds it.")
            continue
        climbed = _climb(name, data, options)
        found, lines = _REPORTS[name](climbed)
        figures |= {key: round(value, 4) for key, value in found.items()}
        _print_climb(climbed, lines)
        record += _section(name, climbed, lines)
        spent_s += sum(step.built.cost.seconds + _test_seconds(step) for step in climbed.steps)
    print(f"\n{time.perf_counter() - started:.0f} s in this call, {spent_s:.0f} s of building and answering in all")
    if options.record:
        _write_record(options.record, record, figures, spent_s, sys.argv[1:] if arguments is None else arguments)
    print(json.dumps(figures))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=NAMES, help="One task; may be given again. Default: all.")
    parser.add_argument("--quick", action="store_true", help="Rough climbs on 80 test rows; the figures are those of these rows.")
    parser.add_argument("--model", help="Another model for all tasks: a folder, a Hugging Face name, openai:NAME, scripted:FILE.")
    parser.add_argument("--rungs", help="Climb only these rungs of each ladder, separated by commas.")
    parser.add_argument("--record", type=Path, help="Page that gets the tables, between its real:start and real:end marks.")
    parser.add_argument("--work", type=Path, default=HERE, help="Folder for prepared rows and runs; default: beside this file.")
    return parser


def _climb(name: str, data: Path, options: argparse.Namespace) -> Climbed:
    folder = _task_folder(name, data, options.work)
    task = load_task(folder, _overrides(folder, options))
    print(f"\n== {name}: {len(task.train)} train, {len(task.validation)} validation, {len(task.test)} test rows", flush=True)
    for note in task.notes:
        print(f"   {note if len(note) < 300 else note[:297] + '...'}")
    climb = ClimbOptions(quick=options.quick)
    steps = tuple(run_climb(task, climb, _tell))
    run = max(run_folders(task.folder), key=lambda p: (p / "report.json").stat().st_mtime if (p / "report.json").exists() else 0.0)
    return Climbed(quick_task(task) if options.quick else task, steps, run, load_result(run))


def _task_folder(name: str, data: Path, work: Path) -> Path:
    """The task's folder under `work`, its rows prepared where their own form does not fit."""
    folder = work.resolve() / name
    folder.mkdir(parents=True, exist_ok=True)
    if folder != HERE / name:
        shutil.copy(HERE / name / "sadari.yaml", folder / "sadari.yaml")
    if name == "ko-chatbot":
        (folder / "prepared").mkdir(exist_ok=True)
        for split in ("train", "dev", "test"):
            rows = [json.loads(line) for line in (data / name / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()]
            shaped = [{"id": row["id"], "text": row["question"], "label": MOODS[row["label"]]} for row in rows]
            text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in shaped)
            (folder / "prepared" / f"{split}.jsonl").write_text(text, encoding="utf-8")
    return folder


def _overrides(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Options that replace those of the task file. A quick climb trains by the clock, not by the steps that are set there."""
    changed: dict[str, Any] = {"model": options.model} if options.model else {}
    if options.rungs or options.quick:
        ladder = [rung for rung in load_config(folder).ladder if not options.rungs or rung.name in options.rungs.split(",")]
        changed["ladder"] = [
            {"name": rung.name, "options": {k: v for k, v in rung.options.items() if k != "max_steps" or not options.quick}}
            for rung in ladder
        ]
    return changed


def _tell(line: str) -> None:
    if "answered" not in line:
        print(f"   {line}", file=sys.stderr, flush=True)


def _print_climb(climbed: Climbed, lines: Sequence[str]) -> None:
    from rich.console import Console

    Console(width=150).print(steps_table(climbed.steps, climbed.task.money.currency))
    for step in climbed.steps:
        print(f"   {step.rung}: {step.verdict.reason}")
        for note in step.built.notes:
            print(f"      {note}")
    print(f"   {climbed.steps[-1].ends}")
    for line in lines:
        print(f"   {line}")
    print(f"   report: {climbed.folder / 'report.html'}", flush=True)


# --- the tables as a page keeps them -------------------------------------------------------------------------------------


def _section(name: str, climbed: Climbed, lines: Sequence[str]) -> list[str]:
    """One task's rungs as Markdown."""
    task = climbed.task
    rows = [
        f"| {step.rung} | {card.quality:.4f} ({card.low:.4f} - {card.high:.4f}) "
        f"| {'' if verdict.p_value is None else format_p(verdict.p_value)} "
        f"| {verdict.outcome.replace('_', ' ')}{', taken' if verdict.taken and step.index else ''} "
        f"| {step.built.cost.seconds:.0f} | {_test_seconds(step):.0f} | {card.failures} |"
        for step in climbed.steps
        for card, verdict in [(step.scorecard, step.verdict)]
    ]
    return [
        f"### {name}: {len(task.test):,} test, {len(task.train):,} train, {len(task.validation):,} validation rows",
        "",
        "| rung | quality (95 % interval) | p | verdict | build s | test s | failed |",
        "| --- | ---: | ---: | --- | ---: | ---: | ---: |",
        *rows,
        "",
        *[f"- {line}" for line in lines],
        "",
    ]


def _test_seconds(step: Step) -> float:
    card = step.scorecard
    return len(card.ids) / card.throughput if card.throughput else 0.0


def _write_record(
    page: Path, record: Sequence[str], figures: dict[str, float | None], spent_s: float, arguments: Sequence[str]
) -> None:
    told = " ".join(["python benchmarks/real/run.py", *arguments])
    lines = [
        f"## {datetime.now().date().isoformat()}: real data, nobody here wrote it",
        "",
        f"{os.cpu_count()} CPU cores, sadari {sadari.__version__}, `{told}`, {spent_s:.0f} s of building and answering in all.",
        "",
        *record,
        "```json",
        json.dumps(figures),
        "```",
    ]
    text = page.read_text(encoding="utf-8")
    start, end = "<!-- real:start -->\n", "<!-- real:end -->"
    before, _, rest = text.partition(start)
    _, found, after = rest.partition(end)
    if not found:
        raise SystemExit(f"{page} has no {start.strip()} before {end}: put them where the tables belong.")
    page.write_text(before + start + "\n".join(lines) + "\n" + end + after, encoding="utf-8")


# --- what each task is held against --------------------------------------------------------------------------------------

Report = tuple[dict[str, float], list[str]]
"""The figures of a task for the last line, and lines for people."""


def _report_banking77(climbed: Climbed) -> Report:
    task, winner = climbed.task, _winner(climbed)
    lines = [
        f"floor, majority label: {_majority(task):.4f}",
        f"floor, nearest training row by sadari's index: {_nearest(task, 1):.4f} (BM25 over words is known to reach 0.801)",
        f"floor, vote of the 10 nearest weighted by score: {_nearest(task, 10):.4f}",
        f"winner: {winner['rung']} {winner['quality']:.4f}",
    ]
    return {"banking77_baseline": climbed.steps[0].scorecard.quality, "banking77_best": winner["quality"]}, lines


def _report_chatbot(climbed: Climbed) -> Report:
    task, winner = climbed.task, _winner(climbed)
    lines = [
        f"floor, majority label: {_majority(task):.4f} (0.459 on all rows)",
        f"floor, vote of the 5 nearest weighted by score: {_nearest(task, 5):.4f} (unweighted it is known to reach 0.765)",
        f"winner: {winner['rung']} {winner['quality']:.4f}",
    ]
    return {"chatbot_best": winner["quality"]}, lines


def _report_wiki(climbed: Climbed) -> Report:
    task, winner = climbed.task, _winner(climbed)
    recall = _recall(climbed, task.test)
    lines = [
        f"retrieval over {len(task.documents)} passages: recall@1 {recall[1]:.4f}, recall@5 {recall[5]:.4f} "
        "(character bigrams are known to reach 0.610 and 0.890)",
        f"winner: {winner['rung']}, span answers exact {winner['quality']:.4f}, character F1 {_span_f1(climbed):.4f}",
    ]
    return {"wiki_recall1": recall[1], "wiki_recall5": recall[5]}, lines


_REPORTS = {"banking77": _report_banking77, "ko-wiki-qa": _report_wiki, "ko-chatbot": _report_chatbot}


def _winner(climbed: Climbed) -> dict[str, Any]:
    winner: dict[str, Any] = climbed.result["winner"]
    return winner


def _majority(task: Task) -> float:
    most = Counter(e.target.content for e in task.train).most_common(1)[0][0]
    return fmean(e.target.content == most for e in task.test)


def _nearest(task: Task, k: int) -> float:
    """Accuracy of the label with the most BM25 score among the `k` training rows nearest to each test row."""
    index = LexicalIndex([e.question for e in task.train])

    def label(example: Example) -> str:
        votes: defaultdict[str, float] = defaultdict(float)
        for hit in index.search(example.question, k):
            votes[task.train[hit.position].target.content] += hit.score
        return max(votes, key=lambda name: votes[name]) if votes else ""

    return fmean(label(e) == e.target.content for e in task.test)


def _recall(climbed: Climbed, examples: Sequence[Example]) -> dict[int, float]:
    """Share of the examples whose recorded passage is among the first 1 and 5 that the retrieval rung would look up."""
    asked = next((rung.options for rung in climbed.task.ladder if rung.name == "retrieval"), {})
    retrieval = Retrieval("documents", k=20, chunk_tokens=asked.get("chunk_tokens", 200))
    system = System(model="scripted", documents=climbed.folder / "documents.jsonl", retrieval=retrieval)
    answerer = Answerer(system, ScriptedModel())
    found = {e.id: list(dict.fromkeys(p.document for p in answerer.prepare(e).passages)) for e in examples}
    gold = {e.id: {span.document for span in e.reference.spans} for e in examples}
    return {k: fmean(bool(gold[e.id] & set(found[e.id][:k])) for e in examples) for k in (1, 5)}


def _span_f1(climbed: Climbed) -> float:
    winner = next(s for s in reversed(climbed.steps) if s.rung == _winner(climbed)["rung"])
    rows = read_lines(climbed.folder / "predictions" / f"{winner.index}-{winner.rung}.jsonl", Prediction)
    scorer = choose_scorer(climbed.task.test, "short_answer_f1")
    answers = {row.id: row.answer for row in rows}
    return fmean(scorer.score(e, answers[e.id]).value for e in climbed.task.test)


if __name__ == "__main__":
    sys.exit(main())
