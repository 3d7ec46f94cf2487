"""Routes by which what people say of answers flows back: conversations searched, the review queue, rows, blind comparisons.

Covered: only who operates the server sees other people's conversations; rows leave the server masked and checked against the test
set, or not at all; who rates a comparison is the owner of the key or the session, and learns which system is which after the last
question. Runs of climbs are named by number, and read from the served task alone.
Not covered: an operator who reads more than the work needs; the log does not say who read what.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from fastapi.responses import PlainTextResponse
from pydantic import AfterValidator, BaseModel, Field

from sadari.agent.rows import Review, Trust
from sadari.agent.signals import SIGNALS, Turn
from sadari.serve.blind import (
    BlindRating,
    Choice,
    Comparison,
    Right,
    labels_of,
    labels_text,
    pairs_of_files,
    pairs_of_run,
    result_of,
    steps_of,
    write_labels,
)
from sadari.serve.entry import ServiceOf, permitted
from sadari.serve.faults import ApiError, missing, wrong
from sadari.serve.keys import Identity
from sadari.serve.learning import Wanted, learnable
from sadari.serve.review import (
    ENDED,
    Conversation,
    Why,
    estimate_good,
    marks_of,
    read_conversation,
    read_conversations,
    record_of_signals,
    review_queue,
)
from sadari.serve.service import Service
from sadari.task import Task, load_task
from sadari.task.text import nfc
from sadari.task.writers import example_row

router = APIRouter(prefix="/sadari")

Operator = Annotated[Identity, Depends(permitted("operate"))]

LABELS = "data/judge-labels.jsonl"
"""Where labels for the judge go, in the task's folder; `score.judge.labels` has to name it."""

MOST_SHOWN = 200
"""Conversations of one answer."""


def _no_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("holds a NUL, which no database keeps")
    return text


Text = Annotated[str, AfterValidator(_no_nul)]
Days = Annotated[float, Query(gt=0, le=3650, description="Only conversations that went on within so many days.")]


class ReviewDecision(BaseModel, frozen=True, extra="forbid"):
    """What a reviewer decided about an answer."""

    question: int = Field(ge=1, le=2**31 - 1, description="Which question of the run.")
    decision: Literal["good", "corrected", "discard"]
    text: Text = Field(default="", max_length=20_000, description="Corrected: what a right answer would have been.")
    picked: Why | Literal[""] = Field(default="", description="Why the queue showed it, as the queue says.")


class AnswersFile(BaseModel, frozen=True, extra="forbid"):
    """What one system said: JSONL, a row with `answer` and `question` or `messages`; `id` and `reference` if there are any."""

    name: Text = Field(min_length=1, max_length=80)
    text: str = Field(max_length=4 * 2**20)


class NewComparison(BaseModel, frozen=True, extra="forbid"):
    """Two systems to compare: two steps of a climb, or two files of answers."""

    title: Text = Field(min_length=1, max_length=120)
    run: int | None = Field(default=None, ge=1, le=10**6, description="Number of a climb of the served task.")
    first: Text | AnswersFile = Field(description="With a run, the step: its number and rung, as 0-baseline.")
    second: Text | AnswersFile


class NewRating(BaseModel, frozen=True, extra="forbid"):
    """What a person thinks of two answers, by where they stand."""

    pair: int = Field(ge=0, le=10**6)
    better: Literal["left", "right", "tie"]
    left_right: Right = Field(default="", description="Whether the answer on the left is right.")
    right_right: Right = Field(default="", description="Whether the answer on the right is.")
    note: Text = Field(default="", max_length=2_000)


# --- conversations -----------------------------------------------------------------------------------------------------


@router.get("/conversations")
def search(
    service: ServiceOf,
    identity: Operator,
    text: Annotated[str, Query(max_length=200)] = "",
    user: Annotated[str, Query(max_length=64)] = "",
    rating: Literal["", "up", "down", "corrected", "none"] = "",
    signal: Annotated[str, Query(max_length=30)] = "",
    review: Literal["", "good", "corrected", "discard", "none"] = "",
    days: Days = 30,
    most: Annotated[int, Query(ge=1, le=MOST_SHOWN)] = 50,
) -> dict[str, Any]:
    """The conversations in which some question fits all that is asked for, newest first.

    Args:
        signal: One of those that conversations give by themselves; empty for all.
    """
    if signal and signal not in SIGNALS:
        raise wrong("signal", f"there are: {', '.join(SIGNALS)}.")
    kept, needle = service.reviews.all(), nfc(text).casefold()

    def fits(talk: Conversation, turn: Turn) -> bool:
        decided = kept.get(turn.place)
        return (
            (not needle or needle in nfc(f"{turn.text}\n{turn.answer}").casefold())
            and rating in ("", *ratings_of(turn))
            and (not signal or any(one.kind == signal for one in talk.signals_about(turn)))
            and (review in ("", decided.decision if decided else "none"))
        )

    talks = [talk for talk in conversations(service, days) if user in ("", talk.entry.user)]
    found = [talk for talk in talks if any(fits(talk, turn) for turn in talk.turns)]
    return {"found": len(found), "conversations": [brief_json(talk, kept) for talk in found[:most]]}


