"""The page on which people talk to the agent.

Covered: one sees one's own conversations, and who operates the server anybody's; a conversation that is not one's own is told as
missing; what stands in an answer, a citation or a call is text or the HTML of `markdown`; a passage is shown to whom its document
is open.
Not covered: what an answer persuades its reader to do.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import HTMLResponse

from sadari.agent.state import RunState
from sadari.prompt.compose import language_of
from sadari.serve.entry import ServiceOf
from sadari.serve.faults import ApiError, missing
from sadari.serve.pages.conversation import citation_of, named, turns_of
from sadari.serve.pages.look import Asking, Viewer, page, words
from sadari.serve.pages.passages import passage_of, titles_of
from sadari.serve.service import Service

router = APIRouter(include_in_schema=False)

EXAMPLES = 3
"""Questions that an empty page offers."""

Run = Annotated[str, Path(max_length=64)]


@router.get("/")
def show_chat(
    request: Request, service: ServiceOf, viewer: Asking, run: Annotated[str, Query(max_length=200)] = ""
) -> HTMLResponse:
    """The page: a new conversation, or one that goes on."""
    told: dict[str, Any] = {"run": "", "is_own": True, "is_missing": False, "before": (), "turns": (), "may_approve": False}
    if run:
        try:
            told |= _conversation(service, viewer, run)
        except ApiError:
            told["is_missing"] = True
    shared: dict[str, Any] = {
        "agent": service.options.name,
        "model": service.model.name.rstrip("/").rpartition("/")[2],
        "examples": _examples(service, viewer),
        "conversations": named(service.log, viewer.identity.user),
        "script_words": {key[3:]: text for key, text in words("chat", viewer.language).items() if key.startswith("js_")},
    }
    return page(request, viewer, "chat", 404 if told["is_missing"] else 200, **shared, **told)


@router.get("/conversations")
def list_conversations(
    request: Request, service: ServiceOf, viewer: Asking, run: Annotated[str, Query(max_length=200)] = ""
) -> HTMLResponse:
    """One's own conversations, newest first: a piece of the page."""
    return page(request, viewer, "chat", part="history", conversations=named(service.log, viewer.identity.user), run=run)


@router.get("/conversations/{run}")
def show_conversation(run: Run, request: Request, service: ServiceOf, viewer: Asking, question: int = 0) -> HTMLResponse:
    """What was asked and answered: a piece of the page.

    Args:
        question: Only this one; 0 for all.
    """
    return page(request, viewer, "chat", part="turns", **_conversation(service, viewer, run, question))


@router.get("/conversations/{run}/citations/{question}/{number}")
def show_citation(run: Run, question: int, number: int, request: Request, service: ServiceOf, viewer: Asking) -> HTMLResponse:
    """The passage that an answer cites, the span marked: a piece of the page."""
    state = _seen(service, viewer, run)
    span = citation_of(service.log, run, question, number)
    if span is None:
        raise missing(f"citation {number}")
    passage = passage_of(service.stage.for_run(state.agent).system, span, viewer.identity.reader)
    return page(request, viewer, "chat", part="passage", span=span, number=number, passage=passage)


def _conversation(service: Service, viewer: Viewer, run: str, question: int = 0) -> dict[str, Any]:
    state = _seen(service, viewer, run)
    before, turns = turns_of(service.log, run, viewer.identity.user, words("chat", viewer.language)["source"], question)
    is_own = state.user == viewer.identity.user
    return {"run": run, "before": before, "turns": turns, "is_own": is_own, "may_approve": viewer.identity.may("approve")}


def _seen(service: Service, viewer: Viewer, run: str) -> RunState:
    state = service.desk.state_of(viewer.identity, run)
    if state.status == "erased":
        raise missing(f"run {run}")
    return state


def _examples(service: Service, viewer: Viewer) -> list[str]:
    told = words("chat", viewer.language)
    titles = titles_of(service.stage.for_user(viewer.identity.user).system, viewer.identity.reader, EXAMPLES)
    asked = [words("chat", language_of(title))["example_about"].format(title=title) for title in titles]
    return asked or [told[f"example_{i}"] for i in range(1, EXAMPLES + 1)]
