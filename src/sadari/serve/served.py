"""What a task serves: `TASK/served.json` names the system, who chose it, when and after which check, and what was served before.

Covered: the file is whole or as it was, whatever crashes; of two who change it at once the second sees what the first did; a bundle
that was changed after it was chosen is not taken for the one that was checked; the way back is kept.
Not covered: who may write the file may choose what is served. The digest of a bundle says that it was not changed, not who made it.
"""

import fcntl
import getpass
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from sadari.bundle import SYSTEM_FILE, digest, load_bundle
from sadari.errors import ConfigError, RunError
from sadari.files import read_json, to_json, write_text
from sadari.types import System

FILE = "served.json"
_LOCK = ".served.lock"

MOST_BEFORE, MOST_HISTORY = 20, 200

MARGIN = 0.02
"""Loss in the mean outcome of a conversation that a canary may show: two points."""

SETTLE_S = 300.0
"""Seconds without a word after which a conversation counts as over."""

What = Literal["promoted", "rolled back", "not loaded", "canary begun", "canary ended", "canary harmful", "canary safe"]


@dataclass(frozen=True, slots=True)
class Choice:
    """A system that somebody chose.

    Args:
        bundle: Its folder, from the task's folder if it is in there.
        digest: Of the system and all its files (`sadari.bundle.digest`).
        by, at: Who chose it, and when (UTC, ISO 8601).
        check: What was known of it then.
    """

    bundle: str
    digest: str
    by: str = ""
    at: str = ""
    check: str = ""

    @property
    def key(self) -> str:
        """Tells it apart from an earlier choice of the same system."""
        return f"{self.digest} {self.at}"

    def load(self, task: Path) -> System:
        """The system, as it was chosen.

        Raises:
            RunError: If the bundle is gone, or is another one by now.
        """
        folder = task / self.bundle
        system = load_bundle(folder)
        if (found := digest(system)) != self.digest:
            raise RunError(
                f"{folder} was changed since it was chosen ({found}, not {self.digest}). Choose it anew: sadari promote {folder}"
            )
        return system


@dataclass(frozen=True, slots=True)
class Trial:
    """A canary: a system that a share of the conversations is given to.

    Args:
        share: Of new conversations, in (0, 1).
        margin: Loss in the mean outcome up to which it is not worse, in [0, 1).
        unit: What is drawn: a user, who then stays on one side, or each conversation by itself.
        is_auto: Whether it is promoted by itself once it is proven not to be worse.
        settle_s: Seconds without a word after which a conversation is over.
        finding: "safe" once that was found.
    """

    choice: Choice
    share: float
    margin: float = MARGIN
    unit: Literal["user", "conversation"] = "user"
    is_auto: bool = False
    settle_s: float = SETTLE_S
    finding: Literal["", "safe"] = ""

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ConfigError(f"the share of a canary is {self.share:g}: write more than 0% and less than 100%, as 10%.")
        if not 0 <= self.margin < 1:
            raise ConfigError(f"the margin of a canary is {self.margin:g}: it is a loss in mean outcome, from 0 up to 1.")


@dataclass(frozen=True, slots=True)
class Happened:
    """One line of the history."""

    at: str
    what: What
    bundle: str
    digest: str
    by: str
    why: str


@dataclass(frozen=True, slots=True)
class Served:
    """What is served.

    Args:
        now: None leaves it to the winner of the newest climb.
        before: What was served earlier, newest first: the way back.
        history: Everything that was done, oldest first.
    """

    now: Choice | None = None
    before: tuple[Choice, ...] = ()
    canary: Trial | None = None
    history: tuple[Happened, ...] = ()

    def promoted(self, choice: Choice, why: str = "") -> "Served":
        """The same with `choice` served, and the way back to what was."""
        before = (self.now, *self.before) if self.now is not None and self.now.digest != choice.digest else self.before
        return replace(self, now=choice, before=before[:MOST_BEFORE], canary=None)._with("promoted", choice, choice.by, why)

    def rolled_back(self, by: str, why: str = "", what: What = "rolled back") -> "Served":
        """The same with what was served before.

        Raises:
            ConfigError: If nothing was.
        """
        if self.now is None or not self.before:
            raise ConfigError(
                "nothing was served before: there is nothing to go back to. `sadari promote BUNDLE` chooses a system."
            )
        back, *older = self.before
        return replace(self, now=back, before=tuple(older), canary=None)._with(what, self.now, by, why)

    def tried(self, trial: Trial) -> "Served":
        """The same with a canary."""
        return replace(self, canary=trial)._with("canary begun", trial.choice, trial.choice.by, f"{trial.share:.0%}")

    def ended(self, what: What, by: str, why: str) -> "Served":
        """The same without its canary."""
        assert self.canary is not None
        return replace(self, canary=None)._with(what, self.canary.choice, by, why)

    def found_safe(self, why: str) -> "Served":
        """The same with the word that its canary is not worse."""
        assert self.canary is not None
        return replace(self, canary=replace(self.canary, finding="safe"))._with("canary safe", self.canary.choice, "sadari", why)

    def _with(self, what: What, choice: Choice, by: str, why: str) -> "Served":
        line = Happened(moment(), what, choice.bundle, choice.digest, by, why)
        return replace(self, history=(*self.history, line)[-MOST_HISTORY:])


def read_served(task: Path) -> Served:
    """What the task serves; nothing is chosen where there is no file.

    Raises:
        RunError: If the file is damaged.
    """
    path = task / FILE
    return read_json(path, Served) if path.exists() else Served()


def change(task: Path, edit: Callable[[Served], Served]) -> Served:
    """Change what is served; what is served from now on.

    Raises:
        RunError: If the file is damaged or cannot be written.
    """
    with _alone(task):
        before = read_served(task)
        after = edit(before)
        if after != before:
            write_text(task / FILE, to_json(after))
        return after


@contextmanager
def _alone(task: Path) -> Iterator[None]:
    try:
        lock = (task / _LOCK).open("a")
    except OSError as error:
        raise RunError(f"{task} cannot be written: {error.strerror}. What is served is kept there.") from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for draft in task.glob(f".{FILE}.*.tmp"):  # of a process that was killed while it wrote
            draft.unlink(missing_ok=True)
        yield


def chosen(task: Path, folder: Path, by: str = "", check: str = "") -> Choice:
    """The bundle in `folder` as it is now.

    Raises:
        RunError: If there is none.
    """
    where, home = folder.resolve(), task.resolve()
    bundle = str(where.relative_to(home)) if where.is_relative_to(home) else str(where)
    return Choice(bundle, digest(load_bundle(where)), by or user(), moment(), check)


def winners(task: Path) -> list[Path]:
    """The bundles of the climbs that were finished, newest first."""
    runs = sorted((p for p in (task / "runs").glob("*") if p.name.isdigit()), key=lambda p: -int(p.name))
    return [run / "best" for run in runs if (run / "report.json").is_file() and (run / "best" / SYSTEM_FILE).is_file()]


def moment() -> str:
    """Now, in UTC, as the log writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def user() -> str:
    """Who works at this machine."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a process without a name, as in a container
        return "somebody"
