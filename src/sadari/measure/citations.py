"""Whether citations hold: they stand in the documents, they say what the answer says, and they are the right ones.

A claim is what the answer says beyond the question: its content words (particles, endings and little words aside) and its numbers.
A claim is cited if it stands in the quote of one of the answer's citations.

Not covered: whether the cited sentence, read as a whole, means what the answer makes of it.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from sadari.errors import DataError
from sadari.measure.korean import KoreanText, is_supported, korean_text, numbers_in
from sadari.text.forms import compared, normalise
from sadari.types import Answer, Document, Example, Span

MOST_CITATIONS = 100
"""Citations of one answer that are looked at."""

_LITTLE_WORDS = """
a an and are as at be been but by can could did do does for from had has have he her his i if in into is it its may me my of on or
our shall she should so than that the their them then there these they this those to was we were what when where which who will with
would you your
"""


@dataclass(frozen=True, slots=True)
class CitationCheck:
    """What holds of one answer.

    Args:
        cited: Citations it gives.
        exist: Of these, those whose quote stands in the named document at the named place.
        moved: Of these, those whose quote stands in the named document, but elsewhere.
        words, numbers: Claims that it makes.
        cited_words, cited_numbers: Of these, those that stand in the quote of a citation that exists or was moved.
        uncited: The claims that stand in none.
        gold_precision, gold_recall: Share of the cited characters that are gold, and of the gold characters that are cited; None
            if the example names no gold span.
    """

    id: str
    cited: int
    exist: int
    moved: int
    words: int
    cited_words: int
    numbers: int
    cited_numbers: int
    uncited: tuple[str, ...]
    gold_precision: float | None
    gold_recall: float | None

    @property
    def is_supported(self) -> bool:
        """Whether every citation exists and every number is cited."""
        return self.exist == self.cited and self.cited_numbers == self.numbers


@dataclass(frozen=True, slots=True)
class CitationReport:
    """The checks of all answers that answer (no error, no abstention), and shares over them, in [0, 1]; None of nothing.

    Args:
        words_are: What counts as a word, as printed: morphemes, or syllables where Kiwi is not installed.
    """

    checks: tuple[CitationCheck, ...]
    words_are: str

    @property
    def citing(self) -> float | None:
        """Share of the answers that cite anything."""
        return _share(sum(check.cited > 0 for check in self.checks), len(self.checks))

    @property
    def existing(self) -> float | None:
        """Share of the citations that stand in their document at their place."""
        return _share(sum(check.exist for check in self.checks), sum(check.cited for check in self.checks))

    @property
    def words_cited(self) -> float | None:
        """Share of the claimed words that are cited."""
        return _share(sum(check.cited_words for check in self.checks), sum(check.words for check in self.checks))

    @property
    def numbers_cited(self) -> float | None:
        """Share of the claimed numbers that are cited."""
        return _share(sum(check.cited_numbers for check in self.checks), sum(check.numbers for check in self.checks))

    @property
    def gold_precision(self) -> float | None:
        """Mean over the answers whose example names gold spans."""
        return _mean([check.gold_precision for check in self.checks])

    @property
    def gold_recall(self) -> float | None:
        """Mean over the answers whose example names gold spans."""
        return _mean([check.gold_recall for check in self.checks])


def citation_report(
    examples: Sequence[Example], answers: Sequence[Answer], documents: Sequence[Document], *, korean: KoreanText | None = None
) -> CitationReport:
    """Check the citations of one answer per example.

    Args:
        documents: What was to be cited.
        korean: Finds content words; the default is `korean_text()`.

    Raises:
        DataError: If there is not one answer per example.
    """
    if len(examples) != len(answers):
        raise DataError(f"{len(answers)} answers to {len(examples)} examples. Every example needs one.")
    korean = korean or korean_text()
    texts = {document.id: normalise(document.text) for document in documents}
    raw = {document.id: unicodedata.normalize("NFC", document.text) for document in documents}
    return CitationReport(
        tuple(
            _check(example, answer, raw, texts, korean)
            for example, answer in zip(examples, answers, strict=True)
            if answer.error is None and not answer.abstained
        ),
        korean.tokens_name,
    )


def _check(example: Example, answer: Answer, raw: Mapping[str, str], texts: Mapping[str, str], korean: KoreanText) -> CitationCheck:
    citations = answer.citations[:MOST_CITATIONS]
    exist = [citation for citation in citations if _stands_there(citation, raw)]
    moved = [citation for citation in citations if citation not in exist and stands_in(citation, texts)]
    quotes = [citation.quote for citation in (*exist, *moved)]
    asked_words, asked_numbers = set(_words(example.question, korean)), numbers_in(example.question)
    words = [word for word in dict.fromkeys(_words(answer.text, korean)) if word not in asked_words]
    numbers = [n for n in dict.fromkeys(numbers_in(compared(answer.text))) if not is_supported(n, asked_numbers)]
    quoted_words = {word for quote in quotes for word in _words(quote, korean)}
    quoted_numbers = [number for quote in quotes for number in numbers_in(quote)]
    uncited_words = [word for word in words if word not in quoted_words]
    uncited_numbers = [number for number in numbers if not is_supported(number, quoted_numbers)]
    precision, recall = gold_overlap(citations, example.reference.spans)
    return CitationCheck(
        id=example.id,
        cited=len(citations),
        exist=len(exist),
        moved=len(moved),
        words=len(words),
        cited_words=len(words) - len(uncited_words),
        numbers=len(numbers),
        cited_numbers=len(numbers) - len(uncited_numbers),
        uncited=(*uncited_numbers, *uncited_words),
        gold_precision=precision,
        gold_recall=recall,
    )


def _stands_there(citation: Span, texts: Mapping[str, str]) -> bool:
    text = texts.get(citation.document, "")
    is_inside = 0 <= citation.start < citation.end <= len(text)
    return is_inside and normalise(text[citation.start : citation.end]) == normalise(citation.quote)


def _words(text: str, korean: KoreanText) -> list[str]:
    """Content words; numbers are claims of their own."""
    no_words = {*numbers_in(compared(text)), *_LITTLE_WORDS.split()}
    return [token for token in korean.tokens(text) if token not in no_words and any(map(str.isalpha, token))]


def stands_in(citation: Span, texts: Mapping[str, str]) -> bool:
    """Whether a quote stands in its document, wherever.

    Args:
        texts: The normalised documents, by id.
    """
    return bool(citation.quote.strip()) and normalise(citation.quote) in texts.get(citation.document, "")


def gold_overlap(cited: Sequence[Span], gold: Sequence[Span]) -> tuple[float | None, float | None]:
    """Share of the cited characters that are gold, and of the gold characters that are cited; None if there is no gold span."""
    right = _places(gold)
    if not right:
        return None, None
    said = _places(cited)
    shared = len(said & right)
    return (shared / len(said) if said else 0.0), shared / len(right)


def _places(spans: Sequence[Span]) -> set[tuple[str, int]]:
    return {(span.document, at) for span in spans for at in range(span.start, min(span.end, span.start + len(span.quote)))}


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
