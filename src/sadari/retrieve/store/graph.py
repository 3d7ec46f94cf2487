"""Nearest neighbours among many vectors by an HNSW graph (`usearch`), memory-mapped."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sadari.errors import ConfigError

CONNECTIVITY, BUILD_WIDTH, SEARCH_WIDTH = 16, 128, 96
"""Edges of each vector, and candidates kept while building and while searching; the benchmark `retrieval_scale` has the recall."""


class Graph:
    """Finds the positions of vectors near to a query; approximately.

    Source:
        Malkov and Yashunin (2018), arXiv 1603.09320.
    """

    def __init__(self, path: Path) -> None:
        self._index = _usearch().Index.restore(str(path), view=True)
        self._index.expansion_search = SEARCH_WIDTH

    def near(self, vector: NDArray[np.float32], k: int) -> NDArray[np.int64]:
        """About the `k` positions whose vectors have the largest inner product with `vector`, best first."""
        return np.asarray(self._index.search(vector, k).keys, dtype=np.int64)


def save_graph(vectors: NDArray[np.float32], path: Path) -> None:
    """Build the graph over the rows of `vectors` and write it to a file."""
    index = _usearch().Index(
        ndim=vectors.shape[1],
        metric="ip",
        dtype="bf16",
        connectivity=CONNECTIVITY,
        expansion_add=BUILD_WIDTH,
        expansion_search=SEARCH_WIDTH,
    )
    index.add(np.arange(len(vectors)), vectors)
    try:
        index.save(str(path))
    except RuntimeError as error:  # usearch tells of a full disk so
        raise OSError(str(error)) from error


def _usearch() -> Any:
    try:
        import usearch.index
    except ImportError as error:
        raise ConfigError("Searching more than 100,000 vectors needs usearch: pip install 'sadari[retrieval]'.") from error
    return usearch.index
