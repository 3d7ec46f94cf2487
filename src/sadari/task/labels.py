"""Is this a label task? Then answers are few, short and repeated."""

from collections import Counter
from collections.abc import Sequence

from sadari.types import Example

LONGEST = 60
MOST = 200
ROWS_EACH = 4


def label_set(examples: Sequence[Example]) -> tuple[str, ...]:
    """The labels of a label task, sorted; () if the examples are no label task.

    It is one if every reference is at most 60 characters, there are 2 to 200 different ones, each stands on 4 rows on average, and
    nothing else (tool calls, facts, spans, abstention) belongs to a right answer.
    """
    counts: Counter[str] = Counter()
    for example in examples:
        reference = example.reference
        if example.kind != "chat" or not reference.texts or len(reference.texts) > 1 or len(reference.texts[0]) > LONGEST:
            return ()
        if reference.calls or reference.facts or reference.spans or reference.abstain or "\n" in reference.texts[0]:
            return ()
        counts[reference.texts[0]] += 1
    return tuple(sorted(counts)) if 2 <= len(counts) <= MOST and len(examples) >= ROWS_EACH * len(counts) else ()


def distinct_references(examples: Sequence[Example]) -> tuple[str, ...]:
    """Every first reference text, sorted: the labels where the task says `score: {by: label}`."""
    return tuple(sorted({example.reference.texts[0] for example in examples if example.reference.texts}))
