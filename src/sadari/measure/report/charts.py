"""The charts of the report, as inline SVG by Altair and vl-convert (the extra `report`): no script, no network."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sadari.measure.words import Words
from sadari.types import Step

FONTS = "Pretendard, Apple SD Gothic Neo, Noto Sans KR, Noto Sans CJK KR, NanumGothic, Malgun Gothic, sans-serif"
_FONT_TO_MEASURE = "NanumGothic, Noto Sans CJK KR, sans-serif"
_TAKEN, _LEFT, _LINE, _TEXT = "#0f766e", "#64748b", "#e2e8f0", "#334155"
_CURVES = ["#0f766e", "#c2410c", "#1d4ed8", "#7c3aed", "#64748b"]
_MOST_POINTS = 400  # of one curve; more are thinned evenly


@dataclass(frozen=True, slots=True)
class Chart:
    """One picture: its name, the SVG, and the same in words for those who cannot see it."""

    name: str
    svg: Any  # markupsafe.Markup
    alt: str


def draw_charts(numbers: dict[str, Any], steps: Sequence[Step], words: Words) -> tuple[list[Chart], str]:
    """The charts that the data allow, and why there are none ("" if there are)."""
    try:
        import altair
        import vl_convert
    except ImportError as failure:
        return [], str(failure.name)
    lines = numbers["steps"]
    drawn = [("quality", *_quality(altair, lines, words)), ("costs", *_costs(altair, lines, words))]
    if losses := _losses(altair, steps, words):
        drawn.append(("losses", *losses))
    return [Chart(name, _svg(vl_convert, name, chart, alt), alt) for name, chart, alt in drawn], ""


def _quality(alt: Any, lines: list[dict[str, Any]], words: Words) -> tuple[Any, str]:
    priced = all(line["cost_per_1000_requests"] is not None for line in lines)
    rows = [
        {
            "rung": line["rung"],
            "x": line["cost_per_1000_requests"] if priced else line["p50_latency_s"],
            "y": 100 * line["quality"],
            "low": 100 * line["quality_low"],
            "high": 100 * line["quality_high"],
            "taken": bool(line["taken"]),
        }
        for line in lines
    ]
    title = words.text["x_cost"].format(currency=words.currency) if priced else words.text["x_time"]
    widest = max(row["x"] for row in rows) or 1.0
    data = alt.Data(values=rows)
    x = alt.X("x:Q", title=title, scale=alt.Scale(domain=[0, 1.12 * widest], nice=True))
    y = alt.Y("y:Q", title=words.text["y_quality"], scale=alt.Scale(domain=[0, 100]))
    colour = alt.condition("datum.taken", alt.value(_TAKEN), alt.value(_LEFT))
    base = alt.Chart(data)
    bars = base.mark_rule(strokeWidth=2.5, opacity=0.55).encode(
        x=x, y=alt.Y("low:Q", title=words.text["y_quality"], scale=alt.Scale(domain=[0, 100])), y2="high:Q", color=colour
    )
    dots = base.mark_point(filled=True, size=110, opacity=1).encode(x=x, y=y, color=colour)
    names = [
        alt.Chart(alt.Data(values=[row]))
        .mark_text(align="left", dx=10, dy=dy, fontSize=13, fontWeight=600)
        .encode(x=x, y=y, text="rung:N", color=colour)
        for row, dy in zip(rows, _name_offsets(rows, widest), strict=True)
    ]
    points = "; ".join(
        f"{line['rung']} {words.share(line['quality'])}"
        + f" ({words.between(words.share(line['quality_low']), words.share(line['quality_high']))})"
        for line in lines
    )
    said = words.text["quality_alt" if priced else "quality_alt_time"].format(points=points)
    return alt.layer(bars, dots, *names).properties(width=700, height=320), said


def _name_offsets(rows: list[dict[str, Any]], widest: float) -> list[int]:
    """How far below its point each name stands, so that the names of neighbouring points do not overlap."""
    offsets: list[int] = []
    for index, row in enumerate(rows):
        near = [
            offsets[other]
            for other in range(index)
            if abs(rows[other]["x"] - row["x"]) < 0.16 * widest and abs(rows[other]["y"] - row["y"]) < 8
        ]
        sides = (-9, 15, 31, -25, *range(47, 999, 16))
        at_the_axis = range(-9, -999, -16)  # below it stand its numbers
        offsets.append(next(dy for dy in (at_the_axis if row["y"] < 8 else sides) if dy not in near))
    return offsets


def _costs(alt: Any, lines: list[dict[str, Any]], words: Words) -> tuple[Any, str]:
    t = words.text
    order = [line["rung"] for line in lines]
    prices = [line["cost_per_1000_requests"] for line in lines]
    priced = None not in prices
    built = [line["build_seconds"] for line in lines]
    minutes = [(line["rung"], seconds / 60, words.seconds(seconds)) for line, seconds in zip(lines, built, strict=True)]
    chart = _bars(alt, minutes, order, t["x_build"], width=280 if priced else 600)
    if priced:
        costs = [(line["rung"], price, words.money(price)) for line, price in zip(lines, prices, strict=True)]
        title = t["x_request"].format(currency=words.currency)
        chart = alt.hconcat(chart, _bars(alt, costs, order, title, labelled=False), spacing=36)
    points = "; ".join(
        f"{rung} {words.seconds(seconds)}, {words.money(price)}" for rung, seconds, price in zip(order, built, prices, strict=True)
    )
    return chart, t["costs_alt"].format(points=points)


def _bars(
    alt: Any, values: list[tuple[str, float, str]], order: list[str], title: str, *, labelled: bool = True, width: int = 280
) -> Any:
    rows = [{"rung": rung, "value": value, "said": said} for rung, value, said in values]
    most = max(value for _, value, _ in values) or 1.0
    axis = alt.Axis(labels=labelled, ticks=False, domain=False, labelPadding=8, labelFontSize=13)
    y = alt.Y("rung:N", sort=order, title=None, axis=axis)
    x = alt.X("value:Q", title=title, scale=alt.Scale(domain=[0, 1.3 * most]))
    base = alt.Chart(alt.Data(values=rows))
    return (
        base.mark_bar(color=_TAKEN, height=alt.RelativeBandSize(0.6)).encode(x=x, y=y)
        + base.mark_text(align="left", dx=6, fontSize=12, color=_TEXT).encode(x=x, y=y, text="said:N")
    ).properties(width=width, height=alt.Step(30))


def _losses(alt: Any, steps: Sequence[Step], words: Words) -> tuple[Any, str] | None:
    panels, said = [], []
    for step in steps:
        curves = [curve for curve in step.built.curves if curve.points]
        if not curves:
            continue
        rows = [
            {"step": at, "loss": value, "curve": curve.name}
            for curve in curves
            for at, value in curve.points[:: max(1, len(curve.points) // _MOST_POINTS)]
        ]
        legend = alt.Legend(title=None, orient="top")
        line = alt.Chart(alt.Data(values=rows)).encode(
            x=alt.X("step:Q", title=words.text["x_step"]),
            y=alt.Y("loss:Q", title=words.text["y_loss"], scale=alt.Scale(zero=False)),
            color=alt.Color("curve:N", scale=alt.Scale(range=_CURVES), legend=legend, sort=[curve.name for curve in curves]),
        )
        few = max(len(curve.points) for curve in curves) <= 30
        panels.append(line.mark_line(point=few, strokeWidth=2).properties(width=310, height=200, title=step.rung))
        said += [f"{step.rung} {curve.name}: {curve.points[0][1]:.3g} → {curve.points[-1][1]:.3g}" for curve in curves]
    if not panels:
        return None
    chart = alt.concat(*panels, columns=2, spacing=28).resolve_scale(color="independent", x="independent", y="independent")
    return chart, words.text["losses_alt"].format(points="; ".join(said))


def _svg(vl_convert: Any, name: str, chart: Any, alt_text: str) -> Any:
    from markupsafe import Markup, escape

    axis = {"gridColor": _LINE, "domainColor": _LEFT, "tickColor": _LEFT, "labelColor": _TEXT, "titleColor": _TEXT}
    styled = chart.configure(
        font=_FONT_TO_MEASURE,
        background="transparent",
        padding={"left": 6, "right": 12, "top": 10, "bottom": 6},
        axis={**axis, "labelFontSize": 12, "titleFontSize": 13, "titleFontWeight": 500, "titlePadding": 10},
        legend={"labelFontSize": 12, "labelColor": _TEXT},
        title={"fontSize": 14, "color": _TEXT, "anchor": "start"},
        view={"stroke": None},
    )
    svg = str(vl_convert.vegalite_to_svg(styled.to_json(validate=False)))
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', svg)  # several pictures share one page
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", svg)
    svg = svg.replace(_FONT_TO_MEASURE, FONTS)
    head = f'<svg role="img" aria-label="{escape(alt_text)}" '
    return Markup(svg.replace("<svg ", head, 1))
