"""One climb on disk: `TASK/runs/<n>` holds its config, every system, prediction, scorecard and verdict, the report and the winner.

Covered: the process may be killed at any moment; the same command goes on from the last finished piece (a rung, a training
checkpoint, 32 predictions) to the same numbers. A finished climb is not repeated. A second climb in the same task is refused.
Not covered: two machines sharing the folder over a network file system without locks.
"""

import contextlib
import fcntl
import hashlib
import json
import math
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import sadari
from sadari.acting import ActingEngine
from sadari.agent.config import Toolbox, agent_config
from sadari.answer import Answerer, Engine
from sadari.bundle import digest, save_bundle
from sadari.errors import ConfigError, RunError
from sadari.files import kept, read_json, read_lines, read_log, to_json, write_lines, write_text
from sadari.ladder import Limits, climb
from sadari.looks import EVAL, LOG, Look, log_look, name_of_test
from sadari.measure import choose_scorer, is_priced, schema_of
from sadari.measure.money.payoff import check_prices
from sadari.measure.report import RunData, failing_examples
from sadari.measure.scorecard import served
from sadari.measurer import Measurer, Prediction, Tell, device_of
from sadari.mini import MINI_PATH
from sadari.model import load_model
from sadari.review import REVIEW, RUN, Climbed, Review, calibrate, review, write_reports
from sadari.rungs import TRAINED, BaselineRung, SeededRung, check_options, make_rung
from sadari.rungs.baseline import IncumbentRung, baseline_system
from sadari.rungs.remote_finetune import RemoteFinetuneRung
from sadari.task import Task, located
from sadari.task.config import RungSpec
from sadari.task.privacy import find_personal
from sadari.types import (
    Answer,
    Built,
    Decoding,
    Document,
    Example,
    Message,
    Model,
    Prompt,
    Rung,
    Scorecard,
    Scorer,
    Step,
    System,
    Workshop,
)

RUNG_WEIGHTS = {"prompt": 0.10, "retrieval": 0.15, "full": 0.40}
"""How the time for building is shared among the rungs of a ladder; 0.25 for the others."""

BUILDING_SHARE = 0.9
"""Share of the time budget that building may take; what is left is for measuring."""

ENDS = 2**20
"""Bytes of either end of a model's file by which its change is seen."""

QUICK_TIME_S = 50.0
QUICK_TEST = 80
QUICK_VALIDATION = 24


@dataclass(frozen=True, slots=True)
class ClimbOptions:
    """How one climb is made.

    Args:
        quick: A rough climb: 80 test and 24 validation examples, drawn with the task's seed, and 50 seconds of building. The
            report says so.
        again: Climb anew although the same climb is finished.
        to_the_top: Build every rung, whether or not the target is met, the time is spent, or going on can pay.
        start: The system to climb on from and to beat; None for the task's model, asked plainly.
    """

    quick: bool = False
    again: bool = False
    to_the_top: bool = False
    start: System | None = None


def run_climb(task: Task, options: ClimbOptions, tell: Tell) -> Iterator[Step]:
    """Climb; yield each step as it is decided; then write the report and the winner's bundle.

    A climb with the same task, data, options and version that is unfinished is continued; a finished one is replayed from its
    folder without computing anything.

    Raises:
        ConfigError: If the ladder or the budget of the task cannot be climbed with.
        RunError: If another climb is at work in this task's folder, or it cannot be written.
    """
    check_climb(task)
    task = quick_task(task) if options.quick else task
    with _only_climb(task.folder / "runs"):
        folder = _folder_of(task, options)
        tell(f"run folder: {folder}")
        _sweep(folder)
        write_text(folder / "config.json", _config(task, options))
        yield from _climb_in(folder, task, options, tell)


