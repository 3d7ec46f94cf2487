"""The plots of Monitor, as SVG by Altair and vl-convert (the extra `report`): no script, no network, colours of the theme."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from threading import Lock
from types import MappingProxyType
from typing import Any, Literal

from sadari.measure.report.charts import FONTS
from sadari.serve.figures import Figures, StepFigures

Theme = Literal["light", "dark"]

_FONT_TO_MEASURE = "NanumGothic, Noto Sans CJK KR, sans-serif"
_WIDTH, _HEIGHT = 340, 170
_DRAWING = Lock()


@dataclass(frozen=True, slots=True)
class _Colours:
    text: str
    line: str
    series: tuple[str, ...]


_COLOURS: Mapping[Theme, _Colours] = MappingProxyType(
    {
        "light": _Colours("#56605c", "#d9dedb", ("#0b6b57", "#8a5a00", "#a52121", "#4a5bb5")),
        "dark": _Colours("#a5b0ab", "#37413d", ("#5cc7ab", "#eec06a", "#ff9a92", "#a9b6ff")),
    }
)


@dataclass(frozen=True, slots=True)
class Plot:
    """One plot: the series that it shows, as word and value of a step; lines, or bars on top of each other."""

    is_line: bool
    series: tuple[tuple[str, Callable[[StepFigures], float | None]], ...]


PLOTS: Mapping[str, Plot] = MappingProxyType(
    {
        "questions": Plot(
            False,
            (
                ("answered", lambda step: step.answered - step.abstained),
                ("abstained", lambda step: step.abstained),
                ("failed_asked", lambda step: step.failed),
            ),
        ),
        "latency": Plot(True, (("p50", lambda step: step.p50), ("p95", lambda step: step.p95))),
        "tokens": Plot(False, (("tokens_read", lambda step: step.read), ("tokens_written", lambda step: step.written))),
        "cost": Plot(False, (("cost", lambda step: step.cost),)),
        "ratings": Plot(False, (("up", lambda step: step.up), ("down", lambda step: step.down))),
    }
)
"""By name."""


def can_draw() -> bool:
    """Whether the libraries are there."""
    try:
        import altair  # noqa: F401
        import vl_convert  # noqa: F401
    except ImportError:
        return False
    return True


def shown_plots(figures: Figures) -> list[str]:
    """Names of the plots that there is anything to draw for."""
    return [name for name, plot in PLOTS.items() if any(value(step) for _, value in plot.series for step in figures.steps)]


def label_of(step: StepFigures, figures: Figures) -> str:
    """How a step is named: its day, or the time at which it begins."""
    begin = datetime.fromisoformat(step.since)
    return f"{begin:%m-%d}" if figures.range in ("week", "month") else f"{begin:%H:%M}"


def told(name: str, figures: Figures, words: Mapping[str, str]) -> str:
    """A plot in words: of each series the sum or the range, and its highest step."""
    parts = []
    for word, value in PLOTS[name].series:
        found = [(value(step), label_of(step, figures)) for step in figures.steps]
        known = [(number, label) for number, label in found if number is not None]
        if not known:
            continue
        most, when = max(known, key=lambda pair: pair[0])
        total = sum(number for number, _ in known)
        kind = "alt_line" if PLOTS[name].is_line else "alt_bars"
        least = min(number for number, _ in known)
        parts.append(words[kind].format(name=words[word], total=_short(total), most=_short(most), least=_short(least), when=when))
    return f"{words['plot_' + name]}: " + ("; ".join(parts) or words["alt_nothing"])


def draw(name: str, figures: Figures, words: Mapping[str, str], theme: Theme) -> str:
    """One plot as SVG.

    Raises:
        ImportError: Without the extra `report`.
    """
    import altair
    import vl_convert

    with _DRAWING:
        chart = _chart(altair, name, figures, words, _COLOURS[theme])
        svg = str(vl_convert.vegalite_to_svg(chart.to_json(validate=False)))
    return svg.replace(_FONT_TO_MEASURE, FONTS)


def _chart(alt: Any, name: str, figures: Figures, words: Mapping[str, str], colours: _Colours) -> Any:
    plot, labels = PLOTS[name], [label_of(step, figures) for step in figures.steps]
    rows = [
        {"at": label, "value": number, "name": words[word], "order": order}
        for order, (word, value) in enumerate(plot.series)
        for label, step in zip(labels, figures.steps, strict=True)
        if (number := value(step)) is not None
    ]
    names = [words[word] for word, _ in plot.series]
    every = max(1, len(labels) // 8)
    axis = alt.Axis(title=None, labelAngle=0, values=labels[::every], labelOverlap=True)
    legend = alt.Legend(title=None, orient="top") if len(names) > 1 else None
    base = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X("at:N", sort=labels, axis=axis, scale=alt.Scale(domain=labels)),
        y=alt.Y("value:Q", title=words["unit_" + name].format(currency=figures.currency), axis=alt.Axis(tickCount=4)),
        color=alt.Color("name:N", sort=names, scale=alt.Scale(domain=names, range=_range(name, colours)), legend=legend),
        order=alt.Order("order:Q"),
    )
    drawn = base.mark_line(point=True, strokeWidth=2) if plot.is_line else base.mark_bar()
    if plot.is_line:
        drawn = drawn.encode(strokeDash=alt.StrokeDash("name:N", sort=names, legend=None))
    return drawn.properties(width=_WIDTH, height=_HEIGHT).configure(**_style(colours))


def _range(name: str, colours: _Colours) -> Sequence[str]:
    if name == "ratings":
        return (colours.series[0], colours.series[2])
    if name in ("latency", "tokens"):
        return (colours.series[0], colours.series[3])
    return colours.series[: len(PLOTS[name].series)]


def _style(colours: _Colours) -> dict[str, Any]:
    told = {"labelColor": colours.text, "labelFontSize": 12}
    axis = {**told, "gridColor": colours.line, "domainColor": colours.line, "tickColor": colours.line}
    return {
        "font": _FONT_TO_MEASURE,
        "background": "transparent",
        "padding": 4,
        "axis": {**axis, "titleColor": colours.text, "titleFontWeight": 500, "titleFontSize": 12},
        "legend": told,
        "view": {"stroke": None},
    }


def _short(number: float) -> str:
    """A number as people read it."""
    return f"{number:,.0f}" if abs(number) >= 100 or number == int(number) else f"{number:.3g}"
