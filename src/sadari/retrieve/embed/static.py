"""The static embedder: a text's vector is the sum of the vectors of its pieces.

It knows no word order, but needs no model: a table of a few megabytes, microseconds a sentence, any machine, no network. Pieces are
words, bigrams and beginnings of words; those that the table does not name share a few rows by hash, so that rare names still meet
themselves.

Source:
    Pieces of words as one vector: Bojanowski et al. (2017), arXiv 1607.04606. Rows shared by hash: Weinberger et al. (2009),
    arXiv 0902.2206.
"""

import json
import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from sadari.errors import ModelError
from sadari.files import write_text

VOCABULARY = "pieces.json"
VECTORS = "vectors.safetensors"

_RUNS = re.compile(r"[a-z]+|[0-9]+|[가-힣]+|[぀-ヿ一-鿿]+")
_STEM = 5
_MOST_CHARS = 20_000


def pieces_of(text: str) -> list[str]:
    """The pieces of `text`, each once, in order of appearance.

    Of a Korean word its bigrams and, marked, its first two and three syllables, which carry most of its meaning; of an English
    word itself and its first five letters; numbers whole.
    """
    return list(dict.fromkeys(_pieces(unicodedata.normalize("NFC", text[:_MOST_CHARS]).lower())))


def _pieces(text: str) -> Iterator[str]:
    for run in _RUNS.findall(text):
        if run[0] < "a":
            yield run
        elif run[0] <= "z":
            yield run
            if len(run) > _STEM:
                yield run[:_STEM] + "*"
        else:
            yield from ([run[i : i + 2] for i in range(len(run) - 1)] or [run])
            if len(run) > 2:
                yield "^" + run[:2]
                yield "^" + run[:3]


@dataclass(frozen=True)
class StaticEmbedder:
    """Embeds by a table of vectors, one for each piece.

    Args:
        name: How it was asked for.
        pieces: The row of every named piece; the rows after them are shared by hash.
        rows: Shape (rows, dimensions), int8.
        scales: What each row is multiplied with, shape (rows,), float32.
    """

    name: str
    pieces: dict[str, int] = field(repr=False)
    rows: NDArray[np.int8] = field(repr=False)
    scales: NDArray[np.float32] = field(repr=False)

    @property
    def dimensions(self) -> int:
        """Of the vectors."""
        return int(self.rows.shape[1])

    def embed(self, texts: Sequence[str], *, is_query: bool = False) -> NDArray[np.float32]:
        """Unit rows, shape (texts, dimensions); zeros for a text without letters and digits."""
        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for vector, text in zip(vectors, texts, strict=True):
            ids = self.ids_of(text)
            if ids:
                vector += self.scales[ids] @ self.rows[ids].astype(np.float32)
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        np.divide(vectors, norms, out=vectors, where=norms > 0)
        return vectors

    def ids_of(self, text: str) -> list[int]:
        """The rows of the pieces of `text`."""
        return row_ids(pieces_of(text), self.pieces, len(self.rows))

    def save(self, folder: Path) -> None:
        """Write the embedder to a folder that `load_embedder` reads."""
        from safetensors.numpy import save_file

        folder.mkdir(parents=True, exist_ok=True)
        draft = folder / f".{VECTORS}.{os.getpid()}.tmp"
        save_file({"rows": np.ascontiguousarray(self.rows), "scales": self.scales.astype(np.float16)}, draft)
        draft.chmod(0o644)
        draft.replace(folder / VECTORS)
        write_text(folder / VOCABULARY, json.dumps(list(self.pieces), ensure_ascii=False))


def row_ids(pieces: Sequence[str], named: dict[str, int], rows: int) -> list[int]:
    """The row of each piece: its own, or one of those that are shared."""
    shared = rows - len(named)
    return [
        row for piece in pieces if (row := named.get(piece, -1 if not shared else len(named) + crc32(piece.encode()) % shared)) >= 0
    ]


def load_static(folder: Path, name: str) -> StaticEmbedder:
    """The embedder that `StaticEmbedder.save` wrote.

    Raises:
        ModelError: If the folder is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        pieces = json.loads((folder / VOCABULARY).read_text(encoding="utf-8"))
        table = load_file(folder / VECTORS)
        rows, scales = table["rows"], table["scales"].astype(np.float32)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise ModelError(f"{folder} holds no whole embedder ({error}). Save it again.") from error
    if rows.ndim != 2 or scales.shape != rows.shape[:1] or not isinstance(pieces, list) or len(pieces) > len(rows):
        raise ModelError(f"{folder}: {VOCABULARY} and {VECTORS} do not belong together. Save the embedder again.")
    return StaticEmbedder(name, {piece: i for i, piece in enumerate(pieces)}, rows, scales)


def load_bundled() -> StaticEmbedder:
    """The embedder that comes with sadari, for Korean and English."""
    return load_static(Path(str(files("sadari") / "retrieve" / "embed" / "weights")), "bundled")


def quantised(table: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Rows in 8 bits and what they are to be multiplied with; no entry moves by more than 1/254 of the largest of its row."""
    scales = np.maximum(np.abs(table).max(axis=1), 1e-8) / 127
    return np.round(table / scales[:, None]).astype(np.int8), scales.astype(np.float16).astype(np.float32)
