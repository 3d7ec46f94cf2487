"""What the server adds to the loop: one scripted model that answers at once, asked in this process and over HTTP, turn by turn.

    python benchmarks/serving/overhead.py [--quick]

Prints one line of JSON. Each question is asked four ways, in an order that rotates: `Loop.answer` and a whole answer over HTTP,
`Loop.ask` (which puts the question on the disk) and the first byte of a stream over HTTP, so that a busy machine burdens all alike.
`overhead_p95_ms` is by how much the p95 over HTTP is above that in this process, for the worse of the two, asked by one client.
"""

import argparse
import json
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from client import Client, events
from servers import Server, body_of, make_bundle, make_keys

from sadari.agent.log import Log
from sadari.agent.loop import Loop
from sadari.bundle import load_bundle
from sadari.run import open_engine
from sadari.types import Caller

QUESTION = "주문 번호 1024 상품은 언제 배송되나요?"
ANSWER = "주문하신 상품은 내일 도착합니다."
ROUNDS, QUICK_ROUNDS, WARMING = 400, 100, 20
CLIENTS = 8


def figures(folder: Path, rounds: int) -> dict[str, float]:
    """Milliseconds that the server adds, to one client and to `CLIENTS` at once."""
    script = folder / "script.json"
    script.write_text(json.dumps([{"say": ANSWER}], ensure_ascii=False), encoding="utf-8")
    bundle = make_bundle(folder, f"scripted:{script}")
    server = Server(bundle, folder)
    keys = make_keys(server.log, CLIENTS)
    loop = loop_of(bundle, folder / "own.sqlite")
    with server:
        took = measure(loop, server.port, keys[:1], rounds)
        beside = measure(loop, server.port, keys[:CLIENTS], rounds // CLIENTS)
    loop.log.close()
    added = told(took, "")
    worst = max(added["whole_p95_ms"] - added["answer_p95_ms"], added["first_p95_ms"] - added["ask_p95_ms"])
    return {"overhead_p95_ms": round(worst, 2)} | added | told(beside, f"_of_{CLIENTS}")


def loop_of(bundle: Path, log: Path) -> Loop:
    """The same agent in this process, as `sadari serve` opens it."""
    kept = Log(log)
    return Loop(open_engine().acting(load_bundle(bundle)).on(kept), kept)


def measure(loop: Loop, port: int, keys: list[str], rounds: int) -> dict[str, list[float]]:
    """Milliseconds by way of asking, one for each round of each client; all clients go through each round's ways together."""
    took: dict[str, list[float]] = defaultdict(list)
    together = threading.Barrier(len(keys))

    def go_through(key: str) -> None:
        with Client(port, key) as client:
            ways = ways_of(loop, client)
            for i in range(rounds + WARMING):
                found = {}
                for name, way in [*ways.items()][i % len(ways) :] + [*ways.items()][: i % len(ways)]:
                    together.wait(60)
                    found[name] = 1000 * way()
                if i >= WARMING:
                    for name, ms in found.items():
                        took[name].append(ms)

    threads = [threading.Thread(target=go_through, args=(key,), daemon=True) for key in keys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(took["answer"]) < rounds * len(keys):
        raise RuntimeError("a client gave up: see above")
    return took


def ways_of(loop: Loop, client: Client) -> dict[str, Callable[[], float]]:
    """The four ways to ask; each gives the seconds it took."""
    caller = Caller("client", language="ko")

    def answer() -> float:
        began = time.perf_counter()
        state = loop.answer(QUESTION, caller)
        passed = time.perf_counter() - began
        assert state.answer is not None
        assert state.answer.text == ANSWER
        return passed

    def whole() -> float:
        began = time.perf_counter()
        response = client.send(body_of(QUESTION, stream=False))
        said = json.loads(response.read())
        passed = time.perf_counter() - began
        assert said["choices"][0]["message"]["content"] == ANSWER, said
        return passed

    def ask() -> float:
        began = time.perf_counter()
        run = loop.ask(QUESTION, caller)
        passed = time.perf_counter() - began
        for _ in loop.advance(run):
            pass
        return passed

    def first() -> float:
        began = time.perf_counter()
        response = client.send(body_of(QUESTION))
        told = events(response)
        next(told)
        passed = time.perf_counter() - began
        for _ in told:
            pass
        return passed

    return {"answer": answer, "whole": whole, "ask": ask, "first": first}


def told(took: dict[str, list[float]], name: str) -> dict[str, float]:
    """The figures of one measurement: of each pair, what the server adds at the median, at p95, and between the p95s."""
    figures: dict[str, Any] = {}
    for over, own in (("whole", "answer"), ("first", "ask")):
        added = [a - b for a, b in zip(took[over], took[own], strict=True)]
        figures |= {
            f"{over}{name}_added_p50_ms": median(added),
            f"{over}{name}_added_p95_ms": p95(added),
            f"{over}{name}_p95_ms": p95(took[over]),
            f"{own}{name}_p95_ms": p95(took[own]),
        }
    return {key: round(value, 2) for key, value in figures.items()}


def p95(values: list[float]) -> float:
    """The 95th percentile."""
    return quantiles(values, n=20, method="inclusive")[-1]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a quarter of the rounds")
    with ExitStack() as stack:
        here = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        print(json.dumps(figures(here, QUICK_ROUNDS if parser.parse_args().quick else ROUNDS)))
