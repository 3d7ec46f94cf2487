"""`/v1/embeddings`."""

import base64
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import Field

from sadari.retrieve.tokens import token_counts
from sadari.serve.entry import Exchange, ServiceOf, Who
from sadari.serve.faults import wrong
from sadari.serve.openai.messages import Body, text_of
from sadari.serve.service import Service
from sadari.types import Usage

router = APIRouter()

MOST_TEXTS, LONGEST_TEXT = 2_048, 100_000


class EmbeddingBody(Body, frozen=True):
    """A request for vectors. `model` is the name of the service's embedder, or any other of its names."""

    input: str | list[str] | list[int] | list[list[int]]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = Field(default=None, ge=1)


@router.post("/v1/embeddings")
async def embed(body: EmbeddingBody, request: Request, service: ServiceOf, identity: Who) -> Response:
    """Unit vectors of texts, one for each, in order."""
    texts = _texts(body)
    exchange = Exchange(request, service, identity, body.model)
    work = await exchange.begin(lambda: iter([_embedded(service, body, texts, exchange.used)]))
    return await exchange.whole(work.next())


def _texts(body: EmbeddingBody) -> list[str]:
    texts = [body.input] if isinstance(body.input, str) else body.input
    if not 0 < len(texts) <= MOST_TEXTS:
        raise wrong("input", f"give 1 to {MOST_TEXTS} texts.")
    read = [text for text in texts if isinstance(text, str)]
    if len(read) < len(texts):
        raise wrong("input", "give texts: tokens of other models mean nothing here.")
    for i, text in enumerate(read):
        text_of(text, f"input[{i}]")
        if len(text) > LONGEST_TEXT:
            raise wrong(f"input[{i}]", f"has {len(text):,} characters; {LONGEST_TEXT:,} are taken.")
    return read


def _embedded(service: Service, body: EmbeddingBody, texts: list[str], used: Callable[[Usage], None]) -> dict[str, Any]:
    embedder = service.embedder
    if body.dimensions not in (None, embedder.dimensions):
        raise wrong("dimensions", f"this embedder gives {embedder.dimensions}.")
    rows = np.asarray(embedder.embed(texts), dtype="<f4")
    is_packed = body.encoding_format == "base64"
    vectors: list[Any] = [base64.b64encode(row.tobytes()).decode() if is_packed else row.tolist() for row in rows]
    data = [{"object": "embedding", "index": i, "embedding": vector} for i, vector in enumerate(vectors)]
    tokens = sum(token_counts(texts))
    used(Usage(tokens))
    return {"object": "list", "data": data, "model": body.model, "usage": {"prompt_tokens": tokens, "total_tokens": tokens}}
