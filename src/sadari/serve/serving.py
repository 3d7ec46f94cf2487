"""Which system answers, and how it is exchanged while requests are under way.

Covered: a request is answered to its end by the system that it began with; a new system answers nothing before it is loaded and has
generated; an old one is closed after its last request; a run goes on with the version that answered it before, while that is there.
Not covered: what the log says of a run that changes its version, and what becomes of approvals (`sadari.agent.loop`).
"""

import hashlib
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from secrets import token_hex
from weakref import WeakValueDictionary

from sadari.acting import Acting, ActingEngine
from sadari.agent.log import Log
from sadari.agent.loop import Loop
from sadari.bundle import digest
from sadari.errors import ModelError
from sadari.mini import MINI_PATH
from sadari.model import load_model
from sadari.retrieve.embed import BUNDLED
from sadari.types import Message, Model, Request, System

SPARE = 1.2
"""Memory that a model needs, as a multiple of its files."""


@dataclass(frozen=True, eq=False)
class Serving:
    """A system that is loaded and ready to answer.

    Args:
        loop: Who answers as the agent.
        model: Who answers as the raw model.
        digest: Of the system; "" for one that stands in no bundle.
        embedder: Name of the embedder that it searches with.
        close: Lets go of what its tools hold.
        system: What it was loaded from, whose documents are shown behind citations.
    """

    loop: Loop
    model: Model
    digest: str = ""
    embedder: str = BUNDLED
    close: Callable[[], None] = lambda: None
    system: System | None = None

    @cached_property
    def version(self) -> str:
        """Of the agent: what a run is pinned to."""
        return self.loop.agent.version


class Stage:
    """The system that answers, and the one that is tried beside it."""

    def __init__(self, current: Serving) -> None:
        self.current = current
        self.candidate: Serving | None = None
        self._draws: Callable[[str], bool] = lambda user: False
        self._lock = threading.Lock()
        self._uses, self._leaving = Counter[Serving](), set[Serving]()

    # --- who answers -------------------------------------------------------------------------------------------------

    def for_user(self, user: str) -> Serving:
        """Who answers a new conversation."""
        candidate = self.candidate
        return candidate if candidate is not None and self._draws(user) else self.current

    def for_run(self, version: str) -> Serving:
        """Who goes on with a run that `version` answered before: that one if it is there, else the current one."""
        candidate = self.candidate
        return candidate if candidate is not None and candidate.version == version else self.current

    @contextmanager
    def using(self, wanted: Serving | None = None) -> Iterator[Serving]:
        """Hold a system until the block ends; the current one if `wanted` has left meanwhile."""
        with self._lock:
            serving = wanted if wanted is not None and wanted in (self.current, self.candidate) else self.current
            self._uses[serving] += 1
        try:
            yield serving
        finally:
            with self._lock:
                self._uses[serving] -= 1
                is_last = self._end_if_last(serving)
            if is_last:
                serving.close()

    # --- exchanging --------------------------------------------------------------------------------------------------

    def exchange(self, new: Serving) -> None:
        """Let `new` answer from the next request on; the others are closed after their last."""
        self._set(new, None)

    def try_out(self, candidate: Serving, draws: Callable[[str], bool]) -> None:
        """Give the new conversations of those users to `candidate` for whom `draws` says so."""
        self._draws = draws
        self._set(self.current, candidate)

    def end_trial(self) -> None:
        """Give all new conversations to the current one again."""
        self._set(self.current, None)

    def close(self) -> None:
        """Let go of all, whatever is under way."""
        with self._lock:
            held = {self.current, *self._leaving, *([self.candidate] if self.candidate is not None else [])}
            self._leaving.clear()
        for serving in held:
            serving.close()

    def _set(self, current: Serving, candidate: Serving | None) -> None:
        with self._lock:
            old = {self.current, self.candidate} - {None, current, candidate}
            self.current, self.candidate = current, candidate
            self._leaving |= {one for one in old if one is not None}
            done = [one for one in old if one is not None and self._end_if_last(one)]
        for one in done:
            one.close()

    def _end_if_last(self, serving: Serving) -> bool:
        """Whether it has left, and nobody uses it any more."""
        if self._uses[serving]:
            return False
        del self._uses[serving]
        if serving not in self._leaving:
            return False
        self._leaving.discard(serving)
        return True


