"""Where chunks and vectors are kept: in memory, in a folder, in PostgreSQL, in Milvus; one seam."""

from sadari.errors import ConfigError
from sadari.retrieve.store.folder import FolderStore
from sadari.retrieve.store.memory import MemoryStore
from sadari.retrieve.store.seam import Store, TermsOf
from sadari.retrieve.text import indexed_terms

__all__ = ["FolderStore", "MemoryStore", "Store", "TermsOf", "open_store"]


def open_store(uri: str, dimensions: int | None = None, terms_of: TermsOf = indexed_terms) -> Store:
    """The store at a URI.

    Args:
        uri: A folder; "postgresql://user@host/database"; "milvus:///file.db", "milvus+http://host:19530"; or "memory:".
        dimensions: Of the vectors; 0 for none, None takes what is held.
        terms_of: The terms that chunks are found by.

    Raises:
        ConfigError: If the URI has another form, a library is missing, or other dimensions or terms are held.
        RunError: If the store is damaged or its server does not answer.
    """
    scheme = uri.partition(":")[0] if "://" in uri or uri == "memory:" else ""
    if scheme == "memory":
        return MemoryStore(dimensions or 0, terms_of)
    if scheme in ("postgresql", "postgres"):
        from sadari.retrieve.store.pgvector import PgvectorStore

        return PgvectorStore(uri, dimensions, terms_of)
    if scheme in ("milvus", "milvus+http", "milvus+https"):
        from sadari.retrieve.store.milvus import MilvusStore

        return MilvusStore(uri, dimensions, terms_of)
    if scheme:
        raise ConfigError(
            f"{scheme}:// is no store. Give a folder, postgresql://..., milvus:///FILE.db or milvus+http://HOST:PORT."
        )
    return FolderStore(uri, dimensions, terms_of)
