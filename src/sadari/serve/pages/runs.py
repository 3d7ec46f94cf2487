"""The page runs: the climbs of the served task, two systems compared, conversations that were cut off, and one with its events.

Covered: a report is shown under a policy of its own that lets no script run, whatever it holds; runs are named by their number
alone, so that no path leads elsewhere; who looked at somebody else's conversation is kept (`sadari.serve.acts`).
Not covered: conversations are shown as they were said: those who operate may read them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from sadari.agent.log import Event
from sadari.errors import SadariError
from sadari.serve.climbs import Comparison, ExamplesDifferError, report_policy
from sadari.serve.entry import ServiceOf
from sadari.serve.faults import missing
from sadari.serve.pages.look import Operating, page, words
from sadari.serve.pages.shown import Shown

router = APIRouter(include_in_schema=False)

LONGEST = 4_000
"""Characters of an event that are shown."""

_QUIET = frozenset({"call.ruled", "call.started", "agent.changed", "run.waiting"})
"""Events that are shown folded."""


@router.get("/runs")
def runs(request: Request, viewer: Operating, service: ServiceOf) -> HTMLResponse:
    """The climbs, and the conversations that were cut off."""
    climbs = service.monitor.climbs
    cut_off = [(entry, service.log.holds(entry.run)) for entry in service.unfinished]
    return page(
        request,
        viewer,
        "runs",
        folder=climbs.folder,
        climbs=climbs.all(),
        unfinished=climbs.unfinished(),
        arms=climbs.arms(),
        prices=climbs.prices(),
        cut_off=cut_off[:100],
        shown=Shown(words("runs", viewer.language)),
    )


@router.get("/runs/compare")
def compare(
    request: Request,
    viewer: Operating,
    service: ServiceOf,
    a: Annotated[str, Query(max_length=40)] = "",
    b: Annotated[str, Query(max_length=40)] = "",
) -> HTMLResponse:
    """Two systems by the scores that were kept."""
    climbs = service.monitor.climbs
    found: Comparison | None = None
    trouble = ""
    try:
        found = climbs.compare(a, b, viewer.language) if a and b else None
    except ExamplesDifferError:
        trouble = words("compare", viewer.language)["examples_differ"]
    except SadariError as error:
        trouble = str(error)
    return page(
        request,
        viewer,
        "compare",
        200 if found or not trouble else 400,
        part_of="runs",
        arms=climbs.arms(),
        chosen=(a, b),
        found=found,
        trouble=trouble,
        prices=climbs.prices(),
        shown=Shown(words("compare", viewer.language)),
    )


@router.get("/runs/{number}/report")
def report(number: str, viewer: Operating, service: ServiceOf) -> HTMLResponse:
    """The report of a climb, as it was written."""
    climb = service.monitor.climbs.climb(number)
    path = climb.folder / "report.html" if climb is not None else None
    if path is None or not path.is_file():
        raise missing(f"report of run {number[:20]}")
    html = path.read_text(encoding="utf-8")
    return HTMLResponse(html, headers={"Content-Security-Policy": report_policy(html)})


@router.get("/runs/conversations/{run}")
def conversation(request: Request, run: str, viewer: Operating, service: ServiceOf) -> HTMLResponse:
    """One conversation, event by event; that it was looked at is kept."""
    state = service.desk.state_of(viewer.identity, run)
    if state.user != viewer.identity.user:
        service.acts.keep(viewer.identity.user, "run.read", run, user=state.user)
    events = service.log.events(run)
    names = {name: call.name for name, call in state.calls.items()}
    return page(
        request,
        viewer,
        "conversation",
        part_of="runs",
        state=state,
        events=[_shown(event, names) for event in events],
        is_cut_off=state.status == "running" and not service.log.holds(run),
        shown=Shown(words("conversation", viewer.language)),
    )


@dataclass(frozen=True, slots=True)
class Entry:
    """One event as it is shown.

    Args:
        who: "user", "agent", "tool" or "system": how it looks.
        tool: What a call calls; "" if it is no call.
        text: What was said, in full; "" where `detail` says it.
        detail: The rest of it as JSON.
    """

    event: Event
    time: datetime
    who: str
    tool: str
    text: str
    detail: str

    @property
    def is_quiet(self) -> bool:
        """Whether it is of interest to few."""
        return self.event.kind in _QUIET


def _shown(event: Event, names: Mapping[str, str]) -> Entry:
    body: Mapping[str, Any] = event.body or {}
    who = {"run.asked": "user", "run.answered": "agent", "run.stopped": "agent", "run.failed": "agent"}.get(event.kind, "system")
    tool = ""
    if event.kind.startswith("call."):
        who, tool = "tool", names.get(str(body.get("id")), "")
    text = str(body.get("text", ""))
    rest = {name: value for name, value in body.items() if name != "text" and value not in ("", [], {}, None)}
    detail = json.dumps(rest, ensure_ascii=False, indent=1) if rest else ""
    return Entry(event, datetime.fromisoformat(event.time), who, tool, text[:LONGEST], detail[:LONGEST])
