"""The rows of one model, whoever asks: from several threads, under several adapters."""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from sadari.model.engine.probe import decoder_for
from sadari.model.engine.row import Row
from sadari.model.engine.scheduler import Counts, Limits, Scheduler
from sadari.model.prefix import VirtualPrefix
from sadari.model.weights import as_served


class Turns:
    """A lock that threads have in the order in which they ask for it; one thread may have it several times over.

    Of `threading.RLock`, whoever lets go and asks again at once is likely to have it again: rows of others would stand still.
    """

    def __init__(self) -> None:
        self._guard, self._asking = threading.RLock(), deque[tuple[int, threading.Lock]]()
        self._owner, self._depth = 0, 0

    def __enter__(self) -> None:
        me, mine = threading.get_ident(), threading.Lock()
        asking = (me, mine)
        mine.acquire()
        with self._guard:
            if self._owner in (0, me):
                self._owner, self._depth = me, self._depth + 1
                return
            self._asking.append(asking)
        try:
            mine.acquire()
        except BaseException:  # interrupted: the turn that was asked for is given on
            self._give_up(asking)
            raise

    def __exit__(self, *error: object) -> None:
        with self._guard:
            self._depth -= 1
            if self._depth == 0:
                self._pass_on()

    def _pass_on(self) -> None:
        self._owner = 0
        if self._asking:
            self._owner, theirs = self._asking.popleft()
            self._depth = 1
            theirs.release()

    def _give_up(self, asking: tuple[int, threading.Lock]) -> None:
        with self._guard:
            if asking in self._asking:
                self._asking.remove(asking)
            else:  # it was given meanwhile
                self._depth = 0
                self._pass_on()


class Engine:
    """Runs rows of one model to their end.

    Whoever waits for a row computes the next step for all of them; so there is no thread of its own, and nothing goes on when
    nobody waits. Threads take turns in the order in which they come: after a step, all who waited meanwhile learn what their rows
    have written, and rows come and go, before the next step begins.

    Args:
        make: The scheduler for rows under an adapter, None for those without one.
    """

    def __init__(self, make: Callable[[str | None], Scheduler]) -> None:
        self._make = make
        self._turn = Turns()
        self._schedulers: dict[str | None, Scheduler] = {}
        self._last: str | None = None

    def run(self, rows: Sequence[Row], adapter: str | None = None) -> None:
        """Compute until all rows are done; more rows than may wait are queued as others end."""
        left = sorted(rows, key=lambda row: row.tokens)
        if not left:
            return
        with self._turn:
            scheduler = self._scheduler(adapter)
        try:
            while left or not all(row.is_done for row in rows):
                with self._turn:
                    room = scheduler.limits.waiting - len(scheduler.waiting)
                    scheduler.submit(left[:room])
                    left = left[room:]
                    if not all(row.is_done for row in rows):  # another thread may have computed them
                        self._step()
        except BaseException:
            with self._turn:
                for row in rows:
                    scheduler.cancel(row)
            raise

    def submit(self, row: Row, adapter: str | None = None) -> None:
        """Queue a row; `advance` computes it.

        Raises:
            BusyError: If as many rows wait as may.
        """
        with self._turn:
            self._scheduler(adapter).submit([row])

    def advance(self, row: Row) -> tuple[list[int], bool]:
        """What the row has written, and whether it is done; computes a step first if it has written nothing since the last call."""
        with self._turn:
            if not row.is_done and row.written == row.told:  # another thread may have computed more of it
                self._step()
            row.told = row.written
            return row.out, row.is_done

    def cancel(self, row: Row, adapter: str | None = None) -> None:
        """Drop a row; its place is free at once."""
        with self._turn:
            self._scheduler(adapter).cancel(row)

    def counts(self, adapter: str | None = None) -> Counts:
        """What was done so far under an adapter."""
        with self._turn:
            scheduler = self._schedulers.get(adapter)
            return scheduler.counts if scheduler is not None else Counts()

    def _scheduler(self, adapter: str | None) -> Scheduler:
        if adapter not in self._schedulers:
            with self._computing(adapter):
                self._schedulers[adapter] = self._make(adapter)
        return self._schedulers[adapter]

    def _step(self) -> None:
        """One step under the adapter whose turn it is: none waits for another's rows to end."""
        busy = [adapter for adapter, scheduler in self._schedulers.items() if not scheduler.is_idle]
        later = busy[busy.index(self._last) + 1 :] if self._last in busy else []
        self._last = (later or busy)[0]
        with self._computing(self._last):
            self._schedulers[self._last].step()

    @contextmanager
    def _computing(self, adapter: str | None) -> Iterator[None]:
        """While something is computed under an adapter."""
        yield


_UNKNOWN = "\0"
"""No adapter's name: another engine may have left any in the layers."""


class TorchEngine(Engine):
    """Runs rows of a model of `transformers`. What was computed is kept for later rows, unless the weights are being trained.

    Args:
        prefix: Learnt vectors before every row.
        cache_bytes: Most memory for keys and values, of rows under each adapter.
        switch: Puts an adapter into the layers by its name, or takes all out for None.
    """

    def __init__(
        self,
        model: Any,
        prefix: VirtualPrefix | None,
        cache_bytes: int,
        limits: Limits,
        switch: Callable[[str | None], None] = lambda name: None,
    ) -> None:
        def make(adapter: str | None) -> Scheduler:
            decoder = decoder_for(model, cache_bytes, prefix if adapter is None else None)
            return Scheduler(decoder, model.get_input_embeddings().weight.shape[0], limits)

        super().__init__(make)
        self.model, self.prefix = model, prefix
        self._switch = switch
        self._in_layers: str | None = _UNKNOWN
        self._versions = self._current()

    def run(self, rows: Sequence[Row], adapter: str | None = None) -> None:
        """Compute until all rows are done; see `Engine`. A model under training is left with nothing held: it needs the memory."""
        super().run(rows, adapter)
        with self._turn:
            self._refresh(adapter)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """No step is computed meanwhile, and no adapter is in the layers."""
        with self._turn, self._computing(None):
            yield

    def _scheduler(self, adapter: str | None) -> Scheduler:
        scheduler = super()._scheduler(adapter)
        self._refresh(adapter)
        return scheduler

    def _refresh(self, adapter: str | None) -> None:
        """Let nothing that was computed outlive weights that may have changed since."""
        current = self._current()
        has_changed, self._versions = current != self._versions, current
        for name, scheduler in self._schedulers.items():
            if scheduler.is_idle and (has_changed or (name == adapter and self._is_trained())):
                with self._computing(name):
                    scheduler.decoder.forget()

    def _current(self) -> list[tuple[int, int]]:
        """What tells weights from those they were: every change in place counts a version."""
        return [(id(p), p._version) for p in self.model.parameters()]

    def _is_trained(self) -> bool:
        """Whether weights or vectors are there to be trained: an optimizer may write to them in ways that count no version."""
        if any(p.requires_grad for p in self.model.parameters()):
            return True
        with torch.enable_grad():
            return self.prefix is not None and any(t.requires_grad for t in self.prefix.tensors())

    @contextmanager
    def _computing(self, adapter: str | None) -> Iterator[None]:
        """Without dropout and gradients, whatever training has set, and with the adapter in the layers."""
        if adapter != self._in_layers:
            self._switch(adapter)
            self._in_layers = adapter
        with as_served(self.model):
            yield
