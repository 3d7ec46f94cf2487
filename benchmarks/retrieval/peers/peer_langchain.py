"""LangChain at its defaults: recursive splitter, in-memory vector store; or its BM25 retriever."""

from importlib.metadata import version
from typing import Any

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_text_splitters import RecursiveCharacterTextSplitter
from speak import hear, say, vectors_of


class Vectors(Embeddings):
    """The benchmark's embedder."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Vectors of passages."""
        return vectors_of(texts)

    def embed_query(self, text: str) -> list[float]:
        """The vector of a question."""
        return vectors_of([text], is_query=True)[0]


def main() -> None:
    """Index what is sent, and say what is found."""
    asked = hear()
    documents = [Document(f"{d['title']}\n\n{d['text']}", metadata={"document": d["id"]}) for d in asked["documents"]]
    chunks = RecursiveCharacterTextSplitter().split_documents(documents)
    if asked["by"] == "bm25":
        from langchain_community.retrievers import BM25Retriever

        retriever: Any = BM25Retriever.from_documents(chunks, k=asked["k"])
    else:
        retriever = InMemoryVectorStore.from_documents(chunks, Vectors()).as_retriever(search_kwargs={"k": asked["k"]})
    found = [[hit.metadata["document"] for hit in retriever.invoke(query)] for query in asked["queries"]]
    say(found=found, version=version("langchain-core"))


if __name__ == "__main__":
    main()
