"""A connection to one MCP server, for synchronous callers: its event loop runs in a thread of its own.

Covered: a server that does not start, does not answer, dies, or answers without end is an error in time; its process sees only the
environment that was declared, and is ended with all that it started; secrets go only to the address they were declared for.

Not covered: a process that leaves its group on purpose. Under `kill -9` of this process, servers see the end of their input and
are expected to leave by themselves.
"""

import asyncio
import atexit
import os
import signal
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from concurrent.futures import CancelledError
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar
from weakref import WeakSet

from sadari import __version__
from sadari.agent.tools.mcp.options import Launch
from sadari.agent.tools.mcp.pins import Pin, make_pin
from sadari.errors import ModelError, SadariError

MOST_BYTES = 8 * 1024 * 1024
"""Of one answer of a server."""

MOST_TOOLS = 500
"""Of one server."""

GRACE_S = 2.0
"""That a process is given to end by itself, and again after it was asked to."""

_T = TypeVar("_T")
_OPEN: "WeakSet[Connection]" = WeakSet()


class UnreachableError(SadariError):
    """An MCP server did not start, or is not answering: nothing was asked of it."""


class Connection:
    """One MCP server. It is started when it is first needed, and again after it died; methods may be called from any thread.

    Args:
        start_timeout_s: That it may take to start and to list its tools.
    """

    def __init__(self, launch: Launch, start_timeout_s: float = 60.0) -> None:
        self._launch, self._start_timeout_s = launch, start_timeout_s
        self._lock = threading.Lock()
        self._session: _Session | None = None

    @property
    def name(self) -> str:
        """The server's name in the task."""
        return self._launch.name

    @property
    def origin(self) -> str:
        """Its command or address as the task wrote it."""
        return self._launch.origin

    def tools(self) -> dict[str, Pin]:
        """What the server says of its tools now.

        Raises:
            UnreachableError: If it cannot be reached, or says what is no list of tools.
        """
        return self._started().tools(self._start_timeout_s)

    def call(self, name: str, arguments: Mapping[str, Any], timeout_s: float) -> Any:
        """The server's answer to one call, a `mcp.types.CallToolResult`.

        Raises:
            UnreachableError: If it could not be asked.
            TimeoutError: If it gave no answer, or broke off: nobody knows what it did.
            mcp.shared.exceptions.MCPError: If it refused the call.
        """
        return self._started().call(name, arguments, timeout_s)

    def close(self) -> None:
        """End the server's process or leave its address."""
        with self._lock:
            session, self._session = self._session, None
        if session is not None:
            session.close()

    def _started(self) -> "_Session":
        with self._lock:
            if self._session is None or not self._session.is_alive:
                if self._session is not None:
                    self._session.close()
                self._session = None
                self._session = _Session(self._launch, self._start_timeout_s)
                _OPEN.add(self)
            return self._session


@atexit.register
def _close_all() -> None:
    for connection in [*_OPEN]:
        connection.close()


