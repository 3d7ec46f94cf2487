"""Search terms and sentences of Korean and English text, without a dictionary.

Korean is never split on spaces alone: particles stick to nouns and compounds to each other, so a word index misses most of what
people ask for. Character bigrams inside each run of Hangul need no dictionary and find compounds and inflected forms.
"""

import re

from sadari.types import Chunk

_RUNS = re.compile(r"[0-9a-z가-힣぀-ヿ一-鿿]+")
_LATIN = re.compile(r"[a-z]+")
_SENTENCE_END = re.compile(r"(?<=[.!?。…])[\"'”’)\]]*\s+|\n+")
_HEADING = re.compile(r"#{1,6}[ \t]")
_PREFIX = 5


def search_terms(text: str) -> list[str]:
    """Terms of `text` for BM25: bigrams of every run of letters and digits, but whole lower-case words for Latin ones.

    A run of one character is its own term. A long Latin word adds its 5-letter prefix, which stands in for a stemmer:
    "transferred" meets "transfers".
    """
    terms: list[str] = []
    for run in _RUNS.findall(text.lower()):
        if _LATIN.fullmatch(run):
            terms.append(run)
            if len(run) > _PREFIX:
                terms.append(run[:_PREFIX] + "*")
        else:
            terms.extend([run[i : i + 2] for i in range(len(run) - 1)] or [run])
    return terms


def indexed_terms(chunk: Chunk) -> list[str]:
    """The terms that a chunk is found by; those of its title count twice, since passages often do not repeat their subject."""
    return search_terms(f"{chunk.title} {chunk.title} {chunk.header} {chunk.text}")


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Character spans `[start, end)` of the sentences of `text`, without surrounding white space.

    A sentence ends at a full stop, question or exclamation mark that white space follows, or at a line break. Markdown heading
    lines are not sentences.
    """
    spans, start = [], 0
    for end, following in [(m.start(), m.end()) for m in _SENTENCE_END.finditer(text)] + [(len(text), len(text))]:
        sentence = text[start:end]
        # "1. " opens a list item, it does not end a sentence.
        if re.fullmatch(r"\s*\d+\.", sentence) and end < len(text):
            continue
        stripped = sentence.strip()
        if stripped and not _HEADING.match(stripped):
            lead = len(sentence) - len(sentence.lstrip())
            spans.append((start + lead, start + lead + len(stripped)))
        start = following
    return spans
