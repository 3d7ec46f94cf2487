"""Korean text as a linguist would compare it: spellings brought together, particles and endings taken off by part of speech.

Endings are found by Kiwi's morphemes, never by a list of suffixes: 경기도 ends in no particle, and 사과예요 ends in 예요. Where
`kiwipiepy` is not installed, `PlainText` compares without taking anything off, and its name says so.

Source:
    Kiwi: Lee (2024), https://github.com/bab2min/Kiwi; tags follow the Sejong corpus.
"""

import re
from collections import Counter
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any, Protocol

from sadari.measure.quantities import Quantity, is_supported, numbers_in, quantities_in, replace_quantities
from sadari.measure.text import normalise

__all__ = [
    "KiwiText",
    "KoreanText",
    "PlainText",
    "Quantity",
    "character_f1",
    "comparison_key",
    "contains",
    "is_supported",
    "korean_text",
    "normalise",
    "numbers_in",
    "quantities_in",
]


@lru_cache(4096)
def comparison_key(text: str) -> str:
    """`text` as it is compared: normalised, numbers in one spelling, lower case, without spaces and punctuation.

    A number is fenced, so that 7일 is not found in 17일 nor 3개 in 3개월, and a bare 7 is found in 7일.
    """
    marked = replace_quantities(text, _fence).casefold()
    return "".join(c for c in marked if c.isalnum() or c in _KEPT)


def contains(text: str, spelling: str) -> bool:
    """Whether `spelling` stands in `text`, however its numbers, spaces and punctuation are written."""
    key = comparison_key(spelling)
    return bool(key) and key in comparison_key(text)


def character_f1(answer: str, reference: str) -> float:
    """Harmonic mean of precision and recall over the characters (syllables) of both comparison keys, in [0, 1].

    Source:
        SQuAD's token F1 (Rajpurkar et al. 2016, arXiv 1606.05250), on characters as KorQuAD does (Lim et al. 2019,
        arXiv 1909.07005).
    """
    said, wanted = (Counter(c for c in comparison_key(text) if c not in _FENCES) for text in (answer, reference))
    if not said or not wanted:
        return float(said == wanted)
    shared = sum((said & wanted).values())
    return 2 * shared / (said.total() + wanted.total())


class KoreanText(Protocol):
    """Knows where a Korean phrase ends and its grammar begins."""

    @property
    def name(self) -> str:
        """As printed in the name of every scorer that uses it."""
        ...

    def stems(self, text: str) -> tuple[str, ...]:
        """`text` itself first, then with ever more of its final particles, copula and endings taken off."""
        ...


class KiwiText:
    """Takes off final particles, copula and endings by Kiwi's parts of speech. Loading takes about 1.5 s, once."""

    name = "kiwi"

    def __init__(self) -> None:
        from kiwipiepy import Kiwi

        self._kiwi: Any = Kiwi(num_workers=1)

    def stems(self, text: str) -> tuple[str, ...]:
        text = _PUNCTUATION_AT_END.sub("", normalise(text)).strip()
        if not _HANGUL_AT_END.search(text):
            return (text,)
        stems = [text]
        tokens = self._kiwi.tokenize(text)
        for index in range(len(tokens) - 1, 0, -1):
            if not _is_grammar(tokens, index):
                break
            stem = text[: tokens[index].start].rstrip()
            if stem and stem != stems[-1]:
                stems.append(stem)
        return tuple(stems)


class PlainText:
    """Takes off nothing but punctuation: the fallback without morphemes."""

    name = "no morphemes: kiwipiepy is not installed"

    def stems(self, text: str) -> tuple[str, ...]:
        return (_PUNCTUATION_AT_END.sub("", normalise(text)).strip(),)


@cache
def korean_text() -> KoreanText:
    """Kiwi where it is installed, else `PlainText`; loaded at the first call and kept."""
    try:
        return KiwiText()
    except ImportError:
        return PlainText()


def is_exact(answer: str, references: Sequence[str], korean: KoreanText) -> bool:
    """Whether `answer` is one of `references`, apart from spelling, punctuation and final grammar."""
    said = {comparison_key(stem) for stem in korean.stems(answer)}
    # A reference loses nothing but a predicate's ending (가능합니다 -> 가능): its nouns are never cut.
    wanted = {comparison_key(reference) for reference in references}
    wanted |= {comparison_key(korean.stems(reference)[-1]) for reference in references if _PREDICATE.search(normalise(reference))}
    return bool((said & wanted) - {""})


_FENCES = "\u2062\u2063\u2064"  # invisible signs: no text holds them
_JOIN = "\u2061"  # stands for the point, dash or colon inside a number
_KEPT = _FENCES + _JOIN + "+#"  # C++ and C# are not C
_HANGUL_AT_END = re.compile(r"[가-힣]$")
_PUNCTUATION_AT_END = re.compile(r"[\s.!?~…。,;:'\"」』)\]]+$")
_PREDICATE = re.compile(r"(?:다|요|까|죠|음|함|임)[\s.!?~]*$")


def _fence(quantity: Quantity) -> str:
    """⟨number⟩unit⟩; a full date as ⟨2025-⟨03-01⟩, so that the day alone is found in it."""
    opened, closed, end = tuple(_FENCES)
    number = re.sub(r"[-.:]", _JOIN, quantity.spelling.removesuffix(quantity.unit))
    if quantity.value is not None:
        return f"{opened}{number}{closed}{quantity.unit}{end if quantity.unit else ''}"
    if re.fullmatch(r"\d{4}-\d\d-\d\d", quantity.spelling):
        return f"{opened}{number[:5]}{opened}{number[5:]}{closed}"
    return f"{opened}{number}{closed}"


def _is_grammar(tokens: Sequence[Any], index: int) -> bool:
    """Whether the token, with all that follow it grammar too, is a particle, the copula, an ending or a sign."""
    token = tokens[index]
    if token.tag.startswith(("J", "E", "VCP", "XSV", "XSA", "SF", "SP", "SS", "SE")):
        return True
    if token.form == "요" and index == len(tokens) - 1:  # a polite 요 after a particle is at times read as a word
        return True
    # ... (이)라고 합니다, ... 이 됩니다
    return token.tag == "VV" and token.form in ("하", "되") and tokens[index - 1].tag in ("EC", "JKC", "JKS", "JKQ")
