"""Which conversations a person should look at first, what that person decided, and what the decisions say of all answers.

Ratings are rare. So the queue holds what tells most: where people, judge and signals disagree; one question for each cluster of
trouble, the biggest first; where the agent or its judge was unsure; and a share that is drawn by chance.

Covered: a reviewed answer does not come again; a decision about a run that was erased meanwhile is not kept, and erasure takes
those that were (`sadari.serve.retention`). The rate of good answers is not that of the queue, which is full of trouble: what was
picked for a reason stands for itself, and what was drawn by chance for all the rest (weights by inverse probability).
Not covered: a reviewer who passes over what is hard among those drawn by chance, and answers that change within the time looked at:
the later ones had less chance to be reviewed.
"""

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import zip_longest
from math import ceil
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sadari.agent.log import Log, RunEntry
from sadari.agent.log.database import Database
from sadari.agent.rows import Review
from sadari.agent.signals import Signal, Turn, signals_between, signals_of, turns_of
from sadari.errors import RunError
from sadari.measure.statistics import wilson
from sadari.retrieve.embed import BUNDLED, Embedder, load_embedder

Why = Literal["random", "disagreement", "trouble", "uncertain"]

RANDOM_SHARE = 0.2
"""Share of the queue that is drawn by chance from all that nobody has reviewed."""

MOST_READ = 2_000
"""Runs that are looked at, the newest."""

MOST_CLUSTERED = 1_000
"""Questions in trouble that are put into clusters, those in most trouble."""

ALIKE = 0.6
"""Cosine from which two questions belong to one cluster."""

Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Conversation:
    """A run, its questions, and what its events tell of them."""

    entry: RunEntry
    turns: tuple[Turn, ...]
    signals: tuple[Signal, ...]

    def signals_about(self, turn: Turn) -> tuple[Signal, ...]:
        """Those about one of its answers."""
        return tuple(signal for signal in self.signals if signal.question == turn.question)


@dataclass(frozen=True, slots=True)
class Candidate:
    """An answer that a person should look at.

    Args:
        why: What it was picked for.
        marks: What is known of it, with how bad that is in [0, 1].
        alike: How many questions in trouble it stands for, itself among them.
    """

    turn: Turn
    marks: Mapping[str, float]
    why: Why
    alike: int = 1


@dataclass(frozen=True, slots=True)
class Estimate:
    """The share of answers that reviewers call good, over all answers of a time.

    Args:
        low, high: 95 % interval.
        answers: How many there are; of them `reviewed` were looked at, `random` of those drawn by chance.
        plain: Share among the reviewed as they are, which the queue makes too low.
    """

    good: float
    low: float
    high: float
    answers: int
    reviewed: int
    random: int
    plain: float


def read_conversations(log: Log, now: datetime, since: str = "", most: int = MOST_READ) -> list[Conversation]:
    """The newest conversations with users, newest first; those that were erased, and what specialists did in them, are left out.

    Args:
        since: Only those that went on since then; UTC, ISO 8601.
    """
    entries = [e for e in log.runs() if not e.parent and e.status != "erased" and e.updated >= since][:most]
    read = [(entry, tuple(turns_of(log.events(entry.run)))) for entry in entries]
    across: dict[str, list[Signal]] = {}
    for signal in signals_between(turns for _, turns in read):
        across.setdefault(signal.run, []).append(signal)
    return [Conversation(entry, turns, (*signals_of(turns, now), *across.get(entry.run, ()))) for entry, turns in read if turns]


def read_conversation(log: Log, run: str, now: datetime) -> Conversation | None:
    """One conversation, without what others tell of it; None if there is none, or it was erased."""
    entry = next((entry for entry in log.runs() if entry.run == run and entry.status != "erased"), None)
    turns = tuple(turns_of(log.events(run))) if entry is not None else ()
    return Conversation(entry, turns, tuple(signals_of(turns, now))) if entry is not None and turns else None


# --- what is known of an answer --------------------------------------------------------------------------------------------

UNCERTAIN = ("abstained", "judge_unsure", "filtered")
DISAGREES = ("judge_against_person", "signal_against_rating", "raters_disagree")
"""Marks of what is uncertain, and of who disagrees; all others are trouble."""


