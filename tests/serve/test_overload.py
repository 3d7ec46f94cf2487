"""More than a server can do, clients that do not read, and clients that leave: others are answered all the same."""

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from sadari.agent.loop import Reply
from sadari.serve import entry
from sadari.serve.work import Work
from sadari.types import Answer, Delta, Usage

BODY = {"model": "sadari", "messages": [{"role": "user", "content": "언제 오나요?"}]}


class Held:
    """Answers when it is let go on; until then it writes, if it is told to."""

    version = "held"

    def __init__(self, text: str = "내일 옵니다.", *, writes: bool = False) -> None:
        self.go_on, self._text, self._writes = threading.Event(), text, writes

    def reply(self, messages: Any, tools: Any, caller: Any) -> Iterator[Delta | Reply]:
        for _ in range(2_000):
            if self.go_on.wait(0.005):
                break
            if self._writes:
                yield Delta(".")
        yield Reply(Answer(self._text, usage=Usage(1, 1)))


def in_thread(http: httpx.Client, answers: list[httpx.Response]) -> threading.Thread:
    """One question beside the test."""
    thread = threading.Thread(target=lambda: answers.append(http.post("/v1/chat/completions", json=BODY)), daemon=True)
    thread.start()
    return thread


def begin(port: int, key: str = "", *, stream: bool = True) -> socket.socket:
    """A question whose answer nobody reads."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    connection.connect(("127.0.0.1", port))
    body = json.dumps(BODY | {"stream": stream}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n"
    connection.sendall(f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    return connection


def test_who_is_too_many_is_told_to_come_again_and_then_answered(start: Any) -> None:
    held = Held()
    live = start(responder=held, at_once=2, waiting=1, wait_s=20)
    answers: list[httpx.Response] = []
    with live.http() as http:
        threads = [in_thread(http, answers) for _ in range(3)]
        live.wait_for(lambda: live.service.workers.is_full)
        refused = http.post("/v1/chat/completions", json=BODY)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "overloaded")
        assert int(refused.headers["Retry-After"]) >= 1
        assert http.get("/readyz").status_code == 503
        held.go_on.set()
        for thread in threads:
            thread.join(10)
        assert [one.status_code for one in answers] == [200, 200, 200]
        assert http.post("/v1/chat/completions", json=BODY).status_code == 200
        live.wait_for(lambda: http.get("/readyz").status_code == 200)


def test_who_waits_too_long_is_told_to_come_again(start: Any) -> None:
    held = Held()
    live = start(responder=held, at_once=1, waiting=5, wait_s=0.2)
    with live.http() as http:
        first = in_thread(http, [])
        live.wait_for(lambda: live.service.workers.running == 1)
        refused = http.post("/v1/chat/completions", json=BODY)
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        held.go_on.set()
        first.join(10)


def test_a_key_that_asks_too_much_at_once_leaves_room_for_others(start: Any) -> None:
    held = Held()
    live = start(responder=held, users={"kim": "user", "lee": "user"}, concurrent=2)
    answers: list[httpx.Response] = []
    with live.http("kim") as kim, live.http("lee") as lee:
        threads = [in_thread(kim, answers) for _ in range(2)]
        live.wait_for(lambda: live.service.workers.running == 2)
        refused = kim.post("/v1/chat/completions", json=BODY)
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
        threads.append(in_thread(lee, answers))
        live.wait_for(lambda: live.service.workers.running == 3)
        held.go_on.set()
        for thread in threads:
            thread.join(10)
    assert [one.status_code for one in answers] == [200, 200, 200]


def test_who_reads_nothing_holds_up_nobody(start: Any) -> None:
    held = Held("가" * 4_000_000)  # more than lies between two sockets
    held.go_on.set()
    live = start(responder=held, at_once=1, waiting=0)
    slow = begin(live.port)
    live.wait_for(lambda: live.service.workers.running == 1 or live.service.log.runs())
    live.wait_for(lambda: live.service.workers.running == 0)
    with live.http() as http:
        assert http.post("/v1/chat/completions", json=BODY).status_code == 200
    slow.close()


def test_clients_that_leave_free_their_places(start: Any) -> None:
    held = Held(writes=True)
    live = start(responder=held, at_once=4, waiting=0)
    clients = [begin(live.port) for _ in range(4)]
    for client in clients:
        client.recv(1)
    assert live.service.workers.running == 4
    for client in clients:
        client.close()
    live.wait_for(lambda: live.service.workers.running == 0)
    live.wait_for(lambda: {run.status for run in live.service.log.runs()} == {"cancelled"})
    held.go_on.set()
    with live.http() as http:
        assert http.post("/v1/chat/completions", json=BODY).status_code == 200


def test_a_client_that_leaves_while_it_waits_makes_room_for_another_and_its_question_is_not_asked(start: Any) -> None:
    held = Held()
    live = start(responder=held, at_once=1, waiting=1, wait_s=20)
    answers: list[httpx.Response] = []
    with live.http() as http:
        threads = [in_thread(http, answers)]
        live.wait_for(lambda: live.service.workers.running == 1)
        waits = begin(live.port)
        live.wait_for(lambda: live.service.workers.is_full)
        waits.close()
        live.wait_for(lambda: not live.service.workers.is_full)
        threads.append(in_thread(http, answers))
        live.wait_for(lambda: live.service.workers.is_full)
        held.go_on.set()
        for thread in threads:
            thread.join(10)
    assert [one.status_code for one in answers] == [200, 200]
    assert len(live.service.log.runs()) == 2


def test_a_stream_that_is_silent_says_that_it_is_still_there(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entry, "PING_S", 0.05)
    held = Held()
    live = start(responder=held)
    lines: list[str] = []
    with live.http() as http, http.stream("POST", "/v1/chat/completions", json=BODY | {"stream": True}) as response:
        for line in response.iter_lines():
            lines.append(line)
            if lines.count(": still at work") == 2:
                held.go_on.set()
    assert lines.count(": still at work") >= 2
    assert [line for line in lines if line][-1] == "data: [DONE]"


def test_pieces_of_work_come_whole_and_in_order_however_fast_they_are_given() -> None:
    async def read() -> list[int]:
        work: Work[int] = Work()
        done = asyncio.get_running_loop().run_in_executor(None, work.run, lambda: iter(range(5_000)), lambda piece: True)
        pieces = [piece async for piece in work]
        await done
        return pieces

    assert asyncio.run(read()) == list(range(5_000))


def test_what_fails_behind_a_piece_is_raised_behind_it() -> None:
    def fails() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    async def read() -> None:
        work: Work[int] = Work()
        threading.Thread(target=work.run, args=(fails, lambda piece: True), daemon=True).start()
        assert await work.next() == 1
        with pytest.raises(ValueError, match="broken"):
            await work.next()

    asyncio.run(read())
