"""The plots of Monitor."""

from datetime import datetime, timedelta

import pytest

from sadari.serve.charts import PLOTS, draw, shown_plots, told
from sadari.serve.figures import Figures, Prices, figures_of
from sadari.serve.journal import Asked, Period, Rated
from sadari.serve.pages.look import words

NOON = datetime.fromisoformat("2026-03-02T12:00:00+09:00")


@pytest.fixture
def figures() -> Figures:
    edges = tuple(NOON + timedelta(minutes=5 * i) for i in range(13))
    at = edges[2].timestamp() + 1
    asked = (Asked("r1", at, at + 2, "answered", read=10, written=5), Asked("r2", at, at + 4, "failed"))
    rated = (Rated("r1", at, is_up=True),)
    return figures_of(Period("hour", edges, asked, (), (), rated, ()), Prices("KRW", hour=3600.0))


def test_the_alternative_text_tells_the_figures(figures: Figures) -> None:
    said = told("latency", figures, words("monitor", "ko"))
    assert "12:10" in said
    assert "3~3초" in said  # the median of 2 and 4 seconds
    assert "1 in all, most at 12:10" in told("questions", figures, words("monitor", "en"))


def test_what_has_no_figures_is_not_drawn(figures: Figures) -> None:
    assert shown_plots(figures) == list(PLOTS)
    empty = figures_of(Period("hour", tuple(NOON + timedelta(minutes=5 * i) for i in range(13)), (), (), (), (), ()), Prices())
    assert shown_plots(empty) == []


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_is_svg_in_korean_without_script_or_anything_from_elsewhere(figures: Figures, name: str) -> None:
    pytest.importorskip("altair")
    pytest.importorskip("vl_convert")
    svg = draw(name, figures, words("monitor", "ko"), "dark")
    assert svg.startswith("<svg")
    assert "<script" not in svg
    assert "href=" not in svg
    assert "12:10" in svg
