"""Choose among a few systems on validation, spending little on the bad ones."""

from collections.abc import Sequence

from sadari.types import Example, System, Workshop

FIRST_LOOK = 48
"""Validation examples that every candidate answers; the better half goes on to all of them."""


def choose(candidates: dict[str, System], validation: Sequence[Example], workshop: Workshop) -> tuple[str, tuple[str, ...]]:
    """The name of the best candidate, and one note per trial.

    Successive halving in two rounds: all candidates on the first `FIRST_LOOK` validation examples (they are in a random order),
    the better half, at most three, on all. Ties go to the earlier, simpler candidate.

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
        finalists = ranked[: min(3, max(1, (len(ranked) + 1) // 2))]
        quality = {n: workshop.evaluate(candidates[n], validation).quality for n in candidates if n in finalists}
        notes += [f"{n}: {q:.3f} on all {len(validation)} validation examples" for n, q in quality.items()]
    return max(quality, key=lambda n: quality[n]), tuple(notes)