def marks_of(turn: Turn, signals: Sequence[Signal]) -> dict[str, float]:
    """What is known of an answer, with how bad that is in [0, 1].

    Args:
        signals: About this answer.
    """
    found: dict[str, float] = {signal.kind: signal.sure for signal in signals}
    rating, votes = turn.rating, {(one.get("by"), one.get("rating")) for one in turn.ratings}
    if rating is not None and rating.get("rating") == "down":
        found["rated_down"] = 0.9
    if rating is not None and rating.get("corrected"):
        found["corrected"] = 0.9
    if turn.end in ("run.failed", "run.stopped"):
        found["failed" if turn.end == "run.failed" else "limit"] = 0.8
    found |= {name: 0.5 for name, is_so in (("abstained", turn.abstained), ("filtered", bool(turn.findings))) if is_so}
    found |= dict.fromkeys(_judged(turn), 0.5)
    if rating is not None and rating.get("rating") == "up" and any(s.sure >= 0.5 for s in signals):
        found["signal_against_rating"] = 0.5
    newest = dict(sorted(votes, key=str))
    if len(newest) > 1 and len(set(newest.values())) > 1:
        found["raters_disagree"] = 0.7
    return found


def _judged(turn: Turn) -> Iterator[str]:
    """Whether the judge was unsure of a call, or let pass what a person then denied."""
    said: dict[str, str] = {}
    for event in turn.events:
        body = event.body or {}
        if event.kind == "call.ruled":
            decisions = [one["decision"] for one in body["rulings"] if one["by"] == "judge"]
            said[body["id"]] = decisions[0] if decisions else ""
        elif event.kind == "call.denied" and "reason" in body and said.get(body["id"]) == "allow":
            yield "judge_against_person"
    if "ask" in said.values():
        yield "judge_unsure"


def record_of_signals(conversations: Sequence[Conversation], reviews: Mapping[Place, Review]) -> dict[str, tuple[int, int]]:
    """How often each signal was right: of the answers it spoke against that a person judged as well, how many were called bad, and
    how many there were. Reviews count before ratings.
    """
    found: dict[str, list[bool]] = {}
    for talk in conversations:
        for turn in talk.turns:
            review, rating = reviews.get(turn.place), turn.rating
            if review is None and rating is None:
                continue
            is_bad = review.decision != "good" if review is not None else (rating or {}).get("rating") == "down"
            for kind in {signal.kind for signal in talk.signals_about(turn)}:
                found.setdefault(kind, []).append(is_bad)
    return {kind: (sum(judged), len(judged)) for kind, judged in sorted(found.items())}


# --- the queue -------------------------------------------------------------------------------------------------------------


def review_queue(
    conversations: Sequence[Conversation], reviewed: Collection[Place], most: int, embedder: Embedder | None = None
) -> list[Candidate]:
    """The answers to look at next, at most `most`: first those by chance, so that they are not left for the end; where there is
    not enough trouble to fill the rest, more by chance.

    Args:
        reviewed: What was looked at already.
        embedder: Tells which questions are alike; None for the bundled one.
    """
    waiting = [
        Candidate(turn, marks_of(turn, talk.signals_about(turn)), "random")
        for talk in conversations
        for turn in talk.turns
        if turn.place not in reviewed and turn.end in ENDED
    ]
    drawn = sorted(waiting, key=lambda one: chance_of(one.turn.place))
    by_chance = drawn[: ceil(most * RANDOM_SHARE)]
    taken = {one.turn.place for one in by_chance}
    rest = sorted((one for one in waiting if one.turn.place not in taken), key=_trouble, reverse=True)
    disagree = [replace(one, why="disagreement") for one in rest if any(mark in DISAGREES for mark in one.marks)]
    unsure = [replace(one, why="uncertain") for one in rest if any(mark in UNCERTAIN for mark in one.marks)]
    troubled = [replace(one, why="trouble") for one in rest if set(one.marks) - {*DISAGREES, *UNCERTAIN}]
    picked: list[Candidate] = list(by_chance)
    for group in zip_longest(disagree, _representatives(troubled[:MOST_CLUSTERED], embedder), unsure):
        for one in group:
            if one is not None and one.turn.place not in taken and len(picked) < most:
                taken.add(one.turn.place)
                picked.append(one)
    return [*picked, *(one for one in drawn if one.turn.place not in taken)][:most]


ENDED = ("run.answered", "run.stopped", "run.failed")
"""Questions that ended so have an answer that can be reviewed."""


def chance_of(place: Place) -> float:
    """The number in [0, 1) by which a question is drawn: always the same; nobody chooses it, since names of runs are random."""
    return int.from_bytes(hashlib.sha256(f"{place[0]}#{place[1]}".encode()).digest()[:8]) / 2**64


