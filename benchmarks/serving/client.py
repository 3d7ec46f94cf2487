"""One client: asks, reads the answer as it comes, and notes what it was told and when. Light, since it shares the cores."""

import http.client
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from servers import body_of

TIMEOUT_S = 60.0


@dataclass(slots=True)
class Said:
    """What became of one question.

    Args:
        asked: The question, which nobody else asks, so that it is found again in the log.
        status: HTTP status; 0 if the connection broke before there was one.
        run, question: Where the server says that the question stands; the server acknowledges it with this.
        text: What was told of the answer.
        is_whole: Whether the answer came to its end.
        first_s, whole_s: Seconds from asking to the first text of the answer, and to its end.
        retry_after: The header, where there was one.
    """

    asked: str
    status: int = 0
    run: str = ""
    question: int = 0
    text: str = ""
    is_whole: bool = False
    first_s: float = 0.0
    whole_s: float = 0.0
    retry_after: str = ""
    fault: str = ""

    @property
    def is_acknowledged(self) -> bool:
        """Whether the client may rely on it that its question is kept."""
        return self.run != ""


class Client:
    """One connection that is kept, as long as it lasts.

    Args:
        port: Of the server on this machine.
        key: Of the client; "" sends none.
    """

    def __init__(self, port: int, key: str = "") -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
        self._headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._connection.close()

    def send(self, body: bytes, headers: Mapping[str, str] = {}) -> http.client.HTTPResponse:
        """The beginning of an answer."""
        self._connection.request("POST", "/v1/chat/completions", body, {**self._headers, **headers})
        return self._connection.getresponse()

    def ask(self, question: str, key: str = "") -> Said:
        """Ask, and read the stream to its end.

        Args:
            key: That makes the question one and the same however often it is asked; "" sends none.
        """
        said, began = Said(question), time.perf_counter()
        try:
            response = self.send(body_of(question), {"Idempotency-Key": key} if key else {})
            said.status, said.retry_after = response.status, response.headers.get("Retry-After", "")
            if response.status == 200:
                for chunk in events(response):
                    _hear(said, chunk, time.perf_counter() - began)
            else:
                said.fault = response.read().decode()[:300]
        except (OSError, http.client.HTTPException, json.JSONDecodeError) as error:
            said.fault = f"{type(error).__name__}: {error}"
            self._connection.close()
        said.whole_s = time.perf_counter() - began
        return said


def question_of(client: int, number: int) -> str:
    """A question that is asked once, as long as customers' questions are."""
    return f"주문 번호 {client}-{number} 상품은 언제쯤 배송되나요? 오늘 안에 출고되는지도 알려 주세요."


def events(response: http.client.HTTPResponse) -> Iterator[Any]:
    """The events of a stream, read from JSON; None for the one that says that it is over."""
    while line := response.readline():
        if line.startswith(b"data: "):
            yield None if line.startswith(b"data: [DONE]") else json.loads(line[6:])


def _hear(said: Said, chunk: Any, passed_s: float) -> None:
    if chunk is None:
        said.is_whole = said.fault == ""
        return
    if "error" in chunk:
        said.fault = str(chunk["error"]["message"])
        return
    told = chunk.get("sadari") or {}
    if "run" in told:
        said.run, said.question = told["run"], told["question"]
    for choice in chunk["choices"]:
        if text := choice["delta"].get("content"):
            said.first_s = said.first_s or passed_s
            said.text += text
    if "text" in told and "status" in told:  # what was told on the way is not how the answer begins
        said.text = told["text"]
