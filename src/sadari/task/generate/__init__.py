"""More rows to learn from: tool conversations from tools, grounded questions from documents, reasoning and paraphrases from rows.

Every row is validated before it is kept, tagged `generated`, and counted in a `Report`, as is every one that was refused and why.
"""

from sadari.task.generate.collect import TAG, Generated, Order, Refusal, Report
from sadari.task.generate.grounded import generate_grounded_rows
from sadari.task.generate.paraphrases import generate_paraphrases
from sadari.task.generate.rationales import generate_rationales
from sadari.task.generate.tool_rows import generate_tool_rows

__all__ = [
    "TAG",
    "Generated",
    "Order",
    "Refusal",
    "Report",
    "generate_grounded_rows",
    "generate_paraphrases",
    "generate_rationales",
    "generate_tool_rows",
]
