"""Search terms of Korean and English text, without a dictionary.

Korean is never split on spaces alone: particles stick to nouns and compounds to each other, so a word index misses most of what
people ask for. Character bigrams inside each run of Hangul need no dictionary and find compounds and inflected forms.
"""

import re

from sadari.types import Chunk

_RUNS = re.compile(r"[a-z]+|[0-9가-힣぀-ヿ一-鿿]+")
_PREFIX = 5


def search_terms(text: str) -> list[str]:
    """Terms of `text` for BM25: bigrams of every run of Hangul and digits, but whole lower-case words for Latin letters.

    Latin letters are a run of their own, so that a particle behind an English name does not hide it: "Host가" meets "Host". A run
    of one character is its own term. A long Latin word adds its 5-letter prefix, which stands in for a stemmer: "transferred" meets
    "transfers".
    """
    terms: list[str] = []
    for run in _RUNS.findall(text.lower()):
        if "a" <= run[0] <= "z":
            terms.append(run)
            if len(run) > _PREFIX:
                terms.append(run[:_PREFIX] + "*")
        else:
            terms.extend([run[i : i + 2] for i in range(len(run) - 1)] or [run])
    return terms


def embedded_text(chunk: Chunk) -> str:
    """What an embedder is given of a chunk."""
    return "\n".join(part for part in (chunk.title, chunk.header, chunk.text) if part)


def indexed_terms(chunk: Chunk) -> list[str]:
    """The terms that a chunk is found by; those of its title count twice, since passages often do not repeat their subject."""
    return search_terms(f"{chunk.title} {chunk.title} {chunk.header} {chunk.text}")
