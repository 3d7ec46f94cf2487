"""How a peer talks with the benchmark: one JSON object a line, over standard input and output.

The benchmark sends `documents`, `queries`, `k` and `by`; the peer may ask for vectors as often as it likes (`{"embed": [texts],
"is_query": ...}`, answered by `{"vectors": [...]}`), and ends with `{"found": [[document, ...], ...], "version": ...}`. So every
peer searches by the very same vectors, and needs neither sadari nor a model. What packages print goes to standard error.
"""

import json
import os
import sys
from typing import Any

_OUT = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)


def hear() -> dict[str, Any]:
    """The next object from the benchmark."""
    line = sys.stdin.readline()
    if not line:
        raise SystemExit("the benchmark has gone")
    heard: dict[str, Any] = json.loads(line)
    return heard


def say(**said: Any) -> None:
    """Send an object to the benchmark."""
    _OUT.write(json.dumps(said, ensure_ascii=False) + "\n")
    _OUT.flush()


def vectors_of(texts: list[str], *, is_query: bool = False) -> list[list[float]]:
    """Vectors of texts, by the benchmark's embedder."""
    say(embed=texts, is_query=is_query)
    rows: list[list[float]] = hear()["vectors"]
    return rows
