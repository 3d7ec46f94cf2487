"""LlamaIndex at its defaults: sentence splitter of 1,024 tokens, an in-memory vector index; or its BM25 retriever."""

from importlib.metadata import version
from typing import Any

from llama_index.core import Document, Settings, VectorStoreIndex
from llama_index.core.embeddings import BaseEmbedding
from llama_index.core.node_parser import SentenceSplitter
from speak import hear, say, vectors_of


class Vectors(BaseEmbedding):
    """The benchmark's embedder."""

    def _get_query_embedding(self, query: str) -> list[float]:
        return vectors_of([query], is_query=True)[0]

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_query_embedding(query)

    def _get_text_embedding(self, text: str) -> list[float]:
        return vectors_of([text])[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return vectors_of(texts)


def main() -> None:
    """Index what is sent, and say what is found."""
    asked = hear()
    documents = [Document(text=d["text"], doc_id=d["id"], metadata={"title": d["title"]}) for d in asked["documents"]]
    Settings.llm = None
    if asked["by"] == "bm25":
        from llama_index.retrievers.bm25 import BM25Retriever

        nodes = SentenceSplitter().get_nodes_from_documents(documents)
        retriever: Any = BM25Retriever.from_defaults(nodes=nodes, similarity_top_k=asked["k"])
    else:
        index = VectorStoreIndex.from_documents(documents, embed_model=Vectors(embed_batch_size=256))
        retriever = index.as_retriever(similarity_top_k=asked["k"])
    found = [[hit.node.ref_doc_id for hit in retriever.retrieve(query)] for query in asked["queries"]]
    say(found=found, version=version("llama-index-core"))


if __name__ == "__main__":
    main()
