"""Choosing what is served: what is checked before, and what is then written down.

Covered: a bundle that is not what its climb measured, that the climb did not take, that no climb measured, or that is proven worse
than what is served is chosen only with `force`, and the reasons are written down; tools that would be missing are told.
Not covered: whether the test set is like what users ask. For that there is the canary.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from sadari.agent.config import Toolbox
from sadari.bundle import digest, load_bundle
from sadari.errors import ConfigError, RunError, SadariError
from sadari.files import read_json
from sadari.measure.gate import GateRule, gate
from sadari.serve.served import MARGIN, SETTLE_S, Choice, Served, Trial, change, chosen, read_served, winners
from sadari.serve.signs import servers_of
from sadari.types import Built, Scorecard, System, Verdict


@dataclass(frozen=True, slots=True)
class Wanted:
    """A promotion that somebody asks for.

    Args:
        bundle: Folder of a bundle or a run; None for the canary's, else the winner of the newest climb.
        share: Of new conversations, for a canary; None serves it to all.
        force: Choose it though a check says no.
    """

    bundle: Path | None = None
    by: str = ""
    force: bool = False
    share: float | None = None
    margin: float = MARGIN
    unit: Literal["user", "conversation"] = "user"
    is_auto: bool = False
    settle_s: float = SETTLE_S


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found of a bundle.

    Args:
        problems: Why it should not be served; each needs `force`.
        notes: What a person should know.
        measured: What its climb found, in one line; "" if none measured it.
    """

    choice: Choice
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    measured: str


def promote(task: Path, wanted: Wanted) -> tuple[Served, Checked]:
    """Check a bundle and choose it.

    Raises:
        ConfigError: If a check says no and `force` is not set, or it is served already.
        RunError: If there is no such bundle.
    """
    served = with_default(task, read_served(task))
    folder = _folder(task, wanted.bundle, served)
    checked = check(task, folder, served, wanted.by)
    now, trial = served.now, served.canary
    if now is not None and (now.by or wanted.share is not None) and now.digest == checked.choice.digest:
        raise ConfigError(f"{checked.choice.bundle} ({now.digest}) is what is served, since {now.at[:19]}.")
    if wanted.share is not None and trial is not None and trial.choice.digest == checked.choice.digest:
        raise ConfigError(f"{checked.choice.bundle} is the canary already. `sadari rollback` ends it, `sadari promote` takes it.")
    if wanted.share is not None and now is None:
        raise ConfigError("nothing is served that a canary could stand beside. Promote it to all: leave --canary out.")
    if checked.problems and not wanted.force:
        why = "\n".join(f"- {problem}" for problem in checked.problems)
        raise ConfigError(
            f"{checked.choice.bundle} is not promoted:\n{why}\nSay --force to serve it nevertheless; that is written down."
        )
    forced = f"forced although {'; '.join(checked.problems)}" if checked.problems else ""
    choice = replace(checked.choice, check="; ".join(filter(None, (checked.measured, forced))))

    def edit(found: Served) -> Served:
        found = with_default(task, found)
        if wanted.share is None:
            return found.promoted(choice, choice.check)
        return found.tried(Trial(choice, wanted.share, wanted.margin, wanted.unit, wanted.is_auto, wanted.settle_s))

    return change(task, edit), replace(checked, choice=choice)


def roll_back(task: Path, by: str, why: str = "") -> Served:
    """End the canary if there is one; else go back to what was served before.

    Raises:
        ConfigError: If nothing was.
        RunError: If the bundle that was served before is gone or was changed.
    """

    def edit(served: Served) -> Served:
        if served.canary is not None:
            return served.ended("canary ended", by, why)
        after = served.rolled_back(by, why)
        assert after.now is not None
        after.now.load(task)
        return after

    return change(task, edit)


def with_default(task: Path, served: Served) -> Served:
    """The same; where nothing was chosen yet, what a server answers with, else the winner of the newest climb."""
    found = winners(task) if served.now is None else []
    if not found:
        return served
    choices = (chosen(task, winner) for winner in found)
    answering = {sign.digest for sign in servers_of(task)}
    choice = next((one for one in choices if one.digest in answering), None) if answering else None
    return replace(served, now=replace(choice or chosen(task, found[0]), by=""))


