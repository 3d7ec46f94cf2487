"""Choose among a few systems on validation, spending little on the bad ones."""

from collections.abc import Sequence
from dataclasses import replace

from sadari.answer import coverage_of
from sadari.types import Example, System, Workshop

FIRST_LOOK = 48
"""Validation examples that every candidate answers; the better half goes on to all of them."""


def choose(candidates: dict[str, System], validation: Sequence[Example], workshop: Workshop) -> tuple[str, tuple[str, ...]]:
    """The name of the best candidate, and one note per trial.

    Successive halving in two rounds: all candidates on the first `FIRST_LOOK` validation examples (they are in a random order),
    the better half, at most two, on all. Ties go to the earlier, simpler candidate.

    Source:
        Jamieson and Talwalkar (2016), arXiv 1502.07943.
    """
    notes = []
    first = list(validation[:FIRST_LOOK])
    quality = {}
    for name, system in candidates.items():
        quality[name] = workshop.evaluate(system, first).quality
        workshop.tell(f"{name}: {quality[name]:.3f} on {len(first)} validation examples")
        notes.append(f"{name}: {quality[name]:.3f} on {len(first)} validation examples")
    if len(validation) > len(first):
        ranked = sorted(candidates, key=lambda n: -quality[n])  # stable: ties keep their order
        finalists = ranked[: min(2, max(1, (len(ranked) + 1) // 2))]
        quality = {n: workshop.evaluate(candidates[n], validation).quality for n in candidates if n in finalists}
        notes += [f"{n}: {q:.3f} on all {len(validation)} validation examples" for n, q in quality.items()]
    return max(quality, key=lambda n: quality[n]), tuple(notes)


def with_threshold(system: System, validation: Sequence[Example], workshop: Workshop) -> tuple[System, tuple[str, ...]]:
    """Let a system that retrieves documents abstain, unasked, where the best passage covers too little of the question.

    The threshold is the one that answers most of `validation` right; it is taken only if that is at least three answers more.

    Returns:
        The system, and a note if a threshold was taken.
    """
    assert system.retrieval is not None, "only a system that retrieves can find too little"
    card = workshop.evaluate(system, validation)
    covered = coverage_of(system, validation)

    def right_at(threshold: float) -> float:
        rows = zip(validation, covered, card.scores, strict=True)
        return sum(float(e.reference.abstain) if c < threshold else s for e, c, s in rows)

    best = max([0.0, *sorted(covered)], key=right_at)  # ties go to the lowest: abstain as little as possible
    if right_at(best) < right_at(0.0) + 3:  # two more may be luck
        return system, ()
    note = (
        f"abstains below coverage {best:.2f}: {right_at(0.0):.0f} -> {right_at(best):.0f} of {len(validation)} validation answers"
    )
    return system.with_(retrieval=replace(system.retrieval, min_score=best)), (note,)
