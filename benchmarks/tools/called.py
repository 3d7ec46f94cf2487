"""Which tool a model calls when it is shown a catalogue whole, and when it is shown the tools that the search found.

The call is held to the names that are shown, so that a model is judged by what it chooses and not by how it spells; it is right if
it is one of the calls of the right answer. The arguments are not asked for.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from catalogues import Catalogue, Source, pool
from families import families_of, family_request

from sadari.model.load import load_model
from sadari.retrieve.tools import ToolSearch
from sadari.types import Example, Generation, Model, OneOf, Request, ToolSpec

SIZES = (8, 32)
MOSTS = (0, 1, 2, 4, 8)
"""0 shows the catalogue whole."""
_OPENING = '<tool_call>\n{"name": "'


@dataclass(frozen=True, slots=True)
class Called:
    """Shares of questions, in [0, 1].

    Args:
        shown: With a right tool among those shown: what a model reaches that then always chooses right.
        chance: What a model reaches that draws one of those shown.
        right: Whose call is right.
        failed: Whose prompt does not fit, or where nothing was shown.
    """

    source: str
    size: int
    most: int
    asked: int
    shown: float
    chance: float
    right: float
    failed: float


def measure(sources: Sequence[Source], name: str, questions: int) -> tuple[list[Called], list[tuple[str, int, float]]]:
    """Every source, size and number of tools shown; and how often the model names the right family."""
    model = load_model(name)
    found = [_called(model, s, size, most, questions) for s in sources for size in SIZES for most in MOSTS if most < size]
    return found, [(s.name, size, _family_named(model, s, size, questions)) for s in sources for size in SIZES]


def _called(model: Model, source: Source, size: int, most: int, questions: int) -> Called:
    search = ToolSearch(most)
    asked = [(row, search.shown(catalogue.tools, row.prompt)) for catalogue, row in _drawn(source, size, questions)]
    gold = [[tool.name in {call.name for call in row.reference.calls} for tool in tools] for row, tools in asked]
    said = _choices(model, asked)
    return Called(
        source.name,
        size,
        most,
        len(asked),
        fmean(any(right) for right in gold),
        fmean(fmean(right or [0]) for right in gold),
        fmean(any(g.text == _opened(call.name) for call in row.reference.calls) for g, (row, _) in zip(said, asked, strict=True)),
        fmean(g.finish == "error" for g in said),
    )


def _choices(model: Model, asked: Sequence[tuple[Example, Sequence[ToolSpec]]]) -> list[Generation]:
    requests = [
        Request(row.prompt, tuple(tools), 64, constraint=OneOf(tuple(_opened(tool.name) for tool in tools)))
        for row, tools in asked
        if tools
    ]
    generations = iter(model.generate(requests))
    return [next(generations) if tools else Generation("", finish="error", error="no tool was shown") for _, tools in asked]


def _opened(name: str) -> str:
    return f'{_OPENING}{name}"'


def _family_named(model: Model, source: Source, size: int, questions: int) -> float:
    """Share of questions of which the model names a right family, held to the families and "none"."""
    asked = _drawn(source, size, questions)
    said = model.generate([family_request(row.prompt, catalogue.tools) for catalogue, row in asked])
    return fmean(g.text in families_of(row.reference.calls) for g, (_, row) in zip(said, asked, strict=True))


def _drawn(source: Source, size: int, questions: int) -> list[tuple[Catalogue, Example]]:
    """The same questions for every number of tools shown."""
    asked = [(catalogue, row) for catalogue in pool(source, size) for row in catalogue.rows]
    return random.Random(0).sample(asked, min(questions, len(asked)))
