"""The collections that are searched: passages or sections, and questions with the documents that answer them."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sadari.types import Chunk

DATA = Path(os.environ.get("SADARI_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, and the documents any of which answers it."""

    text: str
    right: frozenset[str]


@dataclass(frozen=True, slots=True)
class Collected:
    """A collection; every passage is a document and a chunk of its own."""

    name: str
    chunks: tuple[Chunk, ...]
    questions: tuple[Asked, ...]


def collections(data: Path = DATA) -> list[Collected]:
    """What is searched, as far as its folder is there."""
    found = []
    if (data / "ko-wiki-qa").is_dir():
        found.append(wiki(data / "ko-wiki-qa"))
    if (data / "ko-fastapi-docs").is_dir():
        found += [fastapi(data / "ko-fastapi-docs"), across_languages(data / "ko-fastapi-docs")]
    return found


def wiki(folder: Path, split: str = "test") -> Collected:
    """Korean questions to paragraphs of the Korean Wikipedia."""
    chunks = [_chunk(row["doc_id"], row["title"], row["text"]) for row in _rows(folder / "corpus.jsonl")]
    questions = [Asked(row["question"], frozenset(row["relevant"])) for row in _rows(folder / f"{split}.jsonl")]
    return Collected("ko-wiki-qa", tuple(chunks), tuple(questions))


def fastapi(folder: Path) -> Collected:
    """Korean questions to sections of a Korean manual, those that it does not answer left out."""
    rows = _rows(folder / "questions.jsonl")
    questions = [Asked(row["question"], frozenset(row["relevant"])) for row in rows if row["answerable"]]
    return Collected("ko-fastapi-docs", _sections(folder), tuple(questions))


def across_languages(folder: Path) -> Collected:
    """English headings to the Korean sections that stand under them."""
    questions = [Asked(row["heading_en"], frozenset([row["doc_id"]])) for row in _rows(folder / "pairs.jsonl")]
    return Collected("English to Korean", _sections(folder), tuple(questions))


def _sections(folder: Path) -> tuple[Chunk, ...]:
    return tuple(_chunk(row["doc_id"], row["heading"], row["text"]) for row in _rows(folder / "sections_ko.jsonl"))


def _chunk(document: str, title: str, text: str) -> Chunk:
    return Chunk(document, title, 0, len(text), text)


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