def draw(share: float, salt: str, unit: str) -> Callable[[str], bool]:
    """Who is drawn for a canary: a user once and for all, or each conversation by itself.

    Where no keys are asked for everybody is "local", so that conversations are drawn there.
    """

    def draws(user: str) -> bool:
        drawn = user if unit == "user" and user != "local" else token_hex(8)
        number = int.from_bytes(hashlib.sha256(f"{salt} {drawn}".encode()).digest()[:8])
        return number < share * 2**64

    return draws


# --- loading -------------------------------------------------------------------------------------------------------------


class Models:
    """Models that are loaded: systems that speak with the same one share it."""

    def __init__(self) -> None:
        self._held: WeakValueDictionary[str, Model] = WeakValueDictionary()

    def load(self, system: System) -> Model:
        """The model of a system.

        Raises:
            ModelError: If it cannot be loaded, or there is no room for it.
        """
        named = System(system.model, adapter=system.adapter, precision=system.precision, base_url=system.base_url)
        key = digest(named)
        held = self._held.get(key)
        if held is None:
            if self._held:
                check_room(named)
            held = load_model(system.model, adapter=system.adapter, precision=system.precision, base_url=system.base_url)
            self._held[key] = held
        return held


@dataclass(frozen=True, slots=True)
class Loaded:
    """A system with its model and its tools, before it is put on a log."""

    acting: Acting
    model: Model
    digest: str
    embedder: str
    close: Callable[[], None]
    system: System

    def on(self, log: Log) -> Serving:
        """The same, ready to answer."""
        return Serving(Loop(self.acting.on(log), log), self.model, self.digest, self.embedder, self.close, self.system)

    def warm_up(self) -> None:
        """Let it generate once.

        Raises:
            ModelError: If it does not.
        """
        (made,) = self.model.generate([Request((Message("user", "안녕하세요"),), max_new_tokens=1)])
        if made.finish == "error":
            raise ModelError(f"{self.model.name} was loaded, but does not generate: {made.error}")


def load_system(system: System, models: Models, named: str = "") -> Loaded:
    """A system with everything it needs, so that what cannot be loaded leaves nothing behind.

    Args:
        named: Its digest as it was chosen.

    Raises:
        SadariError: If it cannot be loaded; nothing of it is held then.
    """
    engine = ActingEngine(models.load)
    embedder = (system.retrieval.embedder if system.retrieval is not None else "") or BUNDLED
    try:
        acting, model = engine.acting(system), engine.model(system)
        acting.on(Log(""))  # what is wrong with the agent is told now
        return Loaded(acting, model, named, embedder, engine.close, system)
    except BaseException:
        engine.close()
        raise


def check_room(system: System) -> None:
    """Refuse a model that would not fit beside what is loaded, before the system ends the process for it.

    Raises:
        ModelError: Says how much is needed and how much there is.
    """
    needed, free = SPARE * _size(system), _free()
    if needed > free:
        raise ModelError(
            f"{system.model} needs about {needed / 2**30:.1f} GiB, but {free / 2**30:.1f} GiB are free beside what is served. "
            "Stop the server and start it again: it then loads this one alone."
        )


def _size(system: System) -> int:
    """Bytes of the files of a model that lies on this machine; 0 for any other."""
    folders = [MINI_PATH if system.model == "mini" else Path(system.model), *([system.adapter] if system.adapter else [])]
    files = (file for folder in folders if folder.is_dir() for file in folder.rglob("*") if file.is_file())
    return sum(file.stat().st_size for file in files)


def _free() -> float:
    """Bytes of memory that may still be taken."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        told = next(float(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
        return min([told, *_left_to_container()])
    except (OSError, StopIteration, ValueError):
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")) if hasattr(os, "sysconf") else float("inf")


def _left_to_container() -> list[float]:
    """Bytes that the control group leaves, if it limits them; what files take there is given back when it is needed."""
    group = Path("/sys/fs/cgroup")
    try:
        most = float((group / "memory.max").read_text())
        used = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        return [most - float(used.get("anon", 0)) - float(used.get("shmem", 0))]
    except (OSError, ValueError):
        return []
