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

from sadari.answer import Answerer, abstention_of, coverage_of
from sadari.files import kept
from sadari.retrieve.evidence import learn_threshold
from sadari.types import Example, System, Workshop

FIRST_TRIAL = 16
"""Validation examples that every combination of a joint search answers; the best third goes on to three times as many."""

HALVING = 3

LEAST_TRIALS = 6
"""Combinations that are tried however little time there is: one alone would be no choice."""

PRIOR = 32
"""Of so many examples is the weight of what the options of a combination are worth on average, beside its own answers."""

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
    all of them. Few answers say little of one combination, but much of an option that stands in a third of them: so a combination
    is ranked by its own answers and by what its options are worth on average, and one that was not tried may go on. In the end
    each part of the winner has to earn its place: what is no better than the simplest option is put back.

    Source:
        Jamieson and Talwalkar (2016), arXiv 1502.07943; Latin hypercube sampling, McKay, Beckman and Conover (1979).
    """
    left = _sampled(search.parts, _affordable(search, validation), search.workshop.seed)
    among: Sequence[Choice] = list(product(*(part.options for part in search.parts)))
    notes: list[str] = []
    best = left[0]
    for size, asked in rounds(len(left), len(validation)):
        left = left[:size]
        quality = {choice: search.workshop.evaluate(search.system(choice), validation[:asked]).quality for choice in left}
        best = max(left, key=lambda c: quality[c])
        told = f"best {quality[best]:.3f} with {_told(search, best)}"
        left = among = _ranked(search.parts, quality, asked, [c for c in among if len(notes) == 0 or c in quality])
        notes.append(f"{len(quality)} combinations on {asked} validation examples: {told}")
        search.workshop.tell(notes[-1])
    best, worth = _without_idle_parts(search, best, validation)
    return search.system(best), (*notes, *worth, f"chosen on validation: {_told(search, best)}")


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
        simplest = search.system(tuple(next(iter(part.options)) for part in search.parts))
        search.workshop.evaluate(simplest, validation[-1:])  # the index is made, and what is needed is loaded
        started = time.perf_counter()
        search.workshop.evaluate(simplest, first)
        seconds = max(1e-3, time.perf_counter() - started)
        return int(min(search.trials, max(LEAST_TRIALS, budget / 2 / (seconds * turns))))

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


def _ranked(parts: Sequence[Part], quality: Mapping[Choice, float], asked: int, among: Sequence[Choice]) -> list[Choice]:
    """Combinations, the most promising first; ties keep their order."""
    mean = fmean(quality.values())
    worth = {
        (at, name): fmean(some) - mean
        for at, part in enumerate(parts)
        for name in part.options
        if (some := [q for choice, q in quality.items() if choice[at] == name])
    }

    def promise(choice: Choice) -> float:
        options = mean + sum(worth.get((at, name), 0.0) for at, name in enumerate(choice))
        return (PRIOR * options + asked * quality[choice]) / (PRIOR + asked) if choice in quality else options

    return sorted(among, key=lambda choice: -promise(choice))


def _without_idle_parts(search: Search, best: Choice, validation: Sequence[Example]) -> tuple[Choice, list[str]]:
    """The winner with the simplest option in place of what is no better, and a note on what each other part is worth."""
    notes = []
    quality = search.workshop.evaluate(search.system(best), validation).quality
    for at, part in enumerate(search.parts):
        simplest = next(iter(part.options))
        if best[at] == simplest:
            continue
        without = (*best[:at], simplest, *best[at + 1 :])
        other = search.workshop.evaluate(search.system(without), validation).quality
        notes.append(
            f"{part.name} {best[at]} instead of {simplest}: {quality - other:+.3f} on {len(validation)} validation examples"
        )
        if quality <= other:
            best, quality = without, other
    return best, notes


def with_threshold(system: System, validation: Sequence[Example], workshop: Workshop) -> tuple[System, tuple[str, ...]]:
    """Let a system that retrieves documents abstain, unasked, where the best passage covers too little of the question.

    The threshold is the one that answers most of `validation` right; it is taken only if that is at least three answers more.

    Returns:
        The system, and a note if a threshold was taken.
    """
    assert system.retrieval is not None, "only a system that retrieves can find too little"
    card = workshop.evaluate(system, validation)
    covered = coverage_of(system, validation)
    refused = [workshop.scorer.score(e, abstention_of(system)).value for e in validation]

    def right_at(threshold: float) -> float:
        rows = zip(refused, covered, card.scores, strict=True)
        return sum(r if c < threshold else s for r, c, s in rows)

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
