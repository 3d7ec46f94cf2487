"""What an answer stands on: the context it was given, the sentences it cites, the restraint it shows where nothing is said.

Every metric has one value per example, in [0, 1], so that two systems can be compared in pairs; None where the example or the
answer leaves nothing to measure.

Source:
    Context precision and recall, faithfulness (here groundedness): Es et al. (2024), RAGAS, arXiv 2309.15217; here against gold
    spans and by comparing words, without a judge model. Citation precision and recall: Gao et al. (2023), ALCE, arXiv 2305.14627;
    here against gold spans.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Literal, get_args

from sadari.errors import DataError
from sadari.measure.abstention import refusal_of
from sadari.measure.citations import gold_overlap, stands_in
from sadari.measure.scorers.values import TooDeepError, leaves
from sadari.measure.statistics import holm, paired_interval, paired_p
from sadari.text.forms import compared, normalise
from sadari.text.sentences import sentence_spans
from sadari.text.support import LEAST_SUPPORT, best_support, claims_anything, clauses_of
from sadari.types import Answer, Chunk, Document, Example, Span

Metric = Literal["context_precision", "context_recall", "groundedness", "citation_precision", "citation_recall", "abstention"]
METRICS: tuple[Metric, ...] = get_args(Metric)

MOST_SENTENCES = 100
"""Sentences of one answer that are looked at."""

LEAST_HELD = 0.5
"""Share of a gold span's characters that make a chunk relevant."""


@dataclass(frozen=True, slots=True)
class AnswerMetrics:
    """What one answer stands on.

    Args:
        context_precision: Mean over the relevant chunks of the share of relevant ones down to each; 0 if none is relevant. A chunk
            is relevant if it holds half of a gold span. None without gold spans or without a context.
        context_recall: Share of the gold characters that stand in the context.
        groundedness: Share of the sentences with claims (of an answer in JSON, of its values) that the cited quotes support; None
            if there are none, as in an abstention; 0 for an error.
        citation_precision: Share of the cited characters that are gold; 0 if nothing is cited. None without gold spans.
        citation_recall: Share of the gold characters that are cited.
        abstention: 1 if the answer abstains where it should, or answers where it should; else 0.
        unsupported: The sentences that no quote supports.
    """

    id: str
    context_precision: float | None
    context_recall: float | None
    groundedness: float | None
    citation_precision: float | None
    citation_recall: float | None
    abstention: float
    unsupported: tuple[str, ...] = ()

    def value(self, metric: Metric) -> float | None:
        """One of the metrics, by its name."""
        found: float | None = getattr(self, metric)
        return found


def answer_metrics(
    examples: Sequence[Example],
    answers: Sequence[Answer],
    documents: Sequence[Document],
    contexts: Sequence[Sequence[Chunk]] | None = None,
    *,
    least: float = LEAST_SUPPORT,
) -> tuple[AnswerMetrics, ...]:
    """The metrics of one answer per example, in their order.

    Args:
        documents: What was to be cited; a quote that does not stand in them supports nothing.
        contexts: For each example the chunks that were put to the model, best first.
        least: Share of a sentence that the quotes must say.

    Raises:
        DataError: If there is not one answer, or one context, per example.
    """
    for what, number in (("answers", len(answers)), ("contexts", len(examples if contexts is None else contexts))):
        if number != len(examples):
            raise DataError(f"{number} {what} to {len(examples)} examples. Every example needs one.")
    texts = {document.id: normalise(document.text) for document in documents}
    titles = {document.id: document.title for document in documents}
    found = []
    for i, (example, answer) in enumerate(zip(examples, answers, strict=True)):
        relevant, held = context_overlap(None if contexts is None else contexts[i], example.reference.spans)
        precision, recall = gold_overlap(answer.citations, example.reference.spans)
        quotes = [citation for citation in answer.citations if stands_in(citation, texts)]
        grounded, unsupported = _grounded(example, answer, quotes, titles, least)
        is_right = answer.error is None and refusal_of(example, answer) in ("right", "answered")
        found.append(AnswerMetrics(example.id, relevant, held, grounded, precision, recall, float(is_right), unsupported))
    return tuple(found)


def context_overlap(chunks: Sequence[Chunk] | None, gold: Sequence[Span]) -> tuple[float | None, float | None]:
    """Context precision and recall of retrieved chunks, best first, against gold spans; None without either."""
    if chunks is None:
        return None, None
    spans = [Span(chunk.document, chunk.start, chunk.end, chunk.text) for chunk in chunks]
    _, recall = gold_overlap(spans, gold)
    if recall is None:
        return None, None
    relevant = [any((gold_overlap([span], [one])[1] or 0) >= LEAST_HELD for one in gold) for span in spans]
    precisions = [sum(relevant[: i + 1]) / (i + 1) for i, is_relevant in enumerate(relevant) if is_relevant]
    return (sum(precisions) / len(precisions) if precisions else 0.0), recall