def _trouble(one: Candidate) -> tuple[float, str]:
    """How bad it is; of two that are as bad, the newer first."""
    return max(one.marks.values(), default=0.0), one.turn.time


def _representatives(troubled: Sequence[Candidate], embedder: Embedder | None) -> list[Candidate]:
    """The worst of each cluster of questions, biggest cluster first."""
    if not troubled:
        return []
    vectors = (embedder or load_embedder(BUNDLED)).embed([one.turn.text for one in troubled])
    clusters = clusters_of(vectors)
    return [replace(troubled[members[0]], alike=len(members)) for members in sorted(clusters, key=len, reverse=True)]


def clusters_of(vectors: NDArray[np.float32], alike: float = ALIKE) -> list[list[int]]:
    """Rows that are alike: each joins the first earlier row that leads a cluster and is as near as that, or leads one itself."""
    clusters: list[list[int]] = []
    for at, vector in enumerate(vectors):
        near = vectors[[members[0] for members in clusters]] @ vector if clusters else np.zeros(0)
        if len(near) and near.max() >= alike:
            clusters[int(near.argmax())].append(at)
        else:
            clusters.append([at])
    return clusters


# --- what the decisions say --------------------------------------------------------------------------------------------------


def estimate_good(answers: Collection[Place], reviews: Collection[Review]) -> Estimate | None:
    """The share of all answers that reviewers would call good; None while none that was drawn by chance is reviewed.

    Answers picked for a reason stand for themselves alone; each drawn by chance stands for as many as were not picked, divided by
    how many were drawn (Horvitz and Thompson's weights, with the number drawn as it came out). The interval is Wilson's, for the
    part that was drawn, with the correction for a finite population.

    Source:
        Horvitz & Thompson (1952), doi 10.1080/01621459.1952.10483446; Cochran (1977), Sampling Techniques, section 3.2.
    """
    known = [review for review in reviews if (review.run, review.question) in answers]
    good = {by_chance: [r.decision == "good" for r in known if (r.picked == "random") is by_chance] for by_chance in (True, False)}
    drawn, picked = good[True], good[False]
    if not drawn:
        return None
    rest = len(answers) - len(picked)
    stands = (rest - 1) / (rest - len(drawn)) if rest > len(drawn) else float("inf")
    share = sum(drawn) / len(drawn)
    low, high = wilson(sum(drawn) * stands, len(drawn) * stands) if stands < float("inf") else (share, share)
    whole = [(sum(picked) + rest * part) / len(answers) for part in (share, low, high)]
    plain = (sum(drawn) + sum(picked)) / len(known)
    return Estimate(whole[0], whole[1], whole[2], len(answers), len(known), len(drawn), plain)


# --- what is kept ----------------------------------------------------------------------------------------------------------


class ReviewTable:
    """The decisions of reviewers, the newest for each answer, beside the log."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, review: Review) -> Review:
        """Keep a decision; what the answer was picked for at first stays. It, as it is kept.

        Raises:
            RunError: If the run was erased, or there is none.
        """
        kept = replace(review, time=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
        values = {name: getattr(kept, name) for name in _COLUMNS}
        with self._database.writing(sync=True) as connection:
            count = connection.execute(_KEEP, values).rowcount
        if count != 1:
            raise RunError(f"{review.run}: there is no such run any more, so nothing is kept about it.")
        return kept

    def all(self) -> dict[Place, Review]:
        """The decisions by run and question; those about erased runs are not among them."""
        with self._database.reading() as connection:
            rows: Sequence[Any] = connection.execute(_ALL).fetchall()
        return {(row["run"], row["question"]): Review(*(row[name] for name in _COLUMNS)) for row in rows}


_COLUMNS = ("run", "question", "who", "decision", "text", "picked", "time")
_KEEP = (
    "INSERT INTO serve_reviews (run, question, who, decision, text, picked, time) "
    "SELECT run, CAST(:question AS INTEGER), CAST(:who AS TEXT), CAST(:decision AS TEXT), CAST(:text AS TEXT), "
    "CAST(:picked AS TEXT), CAST(:time AS TEXT) FROM runs WHERE run = :run AND status <> 'erased' "
    "ON CONFLICT (run, question) DO UPDATE SET who = excluded.who, decision = excluded.decision, text = excluded.text, "
    "time = excluded.time"
)
_ALL = (
    f"SELECT {', '.join('serve_reviews.' + name for name in _COLUMNS)} FROM serve_reviews "
    "JOIN runs ON runs.run = serve_reviews.run WHERE runs.status <> 'erased'"
)
