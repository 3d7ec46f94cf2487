"""Small chunks, readers and vectors that the tests of stores share."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from sadari.retrieve.store import Store
from sadari.retrieve.text import search_terms
from sadari.types import Chunk, Found

SHOP = {
    "배송.md": "제주도 배송비는 3,000원입니다",
    "환불.md": "환불은 칠 일 이내에 신청합니다",
    "교환.md": "사이즈 교환은 배송 뒤 신청합니다",
}


def chunk(document: str, text: str, **fields: object) -> Chunk:
    return Chunk(document, document.removesuffix(".md"), 0, len(text), text, **fields)  # type: ignore[arg-type]


def shop() -> list[Chunk]:
    return [chunk(name, text) for name, text in SHOP.items()]


def fill(store: Store, chunks: Iterable[Chunk], vectors: NDArray[np.float32] | None = None) -> None:
    """Put and commit; every document's hash is "1"."""
    chunks = list(chunks)
    store.put(chunks, vectors)
    store.commit({**store.state(), **{c.document: "1" for c in chunks}})


def names(found: Iterable[Found]) -> list[str]:
    return [f.chunk.document for f in found]


def ask(store: Store, question: str, k: int = 10) -> list[str]:
    return names(store.by_terms(search_terms(question), k))


def unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
