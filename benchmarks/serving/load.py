"""Many clients at once, then ten times as many, then some who read nothing or leave: what they get, and what is left of it.

python benchmarks/serving/load.py [--seconds N]
"""

import argparse
import json
import socket
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from statistics import linear_regression, median
from typing import Any

from client import Client, Said, question_of
from counting import count_log
from overhead import p95
from servers import Server, body_of, make_bundle, make_keys

CLIENTS, TIMES = 64, 10
"""Streaming clients, and how many times as many are too many: half of those share a key, which may not have so many at once."""

SLOW, DROPPED = 32, 32
"""Clients that read nothing of their answer, and that leave at its first byte."""

SETTLED = 0.4
"""Share of the time after which memory is looked at: until then, threads and caches come into being."""

FREED_S = 60.0


@dataclass
class Crowd:
    """Clients that ask one question after the other until it is over.

    Args:
        waits: Whether a client that is refused waits as long as it is told.
    """

    server: Server
    keys: Sequence[str]
    clients: int
    first: int = 0
    waits: bool = False
    said: list[Said] = field(default_factory=list)

    def ask_for(self, seconds: float, meanwhile: Callable[[float], None] = lambda passed_s: None) -> float:
        """Ask so long; the seconds until the last answer had come.

        Args:
            meanwhile: Called about once a second.
        """
        began = time.monotonic()
        over = began + seconds
        threads = [threading.Thread(target=self._ask_until, args=(i, over), daemon=True) for i in range(self.clients)]
        for thread in threads:
            thread.start()
        while time.monotonic() < over:
            time.sleep(min(1.0, max(0.0, over - time.monotonic())))
            meanwhile(time.monotonic() - began)
        for thread in threads:
            thread.join()
        return time.monotonic() - began

    def _ask_until(self, client: int, over: float) -> None:
        number = 0
        with Client(self.server.port, self.keys[client % len(self.keys)]) as http:
            while time.monotonic() < over:
                number += 1
                said = http.ask(question_of(self.first + client, number))
                self.said.append(said)
                if self.waits and said.status in (429, 503):
                    time.sleep(max(0.0, min(float(said.retry_after or 1), over - time.monotonic())))


def figures(folder: Path, seconds: float, overload_s: float, model: str = "mini") -> dict[str, Any]:
    """All of it on one server, and the log looked through at the end."""
    server = Server(make_bundle(folder, model), folder)
    *keys, operator = make_keys(server.log, CLIENTS)
    with server:
        told, said = under_load(server, keys, seconds)
        server.wait_idle(operator, FREED_S)
        flooded, said_flooded = overloaded(server, keys, overload_s)
        server.wait_idle(operator, FREED_S)
        told |= flooded | ill_behaved(server, keys, operator)
    counted = count_log(server.log, [*said, *said_flooded])
    faults = Counter(one.fault for one in said if not one.is_whole)
    return told | {
        "lost_events": counted.lost_events,
        "doubled_events": counted.doubled_events,
        "acknowledged_lost_in_load": counted.acknowledged_lost,
        "log_faults": len(counted.faults),
        "left_running": counted.left_running,
        "faults": dict(faults.most_common(3)),
    }


def under_load(server: Server, keys: Sequence[str], seconds: float) -> tuple[dict[str, Any], list[Said]]:
    """What `CLIENTS` at once get."""
    with Client(server.port, keys[0]) as http:  # the model is made ready by the first question
        http.ask(question_of(-1, 0))
    memory: list[tuple[float, float]] = []
    crowd = Crowd(server, keys, CLIENTS)
    took = crowd.ask_for(seconds, lambda passed_s: memory.append((passed_s, server.rss_mib())))
    whole = [one for one in crowd.said if one.is_whole]
    settled = [point for point in memory if point[0] >= SETTLED * seconds]
    slope = linear_regression(*zip(*settled, strict=True)).slope if len(settled) > 1 else 0.0
    firsts, alls = [1000 * one.first_s for one in whole], [1000 * one.whole_s for one in whole]
    tokens = count_log(server.log, []).tokens
    return {
        "requests": len(crowd.said),
        "failed": len(crowd.said) - len(whole),
        "clients": CLIENTS,
        "seconds": round(took, 1),
        "ttft_p50_ms": round(median(firsts)),
        "ttft_p95_ms": round(p95(firsts)),
        "answer_in_load_p95_ms": round(p95(alls)),
        "tokens_per_s": round(tokens / took, 1),
        "memory_start_mib": round(settled[0][1]) if settled else None,
        "memory_end_mib": round(settled[-1][1]) if settled else None,
        "memory_mib_per_minute": round(60 * slope, 1),
    }, crowd.said


def overloaded(server: Server, keys: list[str], seconds: float) -> tuple[dict[str, Any], list[Said]]:
    """What `TIMES` as many get, and how soon all is well behind them."""
    clients = TIMES * CLIENTS
    crowd = Crowd(server, [*keys, *keys[:1] * CLIENTS], clients, first=10_000, waits=True)
    crowd.ask_for(seconds)
    ended = time.monotonic()
    with Client(server.port, keys[0]) as http:
        number, after = 0, [Said("")]
        while not after[-1].is_whole and time.monotonic() < ended + FREED_S:
            number += 1
            after.append(http.ask(question_of(20_000, number)))
    refused = [one for one in crowd.said if one.status in (429, 503)]
    return {
        "overload_clients": clients,
        "overload_answered": sum(one.is_whole for one in crowd.said),
        "overload_429": sum(one.status == 429 for one in crowd.said),
        "overload_503": sum(one.status == 503 for one in crowd.said),
        "overload_without_retry_after": sum(not one.retry_after for one in refused),
        "overload_other": sum(not one.is_whole and one.status not in (429, 503) for one in crowd.said),
        "recovery_s": round(time.monotonic() - ended, 2) if after[-1].is_whole else None,
    }, [*crowd.said, *after[1:]]


def ill_behaved(server: Server, keys: Sequence[str], operator: str) -> dict[str, Any]:
    """How soon the places of clients are free again that read nothing, still connected, or have left."""
    with_nothing_read = [_begin(server, keys[i], question_of(30_000, i)) for i in range(SLOW)]
    slow_s = server.wait_idle(operator, FREED_S)
    for one in with_nothing_read:
        one.close()
    for i in range(DROPPED):
        with closing(_begin(server, keys[i], question_of(40_000, i))) as one:
            one.recv(1)
    dropped_s = server.wait_idle(operator, FREED_S)
    with Client(server.port, keys[0]) as http:
        after = http.ask(question_of(50_000, 0))
    _wait_until_over(server)
    return {
        "slow_readers": SLOW,
        "slow_freed_s": None if slow_s is None else round(slow_s, 2),
        "dropped_clients": DROPPED,
        "dropped_freed_s": None if dropped_s is None else round(dropped_s, 2),
        "answered_after": after.is_whole,
    }


def _begin(server: Server, key: str, question: str) -> socket.socket:
    """A question whose answer nobody reads yet, over a connection that takes little."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    connection.connect(("127.0.0.1", server.port))
    body = body_of(question)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nAuthorization: Bearer {key}\r\n"
    connection.sendall(f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    connection.settimeout(FREED_S)
    return connection


def _wait_until_over(server: Server) -> None:
    """What was given up is ended behind its client, which takes a moment."""
    until = time.monotonic() + FREED_S
    while time.monotonic() < until and count_log(server.log, []).left_running:
        time.sleep(0.2)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=300.0, help="of the load; a tenth of it for the overload")
    asked = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as here:
        print(json.dumps(figures(Path(here), asked, asked / 10), ensure_ascii=False))
