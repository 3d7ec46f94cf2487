"""Listening: the application on an address, until the process is told to stop."""

import socket
from collections.abc import Callable

import uvicorn

from sadari.errors import ConfigError
from sadari.serve.app import create_app
from sadari.serve.gate import LARGEST_HEADERS
from sadari.serve.lines import configure
from sadari.serve.service import Service

MOST_CONNECTIONS = 1_024

PATIENCE_S = 15
"""Seconds that a connection stays open between requests."""


UNREAD_S = 60
"""Seconds after which a client that takes nothing of its answer is cut off."""


def listen(service: Service) -> socket.socket:
    """A socket at the address that the options name.

    Raises:
        ConfigError: If it is taken, or is none of this machine.
    """
    options = service.options
    try:
        family = socket.getaddrinfo(options.host, options.port, type=socket.SOCK_STREAM)[0][0]
        # With the protocol named, asyncio sends the pieces of an answer at once; otherwise each waits 40 ms for the one before.
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; else a client that reads nothing keeps its connection
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1000 * UNREAD_S)
        listening.bind((options.host, options.port))
        listening.listen(MOST_CONNECTIONS)
        return listening
    except OSError as error:
        remedy = "Choose another one: --port 0 takes any that is free."
        raise ConfigError(f"{options.host} port {options.port}: {error.strerror or error}. {remedy}") from error


def serve(service: Service, listening: socket.socket, tell: Callable[[str], None]) -> None:
    """Serve until SIGTERM or Ctrl-C; requests under way are then given `drain_s` to end.

    Args:
        tell: Takes lines for the person who started it.
    """
    options = service.options
    configure(options.log_format)
    scheme = "https" if options.certificate else "http"
    host, port = listening.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    tell(f"{options.name} answers at {scheme}://{shown}:{port}/v1  (models: {', '.join(service.model_names)})")
    tell("A key is asked for." if service.asks_keys else "No key is asked for: whoever uses this machine may ask.")
    unfinished = service.unfinished
    if unfinished:
        tell(f"{len(unfinished)} runs were cut off. See GET /sadari/runs?status=running, and POST /sadari/runs/RUN/resume.")
    server_of(service).run(sockets=[listening])


def server_of(service: Service) -> uvicorn.Server:
    """The server of a service, not yet running."""
    options = service.options
    config = uvicorn.Config(
        create_app(service),
        http="h11",
        ws="none",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        h11_max_incomplete_event_size=LARGEST_HEADERS,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_keep_alive=PATIENCE_S,
        timeout_graceful_shutdown=options.drain_s,
        ssl_certfile=str(options.certificate) if options.certificate else None,
        ssl_keyfile=str(options.private_key) if options.private_key else None,
    )
    return _Server(config, service)


class _Server(uvicorn.Server):
    """A server that begins nothing more once it is told to stop: what it cuts off in the end is then no client that left."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let requests under way end, for as long as they are given."""
        self._service.workers.refuse()
        await super().shutdown(sockets)
