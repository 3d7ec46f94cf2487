"""Any LangChain or LlamaIndex retriever as a `Retriever`; whatever they search (Pinecone, Elasticsearch, ...) comes along.

*Covered*: chunks with an `access` list, or outside of `within`, are dropped from what was found; unreadable labels close a chunk.
*Not covered*: the search itself knows no reader, so fewer than `k` may be left. Give the foreign index its own filter, too.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from sadari.errors import ConfigError
from sadari.types import EVERYONE, Chunk, Found, Reader


class ForeignRetriever:
    """What a foreign retriever finds, as sadari's chunks.

    Args:
        retriever: A LangChain retriever (`.invoke(query)`) or a LlamaIndex one (`.retrieve(query)`).

    Raises:
        ConfigError: If it is neither.
    """

    def __init__(self, retriever: Any) -> None:
        ask = getattr(retriever, "retrieve", None) or getattr(retriever, "invoke", None)
        if not callable(ask):
            raise ConfigError(
                f"{type(retriever).__name__} has neither `invoke` nor `retrieve`. Give a LangChain or LlamaIndex retriever."
            )
        self._ask = ask

    def search(self, query: str, k: int, reader: Reader = EVERYONE) -> list[Found]:
        """The first `k` of what is found that the reader may see; without scores of its own, 1 / rank."""
        found = (_read(one, 1 / rank) for rank, one in enumerate(self._ask(query), start=1))
        return [one for one in found if reader.may_see(one.chunk)][:k]


def _read(one: Any, score: float) -> Found:
    node = getattr(one, "node", one)
    text = node.get_content() if hasattr(node, "get_content") else node.page_content
    metadata = node.metadata if isinstance(node.metadata, Mapping) else {}
    name = (
        metadata.get("source") or metadata.get("file_path") or getattr(node, "ref_doc_id", None) or getattr(node, "id", None) or ""
    )
    start = getattr(node, "start_char_idx", None) or metadata.get("start_index") or 0
    plain = {str(key): str(value) for key, value in metadata.items() if key != "access"}
    chunk = Chunk(
        document=str(name),
        title=str(metadata.get("title") or ""),
        start=int(start),
        end=int(start) + len(text),
        text=text,
        date=str(metadata.get("date") or ""),
        access=tuple(_labels(metadata.get("access"))),
        metadata=plain,
    )
    given = getattr(one, "score", None)
    return Found(chunk, score if given is None else float(given))


def _labels(access: Any) -> Iterator[str]:
    if access is None:
        return
    yield from (str(label) for label in ([access] if not isinstance(access, list | tuple | set | frozenset) else access))