def _climb_in(folder: Path, task: Task, options: ClimbOptions, tell: Tell) -> Iterator[Step]:
    scorer = scorer_of(task)
    engine = ActingEngine(_load)
    measurer = Measurer(engine, scorer, task, folder / "pieces", tell)
    calibration = calibrate(task, partial(scorer_of, task), folder)
    documents, toolbox = _write_documents(task, folder), _write_toolbox(task, folder)
    start = kept(folder / "start.json", System, lambda: options.start or _start(task, engine, scorer)).with_(toolbox=toolbox)
    tools = tuple(tool.spec for tool in engine.tools(start.with_(documents=documents)))
    budget_s = QUICK_TIME_S if options.quick else task.budget.time_s

    searches: dict[str, dict[str, float]] = {}

    def workshop(name: str) -> Workshop:
        def evaluate(system: System, examples: Sequence[Example]) -> Scorecard:
            card = measurer.in_batches(f"{name} (validation)", system, examples)
            if card.device == "remote":  # on this machine the search is paid by its seconds
                asked = to_json(system) + " ".join(card.ids)
                searches.setdefault(name, {})[asked] = card.cost_per_request * len(card.ids)
            return card

        return Workshop(
            goal=task.goal,
            language=task.language,
            labels=task.labels,
            documents=documents,
            tools=tools,
            scorer=scorer,
            evaluate=evaluate,
            load=_load,
            seed=task.seed,
            time_budget_s=None if budget_s is None else time_share(name, task.ladder) * budget_s,
            tell=lambda line: tell(f"{name}: {line}"),
            price_per_hour=task.money.gpu_hour if device_of(start) == "accelerator" else task.money.machine_hour,
            currency=task.money.currency,
            respond=engine.respond,
            find_personal=lambda text: [found.kind for found in find_personal(text)],
        )

    made = list(_rungs(task, workshop))
    for rung in made:
        if isinstance(rung, RemoteFinetuneRung):  # hours of climbing later is too late to ask
            first = start if options.start is not None else baseline_system(start, workshop(rung.name))
            rung.ask(first, task.train, task.validation, folder / "asked")
    rungs = [_Paid(rung, searches) for rung in made]
    ladder: list[Rung] = [
        BaselineRung(start, workshop("baseline")) if options.start is None else IncumbentRung(start),
        *rungs,
    ]
    limits = Limits(task.score.target, budget_s, task.budget.cost)
    if options.to_the_top:
        limits = Limits(cost=task.budget.cost, heeds_advice=False)
    steps = []
    test = name_of_test(task.test, scorer.name)
    for step in climb(ladder, start, task, folder / "steps", measurer, limits):
        _write_predictions(folder, step, task, measurer)
        log_look(folder.parent, folder.name, test, step.scorecard)
        steps.append(step)
        yield step
    if all((folder / name).exists() for name in ("report.json", "report.html", "best")):
        return  # finished before: what may be in use is not written again
    winner = max(s.index for s in steps if s.index == 0 or s.verdict.taken)
    if not (folder / "best").exists():
        save_bundle(steps[winner].built.system, folder / "best")
    climbed = Climbed(task, steps, winner, folder.parent, folder, budget_s, options.quick, calibration)
    kept(folder / REVIEW, Review, lambda: review(climbed, measurer, tell))
    kept(folder / RUN, RunData, lambda: _run_data(climbed, options, scorer))
    write_reports(folder)


class _Paid:
    """A rung that counts what its search paid for tokens elsewhere; what was asked before is counted, and asked, once."""

    def __init__(self, rung: Rung, searches: Mapping[str, Mapping[str, float]]) -> None:
        self.name = rung.name
        self._rung, self._searches = rung, searches

    def build(self, incumbent: System, train: Sequence[Example], validation: Sequence[Example], workdir: Path) -> Built:
        built = self._rung.build(incumbent, train, validation, workdir)
        searched = sum(self._searches.get(self.name, {}).values())
        return replace(built, cost=replace(built.cost, money=built.cost.money + searched))


def _rungs(task: Task, workshop: Callable[[str], Workshop]) -> Iterator[Rung]:
    """The rungs of the task; those that train, once per seed, which share the time of one."""
    for spec in task.ladder:
        seeds = task.config.seeds if spec.name in TRAINED else 1
        if seeds == 1:
            yield make_rung(spec.name, spec.options, workshop(spec.name))
            continue
        shop = workshop(spec.name)
        share = None if shop.time_budget_s is None else shop.time_budget_s / seeds
        shops = [replace(shop, seed=task.seed + i, time_budget_s=share) for i in range(seeds)]
        yield SeededRung([make_rung(spec.name, spec.options, one) for one in shops])


