"""Doubles shaped like LangChain's and LlamaIndex's objects: name for name what those libraries give."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from sadari.errors import ConfigError
from sadari.retrieve.adapters import ForeignRetriever
from sadari.types import Chunk, Reader, Retriever


@dataclass
class LangChainDocument:
    page_content: str
    metadata: dict[str, Any] = field(default_factory=dict)
    id: str | None = None


class LangChainRetriever:
    def __init__(self, *documents: LangChainDocument) -> None:
        self.documents = documents

    def invoke(self, query: str) -> list[LangChainDocument]:
        return [document for document in self.documents if query in document.page_content]


class TextNode:
    def __init__(self, text: str, metadata: dict[str, Any], start: int | None = None) -> None:
        self._text, self.metadata, self.start_char_idx, self.ref_doc_id = text, metadata, start, "guide.md"

    def get_content(self) -> str:
        return self._text


@dataclass
class NodeWithScore:
    node: TextNode
    score: float | None


class LlamaIndexRetriever:
    def __init__(self, *nodes: NodeWithScore) -> None:
        self.nodes = [*nodes]

    def retrieve(self, query: str) -> list[NodeWithScore]:
        return self.nodes


def test_what_langchain_finds_keeps_its_order_source_and_place() -> None:
    retriever = ForeignRetriever(
        LangChainRetriever(
            LangChainDocument("배송비 3,000원", {"source": "배송.md", "start_index": 7, "page": 2}),
            LangChainDocument("배송 조회", id="d2"),
        )
    )
    assert isinstance(retriever, Retriever)
    first, second = retriever.search("배송", 5)
    assert first.chunk == Chunk(
        "배송.md", "", 7, 17, "배송비 3,000원", metadata={"source": "배송.md", "start_index": "7", "page": "2"}
    )
    assert (second.chunk.document, first.score, second.score) == ("d2", 1.0, 0.5)
    assert len(retriever.search("배송", 1)) == 1


def test_what_llamaindex_finds_keeps_its_scores() -> None:
    retriever = ForeignRetriever(
        LlamaIndexRetriever(NodeWithScore(TextNode("환불 기한", {}, 3), 0.25), NodeWithScore(TextNode("b", {}), None))
    )
    found = retriever.search("환불", 5)
    assert [(f.chunk.document, f.chunk.start, f.score) for f in found] == [("guide.md", 3, 0.25), ("guide.md", 0, 0.5)]


def test_a_reader_gets_only_what_the_labels_and_the_metadata_allow() -> None:
    retriever = ForeignRetriever(
        LangChainRetriever(
            LangChainDocument("급여 1", {"access": ["hr"], "year": 2026}),
            LangChainDocument("급여 2", {"access": "it", "year": 2026}),
            LangChainDocument("급여 3", {"year": 2025}),
            LangChainDocument("급여 4", {"access": 7}),  # whatever this means, it is no open document
        )
    )
    assert [f.chunk.text for f in retriever.search("급여", 9)] == ["급여 3"]
    assert [f.chunk.text for f in retriever.search("급여", 9, Reader(frozenset({"hr"}), {"year": ("2026",)}))] == ["급여 1"]


def test_another_object_is_refused() -> None:
    with pytest.raises(ConfigError, match="neither `invoke` nor `retrieve`"):
        ForeignRetriever(object())
