"""The server under test: `sadari serve` in a process of its own, on a bundle that is made here, with a key for each client."""

import http.client
import json
import os
import re
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from sadari.agent.log.database import open_database
from sadari.bundle import save_bundle
from sadari.serve import Identity, Keys
from sadari.types import Decoding, Prompt, System

INSTRUCTION = "고객의 문의에 한두 문장으로 짧고 정중하게 답합니다."
"""What the bundle is told: a shop's support, so that prompts are as long as such prompts are."""

NEW_TOKENS = 32
"""Most tokens of an answer."""

PATIENCE_S = 180
"""Seconds in which a server has to come up: torch is read from the disk first."""

AT_ONCE, PER_MINUTE = 8, 6_000
"""What one key may ask for: clients of one key beyond so many at once are told so."""


def make_bundle(folder: Path, model: str = "mini") -> Path:
    """A bundle that answers from its prompt alone, in short; its folder."""
    save_bundle(System(model, prompt=Prompt(INSTRUCTION), decoding=Decoding(max_new_tokens=NEW_TOKENS)), folder / "bundle")
    return folder / "bundle"


def make_keys(log: Path, number: int) -> list[str]:
    """Keys of so many users, and of one operator, the last, who may see the metrics."""
    database = open_database(str(log))
    keys = Keys(database)
    users = [Identity(f"client{i}", concurrent=AT_ONCE, requests_per_minute=PER_MINUTE) for i in range(number)]
    made = [keys.add(user) for user in (*users, Identity("operator", "operator", requests_per_minute=PER_MINUTE))]
    database.close()
    return made


class Server:
    """One address, at which a process answers that may be killed and begun anew.

    Args:
        bundle: What is served.
        folder: For the log of the agent, and what the server says.
        arguments: Further ones of `sadari serve`.
    """

    def __init__(self, bundle: Path, folder: Path, *arguments: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self.log, self._said = folder / "log.sqlite", folder / "server.txt"
        self._command = [sys.executable, "-m", "sadari", "serve", str(bundle), "--port", str(self.port), "--log", str(self.log)]
        self._command += arguments
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begin the process, and wait until it answers.

        Raises:
            RuntimeError: If it does not; tells what it said.
        """
        with self._said.open("ab") as said:
            self._process = subprocess.Popen(self._command, stdout=said, stderr=said, env={**os.environ, "HF_HUB_OFFLINE": "1"})
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until and self._process.poll() is None:
            with suppress(OSError, http.client.HTTPException):
                if self.get("/readyz")[0] == 200:
                    return
            time.sleep(0.05)
        end = self._process.poll()
        self.kill()
        what = f"does not answer after {PATIENCE_S} s" if end is None else f"ended with {end}"
        raise RuntimeError(f"the server {what}. It said:\n{self._said.read_text(encoding='utf-8')[-2000:]}")

    def get(self, path: str, key: str = "") -> tuple[int, str]:
        """Status and text of a page."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path, headers={"Authorization": f"Bearer {key}"} if key else {})
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def running(self, key: str) -> int:
        """Requests that have a place now, by the server's own metrics."""
        return int(float(re.findall(r"^sadari_running (\S+)$", self.get("/metrics", key)[1], re.MULTILINE)[0]))

    def wait_idle(self, key: str, seconds: float) -> float | None:
        """Seconds until no request has a place; None if some still have one after so many."""
        began = time.monotonic()
        while time.monotonic() < began + seconds:
            if self.running(key) == 0:
                return time.monotonic() - began
            time.sleep(0.02)
        return None

    def rss_mib(self) -> float:
        """Memory of the process."""
        assert self._process is not None
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024

    def kill(self) -> None:
        """End the process at once, as a power cut would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """Ask the process to end, and wait."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(40)
        except subprocess.TimeoutExpired:
            self.kill()

    def __enter__(self) -> "Server":
        self.start()
        return self

    def __exit__(self, *error: Any) -> None:
        self.stop()


def body_of(question: str, *, stream: bool = True) -> bytes:
    """A question to the agent as a request's body."""
    asked = {"model": "sadari", "messages": [{"role": "user", "content": question}], "stream": stream}
    return json.dumps(asked, ensure_ascii=False).encode()
