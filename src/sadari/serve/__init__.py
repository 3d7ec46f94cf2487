"""One process that serves an agent to programs and people: the only asynchronous code of sadari."""

from sadari.serve.app import create_app
from sadari.serve.following import open_task
from sadari.serve.keys import Identity, Keys
from sadari.serve.options import ServeOptions
from sadari.serve.server import listen, serve, server_of
from sadari.serve.service import Service, open_service

__all__ = ["Identity", "Keys", "ServeOptions", "Service", "create_app", "listen", "open_service", "open_task", "serve", "server_of"]
