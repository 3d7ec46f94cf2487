"""Read the openly licensed corpus: share-alike rows left out, order fixed by the files."""

from __future__ import annotations

import gzip
import json
import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from random import Random

DEFAULT_CORPUS = Path("../shared/corpus")
_FILES = {"ko": "corpus.ko.jsonl.gz", "en": "corpus.en.jsonl.gz"}


def find_corpus() -> Path:
    """Folder named by `SADARI_CORPUS`, else `../shared/corpus`."""
    return Path(os.environ.get("SADARI_CORPUS", DEFAULT_CORPUS))


def is_share_alike(license_name: str) -> bool:
    """True for licences that would bind the weights (CC BY-SA)."""
    return "BY-SA" in license_name.upper()


def read_texts(language: str, folder: Path | None = None) -> Iterator[tuple[str, str]]:
    """Yield (source, text), NFC, of every usable record of `language` ("ko" or "en")."""
    path = (folder or find_corpus()) / _FILES[language]
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            if not is_share_alike(record["license"]):
                yield record["source"], unicodedata.normalize("NFC", record["text"])


def load_corpus(folder: Path | None = None, *, review_share: float = 0.25, seed: int = 7) -> dict[str, list[str]]:
    """Texts by language; of the Korean film reviews only `review_share` is kept, since they would outweigh all prose."""
    r = Random(seed)
    return {
        language: [text for source, text in read_texts(language, folder) if "nsmc" not in source or r.random() < review_share]
        for language in _FILES
    }
