"""A local double of an OpenAI-compatible server that replays exchanges from files, cut into pieces as one likes."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

EXCHANGES = Path(__file__).parent / "model" / "exchanges"


@dataclass(frozen=True)
class Exchange:
    """One answer of a server.

    A file holds its fields, and beside them `source`, from which documented behaviour it was written; `kind`, of the server; and
    `expect`, what a client has to make of it.

    Args:
        body: Sent as JSON, or as it is if it is text.
        events: Sent as server-sent events instead: an object or "[DONE]" as `data:`, any other text as it is.
        cut: Bytes of a piece; 0 sends all at once.
        pause_s: Before each piece.
        is_endless: The last event is repeated until the client has gone.
        breaks_off: The connection is closed before the end that was announced.
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None
    events: tuple[Any, ...] = ()
    cut: int = 0
    pause_s: float = 0.0
    is_endless: bool = False
    breaks_off: bool = False

    @property
    def content(self) -> bytes:
        if self.events:
            return "".join(map(_event, self.events)).encode()
        return (self.body if isinstance(self.body, str) else json.dumps(self.body, ensure_ascii=False)).encode()

    def pieces(self) -> Iterator[bytes]:
        content = self.content
        step = self.cut or max(1, len(content))
        for start in range(0, len(content), step):
            yield content[start : start + step]
        while self.is_endless:
            yield _event(self.events[-1]).encode()


def _event(event: Any) -> str:
    if isinstance(event, str) and event != "[DONE]":
        return event
    return f"data: {event if isinstance(event, str) else json.dumps(event, ensure_ascii=False)}\n\n"


@dataclass(frozen=True)
class Recorded:
    """A file of exchanges: what was sent, and what has to become of it."""

    name: str
    source: str
    kind: str
    exchange: Exchange
    expect: dict[str, Any]


def recorded(name: str) -> Recorded:
    """The exchange in `exchanges/NAME.json`."""
    data = json.loads((EXCHANGES / f"{name}.json").read_text(encoding="utf-8"))
    about = {key: data.pop(key) for key in ("source", "kind", "expect")}
    return Recorded(name, exchange=Exchange(**data | {"events": tuple(data.get("events", ()))}), **about)


def all_recorded() -> list[Recorded]:
    """Every file of exchanges."""
    return [recorded(path.stem) for path in sorted(EXCHANGES.glob("*.json"))]


@dataclass
class Replay:
    """The double.

    Args:
        script: Answers to the next requests, one after the other; then `usual`.
        models: Answer to `GET /models`; None knows no such path.
    """

    script: list[Exchange] = field(default_factory=list)
    usual: Exchange = Exchange(body={"choices": [{"message": {"role": "assistant", "content": "네"}, "finish_reason": "stop"}]})
    models: Any = None
    seen: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    asked: int = 0
    gone: threading.Event = field(default_factory=threading.Event)
    """A client closed the connection before it had everything."""
    url: str = ""

    def answer(self) -> Exchange:
        return self.script.pop(0) if self.script else self.usual


def _handler(replay: Replay) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            replay.asked += 1
            self._send(Exchange(404, body={}) if replay.models is None else Exchange(body=replay.models))

        def do_POST(self) -> None:
            replay.seen.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            replay.headers.append(dict(self.headers))
            replay.paths.append(self.path)
            self._send(replay.answer())

        def _send(self, exchange: Exchange) -> None:
            self.send_response(exchange.status)
            kind = "text/event-stream" if exchange.events else "application/json"
            for name, value in {"Content-Type": kind, "Transfer-Encoding": "chunked", **exchange.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                for piece in exchange.pieces():
                    time.sleep(exchange.pause_s)
                    self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
                if not exchange.breaks_off:
                    self.wfile.write(b"0\r\n\r\n")
            except OSError:
                replay.gone.set()
                self.close_connection = True
            self.close_connection |= exchange.breaks_off

        def log_message(self, *args: Any) -> None:
            pass

    return Handler


@contextmanager
def replaying(replay: Replay) -> Iterator[Replay]:
    """`replay` behind a port of this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(replay))
    server.daemon_threads = True
    server.handle_error = lambda request, client_address: None  # a client that leaves is no error here
    replay.url = f"http://127.0.0.1:{server.server_port}/v1"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield replay
    finally:
        server.shutdown()
        server.server_close()
