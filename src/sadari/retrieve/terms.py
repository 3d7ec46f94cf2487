"""What the words of a search are: character bigrams, the morphemes that Kiwi finds, or both."""

import re
from collections.abc import Callable
from functools import partial
from typing import Literal

from sadari.errors import ConfigError
from sadari.retrieve.text import indexed_terms, search_terms
from sadari.text.morphemes import kiwi
from sadari.types import Chunk

Terms = Literal["bigrams", "morphemes", "both"]

_CONTENT = ("N", "V", "XR", "SL", "SH", "SN", "MA", "W_")
"""Tags of the Sejong corpus that say something: nouns, roots of verbs and adjectives, foreign words, numbers, adverbs."""

_BREAK = re.compile(r"(?<=[.!?])\s+|\n+")


def query_terms(kind: Terms) -> Callable[[str], list[str]]:
    """What finds the terms of a question.

    Raises:
        ConfigError: If `kind` is not known.
    """
    if kind == "bigrams":
        return search_terms
    if kind == "morphemes":
        return morpheme_terms
    if kind == "both":
        return both_terms
    raise ConfigError(f"terms {kind!r} are not known. Write bigrams, morphemes or both.")


def chunk_terms(kind: Terms) -> Callable[[Chunk], list[str]]:
    """What finds the terms of a chunk, for a store that is searched with `query_terms` of the same kind; its title counts twice."""
    return indexed_terms if kind == "bigrams" else partial(_titled, terms_of=query_terms(kind))


def _titled(chunk: Chunk, terms_of: Callable[[str], list[str]]) -> list[str]:
    return 2 * terms_of(chunk.title) + terms_of(f"{chunk.header}\n{chunk.text}")


def morpheme_terms(text: str) -> list[str]:
    """The content morphemes of `text`, in lower case: particles, endings and punctuation left out, verbs by their roots."""
    reader = kiwi()
    # Kiwi's time grows faster than the length of what it is given at once.
    return [
        token.form.lower()
        for piece in _BREAK.split(text)
        for token in reader.tokenize(piece)
        if token.tag.startswith(_CONTENT) and not token.tag.startswith("VC")
    ]


def both_terms(text: str) -> list[str]:
    """Bigrams and morphemes as terms of one index, morphemes marked: what one of them misses, the other finds.

    On 885 training questions of ko-wiki-qa recall@1 and @5 are 0.652 and 0.898, with bigrams alone 0.616 and 0.875, with morphemes
    alone 0.619 and 0.884. Indexing takes as long as Kiwi does, about a minute for two million characters.
    """
    return [*search_terms(text), *(f"={form}" for form in morpheme_terms(text))]