class _Session:
    """A thread with an event loop and one client in it."""

    def __init__(self, launch: Launch, timeout_s: float) -> None:
        self._launch = launch
        self._complaints: deque[str] = deque(maxlen=20)
        self._loop = asyncio.new_event_loop()
        self._ends = asyncio.Event()
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._client: Any = None
        self._known: dict[str, Pin] | None = None
        self._serving = self._loop.create_task(self._serve())
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name=f"mcp {launch.name}", daemon=True)
        self._thread.start()
        if not self._ready.wait(timeout_s):
            self.close()
            raise self._unreachable(f"did not start within {timeout_s:g} s")
        if self._error is not None:
            self._thread.join(2 * GRACE_S)
            raise self._unreachable(f"did not start ({_short(self._error)})") from self._error

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive() and self._client is not None

    def tools(self, timeout_s: float) -> dict[str, Pin]:
        known = self._known  # forgotten when the server says that its tools have changed
        if known is None:
            try:
                known = self._known = self._wait(self._list(), timeout_s)
            except Exception as error:
                self.close()
                raise self._unreachable(f"does not tell its tools ({_short(error)})") from error
        return known

    def call(self, name: str, arguments: Mapping[str, Any], timeout_s: float) -> Any:
        from mcp.shared.exceptions import MCPError
        from mcp.types import CONNECTION_CLOSED, INTERNAL_ERROR, INVALID_REQUEST, PARSE_ERROR, REQUEST_TIMEOUT

        client = self._client
        if client is None:
            raise self._unreachable("has ended")
        try:
            return self._wait(client.call_tool(name, dict(arguments)), timeout_s)
        except MCPError as error:
            if error.code in (CONNECTION_CLOSED, INVALID_REQUEST):  # the second is how a session ends over HTTP
                self._client = None
            if error.code in (CONNECTION_CLOSED, INVALID_REQUEST, REQUEST_TIMEOUT, INTERNAL_ERROR, PARSE_ERROR):
                raise TimeoutError(f"the MCP server {self._launch.name} broke off a call ({_short(error)})") from error
            raise
        except (ValueError, RuntimeError) as error:
            raise TimeoutError(f"the MCP server {self._launch.name} gave an answer that is none ({_short(error)})") from error

    def close(self) -> None:
        if not self._is_closed:  # a second one would break off the ending of the process
            self._is_closed = True
            with suppress(RuntimeError):  # the loop is closed already
                self._loop.call_soon_threadsafe(self._serving.cancel)
        self._thread.join(5 * GRACE_S)

    def _wait(self, work: Coroutine[Any, Any, _T], timeout_s: float) -> _T:
        try:
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError as error:
            work.close()
            raise self._unreachable("has ended") from error
        try:
            return future.result(timeout_s)
        except CancelledError:
            raise TimeoutError(f"the MCP server {self._launch.name} was closed during a call") from None
        except TimeoutError:
            future.cancel()
            raise TimeoutError(f"the MCP server {self._launch.name} did not answer within {timeout_s:g} s") from None

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serving)
        except BaseException as error:
            self._error = error
        finally:
            self._client = None
            self._ready.set()
            left = asyncio.all_tasks(self._loop)
            for task in left:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            self._loop.close()

    async def _serve(self) -> None:
        """Hold the client open until it is no longer wanted; it must be left by the task that entered it."""
        from mcp.client import Client
        from mcp.types import Implementation

        async def note(message: Any) -> None:
            if getattr(message, "method", "") == "notifications/tools/list_changed":
                self._known = None

        transport = _http(self._launch) if self._launch.url else _stdio(self._launch, self._complaints, self._ends.set)
        about = Implementation(name="sadari", version=__version__)
        async with Client(transport, client_info=about, message_handler=note, cache=None) as client:
            # A pattern in the server's own schema of results could keep this process busy for ever; results are text to us.
            client.session.validate_tool_result = _unchecked  # type: ignore[method-assign]
            self._client = client
            self._ready.set()
            await self._ends.wait()

    async def _list(self) -> dict[str, Pin]:
        found: dict[str, Pin] = {}
        cursor = None
        while True:
            page = await self._client.list_tools(cursor=cursor)
            for one in page.tools:
                if one.name in found:
                    raise ModelError(f"two tools are called {one.name[:64]!r}")
                found[one.name] = make_pin(one.name, one.description or "", one.input_schema)
            cursor = page.next_cursor
            if not cursor:
                return found
            if len(found) > MOST_TOOLS or not page.tools:
                raise ModelError(f"it lists more than {MOST_TOOLS} tools")

    def _unreachable(self, what: str) -> UnreachableError:
        said = " | ".join(self._complaints)[-500:]
        heard = f" It said: {said}" if said else ""
        return UnreachableError(f"The MCP server `{self._launch.name}` {what}. Origin: {self._launch.origin}.{heard}")


async def _unchecked(name: str, result: Any) -> None:
    return None