def _folder(task: Path, asked: Path | None, served: Served) -> Path:
    if asked is not None:
        return asked / "best" if (asked / "best").is_dir() else asked
    if served.canary is not None:
        return task / served.canary.choice.bundle
    found = winners(task)
    if not found:
        raise RunError(f"{task} holds no finished climb whose winner could be served. `sadari climb {task}` makes one.")
    return found[0]


def check(task: Path, folder: Path, served: Served, by: str = "") -> Checked:
    """What is known of a bundle, against what is served.

    Raises:
        RunError: If it is none.
    """
    choice = chosen(task, folder, by)
    system = load_bundle(folder)
    problems, notes = list[str](), list[str]()
    step = _step_of(folder, choice.digest)
    measured = ""
    if isinstance(step, str):
        problems.append(step)
    else:
        measured = f"climb {step.name}: {step.card.quality:.1%} of {len(step.card.ids)}, {step.verdict.reason}"
        if not step.verdict.taken:
            problems.append(f"the ladder did not take it ({step.verdict.reason})")
    if served.now is not None and served.now.digest != choice.digest:
        notes += _lost_tools(task, served.now, system)
        old = _step_of(task / served.now.bundle, served.now.digest)
        if not isinstance(old, str) and not isinstance(step, str):
            worse, told = _against(old.card, step.card)
            problems += worse
            notes += told
    return Checked(choice, tuple(problems), tuple(notes), measured)


@dataclass(frozen=True, slots=True)
class _Step:
    """One step of a climb, as its run keeps it."""

    name: str
    card: Scorecard
    verdict: Verdict


def _step_of(bundle: Path, found: str) -> _Step | str:
    """The step of the climb that made a bundle, told by its digest; else why there is none."""
    run = bundle.resolve().parent
    if not (run / "report.json").is_file():
        return "no climb has measured it"
    moved = False
    for place in reversed(sorted((run / "steps").glob("*-*"), key=lambda p: int(p.name.partition("-")[0]))):
        try:
            system = read_json(place / "built.json", Built).system
            moved = moved or any(not part.exists() for part in _parts(system))
            if digest(system) == found:
                card, verdict = read_json(place / "scorecard.json", Scorecard), read_json(place / "verdict.json", Verdict)
                return _Step(f"{run.name} {place.name.partition('-')[2]}", card, verdict)
        except SadariError as error:
            return f"its climb cannot be read ({error})"
    if moved:
        return f"the files that climb {run.name} measured are no longer where they were, so nobody can say that this is it"
    return f"it is not what climb {run.name} measured: its files were changed"


def _parts(system: System) -> list[Path]:
    return [part for part in (system.adapter, system.documents, system.examples, system.toolbox) if part is not None]


def _against(old: Scorecard, new: Scorecard) -> tuple[list[str], list[str]]:
    """What speaks against replacing one by the other, and how they compare."""
    if old.ids != new.ids or old.scorer != new.scorer:
        return [], ["it was measured on other examples than what is served: `sadari compare` sets the two side by side"]
    try:
        checks = gate(old, new, GateRule())
    except RunError as error:
        return [], [str(error)]
    failed = [f"it is proven worse than what is served ({one.name}: {one.message})" for one in checks if not one.passed]
    return failed, [f"what is served: {old.quality:.1%} of the same examples"]


def _lost_tools(task: Path, now: Choice, system: System) -> list[str]:
    try:
        had = _tools(load_bundle(task / now.bundle))
    except SadariError:
        return ["what is served cannot be read any more, so its tools are not compared"]
    lost = [tool for tool in had if tool not in _tools(system)]
    return [f"it lacks tools of what is served: {', '.join(f'{kind} {options}'.strip() for kind, options in lost)}"] if lost else []


def _tools(system: System) -> Sequence[tuple[str, Any]]:
    return read_json(system.toolbox, Toolbox).tools if system.toolbox is not None else ()
