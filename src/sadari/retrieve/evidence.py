"""What an answer claims, sentence by sentence, against the sentences of the passages that it names.

A sentence is held against the passages whose marks stand after it; if they do not say it, or it has no mark, against all of them.
It is supported by one sentence of a passage, or clause by clause by several: parts of different sentences are never put together
to support one clause.

Covered and not covered: as for `sadari.text.support`.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from sadari.retrieve.chunk import sentences_of
from sadari.retrieve.passages import Marked, read_marks
from sadari.text.sentences import sentence_spans
from sadari.text.support import LEAST_SUPPORT, Conflict, Support, best_support, claims_anything, clauses_of
from sadari.types import Chunk, Span

Unsupported = Literal["keep", "mark", "remove"]
"""What becomes of a sentence that no passage supports."""

MOST_CLAIMS = 100
"""Sentences of one answer that are traced; those after them count as unsupported."""

MOST_CHARS = 2000
"""Characters of one sentence that is traced; a longer one is no sentence, and counts as unsupported."""

MOST_THRESHOLDS = 20
"""Thresholds that are tried when one is learnt."""

_NOTE = {"ko": " (근거 없음)", "en": " (no source)"}


@dataclass(frozen=True, slots=True)
class Claim:
    """One sentence of an answer: characters `[start, end)` of the text without marks.

    Args:
        marks: Numbers of the passages that the answer names for it, as written; they need not exist.
        sources: The sentences that say it, as chunks of their own; () if none comes near.
        support: How far they say it, in [0, 1]; 0 where they say otherwise.
        conflict: What they say otherwise; "" for nothing.
        is_claim: Whether there is anything to support: a greeting claims nothing.
    """

    start: int
    end: int
    marks: tuple[int, ...] = ()
    sources: tuple[Chunk, ...] = ()
    support: float = 0.0
    conflict: Conflict = ""
    is_claim: bool = True

    def is_supported(self, least: float = LEAST_SUPPORT) -> bool:
        """Whether it claims something, and its sources say at least this share of it."""
        return self.is_claim and bool(self.sources) and self.support > 0 and self.support >= least


@dataclass(frozen=True, slots=True)
class Settled:
    """An answer after its evidence was looked at.

    Args:
        sources: Sentences that are cited, without repeats, in the order of the answer.
        abstained: Whether nothing remained of it.
    """

    text: str
    sources: tuple[Chunk, ...] = ()
    abstained: bool = False

    @property
    def citations(self) -> tuple[Span, ...]:
        """The sources as spans of their documents."""
        return tuple(span_of(source) for source in self.sources)


@dataclass(frozen=True, slots=True)
class Evidence:
    """An answer without its marks, and what stands behind each of its sentences."""

    text: str
    claims: tuple[Claim, ...] = ()

    def sources(self, least: float = LEAST_SUPPORT) -> tuple[Chunk, ...]:
        """The sentences that say the supported ones, without repeats, in the order of the answer."""
        return _distinct(source for claim in self.claims if claim.is_supported(least) for source in claim.sources)

    def citations(self, least: float = LEAST_SUPPORT) -> tuple[Span, ...]:
        """The `sources` as spans of their documents."""
        return tuple(span_of(source) for source in self.sources(least))

    def settle(
        self,
        abstention: str,
        *,
        unsupported: Unsupported = "keep",
        least: float = LEAST_SUPPORT,
        language: Literal["ko", "en"] = "ko",
    ) -> Settled:
        """The answer with what its unsupported sentences come to.

        Args:
            abstention: What is said where nothing supported remains of an answer; only removing leads there.
            unsupported: "keep" leaves them, "mark" says so behind each, "remove" takes them out.
            least: Share of a sentence that its sources must say.
            language: Of the note behind unsupported sentences.
        """
        sources = self.sources(least)
        bad = [claim for claim in self.claims if claim.is_claim and not claim.is_supported(least)]
        if unsupported == "keep" or not bad:
            return Settled(self.text, sources)
        if unsupported == "mark":
            return Settled(_noted(self.text, bad, _NOTE[language]), sources)
        if not sources:
            return Settled(abstention, abstained=True)
        return Settled(_without(self.text, self.claims, bad), sources)


def trace(text: str, passages: Sequence[Chunk], asked: str = "") -> Evidence:
    """What stands behind each sentence of an answer.

    Args:
        text: The answer, with marks or without.
        passages: What the model was shown, number 1 first.
        asked: The question; what the answer repeats of it needs no source.
    """
    marked = read_marks(text)
    pools = [sentences_of(passage) for passage in passages]
    spans = sentence_spans(marked.text)
    named = _named(marked, spans)
    claims = [
        _claim(marked.text, span, marks, pools, asked) if i < MOST_CLAIMS else Claim(*span, marks)
        for i, (span, marks) in enumerate(zip(spans, named, strict=True))
    ]
    return Evidence(marked.text, tuple(claims))


def with_marks(text: str, passages: Sequence[Chunk], asked: str = "") -> str | None:
    """An answer as a model has to write it that names its sources: behind each sentence the numbers of the passages that say it.

    Returns:
        None if a sentence is supported by none.
    """
    evidence = trace(text, passages, asked)
    marked = evidence.text
    for claim in reversed(evidence.claims):
        numbers = [_number_of(source, passages) for source in claim.sources]
        if claim.is_claim and not claim.is_supported():
            return None
        if claim.is_claim:
            marked = f"{marked[: claim.end]} {''.join(f'[{n}]' for n in sorted(set(numbers)))}{marked[claim.end :]}"
    return marked


def holding(values: Sequence[str], passages: Sequence[Chunk]) -> list[Chunk]:
    """Sentences of the passages that values stand in, word for word: the one that holds most of them first, then for the rest."""
    sentences = [s for passage in passages for s in sentences_of(passage)]
    left = list(values)
    found: list[Chunk] = []
    while left:
        best = max(sentences, key=lambda s: sum(value in s.text for value in left), default=None)
        if best is None or not any(value in best.text for value in left):
            return found
        found.append(best)
        left = [value for value in left if value not in best.text]
    return found


def span_of(source: Chunk) -> Span:
    """The characters of its document that a chunk is."""
    return Span(source.document, source.start, source.end, source.text, source.title, source.page, source.date)


def learn_threshold(
    evidence: Sequence[Evidence], right_at: Callable[[float], float], *, start: float = LEAST_SUPPORT, least_gain: float = 3.0
) -> float:
    """The share of support that gets most answers right.

    Args:
        evidence: Of the answers to validation questions; the shares that occur in it are tried, `MOST_THRESHOLDS` at most.
        right_at: How many of these answers are right if settled with this share; never asks a model.
        start: Stays unless another is better by `least_gain` answers; fewer may be luck.
    """
    seen = sorted({claim.support for answer in evidence for claim in answer.claims if claim.is_claim and claim.support > 0})
    step = max(1, -(-len(seen) // MOST_THRESHOLDS))
    right = {share: right_at(share) for share in (start, *seen[::step])}
    best = max(right, key=lambda share: right[share])
    return best if right[best] >= right[start] + least_gain else start


# --- one sentence ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Match:
    support: Support
    sources: tuple[Chunk, ...] = ()

    @property
    def rank(self) -> tuple[float, float]:
        return self.support.value, self.support.share


_NOTHING = _Match(Support(0.0))


def _claim(text: str, span: tuple[int, int], marks: tuple[int, ...], pools: Sequence[Sequence[Chunk]], asked: str) -> Claim:
    sentence = text[slice(*span)]
    if not claims_anything(sentence):
        return Claim(*span, marks, is_claim=False)
    if len(sentence) > MOST_CHARS:
        return Claim(*span, marks)
    named = [pools[mark - 1] for mark in marks if 0 < mark <= len(pools)]
    match = _by_each(sentence, named, asked)
    if match.support.value < LEAST_SUPPORT:
        match = max((match, _by_one(sentence, _all(named), asked), _by_one(sentence, _all(pools), asked)), key=lambda m: m.rank)
    return Claim(*span, marks, match.sources, match.support.value, match.support.conflict)


def _by_each(sentence: str, pools: Sequence[Sequence[Chunk]], asked: str) -> _Match:
    """By every named passage that says it alone."""
    found = [_by_one(sentence, pool, asked) for pool in pools]
    good = [match for match in found if match.support.value >= LEAST_SUPPORT]
    if not good:
        return _NOTHING
    return _Match(max((m.support for m in good), key=lambda s: s.value), tuple(s for m in good for s in m.sources))


def _by_one(sentence: str, pool: Sequence[Chunk], asked: str) -> _Match:
    """By the sentence that says most of it, or clause by clause."""
    whole = _best(sentence, pool, asked)
    clauses = clauses_of(sentence)
    if whole.support.value == 1 or len(clauses) == 1:
        return whole
    parts = [_best(clause, pool, asked) for clause in clauses]
    weakest = min(parts, key=lambda match: match.rank)
    together = _Match(weakest.support, _distinct(source for match in parts for source in match.sources))
    return max((whole, together), key=lambda match: match.rank)


def _best(sentence: str, pool: Sequence[Chunk], asked: str) -> _Match:
    support, place = best_support(sentence, [(source.text, f"{source.title}\n{source.header}") for source in pool], asked)
    return _Match(support, (pool[place],)) if place >= 0 else _NOTHING


def _distinct(sources: Iterable[Chunk]) -> tuple[Chunk, ...]:
    found: dict[Span, Chunk] = {}
    for source in sources:
        found.setdefault(span_of(source), source)
    return tuple(found.values())


def _all(pools: Sequence[Sequence[Chunk]]) -> list[Chunk]:
    return [source for pool in pools for source in pool]


# --- marks and spans ---------------------------------------------------------------------------------------------------


def _named(marked: Marked, spans: Sequence[tuple[int, int]]) -> list[tuple[int, ...]]:
    """For each sentence, the numbers in the marks within it and behind it."""
    named: list[list[int]] = [[] for _ in spans]
    for place, numbers in marked.marks:
        at = max((i for i, (start, _) in enumerate(spans) if start < place), default=None)
        if at is not None:
            named[at] += numbers
    return [tuple(dict.fromkeys(numbers)) for numbers in named]


def _number_of(source: Chunk, passages: Sequence[Chunk]) -> int:
    return next(
        number
        for number, passage in enumerate(passages, 1)
        if passage.document == source.document and passage.start <= source.start and source.end <= passage.end
    )


def _noted(text: str, claims: Sequence[Claim], note: str) -> str:
    for claim in reversed(claims):
        text = text[: claim.end] + note + text[claim.end :]
    return text


def _without(text: str, claims: Sequence[Claim], bad: Sequence[Claim]) -> str:
    """A sentence goes with the white space behind it."""
    gone = {claim.start for claim in bad}
    ends = [*(claim.start for claim in claims[1:]), len(text)]
    kept = (text[claim.start : end] for claim, end in zip(claims, ends, strict=True) if claim.start not in gone)
    return (text[: claims[0].start] + "".join(kept)).strip()
