"""How well the tools of long catalogues are found, and what showing few of them saves and costs.

    python benchmarks/tools/run.py --data FOLDER                  # search and tokens: three minutes
    python benchmarks/tools/run.py --data FOLDER --model mini     # and which tools a model calls: a quarter of an hour more

Prints tables, and one line of JSON at the end: `recall_english_512, recall_korean_512, recall_korean_32, recall_korean_trained_512,
question_ms_512, build_ms_512, full_ratio_512, shared_ratio_512` and, with a model, `called_whole_32, called_shown_32`. Recall is
the share of questions whose right tools are all shown when `MOST` are, or the whole of a short catalogue where nothing has a hold.
"""

import argparse
import json
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean, quantiles

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from catalogues import Source, pool, read_sources
from families import families_of, family_request, tools_of_families
from rich.console import Console
from rich.table import Table
from tokens import Asked, prompt_tokens

from sadari.retrieve.tools import ToolSearch, questions_by_tool
from sadari.types import Example, ToolSpec

SIZES = (8, 32, 128, 512)
MOSTS = (4, 8, 16)
MOST = 8
COUNTED = 50
"""Questions to one catalogue whose prompts are counted together."""
_CONSOLE = Console(width=132)


def main() -> int:
    """Run everything; the exit code is 0 unless something fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SADARI_DATA", "../shared/data")))
    parser.add_argument("--model", help="also call a model: mini, a folder, or any name that `sadari` takes")
    parser.add_argument("--questions", type=int, default=48, help="asked of the model, per source and size")
    options = parser.parse_args()
    sources = read_sources(options.data)
    figures = {**_recall(sources), **_seconds(sources[1]), **_tokens((sources[1], sources[2]))}
    if options.model:
        figures |= _called((sources[1], sources[2]), options.model, options.questions)
    print(json.dumps({name: round(value, 4) for name, value in figures.items()}))
    return 0


def _recall(sources: Sequence[Source]) -> dict[str, float]:
    rows, figures = [], {}
    for source in sources:
        for size in SIZES:
            found: dict[int, float] = {}
            for most in MOSTS:
                asked = [*_narrowed(source, size, most)]
                found[most] = fmean(_gold(row) <= {tool.name for tool in tools} for row, tools in asked)
                if most == MOST:
                    whole = fmean(len(tools) == size for _, tools in asked)
            shares = [f"{found[most]:.1%}" for most in MOSTS]
            rows.append((source.name, str(size), str(len(asked)), *shares, f"{whole:.0%}"))
            figures[f"{source.name}, {size}"] = found[MOST]
    columns = ("asked and described in", "tools", "questions", *(f"{most} shown" for most in MOSTS), f"shown whole at {MOST}")
    _show("all right tools are shown", columns, rows)
    return {
        "recall_english_512": figures["english, by users, 512"],
        "recall_korean_512": figures["korean, one turn, 512"],
        "recall_korean_32": figures["korean, one turn, 32"],
        "recall_korean_trained_512": figures["korean, one turn, trained rows, 512"],
    }


def _narrowed(source: Source, size: int, most: int) -> Iterator[tuple[Example, tuple[ToolSpec, ...]]]:
    search = ToolSearch(most, questions_by_tool(source.earlier))
    for catalogue in pool(source, size):
        for row in catalogue.rows:
            yield row, search.shown(catalogue.tools, row.prompt)


def _seconds(source: Source) -> dict[str, float]:
    rows, figures = [], {}
    for size in SIZES[1:]:
        catalogue = pool(source, size)[0]
        search = ToolSearch(MOST)
        built, *spent = [_timed(search, catalogue.tools, row) for row in (catalogue.rows[0], *catalogue.rows * 3)]
        last = quantiles(spent, n=20)[-1]
        rows.append((str(size), f"{built:.0f}", f"{fmean(spent):.2f}", f"{last:.2f}"))
        figures = {"build_ms_512": built, "question_ms_512": last}
    _show("milliseconds of the processor", ("tools", "first question, index built", "further ones, mean", "95th percentile"), rows)
    return figures


def _timed(search: ToolSearch, tools: Sequence[ToolSpec], row: Example) -> float:
    started = time.process_time()
    search.shown(tools, row.prompt)
    return 1e3 * (time.process_time() - started)


def _tokens(sources: Sequence[Source]) -> dict[str, float]:
    """Prompts of at most `COUNTED` questions to one catalogue: whole, searched, and by a family that is always named rightly."""
    rows, figures = [], {}
    for source in sources:
        for size in SIZES[1:]:
            catalogue = pool(source, size)[0]
            asked = catalogue.rows[:COUNTED]
            search = ToolSearch(MOST)
            whole = prompt_tokens([(row.prompt, catalogue.tools) for row in asked])
            found = prompt_tokens([(row.prompt, search.shown(catalogue.tools, row.prompt)) for row in asked])
            family = prompt_tokens([request for row in asked for request in _by_family(row, catalogue.tools)])
            per = [f"{n / len(asked):,.0f}" for t in (whole, found, family) for n in (t.alone, t.shared)]
            ratios = (f"{whole.alone / found.alone:.1f}x", f"{whole.shared / found.shared:.2f}x")
            rows.append((source.name, str(size), str(len(asked)), *per, *ratios))
            if source is sources[0]:
                figures = {"full_ratio_512": whole.alone / found.alone, "shared_ratio_512": whole.shared / found.shared}
    columns = [f"{way}, {kind}" for way in ("whole", "searched", "family") for kind in ("in full", "shared once")]
    title = "prompt tokens of a question in full, and where shared beginnings are computed once; whole over searched"
    _show(title, ("source", "tools", "asked", *columns, "in full", "shared"), rows)
    return figures


def _by_family(row: Example, tools: Sequence[ToolSpec]) -> tuple[Asked, Asked]:
    first = family_request(row.prompt, tools)
    return (first.messages, ()), (row.prompt, tools_of_families(tools, families_of(row.reference.calls)))


def _called(sources: Sequence[Source], model: str, questions: int) -> dict[str, float]:
    from called import measure

    found, families = measure(sources, model, questions)
    rows = [
        (c.source, str(c.size), str(c.asked), str(c.most or "whole"), *(f"{x:.0%}" for x in (c.shown, c.chance, c.right, c.failed)))
        for c in found
    ]
    columns = ("source", "tools", "asked", "shown", "a right one shown", "by chance", "right one called", "failed")
    _show(f"the tool that {model} calls", columns, rows)
    _show(f"the family that {model} names", ("source", "tools", "right"), [(s, str(n), f"{x:.0%}") for s, n, x in families])
    of = {(c.source, c.size, c.most): c.right for c in found}
    name = sources[1].name
    return {"called_whole_32": of[name, 32, 0], "called_shown_32": of[name, 32, 4]}


def _gold(row: Example) -> set[str]:
    return {call.name for call in row.reference.calls}


def _show(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(*columns, title=title, title_justify="left")
    for row in rows:
        table.add_row(*row)
    _CONSOLE.print(table)


if __name__ == "__main__":
    raise SystemExit(main())