def in_pairs(first: Sequence[AnswerMetrics], second: Sequence[AnswerMetrics], metric: Metric) -> tuple[list[float], list[float]]:
    """The values of one metric of two systems on the same examples, where both have one.

    Raises:
        DataError: If the examples differ.
    """
    if [one.id for one in first] != [other.id for other in second]:
        raise DataError("two systems can be compared only on the same examples, in the same order.")
    values = ((one.value(metric), other.value(metric)) for one, other in zip(first, second, strict=True))
    pairs = [(a, b) for a, b in values if a is not None and b is not None]
    return [a for a, _ in pairs], [b for _, b in pairs]


# --- rung by rung ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MetricChange:
    """How one metric differs from the incumbent's, on the examples where both have a value.

    Args:
        gain, low, high: Mean difference in pairs, and its 95 % interval.
        p_value: Two-sided, after Holm's correction for the metrics that are compared beside it.
    """

    metric: Metric
    count: int
    gain: float
    low: float
    high: float
    p_value: float

    @property
    def outcome(self) -> Literal["better", "worse", "cannot_tell"]:
        """What is proven, at 0.05."""
        if self.p_value >= 0.05 or self.gain == 0:
            return "cannot_tell"
        return "better" if self.gain > 0 else "worse"


@dataclass(frozen=True, slots=True)
class Grounding:
    """What the answers of one rung stand on.

    Args:
        means: Of each metric that any example has: its mean, in [0, 1], and how many examples have it.
        against: The rung it is compared with; "" for none.
        changes: From that one.
    """

    rung: str
    means: Mapping[Metric, tuple[float, int]]
    against: str = ""
    changes: tuple[MetricChange, ...] = ()


def grounding_of(
    rung: str,
    found: Sequence[AnswerMetrics],
    incumbent: tuple[str, Sequence[AnswerMetrics]] | None = None,
    groups: Sequence[str] = (),
) -> Grounding:
    """The metrics of one rung, and their paired differences from an incumbent's.

    Args:
        incumbent: Its name and its metrics on the same examples.
        groups: The group of each example; () if there are none. Examples of one group are one piece of evidence.

    Raises:
        DataError: If the two were measured on other examples.
    """
    means = {}
    for metric in METRICS:
        values = [value for one in found if (value := one.value(metric)) is not None]
        if values:
            means[metric] = (fmean(values), len(values))
    if incumbent is None:
        return Grounding(rung, means)
    name, before = incumbent
    changes = [change for metric in METRICS if (change := _change(metric, before, found, groups)) is not None]
    corrected = holm([change.p_value for change in changes])
    return Grounding(rung, means, name, tuple(replace(c, p_value=p) for c, p in zip(changes, corrected, strict=True)))


def _change(
    metric: Metric, before: Sequence[AnswerMetrics], after: Sequence[AnswerMetrics], groups: Sequence[str]
) -> MetricChange | None:
    first, second = in_pairs(before, after, metric)
    if not first:
        return None
    both = [a.value(metric) is not None and b.value(metric) is not None for a, b in zip(before, after, strict=True)]
    some = [group for group, has_both in zip(groups, both, strict=True) if has_both] if groups else None
    gains = [b - a for a, b in zip(first, second, strict=True)]
    low, high = paired_interval(gains, some)
    return MetricChange(metric, len(gains), fmean(gains), low, high, paired_p(first, second, some))


# --- one answer --------------------------------------------------------------------------------------------------------


def _grounded(
    example: Example, answer: Answer, quotes: Sequence[Span], titles: Mapping[str, str], least: float
) -> tuple[float | None, tuple[str, ...]]:
    if answer.error is not None:
        return 0.0, ()
    if answer.abstained:
        return None, ()
    claims = [sentence for sentence in _sentences(compared(answer.text)) if claims_anything(sentence)]
    unsupported = tuple(claim for claim in claims if not _is_said(claim, quotes, titles, example.question, least))
    return (1 - len(unsupported) / len(claims) if claims else None), unsupported


def _sentences(text: str) -> list[str]:
    """The sentences of an answer; of one in JSON its values, each a claim of its own."""
    try:
        value = json.loads(text)
        if isinstance(value, dict | list):
            told = [key[1] for _, key in leaves(value) if isinstance(key, tuple) and key[0] in ("text", "number")]
            return [str(one) for one in told][:MOST_SENTENCES]
    except (ValueError, RecursionError, TooDeepError):
        pass
    return [text[slice(*span)] for span in sentence_spans(text)[:MOST_SENTENCES]]


def _is_said(claim: str, quotes: Sequence[Span], titles: Mapping[str, str], asked: str, least: float) -> bool:
    """Whether one quote says the sentence, or one each of its clauses."""

    sources = [(quote.quote, titles.get(quote.document, "")) for quote in quotes]

    def is_said(part: str) -> bool:
        return best_support(part, sources, asked)[0].value >= least

    return is_said(claim) or (len(parts := clauses_of(claim)) > 1 and all(map(is_said, parts)))
