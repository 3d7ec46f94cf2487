"""A run as people read it: what was asked, what was done about it, what came of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from markupsafe import Markup, escape

from sadari.agent.approval import Pending, pending
from sadari.agent.log import Event, Log
from sadari.agent.state import CallState, RunState, fold
from sadari.retrieve.text import search_terms
from sadari.serve.asking import ENDS
from sadari.serve.pages.markdown import to_html
from sadari.text.sentences import sentence_spans
from sadari.types import Message, Span

LONGEST_RESULT = 4_000
"""Characters of a tool's result that are shown."""

LEAST_SHARE = 0.6
"""Share of the search terms of a sentence that a cited passage holds, from which on its number stands behind the sentence. It only
shows where to look: whether an answer is supported is settled before it is given (`sadari.retrieve.evidence`)."""

LONGEST_NAME = 80
"""Characters of a conversation's name."""

LISTED = 30
"""Conversations in the list."""


@dataclass(frozen=True, slots=True)
class Made:
    """A call, as people read it."""

    name: str
    arguments: str
    status: str
    text: str
    is_cut: bool


@dataclass(frozen=True, slots=True)
class Turn:
    """A question and what came of it.

    Args:
        question: Its event, by which an answer is rated.
        status: "answered", "waiting" (for a person), "stopped", "failed", "cancelled", "erased" or "running" (not over).
        html: The answer, safe to stand in a page.
        rating: What this person said of it: `rating`, `reason`, `corrected`; {} for nothing.
    """

    question: int
    asked: str
    status: str
    html: Markup = field(default_factory=Markup)
    is_abstained: bool = False
    calls: tuple[Made, ...] = ()
    citations: tuple[Span, ...] = ()
    waits: tuple[Pending, ...] = ()
    rating: Mapping[str, Any] | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come."""
        return self.status not in ("running", "waiting")


@dataclass(frozen=True, slots=True)
class Named:
    """A conversation in the list."""

    run: str
    name: str
    updated: str
    status: str


def turns_of(log: Log, run: str, viewer: str, mark: str, only: int = 0) -> tuple[tuple[Message, ...], tuple[Turn, ...]]:
    """What was said before the first question, and the questions.

    Args:
        only: The question that is wanted, without what was said before; 0 for all.
        viewer: Whose ratings are shown.
        mark: How the number of a source is spoken: "출처 {number}".
    """
    events = log.events(run)
    asked = [i for i, event in enumerate(events) if event.kind == "run.asked"]
    ratings = {event.body["question"]: event.body for event in events if _is_rating(event, viewer) and event.body}
    state = fold(events[: asked[0]] if asked else events)
    before, turns = state.messages, []
    for start, end in zip(asked, [*asked[1:], len(events)], strict=True):
        state = fold(events[start:end], state)
        if only in (0, events[start].seq):
            turns.append(_turn(log, state, events[start:end], ratings, mark))
    return () if only else before, tuple(turns)


def _is_rating(event: Event, viewer: str) -> bool:
    return event.kind == "answer.rated" and event.body is not None and event.body.get("by") == viewer


def _turn(log: Log, state: RunState, events: Sequence[Event], ratings: Mapping[int, Mapping[str, Any]], mark: str) -> Turn:
    asked, end = events[0], next((event for event in events if event.kind in ENDS), None)
    waits: tuple[Pending, ...] = ()
    if end is None:
        waits = tuple(pending(log, datetime.now().astimezone(), run=state.run))
    status = end.kind.removeprefix("run.") if end is not None else "waiting" if waits else "running"
    answer = state.answer if end is not None else None
    return Turn(
        asked.seq,
        str((asked.body or {}).get("text", "")),
        status,
        _html(answer.text, answer.citations, mark) if answer else Markup(),
        bool(answer and answer.abstained),
        tuple(map(_made, state.made_now())),
        answer.citations if answer else (),
        waits,
        ratings.get(asked.seq),
    )


def _made(call: CallState) -> Made:
    arguments = json.dumps(dict(call.arguments), ensure_ascii=False, indent=2) if call.arguments else ""
    is_cut = len(call.text) > LONGEST_RESULT
    return Made(call.name, arguments, call.status, call.text[:LONGEST_RESULT], is_cut)


def _html(text: str, citations: Sequence[Span], mark: str) -> Markup:
    """The answer, behind each sentence the numbers of the citations that say it."""
    marks = [(place, _mark(number, mark)) for place, number in _placed(text, citations)]
    return Markup(to_html(text, marks))


def _placed(text: str, citations: Sequence[Span]) -> list[tuple[int, int]]:
    """Behind which characters which citation stands: behind each sentence whose words are in the words that are cited."""
    if not citations:
        return []
    cited = [(number, frozenset(search_terms(span.quote))) for number, span in enumerate(citations, 1)]
    placed: list[tuple[int, int]] = []
    for start, end in sentence_spans(text):
        said = frozenset(search_terms(text[start:end]))
        shares = [(len(said & held) / len(said), number) for number, held in cited] if said else []
        placed += [(end, number) for share, number in shares if share >= LEAST_SHARE]
    return placed


def _mark(number: int, label: str) -> str:
    spoken = escape(label.format(number=number))
    return f'<button type="button" class="cite" data-citation="{number}" aria-label="{spoken}">{number}</button>'


def citation_of(log: Log, run: str, question: int, number: int) -> Span | None:
    """A citation of an answer, by its number from 1."""
    events = log.events(run)
    later = (i for i, event in enumerate(events) if event.kind == "run.asked" and event.seq > question)
    state = fold(events[: next(later, len(events))])
    citations = state.answer.citations if state.answer else ()
    return citations[number - 1] if 0 < number <= len(citations) else None


def named(log: Log, user: str) -> list[Named]:
    """The newest conversations of a user, each under its first question."""
    found: list[Named] = []
    for entry in log.runs(user=user, parent="")[:LISTED]:
        first = next((event for event in log.events(entry.run) if event.kind == "run.asked" and event.body), None)
        if first is not None and first.body and entry.status != "erased":
            name = " ".join(str(first.body["text"]).split())[:LONGEST_NAME]
            found.append(Named(entry.run, name, entry.updated, entry.status))
    return found
