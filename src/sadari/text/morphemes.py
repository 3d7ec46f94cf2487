"""Kiwi, loaded once for all who need it, and what only a dictionary can tell: which words of a Korean sentence are names."""

import re
from functools import cache, lru_cache
from typing import Any

_NOT_LEGIBLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


@cache
def kiwi() -> Any:
    """Kiwi of `kiwipiepy`; the first call takes one or two seconds.

    Raises:
        ImportError: If it is not installed.
    """
    from kiwipiepy import Kiwi

    return Kiwi(num_workers=1)


@lru_cache(4096)
def names_in(sentence: str) -> tuple[str, ...]:
    """Proper nouns of a Korean sentence, and nouns that are in no dictionary, of two syllables or more; () without Kiwi."""
    try:
        tokens = kiwi().tokenize(_NOT_LEGIBLE.sub(" ", sentence))
    except ImportError:
        return ()
    names = (token.form.replace(" ", "") for token in tokens if token.tag == "NNP" or (token.tag == "NNG" and token.oov))
    return tuple(dict.fromkeys(name for name in names if len(name) > 1 and re.match("[가-힣]", name)))
