"""Find the passages that answer a question, and trace answers back to them."""

from sadari.retrieve.chunk import chunk_documents, sentences_of
from sadari.retrieve.cite import cite
from sadari.retrieve.index import Hit, LexicalIndex
from sadari.retrieve.text import search_terms

__all__ = ["Hit", "LexicalIndex", "chunk_documents", "cite", "search_terms", "sentences_of"]
