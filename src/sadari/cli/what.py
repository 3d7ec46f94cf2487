"""What a person may point a verb at: a bundle, a run, a task with a finished climb, or the name of a model."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from sadari.bundle import SYSTEM_FILE, load_bundle
from sadari.errors import ConfigError, DataError, RunError
from sadari.types import Scorecard, System

if TYPE_CHECKING:
    from sadari.task import Task


def system_of(what: str) -> System:
    """The System that `what` stands for.

    Args:
        what: A bundle folder; a run folder (its winner); a task folder (the winner of its newest finished climb); "mini",
            "openai:NAME", or a folder or name of a model, which then answers as it is.

    Raises:
        RunError: If the folder holds none of these.
    """
    from sadari.run import run_folders

    folder = Path(what)
    if (folder / SYSTEM_FILE).is_file():
        return load_bundle(folder)
    if (folder / "best" / SYSTEM_FILE).is_file():
        return load_bundle(folder / "best")
    finished = [run for run in run_folders(folder) if (run / "report.json").is_file()] if folder.is_dir() else []
    if finished:
        return load_bundle(finished[-1] / "best")
    if (folder / "steps").is_dir() or (folder.is_dir() and not (folder / "config.json").is_file()):
        raise RunError(f"{what} holds neither a bundle nor a finished climb. `sadari climb TASK` begins one, or finishes it.")
    return System(model=what)


def with_index(system: System, index: str | None) -> System:
    """The system looking up in an index, if one is given.

    Raises:
        ConfigError: If it looks up no documents.
    """
    if index is None:
        return system
    if system.retrieval is None or system.retrieval.source != "documents":
        raise ConfigError("--index: this system looks up no documents. Climb with `documents:` and the rung `retrieval` first.")
    return system.with_(index=index if "://" in index else str(Path(index).resolve()))


def scorecard_of(what: str, task: "Task | None", tell: Callable[[str], None]) -> tuple[Scorecard, str | None]:
    """The scores that `what` holds (a file of `sadari eval --json`, the winner of a finished climb), else measured now.

    And the name of the test set they belong to (`looks.name_of_test`), if that is known.

    Raises:
        ConfigError: If they would have to be measured, and there is no task to measure on.
        DataError: If the file holds no scorecard.
    """
    from sadari.looks import name_of_test
    from sadari.run import evaluate_system, load_scorecard, run_folders, test_of_run

    folder = Path(what)
    if folder.is_file():
        return _read_scorecard(folder)
    runs = (folder, *reversed(run_folders(folder))) if folder.is_dir() else ()
    finished = [run for run in runs if (run / "report.json").is_file()]
    if finished:
        card = load_scorecard(finished[0])
        return card, test_of_run(finished[0], card)
    if task is None:
        raise ConfigError(f"{what} holds no scores, and there is no task to measure it on. Name one: --task FOLDER.")
    card = evaluate_system(system_of(what), task, tell)
    return card, name_of_test(task.test, card.scorer)


def _read_scorecard(path: Path) -> tuple[Scorecard, str | None]:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        scores = {str(name): float(score) for name, score in kept["scores"].items()}
        groups = tuple(str(group) for group in kept.get("groups", ()))
        if groups and len(groups) != len(scores):
            raise ValueError(f"{len(groups)} groups of {len(scores)} scores")
        card = Scorecard(
            rung=path.stem,
            scorer=str(kept["scorer"]),
            ids=tuple(scores),
            scores=tuple(scores.values()),
            reasons=("",) * len(scores),
            latencies_s=(),
            prompt_tokens=(),
            completion_tokens=(),
            failures=int(kept["failures"]),
            low=float(kept["quality_low"]),
            high=float(kept["quality_high"]),
            throughput=float(kept["throughput"]),
            cost_per_request=float(kept["cost_per_1000_requests"] or 0.0) / 1000,
            groups=groups,
        )
        return card, kept.get("test")
    except (ValueError, OverflowError, KeyError, TypeError, AttributeError, RecursionError, OSError) as error:
        raise DataError(
            f"{path} holds no scorecard ({error}). Write one: sadari eval BUNDLE --task TASK --json > {path}"
        ) from error


LOG_FILE = "agent-log.sqlite"
"""Where the agent of a task writes what it does, in the task's folder."""


def log_of(what: str) -> str:
    """Where the log is that `what` stands for: a file or a postgresql:// address itself; else that of the task around a folder."""
    if "://" in what or Path(what).is_file():
        return what
    from sadari.task.config import TASK_FILE

    folder = Path(what).resolve()
    home = next((f for f in (folder, *folder.parents) if (f / TASK_FILE).is_file()), folder)
    return str(home / LOG_FILE)
