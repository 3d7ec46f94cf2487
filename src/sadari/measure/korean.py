"""Korean text as a linguist would compare it: spellings brought together, particles and endings taken off by part of speech.

Endings are found by Kiwi's morphemes, never by a list of suffixes: 경기도 ends in no particle, and 사과예요 ends in 예요. Where
`kiwipiepy` is not installed, `PlainText` compares without taking anything off, and its name says so.

A word may have several readings: 도로가 is a road with a particle, or a road and a house. Every reading that is nearly as likely
as the best one counts, but none may cut a noun that the best one finds in the dictionary (유도로 is a taxiway, not 유도), and one
syllable alone is given up for a longer noun (회로 is a circuit before it is raw fish).

Not told apart: readings that fit a phrase equally well (종이라고 합니다 is 종 or 종이), a statement and its question.

Source:
    Kiwi: Lee (2024), https://github.com/bab2min/Kiwi; tags follow the Sejong corpus.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any, Protocol

from sadari.text.forms import MOST_CHARS, compared, normalise
from sadari.text.morphemes import kiwi
from sadari.text.quantities import Quantity, is_supported, numbers_in, quantities_in, replace_quantities

__all__ = [
    "MOST_CHARS",
    "KiwiText",
    "KoreanText",
    "PlainText",
    "Quantity",
    "character_f1",
    "comparison_key",
    "contains",
    "is_exact",
    "is_supported",
    "korean_text",
    "normalise",
    "numbers_in",
    "quantities_in",
    "with_aliases",
]


def comparison_key(text: str) -> str:
    """`text` as it is compared: normalised, numbers in one spelling, lower case, without spaces and punctuation.

    A number is fenced, so that 7일 is not found in 17일 nor 3개 in 3개월, and a bare 7 is found in 7일. What follows the first
    `MOST_CHARS` characters is left out.
    """
    return _key_of(compared(text))


@lru_cache(2048)
def _key_of(text: str) -> str:
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

    def tokens(self, text: str) -> tuple[str, ...]:
        """What `text` says, word by word, to be counted by an overlap metric; () only for a text of nothing but spaces."""
        ...

    @property
    def tokens_name(self) -> str:
        """What `tokens` are, as printed in the name of every metric that counts them."""
        ...


class KiwiText:
    """Takes off final particles, copula and endings by Kiwi's parts of speech. Loading takes one or two seconds, once.

    Its tokens are content morphemes: nouns, roots of verbs and adjectives, adverbs, foreign words, and numbers in one spelling
    with their unit; particles, endings, suffixes and punctuation are left out, because unrelated sentences share them.
    """

    def __init__(self) -> None:
        from kiwipiepy import __version__

        self.name = f"kiwi {'.'.join(__version__.split('.')[:2])}"
        self.tokens_name = f"{self.name} morphemes"
        self._kiwi: Any = kiwi()
        self._stems = lru_cache(4096)(self._find_stems)
        self._tokens = lru_cache(2048)(self._find_tokens)

    def stems(self, text: str) -> tuple[str, ...]:
        """For a verb or an adjective the last stem is its dictionary form: 빨라요 and 빠릅니다 are both 빠르다."""
        return self._stems(_without_end(text))

    def tokens(self, text: str) -> tuple[str, ...]:
        return self._tokens(compared(text))

    def _find_stems(self, text: str) -> tuple[str, ...]:
        if not _HANGUL_AT_END.search(text):
            return (text,)
        offset = max(0, len(text) - _LAST_CHARS)
        readings = self._kiwi.analyze(_legible(text[offset:]), top_n=_READINGS)
        behind = [(tokens, readings[0][1] - score) for tokens, score in readings]
        nouns = [token for token in readings[0][0] if token.tag in _NOUNS and not token.oov]
        cuts = {offset + cut for tokens, nats in behind if nats < _MARGIN for cut in _cuts(tokens)}
        cuts = {cut for cut in cuts if not any(noun.start < cut - offset < noun.end for noun in nouns)}
        if 1 in cuts and (_is_disjoint(text) or any(_opens_with_noun(tokens) for tokens, nats in behind if nats < 1)):
            cuts.discard(1)
        stems = [text[:cut].rstrip() for cut in sorted(cuts, reverse=True)]
        predicate = _predicate(readings[0][0])
        if predicate is not None:
            stems.append(text[: offset + predicate.start] + predicate.form + "다")
        return tuple(dict.fromkeys([text, *stems]))

    def _find_tokens(self, text: str) -> tuple[str, ...]:
        if not text.strip():
            return ()
        quantities = iter([*quantities_in(text), Quantity("", len(text), len(text) + 1)])
        quantity = next(quantities)
        found: list[str] = []
        for token in self._kiwi.tokenize(_legible(text)):
            while token.start >= quantity.end:
                quantity = next(quantities)
            if quantity.start <= token.start and token.end <= quantity.end:
                if found[-1:] != [quantity.spelling] or token.start == quantity.start:
                    found.append(quantity.spelling)
            elif not token.tag.startswith(_NO_CONTENT):
                found.append(token.form.casefold())
        return tuple(found) or syllables(text)


class PlainText:
    """Takes off nothing but punctuation, and counts syllables: the fallback without morphemes."""

    name = "no morphemes: kiwipiepy is not installed"
    tokens_name = "syllables: kiwipiepy is not installed"

    def stems(self, text: str) -> tuple[str, ...]:
        return (_without_end(text),)

    def tokens(self, text: str) -> tuple[str, ...]:
        return syllables(text)


@cache
def korean_text() -> KoreanText:
    """Kiwi where it is installed, else `PlainText`; loaded at the first call and kept."""
    try:
        return KiwiText()
    except ImportError:
        return PlainText()


def syllables(text: str) -> tuple[str, ...]:
    """Hangul syllables and Chinese characters one by one, runs of other letters and of digits whole, in lower case.

    Numbers are brought to one spelling. Signs are left out, unless `text` has nothing else.
    """
    text = replace_quantities(text, lambda quantity: f" {quantity.spelling} ").casefold()
    return tuple(_SYLLABLE.findall(text)) or tuple("".join(text.split()))


def is_exact(answer: str, references: Sequence[str], korean: KoreanText) -> bool:
    """Whether `answer` is one of `references`, apart from spelling, punctuation and final grammar."""
    said = comparison_key(answer)
    wanted = {comparison_key(reference) for reference in references} - {""}
    if said in wanted or not said:
        return said in wanted
    # A reference loses nothing but a predicate's ending (가능합니다 -> 가능): its nouns are never cut.
    predicates = [reference for reference in references if _PREDICATE.search(_without_end(reference))]
    if not predicates and all(key[0] != said[0] for key in wanted):
        return False  # what is left of an answer begins as it began; spares most calls of Kiwi
    wanted |= {comparison_key(korean.stems(reference)[-1]) for reference in predicates}
    return any(comparison_key(stem) in wanted - {""} for stem in korean.stems(answer))


def with_aliases(texts: Sequence[str], aliases: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """`texts`, then every other spelling of them that `aliases` knows.

    Args:
        aliases: Spellings of one thing by its main name: {"서울특별시": ["서울", "서울시"]}. They count in both directions, and
            are found apart from case, spaces and punctuation.
    """
    keys = {comparison_key(text) for text in texts}
    groups = [(name, *others) for name, others in aliases.items()]
    known = [group for group in groups if any(comparison_key(spelling) in keys for spelling in group)]
    return tuple(dict.fromkeys([*texts, *(spelling for group in known for spelling in group)]))


# --- by part of speech -------------------------------------------------------------------------------------------------

_READINGS = 5
_MARGIN = 3.5  # nats: 종로다 needs 0.8, 고래요 3.1; 고양이 as 고양 with a particle stands at 4.7, 경기도 as 경기 at 5.7
_LAST_CHARS = 80  # more than any chain of endings

_GRAMMAR = ("J", "E", "VCP", "XSV", "XSA", "SF", "SP", "SS", "SE", "SO", "Z_")
_NOUNS = ("NNG", "NNP", "NP", "NR")
_NO_CONTENT = (*_GRAMMAR, "XSN", "XSM", "SW", "SB")

# Words without a claim of their own: 사과인 것 같습니다, 사과라고 할 수 있습니다, 사과일 것으로 보입니다; and 사과가 맞습니다.
# 아니, 않, 없 and 모르 are none of them.
_AFTER_COPULA = {"것", "거", "같", "듯", "듯하", "하", "보이", "보", "생각", "알", "있", "수", "말", "부르", "불리"}
_AFTER_SUBJECT = {"되", "맞"}

_FENCES = "\u2062\u2063\u2064"  # invisible signs: no text holds them
_JOIN = "\u2061"  # stands for the point, dash or colon inside a number
_KEPT = _FENCES + _JOIN + "+#"  # C++ and C# are not C
_HANGUL_AT_END = re.compile(r"[가-힣]$")
_AT_END = " \t\r\n.!?~…。,;:'\"」』)]"
_PREDICATE = re.compile(r"(?:다|요|까|죠|음|함|임)$")
_SYLLABLE = re.compile(r"[가-힣\u3040-\u30ff\u3400-\u9fff]|\d+|[^\W\d_가-힣\u3040-\u30ff\u3400-\u9fff]+")
_NOT_LEGIBLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


def _without_end(text: str) -> str:
    return compared(text).rstrip(_AT_END).lstrip()


def _legible(text: str) -> str:
    """`text` with a space for each control character and lone surrogate, on which Kiwi fails; places stay."""
    return _NOT_LEGIBLE.sub(" ", text)


def _cuts(tokens: Sequence[Any]) -> Iterator[int]:
    """Where the text may end: after a noun or a particle, with nothing but grammar behind it."""
    for index in range(len(tokens) - 1, 0, -1):
        before, token = tokens[index - 1], tokens[index]
        if before.tag.startswith(("V", "E", "XSV", "XSA")) or token.start < before.end:
            continue  # a root without its ending is no word, and a syllable is not cut
        if _is_grammar(tokens[index:]):
            yield token.start


def _is_grammar(tokens: Sequence[Any]) -> bool:
    light: set[str] = set()
    for token in tokens:
        if token.tag.startswith(_GRAMMAR):
            light |= _AFTER_COPULA if token.tag in ("VCP", "JKQ") else _AFTER_SUBJECT if token.tag in ("JKS", "JKC") else set()
        elif token.form not in light:
            return False
    return True


def _opens_with_noun(tokens: Sequence[Any]) -> bool:
    """Whether the first word is a noun of the dictionary that is longer than one syllable."""
    return tokens[0].tag == "NNG" and tokens[0].end > 1 and not tokens[0].oov


def _is_disjoint(text: str) -> bool:
    """Whether the second syllable would be the particle of a closed first one, which is open: 나이라고 is not 나 + 이라고."""
    return text[1] in "이은을과" and (ord(text[0]) - 0xAC00) % 28 == 0


def _predicate(tokens: Sequence[Any]) -> Any | None:
    """The verb or adjective before the final endings; None if the text ends in none."""
    for index in range(len(tokens) - 1, 0, -1):
        if tokens[index].tag not in ("EF", "EC", "EP", "JX"):
            return None
        if tokens[index - 1].tag.startswith(("VV", "VA", "VX", "VCN")):
            return tokens[index - 1]
    return None


def _fence(quantity: Quantity) -> str:
    """⟨number⟩unit⟩; a full date as ⟨2025-⟨03-01⟩, so that the day alone is found in it."""
    opened, closed, end = tuple(_FENCES)
    number = re.sub(r"[-.:]", _JOIN, quantity.spelling.removesuffix(quantity.unit))
    if quantity.value is not None:
        return f"{opened}{number}{closed}{quantity.unit}{end if quantity.unit else ''}"
    if re.fullmatch(r"\d{4}-\d\d-\d\d", quantity.spelling):
        return f"{opened}{number[:5]}{opened}{number[5:]}{closed}"
    return f"{opened}{number}{closed}"
