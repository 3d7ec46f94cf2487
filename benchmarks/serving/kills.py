"""The server killed at random moments under load, and begun anew each time; the clients ask again with their idempotency keys.

python benchmarks/serving/kills.py [--kills N]
"""

import argparse
import json
import random
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from client import Client, Said, question_of
from counting import count_log
from servers import Server, make_bundle, make_keys

CLIENTS = 32
BETWEEN_S = (0.2, 3.0)
"""Seconds from the moment that the server answers again to its next death."""

AGAIN_S = 0.2
"""Seconds after which a client asks again: many that hammer would hold up the server that comes back."""

LAST_S = 120.0
"""Seconds in which every question has to have its answer when nobody kills any more."""


class Stubborn:
    """A client that asks each question, with its key, until it has the whole answer."""

    def __init__(self, server: Server, number: int, key: str, over: threading.Event) -> None:
        self.said: list[Said] = []
        self.answered = 0
        self._server, self._number, self._key, self._over = server, number, key, over
        self.thread = threading.Thread(target=self._ask, daemon=True)

    def _ask(self) -> None:
        with Client(self._server.port, self._key) as http:
            while not self._over.is_set():
                number, until = self.answered + 1, None
                while not self._ask_once(http, number):
                    time.sleep(AGAIN_S)
                    until = until or (time.monotonic() + LAST_S if self._over.is_set() else None)
                    if until is not None and time.monotonic() > until:
                        return
                self.answered += 1

    def _ask_once(self, http: Client, number: int) -> bool:
        said = http.ask(question_of(self._number, number), key=f"question {number} of client {self._number}")
        if said.status:
            self.said.append(said)
        return said.is_whole


def figures(folder: Path, kills: int, model: str = "mini", seed: int = 8) -> dict[str, Any]:
    """What is missing after so many deaths."""
    server, drawn, over = Server(make_bundle(folder, model), folder), random.Random(seed), threading.Event()
    keys = make_keys(server.log, CLIENTS)
    clients = [Stubborn(server, i, keys[i], over) for i in range(CLIENTS)]
    with server:
        for client in clients:
            client.thread.start()
        for _ in range(kills):
            _wait_for_an_answer(clients)
            time.sleep(drawn.uniform(*BETWEEN_S))
            server.kill()
            server.start()
        _wait_for_an_answer(clients)
        over.set()
        for client in clients:
            client.thread.join()
    said = [one for client in clients for one in client.said]
    counted = count_log(server.log, said)
    return {
        "kills": kills,
        "acknowledged": len({one.asked for one in said if one.is_acknowledged}),
        "acknowledged_lost": counted.acknowledged_lost,
        "cut_off": sum(one.is_acknowledged and not one.is_whole for one in said),
        "answered": sum(client.answered for client in clients),
        "lost_events": counted.lost_events,
        "doubled_events": counted.doubled_events,
        "log_faults": len(counted.faults),
        "left_running": counted.left_running,
    }


def _wait_for_an_answer(clients: list[Stubborn]) -> None:
    """Load is under way when some client was answered that was not before."""
    before, until = sum(client.answered for client in clients), time.monotonic() + LAST_S
    while sum(client.answered for client in clients) == before and time.monotonic() < until:
        time.sleep(0.02)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=20, help="how many")
    with tempfile.TemporaryDirectory() as here:
        print(json.dumps(figures(Path(here), parser.parse_args().kills)))
