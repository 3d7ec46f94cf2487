"""The page *Data*: conversations searched, rated, corrected and chosen for training; the review queue; blind comparisons.

What is shown comes from the functions behind the JSON routes (`sadari.serve.feedback`), and what changes something goes there.
"""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from sadari.agent.signals import SIGNALS
from sadari.serve import feedback
from sadari.serve.entry import ServiceOf
from sadari.serve.faults import ApiError, missing
from sadari.serve.pages import look

router = APIRouter(include_in_schema=False)

VIEWS = (("list", "/data"), ("review", "/data/review"), ("blind", "/data/blind"))
"""The parts of the page, by name and address."""

MOST_LISTED = 50


def _page(request: Request, viewer: look.Viewer, view: str, **values: Any) -> HTMLResponse:
    """A part of the page; `tab` is its place in the menu."""
    tab = {"conversation": "list", "rate": "blind", "result": "blind"}.get(view, view)
    return look.page(request, viewer, "data", view=view, tab=tab, views=VIEWS, **values)


@router.get("/data")
def show_list(
    request: Request,
    service: ServiceOf,
    viewer: look.Operating,
    text: Annotated[str, Query(max_length=200)] = "",
    user: Annotated[str, Query(max_length=64)] = "",
    rating: Literal["", "up", "down", "corrected", "none"] = "",
    signal: Annotated[str, Query(max_length=30)] = "",
    review: Literal["", "good", "corrected", "discard", "none"] = "",
    days: feedback.Days = 30,
) -> HTMLResponse:
    """Conversations by what was said, by whom, and what is known of them."""
    asked = {"text": text, "user": user, "rating": rating, "signal": signal if signal in SIGNALS else "", "review": review}
    found = feedback.search(service, viewer.identity, **asked, days=days, most=MOST_LISTED)  # type: ignore[arg-type]
    has_task = service.options.task is not None
    return _page(request, viewer, "list", asked=asked | {"days": days}, found=found, signals=SIGNALS, has_task=has_task)


@router.get("/data/runs/{run}")
def show_conversation(run: str, request: Request, service: ServiceOf, viewer: look.Operating) -> HTMLResponse:
    """One conversation: each answer with what is known of it, to be rated, corrected, chosen or left out."""
    talk = feedback.conversation_json(service, feedback.conversation(service, viewer.identity, run))
    return _page(request, viewer, "conversation", talk=talk)


@router.get("/data/review")
def show_review(request: Request, service: ServiceOf, viewer: look.Operating, days: feedback.Days = 30) -> HTMLResponse:
    """What a person should look at next."""
    return _page(request, viewer, "review", found=feedback.queue_json(service, 10, days), days=days)


@router.get("/data/blind")
def show_comparisons(request: Request, service: ServiceOf, viewer: look.Operating) -> HTMLResponse:
    """The comparisons, and a form to begin one."""
    listed = feedback.list_comparisons(service, viewer.identity)["comparisons"]
    task = service.options.task
    return _page(request, viewer, "blind", listed=listed, runs=feedback.runs_of(task), has_task=task is not None)


@router.get("/data/blind/{name}")
def show_comparison(name: str, request: Request, service: ServiceOf, viewer: look.Operating) -> HTMLResponse:
    """Two answers to rate; after the last, what it came to."""
    comparison = service.blind.find(name) if len(name) <= 40 and "\0" not in name else None
    if comparison is None:
        raise missing("such comparison")
    try:
        result = feedback.result_json(service, viewer.identity, comparison)
    except ApiError as error:
        if error.code != "blind":
            raise
        return _page(request, viewer, "rate", comparison=feedback.comparison_json(service, viewer.identity, comparison))
    return _page(request, viewer, "result", comparison=result)
