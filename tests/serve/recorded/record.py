"""Writes down what real clients send here and what they are answered: python tests/serve/recorded/record.py PORT.

The key that a client sends names its file, `recorded/KEY.json`; `test_recorded_clients.py` asks again what stands there. The
clients are those in `examples/clients`.
"""

import json
import sys
from pathlib import Path
from typing import Any

import uvicorn

from acting import Script
from sadari.agent.log import Log
from sadari.agent.loop import Agent, Loop
from sadari.model.scripted import ScriptedModel
from sadari.serve import ServeOptions, Service, create_app

HERE = Path(__file__).parent
LEFT_OUT = ("authorization", "host", "content-length", "connection", "cookie")
CHANGING = ("id", "created", "created_at", "run", "item_id", "version", "system_fingerprint")
"""Fields whose value is another one each time; their type is kept."""


def masked(answer: Any, name: str = "") -> Any:
    """An answer with the type in the place of a value that changes."""
    if isinstance(answer, dict):
        return {key: masked(value, key) for key, value in answer.items()}
    if isinstance(answer, list):
        return [masked(value) for value in answer]
    return f"<{type(answer).__name__}>" if name in CHANGING and not str(answer).startswith("sadari") else answer


def read(text: str) -> Any:
    """An answer as JSON; a stream as the list of its events."""
    if not text.startswith(("data:", "event:", ":")):
        return json.loads(text)
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data:")]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


class Recorded:
    """An application, and what is said to it."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request."""
        heard, said, status = b"", b"", 0

        async def hearing() -> Any:
            nonlocal heard
            message = await receive()
            heard += message.get("body", b"")
            return message

        async def saying(message: Any) -> None:
            nonlocal said, status
            status = message.get("status", status)
            said += message.get("body", b"")
            await send(message)

        await self._app(scope, hearing, saying)
        if scope["type"] == "http":
            _keep(scope, heard.decode(), status, said.decode())


def _keep(scope: Any, heard: str, status: int, said: str) -> None:
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    key = headers.get("authorization", "").rpartition(" ")[2]
    if not key.replace("-", "").isalnum():
        return
    place = HERE / f"{key}.json"
    kept = json.loads(place.read_text(encoding="utf-8")) if place.exists() else []
    request = {
        "method": scope["method"],
        "path": scope["path"],
        "headers": {name: value for name, value in headers.items() if name not in LEFT_OUT},
        "body": json.loads(heard) if heard else None,
    }
    kept.append({"request": request, "status": status, "answer": masked(read(said))})
    place.write_text(json.dumps(kept, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def main(port: int) -> None:
    """Serve on `port` until Ctrl-C."""
    model = ScriptedModel.from_file(HERE / "rules" / "weather.json")
    service = Service(Loop(Agent(Script(), ()), Log("")), model, ServeOptions(port=port))
    uvicorn.run(Recorded(create_app(service)), host="127.0.0.1", port=port, http="h11", log_level="warning")


if __name__ == "__main__":
    main(int(sys.argv[1]))
