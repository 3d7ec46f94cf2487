"""Blocking work beside the event loop: a thread for each request, so many at once.

Covered: work takes its turn when one is free, and whoever waits too long is told to come again; what is written is kept for its
reader, so that a slow one holds up nobody; work whose reader has left ends at the next place where that does no harm, and is not
begun if it still waits.
Not covered: a piece of work that never gives anything cannot be ended; it keeps its place.
"""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from typing import Any, Generic, TypeVar

from sadari.serve.faults import ApiError, busy

T = TypeVar("T")

IN_BACKGROUND = 4
"""Runs that go on at once without anybody waiting for them."""

GONE = 499
"""What is noted for a client that left."""

LONG_S = 86_400.0
"""Longer than anything waits for its turn."""

_END = object()


class Work(Generic[T]):
    """What one piece of work gives, one after the other."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._given: deque[Any] = deque()
        self._news, self._is_told = asyncio.Event(), False
        self._left = threading.Event()

    def leave(self) -> None:
        """Nobody reads it any more."""
        self._left.set()

    async def next(self) -> T:
        """What it gives next; what it raises is raised here.

        Raises:
            StopAsyncIteration: At its end.
        """
        if self._given:
            await asyncio.sleep(0)  # others get their turn, however much there is to read
        while not self._given:
            self._news.clear()
            await self._news.wait()
        given = self._given.popleft()
        if given is _END:
            raise StopAsyncIteration
        if isinstance(given, _Raised):
            raise given.error
        piece: T = given
        return piece

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        return await self.next()

    def run(self, make: Callable[[], Iterator[T]], may_end: Callable[[T], bool]) -> None:
        """Do the work, in a thread."""
        pieces: Any = None
        try:
            pieces = make()
            for piece in pieces:
                self._give(piece)
                if self._left.is_set() and may_end(piece):
                    break
            self._give(_END)
        except BaseException as error:
            self._give(_Raised(error))
        finally:
            if hasattr(pieces, "close"):
                pieces.close()

    def _give(self, piece: Any) -> None:
        self._given.append(piece)
        if not self._is_told:  # the event loop is woken once for all that is given until it looks
            self._is_told = True
            with suppress(RuntimeError):  # the server has stopped
                self._loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        self._is_told = False
        self._news.set()


class _Raised:
    def __init__(self, error: BaseException) -> None:
        self.error = error


class Workers:
    """Threads for requests.

    Args:
        at_once: Pieces of work.
        waiting: That may wait for their turn.
        wait_s: For so long at most.
    """

    def __init__(self, at_once: int, waiting: int, wait_s: float) -> None:
        self._places, self._waiting, self._wait_s = at_once, waiting, wait_s
        self._threads = ThreadPoolExecutor(at_once, "serve")
        self._background = ThreadPoolExecutor(IN_BACKGROUND, "serve-background")
        self._queue: list[asyncio.Future[None]] = []
        self._stopping = threading.Event()
        self._under_way: set[Work[Any]] = set()

    @property
    def running(self) -> int:
        """Pieces of work that have a place."""
        return len(self._under_way)

    @property
    def is_full(self) -> bool:
        """Whether the next request would be told to come again."""
        return self._places <= 0 and len(self._queue) >= self._waiting

    async def begin(
        self,
        make: Callable[[], Iterator[T]],
        may_end: Callable[[T], bool] = lambda piece: True,
        left: Callable[[], Coroutine[Any, Any, None]] = lambda: asyncio.sleep(LONG_S),
    ) -> Work[T]:
        """Do what `make` gives in a thread, as soon as a place is free.

        Args:
            may_end: Whether work that nobody reads may end behind a piece.
            left: Comes to its end when nobody waits for the work any more.

        Raises:
            ApiError: 503, if too many wait, or for too long, or the server is stopping; 499, if nobody waits any more.
        """
        await self._take_place(left)
        work: Work[T] = Work()
        self._under_way.add(work)
        done = asyncio.get_running_loop().run_in_executor(self._threads, copy_context().run, work.run, make, may_end)
        done.add_done_callback(lambda _: self._done(work))
        return work

    async def call(self, function: Callable[[], T]) -> T:
        """What a blocking function gives, in its turn."""
        work = await self.begin(lambda: iter([function()]))
        return await work.next()

    def in_background(self, function: Callable[[], None]) -> None:
        """Do something that nobody waits for."""
        with suppress(RuntimeError):
            self._background.submit(copy_context().run, function)

    def refuse(self) -> None:
        """Begin no more; what is under way goes on."""
        self._stopping.set()

    def close(self) -> None:
        """Ask all work to end where it can, and begin no more."""
        self.refuse()
        for work in self._under_way:
            work.leave()
        for pool in (self._threads, self._background):
            pool.shutdown(wait=False, cancel_futures=True)

    @property
    def is_stopping(self) -> bool:
        """Whether nothing new is begun."""
        return self._stopping.is_set()

    async def _take_place(self, left: Callable[[], Coroutine[Any, Any, None]]) -> None:
        if self.is_stopping:
            raise busy("The server is being stopped. Try again in a moment.", 5)
        if self._places > 0:
            self._places -= 1
            return
        if len(self._queue) >= self._waiting:
            raise busy("As many requests wait as may. Try again in a moment.")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        leaving = asyncio.ensure_future(left())
        try:
            await asyncio.wait((turn, leaving), timeout=self._wait_s, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            if turn.done():
                self._give_place()
            raise
        finally:
            leaving.cancel()
            if turn in self._queue:
                self._queue.remove(turn)
        if not turn.done():
            raise ApiError(GONE, "The client has left.") if leaving.done() else busy("All are busy. Try again in a moment.")

    def _give_place(self) -> None:
        if self._queue:
            self._queue.pop(0).set_result(None)
        else:
            self._places += 1

    def _done(self, work: Work[Any]) -> None:
        self._under_way.discard(work)
        self._give_place()
