"""Embeddings of an OpenAI-compatible endpoint over HTTP.

Covered: the key is read from an environment variable when a request is sent, kept nowhere, and cut out of error messages;
redirects are not followed; an answer is bounded in size and time, and its vectors are checked.
Not covered: what the endpoint does with the text it is sent. Everything that is embedded leaves this machine.
"""

import random
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sadari.errors import ModelError

if TYPE_CHECKING:
    from sadari.model.remote import Endpoint

BATCH, BATCH_CHARS = 64, 60_000
"""Texts and characters sent at once."""

LONGEST_TEXT = 8_000
"""Characters of one text that are sent: models read some 8,000 tokens, and refuse more."""


class RemoteEmbedder:
    """A model behind an endpoint.

    Args:
        model: Its name there.
        endpoint: None is OpenAI's own.
    """

    def __init__(self, model: str, endpoint: "Endpoint | None" = None) -> None:
        from sadari.model.remote import Endpoint

        self._model = model
        self._endpoint = endpoint or Endpoint()
        self._dimensions = 0
        self._jitter = random.Random()
        self.sleep = time.sleep

    @property
    def name(self) -> str:
        """How it was asked for."""
        return f"openai:{self._model}"

    @property
    def dimensions(self) -> int:
        """Of the vectors; the endpoint is asked if no text was embedded yet."""
        if not self._dimensions:
            self.embed(["1"])
        return self._dimensions

    def embed(self, texts: Sequence[str], *, is_query: bool = False) -> NDArray[np.float32]:
        """As `Embedder.embed`. A text without words is sent as ".", since endpoints refuse empty ones.

        Raises:
            ModelError: If the endpoint refuses, cannot be reached, or answers something else.
        """
        import httpx

        from sadari.model.remote.wire import certificates

        rows: list[NDArray[np.float32]] = []
        with httpx.Client(timeout=self._endpoint.timeout_s, follow_redirects=False, verify=certificates()) as client:
            for batch in _batches([text[:LONGEST_TEXT] if text.strip() else "." for text in texts]):
                rows.append(self._rows(self._answer(client, batch), len(batch)))
        if not rows:
            return np.zeros((0, self.dimensions), dtype=np.float32)
        vectors = np.concatenate(rows)
        self._dimensions = vectors.shape[1]
        return vectors

    def _answer(self, client: Any, batch: Sequence[str]) -> Any:
        """The body of the answer; what passes by itself is asked again, with growing pauses."""
        import httpx

        from sadari.model.remote import wire

        endpoint, problem = self._endpoint, ""
        url = wire.join_url(endpoint.base_url, "/embeddings")
        body = {"model": self._model, "input": list(batch), "encoding_format": "float"}
        for attempt in range(endpoint.retries + 1):
            pause_s = None
            try:
                with client.stream("POST", url, json=body, headers=self._headers()) as response:
                    said = wire.parsed(b"".join(wire.bounded(response.iter_bytes(), longest_s=endpoint.longest_s)))
                if response.status_code == 200:
                    return said
                problem, pause_s = self._refusal(response.status_code, said), wire.retry_after_s(response.headers)
            except wire.OversizeError as error:
                raise ModelError(self._told(f"{error}. Use a model with shorter vectors.")) from error
            except httpx.TimeoutException:
                problem = f"no answer within {endpoint.timeout_s:g} s."
            except httpx.HTTPError as error:  # its text may hold the headers
                problem = f"the connection failed ({type(error).__name__})."
            if attempt == endpoint.retries or (pause_s or 0) > wire.LONGEST_WAIT_S:
                break
            backoff_s = min(30.0, 0.5 * 2**attempt) * self._jitter.uniform(0.5, 1.0)
            self.sleep(backoff_s if pause_s is None else pause_s)
        raise ModelError(self._told(f"{problem} Asked {attempt + 1} times. Check that it runs, and run again."))

    def _refusal(self, status: int, said: Any) -> str:
        """What a refusal that may pass says.

        Raises:
            ModelError: If it does not pass by itself.
        """
        from sadari.model.remote import wire

        variable = self._endpoint.api_key_env
        what = {
            401: f"the key in {variable} was refused. Set {variable} to a valid key",
            403: f"the key in {variable} may not use this model. Ask for access, or use another model",
            404: "the endpoint does not know this model or path. Check the name, and that base_url ends before /embeddings",
            413: "the texts are too long. Use smaller chunks",
        }
        reason = wire.clean(wire.said_error(said)[0], variable)
        problem = f"HTTP {status}: {what.get(status, 'the request was refused')}" + (f" ({reason})." if reason else ".")
        if status not in wire.RETRIED:
            raise ModelError(self._told(problem))
        return problem

    def _rows(self, said: Any, count: int) -> NDArray[np.float32]:
        """The vectors of an answer, as unit rows in the order that was asked.

        Raises:
            ModelError: If they are not there, or of different lengths.
        """
        try:
            listed = sorted(said["data"], key=lambda item: int(item["index"]))
            rows = np.array([item["embedding"] for item in listed], dtype=np.float32)
        except (KeyError, TypeError, ValueError):
            rows = np.zeros(0, dtype=np.float32)
        if rows.ndim != 2 or len(rows) != count or not rows.shape[1] or not np.isfinite(rows).all():
            raise ModelError(self._told(f"the answer holds no {count} vectors. Check that the model is one for embeddings."))
        if self._dimensions and rows.shape[1] != self._dimensions:
            raise ModelError(
                self._told(f"vectors have {rows.shape[1]} numbers, before it were {self._dimensions}. Build the index again.")
            )
        self._dimensions = rows.shape[1]
        rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
        return rows

    def _headers(self) -> dict[str, str]:
        from sadari.model.remote.wire import read_key

        key = read_key(self._endpoint.api_key_env, self._endpoint.base_url, self.name)
        return {"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {key}"} if key else {})

    def _told(self, problem: str) -> str:
        return f"{self.name} at {self._endpoint.shown}: {problem}"


def _batches(texts: Sequence[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    for text in texts:
        if batch and (len(batch) == BATCH or sum(map(len, batch)) + len(text) > BATCH_CHARS):
            yield batch
            batch = []
        batch.append(text)
    if batch:
        yield batch