@router.get("/conversations/{run}")
def show_conversation(run: str, service: ServiceOf, identity: Operator) -> dict[str, Any]:
    """What was asked and answered in a run, with what is known of each answer."""
    return conversation_json(service, conversation(service, identity, run))


def conversations(service: Service, days: float) -> list[Conversation]:
    """The conversations that went on within so many days, newest first."""
    now = datetime.now(UTC)
    return read_conversations(service.log, now, (now - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%S.%fZ"))


def conversation(service: Service, identity: Identity, run: str) -> Conversation:
    """One conversation.

    Raises:
        ApiError: 404, if there is none.
    """
    service.desk.state_of(identity, run)
    found = read_conversation(service.log, run, datetime.now(UTC))
    if found is None:
        raise missing(f"conversation {run}")
    return found


def ratings_of(turn: Turn) -> tuple[str, ...]:
    """How a question may be found by its rating."""
    rating = turn.rating
    if rating is None:
        return ("none",)
    return (str(rating.get("rating")), *(("corrected",) if rating.get("corrected") else ()))


def brief_json(talk: Conversation, kept: Mapping[tuple[str, int], Review]) -> dict[str, Any]:
    """What a list tells of a conversation."""
    entry = talk.entry
    return {
        "run": entry.run,
        "user": entry.user,
        "started": entry.started,
        "updated": entry.updated,
        "question": talk.turns[0].text[:300],
        "questions": len(talk.turns),
        "ratings": sorted({one for turn in talk.turns for one in ratings_of(turn)} - {"none"}),
        "signals": sorted({signal.kind for signal in talk.signals}),
        "reviews": sorted({kept[turn.place].decision for turn in talk.turns if turn.place in kept}),
    }


def conversation_json(service: Service, talk: Conversation) -> dict[str, Any]:
    """All that is known of a conversation."""
    kept = service.reviews.all()
    return brief_json(talk, kept) | {"turns": [turn_json(talk, turn, kept) for turn in talk.turns]}


def turn_json(talk: Conversation, turn: Turn, kept: Mapping[tuple[str, int], Review]) -> dict[str, Any]:
    """One question, what was answered, and what is known of that."""
    review = kept.get(turn.place)
    return {
        "run": turn.run,
        "question": turn.question,
        "time": turn.time,
        "user": turn.user,
        "text": turn.text,
        "answer": turn.answer,
        "end": turn.end,
        "can_be_reviewed": turn.end in ENDED,
        "ratings": [dict(rating) for rating in turn.ratings],
        "marks": marks_of(turn, talk.signals_about(turn)),
        "signals": [asdict(signal) for signal in talk.signals_about(turn)],
        "review": asdict(review) if review else None,
    }


# --- the review queue --------------------------------------------------------------------------------------------------


@router.get("/review")
def list_review(
    service: ServiceOf, identity: Operator, most: Annotated[int, Query(ge=1, le=100)] = 20, days: Days = 30
) -> dict[str, Any]:
    """The answers that a person should look at next, and the share of good ones as far as it is known."""
    return queue_json(service, most, days)


def queue_json(service: Service, most: int, days: float) -> dict[str, Any]:
    """As the route gives it."""
    kept, talks = service.reviews.all(), conversations(service, days)
    by_run = {talk.entry.run: talk for talk in talks}
    queue = review_queue(talks, kept, most)
    answers = {turn.place for talk in talks for turn in talk.turns if turn.end in ENDED}
    estimate = estimate_good(answers, list(kept.values()))
    listed = [
        turn_json(by_run[one.turn.run], one.turn, kept)
        | {"why": one.why, "alike": one.alike, "turns": len(by_run[one.turn.run].turns)}
        for one in queue
    ]
    reviewed = len(answers & set(kept))
    return {
        "queue": listed,
        "answers": len(answers),
        "reviewed": reviewed,
        "estimate": asdict(estimate) if estimate else None,
        "signals": {kind: {"bad": bad, "judged": judged} for kind, (bad, judged) in record_of_signals(talks, kept).items()},
    }


@router.post("/review/{run}")
def review_answer(run: str, decision: ReviewDecision, service: ServiceOf, identity: Operator) -> dict[str, Any]:
    """Keep a reviewer's decision; a later one stands in its place."""
    talk = conversation(service, identity, run)
    turn = next((turn for turn in talk.turns if turn.question == decision.question), None)
    if turn is None or turn.end not in ENDED:
        places = [one.question for one in talk.turns if one.end in ENDED]
        raise wrong("question", f"there is no answer to it in {run}; answered are: {places[-20:]}.")
    text = nfc(decision.text).strip()
    if (decision.decision == "corrected") != bool(text):
        raise wrong("text", "is the right answer, given with the decision `corrected` and with no other.")
    made = Review(run, decision.question, identity.user, decision.decision, text, decision.picked)
    return asdict(service.reviews.keep(made))


# --- rows --------------------------------------------------------------------------------------------------------------


@router.get("/data/rows.jsonl")
def export_rows(
    service: ServiceOf,
    identity: Operator,
    days: Days = 30,
    trust: Trust = "rated",
    pairs: bool = False,
) -> PlainTextResponse:
    """Rows to learn from, as `sadari data from-log` writes them: masked, without repeats, without what the test set asks."""
    task = task_of(service)
    wanted = Wanted(datetime.now(UTC) - timedelta(days=days), trust=trust, pairs=pairs)
    tools = tuple(tool.spec for tool in service.desk.loop.agent.tools)
    found = learnable(service.log, task, tools, wanted, service.reviews.all())
    text = "".join(json.dumps(example_row(row), ensure_ascii=False) + "\n" for row in found.rows)
    name = "pairs-from-log.jsonl" if pairs else "from-log.jsonl"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Left-Out": str(sum(found.left_out.values()))}
    return PlainTextResponse(text, media_type="application/jsonl", headers=headers)


def task_of(service: Service) -> Task:
    """The served task.

    Raises:
        ApiError: 409, if nobody said which it is: rows that nothing can be checked against are not given.
    """
    folder = service.options.task
    if folder is None:
        told = "No task is served, so there is no test set to check rows against. Serve a bundle of a task's climb."
        raise ApiError(409, told, code="no_task")
    return load_task(folder)


# --- blind comparisons -------------------------------------------------------------------------------------------------


@router.get("/blind")
def list_comparisons(service: ServiceOf, identity: Operator) -> dict[str, Any]:
    """The comparisons, newest first, without what would tell which system is which."""
    return {"comparisons": [comparison_json(service, identity, one) for one in service.blind.all()]}


@router.post("/blind")
def add_comparison(wanted: NewComparison, service: ServiceOf, identity: Operator) -> dict[str, Any]:
    """Begin a comparison: of two steps of a climb of the served task, or of two files of answers."""
    if wanted.run is not None:
        if not isinstance(wanted.first, str) or not isinstance(wanted.second, str):
            raise wrong("first", "with a run, name two of its steps, as 0-baseline.")
        task = task_of(service)
        run = task.folder / "runs" / str(wanted.run)
        names = (wanted.first, wanted.second)
        pairs = pairs_of_run(run, *names, task.test)
    else:
        if isinstance(wanted.first, str) or isinstance(wanted.second, str):
            raise wrong("first", "without a run, give two files of answers: {name, text}.")
        first, second = wanted.first, wanted.second
        names = (first.name, second.name)
        pairs = pairs_of_files((first.name, first.text), (second.name, second.text))
    made = service.blind.add(wanted.title, names, pairs, identity.user)
    return comparison_json(service, identity, made)


@router.get("/blind/labels.jsonl")
def export_labels(service: ServiceOf, identity: Operator) -> PlainTextResponse:
    """Which answers people call right, as `score.judge.labels` reads it."""
    headers = {"Content-Disposition": 'attachment; filename="judge-labels.jsonl"'}
    return PlainTextResponse(labels_text(_labels(service)), media_type="application/jsonl", headers=headers)


@router.post("/blind/labels")
def keep_labels(service: ServiceOf, identity: Operator) -> dict[str, Any]:
    """Write which answers people call right to the served task, for the calibration of its judge."""
    task, rows = task_of(service), _labels(service)
    write_labels(task.folder / LABELS, rows)
    named = task.score.judge.labels if task.score.judge is not None else None
    is_read = named is not None and (task.folder / named).resolve() == (task.folder / LABELS).resolve()
    return {"file": LABELS, "labels": len(rows), "is_read": is_read}


@router.get("/blind/{name}/next")
def next_pair(name: str, service: ServiceOf, identity: Operator) -> dict[str, Any]:
    """The next two answers that this person has not rated, without names; null after the last."""
    return next_json(service, identity, _comparison(service, name))


@router.post("/blind/{name}/ratings")
def rate_pair(name: str, rating: NewRating, service: ServiceOf, identity: Operator) -> dict[str, Any]:
    """Keep what this person thinks of two answers; the next two."""
    comparison = _comparison(service, name)
    if rating.pair not in comparison.asked:
        raise wrong("pair", "there is no such question to rate.")
    is_turned = comparison.is_turned_for(identity.user, rating.pair)
    sides: dict[str, Choice] = {"left": "second", "right": "first"} if is_turned else {"left": "first", "right": "second"}
    rights = (rating.left_right, rating.right_right)
    first_right, second_right = reversed(rights) if is_turned else rights
    choice = sides.get(rating.better, "tie")
    made = BlindRating(rating.pair, identity.user, choice, first_right, second_right, rating.note)
    service.blind.rate(comparison, made)
    return next_json(service, identity, comparison)


@router.get("/blind/{name}/result")
def show_result(name: str, service: ServiceOf, identity: Operator) -> dict[str, Any]:
    """What people say on the whole, and which system is which: for those who rated every question."""
    return result_json(service, identity, _comparison(service, name))


@router.delete("/blind/{name}")
def remove_comparison(name: str, service: ServiceOf, identity: Operator) -> dict[str, Any]:
    """Drop a comparison with its texts and ratings."""
    service.blind.remove(_comparison(service, name).name)
    return {"name": name, "removed": True}


def comparison_json(service: Service, identity: Identity, comparison: Comparison) -> dict[str, Any]:
    """What may be told of a comparison before its end."""
    ratings = service.blind.ratings(comparison.name)
    own = sum(rating.rater == identity.user for rating in ratings)
    return {
        "name": comparison.name,
        "title": comparison.title,
        "made_by": comparison.made_by,
        "created": comparison.created,
        "pairs": len(comparison.pairs),
        "asked": len(comparison.asked),
        "rated": own,
        "raters": len({rating.rater for rating in ratings}),
        "is_done": own >= len(comparison.asked),
    }


def next_json(service: Service, identity: Identity, comparison: Comparison) -> dict[str, Any]:
    """The next pair of a person, as it is shown."""
    rated = {rating.pair for rating in service.blind.ratings(comparison.name) if rating.rater == identity.user}
    left = [at for at in comparison.order_for(identity.user) if at not in rated]
    shown: dict[str, Any] | None = None
    if left:
        pair = comparison.pairs[left[0]]
        sides = (pair.second, pair.first) if comparison.is_turned_for(identity.user, left[0]) else (pair.first, pair.second)
        shown = {"pair": left[0], "messages": [dict(turn) for turn in pair.messages], "left": sides[0], "right": sides[1]}
        shown["reference"] = list(pair.reference)
    return {"next": shown, "rated": len(comparison.asked) - len(left), "asked": len(comparison.asked)}


def result_json(service: Service, identity: Identity, comparison: Comparison) -> dict[str, Any]:
    """What a comparison came to, with names.

    Raises:
        ApiError: 409, while this person has not rated everything.
    """
    told = comparison_json(service, identity, comparison)
    if not told["is_done"]:
        left = told["asked"] - told["rated"]
        raise ApiError(409, f"{left} questions are left. Which system is which is told when you have rated them all.", code="blind")
    ratings = service.blind.ratings(comparison.name)
    result = result_of(comparison, ratings)
    notes = [{"pair": one.pair, "rater": one.rater, "choice": one.choice, "note": one.note} for one in ratings if one.note]
    named = {"first": comparison.first, "second": comparison.second}
    return (
        told | named | {"result": asdict(result) if result else None, "notes": notes, "labels": len(_labels(service, [comparison]))}
    )


def _comparison(service: Service, name: str) -> Comparison:
    found = service.blind.find(name) if len(name) <= 40 and "\0" not in name else None
    if found is None:
        raise missing("such comparison")
    return found


def _labels(service: Service, among: Iterable[Comparison] | None = None) -> list[dict[str, Any]]:
    judged = service.blind.all() if among is None else list(among)
    return labels_of([(one, service.blind.ratings(one.name)) for one in judged])


def runs_of(task: Path | None) -> list[dict[str, Any]]:
    """The climbs of a task whose predictions can be compared, newest first, with their steps."""
    runs = [run for run in (task / "runs").glob("*") if run.name.isdigit()] if task is not None else []
    found = {int(run.name): steps_of(run) for run in runs}
    return [{"run": run, "steps": steps} for run, steps in sorted(found.items(), reverse=True) if len(steps) > 1]
