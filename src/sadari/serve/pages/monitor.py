"""The page monitor: how the service does, from its log; the same figures as JSON for programs.

Covered: what is shown of a question is masked; plots are drawn in a thread, one at a time, and kept for a minute.
Not covered: names of tools are shown as they are.
"""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, Response

from sadari.serve.charts import Theme, can_draw, draw, label_of, shown_plots, told
from sadari.serve.entry import ServiceOf, permitted
from sadari.serve.faults import missing
from sadari.serve.journal import RANGES, Range
from sadari.serve.keys import Identity
from sadari.serve.pages.look import Language, Operating, page, words
from sadari.serve.pages.shown import Shown

router = APIRouter()

Within = Annotated[Range, Query(alias="range")]


@router.get("/monitor", include_in_schema=False)
def monitor(request: Request, viewer: Operating, service: ServiceOf, within: Within = "day") -> HTMLResponse:
    """How the service did in a range, and how it stands now."""
    watched, told_words = service.monitor, words("monitor", viewer.language)
    figures = watched.figures(within)
    plots = shown_plots(figures) if can_draw() else []
    return page(
        request,
        viewer,
        "monitor",
        ranges=RANGES,
        within=within,
        figures=figures,
        drift=watched.drift(within),
        now=watched.now(),
        plots=[(name, told(name, figures, told_words)) for name in plots],
        can_draw=can_draw(),
        labels=[label_of(step, figures) for step in figures.steps],
        shown=Shown(told_words),
    )


@router.get("/monitor/plot/{name}.svg", include_in_schema=False)
def plot(
    name: Literal["questions", "latency", "tokens", "cost", "ratings"],
    viewer: Operating,
    service: ServiceOf,
    within: Within = "day",
    theme: Theme = "light",
    language: Language = "ko",
) -> Response:
    """One plot."""
    if not can_draw():
        raise missing("plot: pip install 'sadari[report]'")
    figures, told_words = service.monitor.figures(within), words("monitor", language)
    svg = service.monitor.drawn.get((name, within, theme, language), lambda: draw(name, figures, told_words, theme))
    return Response(svg, media_type="image/svg+xml", headers={"Cache-Control": "private, max-age=60"})


@router.get("/sadari/figures")
def figures(
    service: ServiceOf, identity: Annotated[Identity, Depends(permitted("operate"))], within: Within = "day"
) -> dict[str, Any]:
    """The figures of Monitor: of a range, the drift of what was asked, and how things stand."""
    return service.monitor.told(within)
