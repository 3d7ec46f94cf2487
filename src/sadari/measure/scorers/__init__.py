"""Scorers: each judges one answer against its example, in [0, 1], and says why.

All compare text as `measure.korean` does, and read no more of an endless answer than `text.forms.MOST_CHARS` or a bound of their
own. An answer with an `error` scores 0. The rule for answers that cite documents stands in `measure.facts`, ROUGE in
`measure.overlap`, a model as judge in `measure.llm_judge`, and the choice between scorers in `measure.choice`.
"""

from sadari.measure.scorers.fields import JsonScorer, schema_of
from sadari.measure.scorers.label import LabelQuality, LabelReport, LabelScorer, label_report
from sadari.measure.scorers.number import NumberScorer
from sadari.measure.scorers.schema import AnswerSchema
from sadari.measure.scorers.scoring import BatchScorer, accepted_texts, score_answer, score_answers
from sadari.measure.scorers.short_answer import ShortAnswerF1Scorer, ShortAnswerScorer
from sadari.measure.scorers.sql import SqlScorer
from sadari.measure.scorers.text import TextScorer, chrf
from sadari.measure.scorers.tool_call import ToolCallScorer, accepted_calls
from sadari.measure.scorers.whole_task import WholeTaskScorer

__all__ = [
    "AnswerSchema",
    "BatchScorer",
    "JsonScorer",
    "LabelQuality",
    "LabelReport",
    "LabelScorer",
    "NumberScorer",
    "ShortAnswerF1Scorer",
    "ShortAnswerScorer",
    "SqlScorer",
    "TextScorer",
    "ToolCallScorer",
    "WholeTaskScorer",
    "accepted_calls",
    "accepted_texts",
    "chrf",
    "label_report",
    "schema_of",
    "score_answer",
    "score_answers",
]
