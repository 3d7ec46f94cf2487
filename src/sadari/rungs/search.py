"""Choose among systems on validation, spending little on the bad ones."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import ceil
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from sadari.answer import Answerer, coverage_of
from sadari.files import kept
from sadari.retrieve.evidence import learn_threshold
from sadari.types import Example, System, Workshop

FIRST_TRIAL = 16
"""Validation examples that every combination of a joint search answers; the best third goes on to three times as many."""

HALVING = 3

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


@dataclass(frozen=True, slots=True)
class Part:
    """One thing to choose: what reports call each option, and its value; the first option is the simplest."""

    name: str
    options: Mapping[str, Any]


Choice = tuple[str, ...]
"""One option of each part, by name."""


@dataclass(frozen=True, slots=True)
class Search:
    """A search of several parts at once.

    Args:
        parts: At least one.
        make: The system with such values of the parts, in their order.
        trials: Most combinations that are tried; all are, if there are no more.
        workdir: Where the number of trials is kept that a time budget allowed, so that a climb that goes on repeats them.
    """

    parts: Sequence[Part]
    make: Callable[[Sequence[Any]], System]
    workshop: Workshop
    trials: int
    workdir: Path

    def system(self, choice: Choice) -> System:
        """The system of a combination."""
        return self.make([part.options[name] for part, name in zip(self.parts, choice, strict=True)])


def choose_jointly(search: Search, validation: Sequence[Example]) -> tuple[System, tuple[str, ...]]:
    """The best system of a search, and notes: the trials of each round, the winner, and what each of its parts is worth.

    Parts are tried together, since what is best for one depends on the others. Successive halving: combinations in which every
    option of every part stands equally often answer few validation examples, the best third three times as many, and so on to
    all of them. What a part is worth is what the winner loses on the first examples with the simplest option in its place.

    Source:
        Jamieson and Talwalkar (2016), arXiv 1502.07943; Latin hypercube sampling, McKay, Beckman and Conover (1979).
    """
    left = _sampled(search.parts, _affordable(search, validation), search.workshop.seed)
    notes: list[str] = []
    best = left[0]
    for size, asked in rounds(len(left), len(validation)):
        left = left[:size]
        quality = {choice: search.workshop.evaluate(search.system(choice), validation[:asked]).quality for choice in left}
        left = sorted(left, key=lambda c: -quality[c])  # ties go to the earlier, simpler one
        best = left[0]
        told = f"best {quality[best]:.3f} with {_told(search, best)}"
        notes.append(f"{len(left)} combinations on {asked} validation examples: {told}")
        search.workshop.tell(notes[-1])
    notes.append(f"chosen on validation: {_told(search, best)}")
    return search.system(best), (*notes, *_worth(search, best, validation[:FIRST_LOOK]))


def rounds(combinations: int, examples: int) -> list[tuple[int, int]]:
    """How many combinations answer how many examples, round after round; the last ones answer all."""
    left, asked, made = combinations, min(FIRST_TRIAL, examples), []
    while asked < examples and left > 1:
        made.append((left, asked))
        left, asked = ceil(left / HALVING), min(examples, asked * HALVING)
    return [*made, (left, examples)]


def _told(search: Search, choice: Choice) -> str:
    return ", ".join(f"{part.name} {name}" for part, name in zip(search.parts, choice, strict=True) if len(part.options) > 1)


def _affordable(search: Search, validation: Sequence[Example]) -> int:
    """Trials that the time budget allows, by what the simplest combination takes."""
    budget = search.workshop.time_budget_s
    if budget is None:
        return search.trials
    first = validation[:FIRST_TRIAL]
    # Each round costs about what the first one does; half the budget is left for what follows.
    turns = 1 + len(rounds(search.trials, len(validation)))

    def affordable() -> int:
        started = time.perf_counter()
        search.workshop.evaluate(search.system(tuple(next(iter(part.options)) for part in search.parts)), first)
        seconds = max(1e-3, time.perf_counter() - started)
        return int(min(search.trials, max(1.0, budget / 2 / (seconds * turns))))

    return kept(search.workdir / "trials.json", int, affordable)


def _sampled(parts: Sequence[Part], trials: int, seed: int) -> list[Choice]:
    """So many combinations, the simplest one first; each option of a part stands in as many of them as any other."""
    everything = list(product(*(part.options for part in parts)))
    if len(everything) <= trials:
        return everything
    rng = np.random.default_rng(seed)
    columns = [rng.permutation(np.resize(list(part.options), trials)) for part in parts]
    drawn = dict.fromkeys([everything[0], *(tuple(str(name) for name in row) for row in zip(*columns, strict=True))])
    return sorted(list(drawn)[:trials], key=everything.index)


def _worth(search: Search, best: Choice, examples: Sequence[Example]) -> list[str]:
    """What each part of the winner is worth: the share of right answers that is lost with its simplest option in its place."""

    def quality(choice: Choice) -> float:
        return fmean(search.workshop.evaluate(search.system(choice), examples).scores)

    notes = []
    for at, part in enumerate(search.parts):
        simplest = next(iter(part.options))
        if best[at] != simplest:
            without = (*best[:at], simplest, *best[at + 1 :])
            gain = quality(best) - quality(without)
            notes.append(f"{part.name} {best[at]} instead of {simplest}: {gain:+.3f} on {len(examples)} validation examples")
    return notes


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


def with_support(system: System, validation: Sequence[Example], workshop: Workshop) -> tuple[System, tuple[str, ...]]:
    """Let a system that removes unsupported sentences choose how much of a sentence its sources must say.

    The model answers `validation` once; its answers are settled and scored at each threshold.

    Returns:
        The system, and a note if another threshold was taken.
    """
    assert system.retrieval is not None, "only what is retrieved supports an answer"
    if system.retrieval.unsupported != "remove" or system.decoding.quote or system.decoding.choices:
        return system, ()
    answerer = Answerer(system, workshop.load(system))
    drafts = answerer.drafts(validation)

    def right_at(least: float) -> float:
        answers = [draft if evidence is None else answerer.settle(draft, evidence, least) for draft, evidence in drafts]
        return sum(workshop.scorer.score(e, a).value for e, a in zip(validation, answers, strict=True))

    start = system.retrieval.least_support
    least = learn_threshold([evidence for _, evidence in drafts if evidence is not None], right_at, start=start)
    if least == start:
        return system, ()
    note = (
        f"keeps sentences that their sources support to {least:.2f}: {right_at(start):.0f} -> {right_at(least):.0f} of "
        f"{len(validation)} validation answers"
    )
    return system.with_(retrieval=replace(system.retrieval, least_support=least)), (note,)