def check_climb(task: Task) -> None:
    """Check what can be checked before anything is built.

    Raises:
        ConfigError: If an option of a rung or the agent or a price is wrong, or a money budget is set that nothing counts against.
    """
    check_prices(task.money)
    agent_config(task.config.agent)
    for rung in task.ladder:
        check_options(rung.name, rung.options)
    if task.budget.cost is not None and not is_priced(task.money, device_of(System(task.model))):
        raise ConfigError(
            "`budget.cost` is set, but nothing has a price, so it could never be spent. Give `money.machine_hour` (`gpu_hour` "
            "on an accelerator), or the prices of 1,000 tokens of a remote model; or remove `budget.cost`."
        )


def time_share(rung: str, ladder: Sequence[RungSpec]) -> float:
    """Share of the time budget that building a rung of this ladder may take, in [0, 1]."""
    weights = {spec.name: RUNG_WEIGHTS.get(spec.name, 0.25) for spec in ladder}
    return BUILDING_SHARE * weights.get(rung, 0.0) / sum(weights.values()) if weights else BUILDING_SHARE


def run_folder(task: Task, options: ClimbOptions) -> Path:
    """The folder of the newest climb of this very task with these options, or the one that it would get."""
    return _folder_of(quick_task(task) if options.quick else task, replace(options, again=False))


def _start(task: Task, engine: Engine, scorer: Scorer) -> System:
    start = System(model=task.model, base_url=task.base_url, abstention=_abstention(task))
    room = _room_for_answers(engine.model(start), task)
    return start.with_(decoding=Decoding(max_new_tokens=room, schema=schema_of(scorer)))