def _short(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    text = " ".join(str(getattr(error, "message", "") or error).split())
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__


# --- transports ------------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _stdio(launch: Launch, complaints: "deque[str]", on_end: Callable[[], None]) -> AsyncIterator[Any]:
    """Streams to a process; `on_end` is told when it says no more.

    The library's own lets it inherit HOME and USER, and reads lines of any length.
    """
    import anyio
    from mcp.shared.message import SessionMessage

    process = await asyncio.create_subprocess_exec(
        *launch.command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=dict(launch.environment),
        cwd=launch.folder,
        start_new_session=True,
        limit=MOST_BYTES,
    )
    incoming, received = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    outgoing, unsent = anyio.create_memory_object_stream[SessionMessage](0)
    gone = (anyio.ClosedResourceError, anyio.BrokenResourceError, OSError)

    async def read() -> None:
        assert process.stdout is not None
        with suppress(*gone, ValueError):  # a ValueError is a line longer than the limit: we hang up
            async with incoming:
                while line := await process.stdout.readline():
                    if line.strip():
                        await incoming.send(_message(line))
        on_end()

    async def write() -> None:
        assert process.stdin is not None
        with suppress(*gone):
            async with unsent:
                async for one in unsent:
                    process.stdin.write(one.message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n")
                    await process.stdin.drain()
        await incoming.aclose()

    async def complain() -> None:
        assert process.stderr is not None
        while piece := await process.stderr.read(4096):
            complaints.extend(line[:200] for line in piece.decode(errors="replace").splitlines()[-20:] if line.strip())

    async with anyio.create_task_group() as tasks:
        for work in (read, write, complain):
            tasks.start_soon(work)
        try:
            yield received, outgoing
        finally:
            with anyio.CancelScope(shield=True):
                await _end(process)
                process._transport.close()  # type: ignore[attr-defined]  # else it complains when it is collected
                await asyncio.sleep(0)
            tasks.cancel_scope.cancel()


def _message(line: bytes) -> Any:
    from mcp.shared.message import SessionMessage
    from mcp.types import jsonrpc_message_adapter

    try:
        return SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False))
    except ValueError as error:
        return error


async def _end(process: asyncio.subprocess.Process) -> None:
    """Close its input, then ask the group of the process to end, then kill it."""
    if process.stdin is not None:
        process.stdin.close()
    for step in (0, signal.SIGTERM, signal.SIGKILL):  # 0 only asks whether anything of the group is left
        try:
            os.killpg(process.pid, step)
        except (ProcessLookupError, PermissionError):
            return
        for _ in range(int(GRACE_S / 0.02)):  # not `wait()`, which also waits for what else holds its output open
            if process.returncode is not None:
                break
            await asyncio.sleep(0.02)


@asynccontextmanager
async def _http(launch: Launch) -> AsyncIterator[Any]:
    """Streams to an address; the library follows redirects only within its origin."""
    import httpx2
    from mcp.client.streamable_http import streamable_http_client

    headers = {"accept-encoding": "identity", **launch.headers}  # no few bytes that unpack to many
    client = httpx2.AsyncClient(headers=headers, timeout=httpx2.Timeout(30, read=300), event_hooks={"response": [_capped]})
    async with client, streamable_http_client(launch.url, http_client=client) as streams:
        yield streams


async def _capped(response: Any) -> None:
    """Limit the bytes of a JSON answer; events of a stream are limited each by the library."""
    import httpx2

    class Capped(httpx2.AsyncByteStream):
        def __init__(self, stream: Any) -> None:
            self._stream = stream

        async def __aiter__(self) -> AsyncIterator[bytes]:
            length = 0
            async for piece in self._stream:
                length += len(piece)
                if length > MOST_BYTES:
                    raise httpx2.StreamError(f"an answer of more than {MOST_BYTES:,} bytes")
                yield piece

        async def aclose(self) -> None:
            await self._stream.aclose()

    if response.headers.get("content-encoding", "identity") != "identity":
        raise httpx2.StreamError("the answer is compressed, though that was not asked for")
    if not response.headers.get("content-type", "").lower().startswith("text/event-stream"):
        response.stream = Capped(response.stream)
