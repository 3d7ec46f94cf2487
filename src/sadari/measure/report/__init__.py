"""The report of a climb: one page for a manager, the same as Markdown and JSON, and the winner's model card."""

from sadari.measure.report.card import model_card
from sadari.measure.report.data import FailingExample, RunData, failing_examples, gain_over_baseline, run_json
from sadari.measure.report.grounding import grounding_section
from sadari.measure.report.markdown import report_markdown
from sadari.measure.report.page import render_report, write_report
from sadari.measure.report.sections import Level, Section, Table, fitting, section_markdown

__all__ = [
    "FailingExample",
    "Level",
    "RunData",
    "Section",
    "Table",
    "failing_examples",
    "fitting",
    "gain_over_baseline",
    "grounding_section",
    "model_card",
    "render_report",
    "report_markdown",
    "run_json",
    "section_markdown",
    "write_report",
]
