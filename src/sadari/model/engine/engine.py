"""The rows of one model, whoever asks: from several threads, under several adapters."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from sadari.model.engine.probe import decoder_for
from sadari.model.engine.row import Row
from sadari.model.engine.scheduler import Counts, Limits, Scheduler
from sadari.model.prefix import VirtualPrefix
from sadari.model.weights import as_served


class Engine:
    """Runs rows of one model to their end.

    Whoever waits for a row computes the next step for all of them; so there is no thread of its own, and nothing goes on when
    nobody waits.

    Args:
        make: The scheduler for rows under an adapter, None for those without one.
    """

    def __init__(self, make: Callable[[str | None], Scheduler]) -> None:
        self._make = make
        self._lock = threading.RLock()
        self._schedulers: dict[str | None, Scheduler] = {}
        self._last: str | None = None

    def run(self, rows: Sequence[Row], adapter: str | None = None) -> None:
        """Compute until all rows are done; more rows than may wait are queued as others end."""
        left = sorted(rows, key=lambda row: row.tokens)
        if not left:
            return
        with self._lock:
            scheduler = self._scheduler(adapter)
        try:
            while left or not all(row.is_done for row in rows):
                with self._lock:
                    room = scheduler.limits.waiting - len(scheduler.waiting)
                    scheduler.submit(left[:room])
                    left = left[room:]
                    if not all(row.is_done for row in rows):  # another thread may have computed them
                        self._step()
        except BaseException:
            with self._lock:
                for row in rows:
                    scheduler.cancel(row)
            raise

    def submit(self, row: Row, adapter: str | None = None) -> None:
        """Queue a row; `advance` computes it.

        Raises:
            BusyError: If as many rows wait as may.
        """
        with self._lock:
            self._scheduler(adapter).submit([row])

    def advance(self, row: Row) -> tuple[list[int], bool]:
        """Compute one step, unless the row is done; returns what it has written, and whether it is done."""
        with self._lock:
            if not row.is_done:
                self._step()
            return row.out, row.is_done

    def cancel(self, row: Row, adapter: str | None = None) -> None:
        """Drop a row; its place is free at once."""
        with self._lock:
            self._scheduler(adapter).cancel(row)

    def counts(self, adapter: str | None = None) -> Counts:
        """What was done so far under an adapter."""
        with self._lock:
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
        with self._lock:
            self._refresh(adapter)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """No step is computed meanwhile, and no adapter is in the layers."""
        with self._lock, self._computing(None):
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
