"""A server that serves a task follows what the task says is served.

Covered: a system is loaded and has generated before it answers anybody; what cannot be loaded is never served: the old one stays,
and the file says so; the end of the process at any moment leaves a file that names one system, which the next start serves; a
canary that does harm is ended without anybody looking.
Not covered: a system that loads and then answers badly; for that there is the canary.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from sadari.errors import RunError, SadariError
from sadari.serve.canary import Sides, Standing, Tally
from sadari.serve.options import ServeOptions
from sadari.serve.promotion import with_default
from sadari.serve.served import FILE, Choice, Served, Trial, change, read_served
from sadari.serve.service import Service, serve_loaded
from sadari.serve.serving import Loaded, Models, Serving, draw, load_system
from sadari.serve.signs import Sign, Signpost
from sadari.types import System

log = logging.getLogger(__name__)

LOOKS_S = 1.0
"""Seconds between two looks at the file."""

MACHINE = "sadari"
"""Who did what nobody asked for."""

Prepare = Callable[[System], System]


class Follower:
    """Keeps a service in step with its task."""

    clock: Callable[[], datetime] = staticmethod(lambda: datetime.now(UTC))
    """What time it is."""

    def __init__(self, service: Service, task: Path, models: Models, prepare: Prepare) -> None:
        self._service, self._stage, self.task = service, service.stage, task
        self._models, self._prepare = models, prepare
        self._seen: tuple[int, ...] = ()
        self._served = Served()
        self._tally: Tally | None = None
        self._exchanges = {"exchanged": 0, "failed": 0}
        self._signpost = Signpost(task)
        self._stopping, self._why = threading.Event(), ""
        self._thread = threading.Thread(target=self._follow, name="follower", daemon=True)
        self.sign = Sign(self._signpost.name, self._stage.current.digest, self._stage.current.version)
        self._tell()

    def start(self) -> None:
        """Look at the file again and again, in a thread."""
        self._thread.start()

    def close(self) -> None:
        """Look no more."""
        self._stopping.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(LOOKS_S)
        self._signpost.close()

    @property
    def standing(self) -> Standing | None:
        """How the canary does; None if there is none."""
        return self._tally.standing if self._tally is not None else None

    def collect(self) -> Iterator[Metric]:
        """The same as metrics."""
        swaps = CounterMetricFamily("sadari_exchanges", "Systems that were exchanged, or could not be loaded.", labels=["end"])
        for end, count in self._exchanges.items():
            swaps.add_metric([end], count)
        yield swaps
        standing = self.standing
        if standing is None:
            return
        seen = GaugeMetricFamily("sadari_canary_conversations", "Conversations that count.", labels=["side"])
        mean = GaugeMetricFamily("sadari_canary_outcome", "Their mean outcome.", labels=["side"])
        for side, count, value in (
            ("candidate", standing.candidate, standing.candidate_mean),
            ("incumbent", standing.incumbent, standing.incumbent_mean),
        ):
            seen.add_metric([side], count)
            mean.add_metric([side], value)
        ends = GaugeMetricFamily("sadari_canary_difference", "Interval of the difference, at all looks.", labels=["end"])
        ends.add_metric(["low"], standing.low)
        ends.add_metric(["high"], standing.high)
        yield from (seen, mean, ends)

    # --- following ---------------------------------------------------------------------------------------------------

    def _follow(self) -> None:
        while not self._stopping.wait(LOOKS_S):
            try:
                self.look()
            except Exception:  # whatever it is, what is served goes on being served
                log.exception("what the task says is served could not be followed")

    def look(self) -> None:
        """Look once: exchange what is to be exchanged, and judge the canary."""
        path = self.task / FILE
        stat = path.stat() if path.exists() else None
        seen = (stat.st_mtime_ns, stat.st_ino, stat.st_size) if stat is not None else ()
        if seen != self._seen:
            self._seen = seen  # first: a file that cannot be read is told once
            self._served = read_served(self.task)
            self._take_now(self._served)
            self._take_canary(self._served.canary)
        self._judge(self._served.canary)

    def _take_now(self, served: Served) -> None:
        now, candidate = served.now, self._stage.candidate
        if now is None or now.digest == self._stage.current.digest:
            return
        new = candidate if candidate is not None and candidate.digest == now.digest else self._load(now)
        if new is None:
            self._go_back(now)
            self._tell(loading="", failed=now.key, why=self._why)
            return
        old = self._stage.current
        self._stage.exchange(new)
        self._tally = None
        self._exchanges["exchanged"] += 1
        log.warning("%s (%s) is served now, in place of %s", now.bundle, new.version, old.version)
        self._tell(digest=new.digest, version=new.version, candidate="")
        self._ask_anew()

    def _load(self, choice: Choice) -> Serving | None:
        """A system, loaded and warm; None if it cannot be."""
        self._tell(loading=choice.digest)
        loaded: Loaded | None = None
        try:
            loaded = load_system(self._prepare(choice.load(self.task)), self._models, choice.digest)
            if loaded.model is not self._stage.current.model:
                self._service.add_adapters(loaded.model)
            loaded.warm_up()
            serving = loaded.on(self._service.log)
        except Exception as error:  # of libraries too: memory, drivers, damaged weights
            if loaded is not None:
                loaded.close()
            why = str(error) if isinstance(error, SadariError) else f"{type(error).__name__}: {error}"
            self._exchanges["failed"] += 1
            log.error("%s cannot be loaded, what was served stays: %s", choice.bundle, why)
            self._why = why
            return None
        self._tell(loading="")
        return serving

    def _go_back(self, choice: Choice) -> None:
        """Say in the file that a system could not be loaded, so that it names the one that is served."""
        why = self._why

        def edit(served: Served) -> Served:
            if served.now is None or served.now.digest != choice.digest or not served.before:
                return served
            return served.rolled_back(MACHINE, f"could not be loaded: {why}", "not loaded")

        change(self.task, edit)

    def _ask_anew(self) -> None:
        """Requests for approval that other versions made are made again by the one that answers now."""
        desk = self._service.desk
        for entry in self._service.log.runs(status="waiting"):
            with suppress(SadariError):  # somebody works on it, and asks anew
                version = desk.loop.state(entry.run).agent
                if not entry.parent and version != self._stage.for_run(version).version:
                    for _ in desk.go_on(desk.last_question(entry.run)):
                        pass

    # --- the canary --------------------------------------------------------------------------------------------------

    def _take_canary(self, trial: Trial | None) -> None:
        stage, wanted = self._stage, trial.choice.digest if trial is not None else ""
        if stage.candidate is not None and stage.candidate.digest != wanted:
            stage.end_trial()
            self._tally = None
            self._tell(candidate="")
            log.warning("the canary has ended")
            self._ask_anew()
        if trial is None or wanted == stage.current.digest:
            return
        draws = draw(trial.share, wanted, trial.unit)
        if stage.candidate is not None:
            stage.try_out(stage.candidate, draws)  # another share
        elif (candidate := self._load(trial.choice)) is not None:
            stage.try_out(candidate, draws)
            log.warning(
                "%s (%s) is tried on %.0f %% of new conversations", trial.choice.bundle, candidate.version, 100 * trial.share
            )
        else:
            self._end(trial, "could not be loaded: " + self._why)
            self._tell(loading="", failed=trial.choice.key, why=self._why)
            return
        assert stage.candidate is not None
        self._tell(candidate=wanted)
        sides = Sides(stage.current.version, stage.candidate.version, trial.choice.at)
        tally = Tally(self._service.log, sides, trial.settle_s, trial.margin)
        if self._tally is None or not self._tally.is_like(tally):
            self._tally = tally

    def _judge(self, trial: Trial | None) -> None:
        """End a canary that does harm; say when one is safe."""
        if trial is None or self._tally is None:
            return
        standing = self._tally.look(self.clock())
        if standing.finding == "harm":
            log.warning("the canary does harm and is ended: %s", standing.words)
            self._end(trial, standing.words, is_harm=True)
        elif standing.finding == "safe" and trial.is_auto:
            log.warning("the canary is not worse and is promoted: %s", standing.words)
            choice = replace(trial.choice, check=f"{trial.choice.check}; canary: {standing.words}")
            self._change(trial, lambda served: served.promoted(choice, standing.words))
        elif standing.finding == "safe" and trial.finding != "safe":
            self._change(trial, lambda served: served.found_safe(standing.words))

    def _end(self, trial: Trial, why: str, *, is_harm: bool = False) -> None:
        self._change(trial, lambda served: served.ended("canary harmful" if is_harm else "not loaded", MACHINE, why))

    def _change(self, trial: Trial, edit: Callable[[Served], Served]) -> None:
        """Change the file, unless the canary is another one by now; and act on it."""

        def guarded(served: Served) -> Served:
            is_same = served.canary is not None and served.canary.choice == trial.choice
            return edit(served) if is_same else served

        change(self.task, guarded)
        self.look()

    # --- telling -----------------------------------------------------------------------------------------------------

    def _tell(self, **changed: str) -> None:
        self.sign = replace(self.sign, **changed)
        self._signpost.write(self.sign)


def open_task(task: Path, options: ServeOptions, prepare: Prepare = lambda system: system) -> Service:
    """What a task serves, ready to be served, and followed when it changes.

    A chosen system that cannot be loaded is put aside for the one before, and the file says so.

    Args:
        prepare: What is done to every system before it is loaded.

    Raises:
        RunError: If nothing was chosen and no climb is finished, or a bundle was changed.
        SadariError: If nothing that was chosen can be loaded.
    """
    models = Models()
    choice, loaded = _load_first(task, models, prepare)
    service = serve_loaded(loaded, options)
    service.follower = follower = Follower(service, task, models, prepare)
    service.metrics.add(follower)
    follower.start()
    log.info("%s (%s) is served, chosen by %s", choice.bundle, choice.digest, choice.by)
    return service


def _load_first(task: Path, models: Models, prepare: Prepare) -> tuple[Choice, Loaded]:
    while True:
        served = with_default(task, read_served(task))
        now = served.now
        if now is None:
            raise RunError(f"{task} holds neither a bundle nor a finished climb. `sadari climb TASK` begins one, or finishes it.")
        try:
            system = now.load(task)
        except SadariError as error:
            failure: Exception = error
        else:
            system = prepare(system)
            try:
                return now, load_system(system, models, now.digest)
            except Exception as error:  # of libraries too: drivers, damaged weights
                failure = error
        if not served.before:
            raise failure
        why = f"could not be loaded: {failure}"
        log.error("%s %s; what was served before is served", now.bundle, why)
        change(task, partial(_put_aside, choice=now, why=why))


def _put_aside(served: Served, choice: Choice, why: str) -> Served:
    is_same = served.now is not None and served.now.digest == choice.digest
    return served.rolled_back(MACHINE, why, "not loaded") if is_same else served
