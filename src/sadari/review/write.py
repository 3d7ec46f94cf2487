"""The report of a run on disk, from what is kept of it: it can be told again at any time, in either language."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter

from sadari.errors import RunError
from sadari.files import read_json, write_text
from sadari.measure.report import RunData, model_card, render_report, report_markdown, run_json
from sadari.measure.words import Words
from sadari.review.chapters import chapters, forgetting_column
from sadari.review.data import Review

RUN, REVIEW = "run.json", "review.json"
"""What a report is made of."""

MODEL_CARD = "MODEL_CARD.md"


def write_reports(folder: Path, language: Literal["ko", "en"] | None = None) -> None:
    """Write `report.html` and `report.md`, `report.json` for machines, and the winner's model card into its bundle.

    Args:
        language: Another one than the task's. What models, scorers and rungs wrote stays as they wrote it.

    Raises:
        RunError: If the run is not finished, or cannot be written.
    """
    if not (folder / RUN).is_file() or not (folder / REVIEW).is_file():
        raise RunError(f"{folder}: no finished climb is here. `sadari climb TASK` begins one, or finishes it.")
    run, review = read_json(folder / RUN, RunData), read_json(folder / REVIEW, Review)
    run = replace(run, language=language or run.language, more={"review": _plain(review)})
    words = Words(run.language, run.currency)
    run = replace(run, forgetting=forgetting_column(review, words), sections=chapters(review, words))
    write_text(folder / "report.html", render_report(run))
    write_text(folder / "report.md", report_markdown(run))
    write_text(folder / "best" / MODEL_CARD, model_card(run))
    result = json.dumps(_finite(run_json(run)), ensure_ascii=False, indent=2, allow_nan=False)
    write_text(folder / "report.json", result + "\n")  # last: says it is done


def _plain(review: Review) -> Any:
    return TypeAdapter(Review).dump_python(review, mode="json")


def _finite(value: Any) -> Any:
    """`value` with None for infinities, which JSON has no word for: a share of a reference that may be nothing."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
