"""Small servers for tests of what goes out: one that says what it is told to, byte by byte, and one that runs a FastAPI app."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

Answer = Callable[[bytes], Iterable[bytes]]


def response(body: bytes = b"", status: str = "200 OK", **headers: str) -> bytes:
    """An answer of http; `content_type="text/html"` is a header."""
    told = {"Content-Length": str(len(body)), **{name.replace("_", "-").title(): value for name, value in headers.items()}}
    return b"\r\n".join([f"HTTP/1.1 {status}".encode(), *(f"{n}: {v}".encode() for n, v in told.items()), b"", body])


class Listener:
    """A server on 127.0.0.1 that keeps what it was sent.

    Args:
        answer: From a request to the pieces that are sent back.
        tls: Speaks https with it; None speaks http.
    """

    def __init__(self, answer: Answer, tls: ssl.SSLContext | None = None) -> None:
        self._answer, self._tls = answer, tls
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.requests: list[bytes] = []
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)  # ends the waiting for the next connection
        self._socket.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                line, _ = self._socket.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(line,), daemon=True).start()

    def _serve(self, line: socket.socket) -> None:
        with suppress(OSError), self._tls.wrap_socket(line, server_side=True) if self._tls else line as line:
            line.settimeout(10)
            request = b""
            while b"\r\n\r\n" not in request:
                piece = line.recv(65536)
                if not piece:
                    return
                request += piece
            head, _, body = request.partition(b"\r\n\r\n")
            length = next((int(h.split(b":")[1]) for h in head.split(b"\r\n") if h.lower().startswith(b"content-length:")), 0)
            while len(body) < length:
                body += line.recv(65536)
            self.requests.append(head + b"\r\n\r\n" + body)
            for piece in self._answer(self.requests[-1]):
                line.sendall(piece)


@contextmanager
def listening(answer: Answer | bytes, tls: ssl.SSLContext | None = None) -> Iterator[Listener]:
    """A listener that answers so, for as long as it is needed."""
    listener = Listener((lambda request: [answer]) if isinstance(answer, bytes) else answer, tls)
    try:
        yield listener
    finally:
        listener.close()


def names(**found: Sequence[str]) -> Callable[[str, int], Sequence[str]]:
    """A resolver that knows these names alone; `a_example` stands for `a.example`."""
    known = {name.replace("_", "."): addresses for name, addresses in found.items()}

    def resolve(host: str, port: int) -> Sequence[str]:
        if host not in known:
            raise OSError(f"no such name: {host}")
        return known[host]

    return resolve


@contextmanager
def serving(app: Any) -> Iterator[int]:
    """The port of 127.0.0.1 at which a FastAPI app runs."""
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(5)