def _room_for_answers(model: Model, task: Task) -> int:
    """Tokens an answer may take: half as many again as the longest of up to 500 rows of train, at least 16, at most 512."""
    rows = [e for e in task.train if e.kind == "chat"][:500]
    empty = model.count_tokens([Message("user", "")])
    said = [m for e in rows for m in (*e.messages, e.target) if m.role == "assistant"]
    longest = max((model.count_tokens([Message("user", ""), m]) - empty for m in said), default=0)
    return min(512, max(16, longest * 3 // 2))


def run_folders(task_folder: Path) -> list[Path]:
    """The runs of a task, oldest first."""
    found = [p for p in (task_folder / "runs").glob("*") if p.name.isdigit()]
    return sorted(found, key=lambda p: int(p.name))


def load_result(run: Path) -> dict[str, Any]:
    """What `sadari climb --json` printed for a finished run.

    Raises:
        RunError: If the run is not finished or is damaged.
    """
    path = run / "report.json"
    if not path.is_file():
        raise RunError(f"{run}: no finished climb is here (no report.json). `sadari climb TASK` begins one, or finishes it.")
    try:
        result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunError(f"{path} is damaged ({error}). Delete it and run `sadari climb` again.") from error
    return result


def load_scorecard(run: Path) -> Scorecard:
    """The scorecard of the winner of a finished run."""
    steps = load_result(run)["steps"]
    assert isinstance(steps, list)
    index = max(i for i, step in enumerate(steps) if i == 0 or step["taken"])
    return read_json(run / "steps" / f"{index}-{steps[index]['rung']}" / "scorecard.json", Scorecard)


def test_of_run(run: Path, card: Scorecard) -> str | None:
    """The name of the test set that a run's scorecard was measured on (`looks.name_of_test`); None if no look was logged."""
    logged = read_log(run.parent / LOG, Look)
    return next((look.test for look in reversed(logged) if (look.run, look.scores) == (run.name, card.scores)), None)


def quick_task(task: Task) -> Task:
    """The task with few test and validation examples: those whose hashed ids come first, so the draw does not follow the file."""
    test, validation = _few(task.test, QUICK_TEST, task.seed), _few(task.validation, QUICK_VALIDATION, task.seed)
    return replace(task, test=test, validation=validation, audit=())


def scorer_of(task: Task) -> Scorer:
    """The scorer that the task names, or that its labels or references call for."""
    scoring: Any = "label" if task.labels and task.score.by == "auto" else task.score
    if task.tools and task.score.by == "auto":
        scoring = "task"  # a system with tools is judged by what it did, and by what it said then
    return choose_scorer(
        task.test,
        scoring,
        language=task.language,
        folder=task.folder,
        load=lambda name, url: load_model(located(name, task.folder), base_url=url),
    )


def _few(examples: Sequence[Example], most: int, seed: int) -> tuple[Example, ...]:
    drawn = sorted(examples, key=lambda e: hashlib.sha256(f"{seed}:{e.id}".encode()).digest())[:most]
    kept_ids = {e.id for e in drawn}
    return tuple(e for e in examples if e.id in kept_ids)


def _abstention(task: Task) -> str:
    """What the company's own rows most often say where the documents do not hold the answer."""
    said = Counter(e.reference.texts[0] for e in task.train if e.reference.abstain and e.reference.texts)
    return said.most_common(1)[0][0] if said else System(task.model).abstention


def _load(system: System) -> Model:
    return load_model(system.model, adapter=system.adapter, precision=system.precision, base_url=system.base_url)


def _config(task: Task, options: ClimbOptions) -> str:
    resolved = {
        "sadari": sadari.__version__,
        "task": task.config.model_dump(mode="json"),
        "options": {
            "quick": options.quick,
            **({"to_the_top": True} if options.to_the_top else {}),
            **({"start": digest(options.start)} if options.start is not None else {}),
        },
        "fingerprint": task.fingerprint,
        "model_files": _files_of(task.model),
    }
    return json.dumps(resolved, ensure_ascii=False, indent=2, sort_keys=True) + "\n"


def _files_of(model: str) -> str:
    """A hash of what stands behind the name of a local model, by the sizes and both ends of its files; "" for a remote one."""
    path = MINI_PATH if model == "mini" else Path(model.removeprefix("scripted:"))
    sha = hashlib.sha256()
    files = sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else [path] if path.is_file() else []
    for file in files:
        size = file.stat().st_size
        sha.update(f"{file.name} {size}\0".encode())
        with file.open("rb") as content:
            sha.update(content.read(ENDS))
            content.seek(max(0, size - ENDS))
            sha.update(content.read())
    return sha.hexdigest()[:16] if files else ""


def _folder_of(task: Task, options: ClimbOptions) -> Path:
    runs = run_folders(task.folder)
    config = _config(task, options)
    for run in reversed(runs):
        path = run / "config.json"
        if path.is_file() and path.read_bytes() == config.encode():
            if options.again and (run / "report.json").is_file():
                break
            return run
    number = int(runs[-1].name) + 1 if runs else 1
    return task.folder / "runs" / str(number)


@contextlib.contextmanager
def _only_climb(runs: Path) -> Iterator[None]:
    try:
        runs.mkdir(parents=True, exist_ok=True)
        handle = (runs / ".lock").open("a+")
    except OSError as error:
        raise RunError(f"{runs} cannot be written: {error.strerror}. Copy the task to a folder of yours.") from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            raise RunError(
                f"another climb (process {handle.read().strip() or 'unknown'}) is at work in {runs}. Wait for it, or stop it."
            ) from None
        except OSError as error:
            raise RunError(f"{runs} cannot be locked: {error.strerror}. Copy the task to a local disk.") from error
        try:
            handle.truncate(0)
            handle.write(str(os.getpid()))
            handle.flush()
        except OSError as error:
            raise RunError(f"{runs} cannot be written: {error.strerror}. Free space, then run the same command again.") from error
        yield


def _sweep(folder: Path) -> None:
    """Remove drafts that a killed process left."""
    if folder.is_dir():
        for draft in list(folder.rglob(".*.tmp")):
            shutil.rmtree(draft) if draft.is_dir() else draft.unlink(missing_ok=True)


def _write_documents(task: Task, folder: Path) -> Path | None:
    if not task.documents:
        return None
    path = folder / "documents.jsonl"
    if not path.exists():
        write_lines(path, task.documents, Document)
    return path


def _write_toolbox(task: Task, folder: Path) -> Path | None:
    """The file by which a system opens the task's tools; None if it has none."""
    if not task.tools:
        return None
    declared = tuple((tool.kind, tool.options) for tool in task.tools)
    box = Toolbox(folder=str(task.folder.resolve()), language=task.language, tools=declared, agent=agent_config(task.config.agent))
    path = folder / "toolbox.json"
    write_text(path, box.model_dump_json(indent=2) + "\n")
    return path


def _write_predictions(folder: Path, step: Step, task: Task, measurer: Measurer) -> None:
    path = folder / "predictions" / f"{step.index}-{step.rung}.jsonl"
    if not path.exists():
        card = served(step.scorecard)
        answers, _ = measurer.answers(step.rung, step.built.system, task.test)
        rows = [Prediction(*row) for row in zip(card.ids, answers, card.scores, card.reasons, strict=True)]
        write_lines(path, rows, Prediction)


def _run_data(climbed: Climbed, options: ClimbOptions, scorer: Scorer) -> RunData:
    task, steps, folder = climbed.task, climbed.steps, climbed.folder
    rows = read_lines(folder / "predictions" / f"{climbed.winner}-{climbed.best.rung}.jsonl", Prediction)
    return RunData(
        run=str(folder),
        task=str(task.folder),
        goal=task.goal,
        language=task.language,
        currency=task.money.currency,
        priced=is_priced(task.money, climbed.steps[0].scorecard.device),
        scorer=scorer.name,
        steps=tuple(steps),
        winner=climbed.winner,
        bundle=str(folder / "best"),
        end_reason=steps[-1].ends,
        failing=failing_examples(served(climbed.best.scorecard), task.test, [row.answer for row in rows]),
        seconds=sum(s.built.cost.seconds + _measuring_s(s.scorecard) for s in steps),
        config=_told(task, options),
        rungs=len(task.ladder),
    )


def _measuring_s(card: Scorecard) -> float:
    return len(card.ids) * max(1, len(card.by_seed)) / (card.throughput or math.inf)


def _told(task: Task, options: ClimbOptions) -> dict[str, str]:
    told = {name: str(count) for name, count in task.counts.items() if count}
    told |= {"model": task.model, "rule": task.score.rule, "seed": str(task.seed), "sadari": sadari.__version__}
    if options.quick:
        told["quick"] = f"{QUICK_TEST} test, {QUICK_VALIDATION} validation examples, {QUICK_TIME_S:.0f} s of building"
    return {name: text for name, text in told.items() if text} | {f"note {i}": note for i, note in enumerate(task.notes, 1)}


def open_engine() -> ActingEngine:
    """What answers and acts for systems on this machine."""
    return ActingEngine(_load)


def open_answerer(system: System) -> Answerer:
    """The system, loaded and ready to answer."""
    return open_engine().answerer(system)


def evaluate_system(system: System, task: Task, tell: Tell) -> Scorecard:
    """The scorecard of `system` on the task's test set; a system without an instruction is asked with the task's goal."""
    engine = ActingEngine(_load)
    with TemporaryDirectory() as folder:
        measurer = Measurer(engine, scorer_of(task), task, Path(folder), tell)
        card = measurer.in_batches("eval", _told_the_goal(system, task, engine), task.test)
    try:
        log_look(task.folder / "runs", EVAL, name_of_test(task.test, card.scorer), card)
    except RunError as error:
        tell(f"this look at the test set is not logged: {error}")
    return card


def answer_test(system: System, task: Task, tell: Tell) -> list[Answer]:
    """What `system`, asked as `evaluate_system` asks it, says to the task's test set."""
    engine = ActingEngine(_load)
    with TemporaryDirectory() as folder:
        measurer = Measurer(engine, scorer_of(task), task, Path(folder), tell)
        return measurer.answers("compare", _told_the_goal(system, task, engine), task.test)[0]


def _told_the_goal(system: System, task: Task, engine: Engine) -> System:
    if system.prompt.instruction:
        return system
    prompt = Prompt(instruction=task.goal, labels=task.labels)
    room, schema = _room_for_answers(engine.model(system), task), schema_of(scorer_of(task))
    decoding = Decoding(max_new_tokens=room, choices=task.labels, schema=schema)
    return system.with_(prompt=prompt, decoding=decoding, abstention=_abstention(task))
