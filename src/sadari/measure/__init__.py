"""Measuring and deciding: scorers, Korean text, statistics, money, verdicts and the report."""

from sadari.measure.choice import SCORER_NAMES, choose_scorer, labels_of
from sadari.measure.cost import (
    Money,
    build_money,
    cost_per_request,
    is_priced,
    monthly_net,
    payback_months,
    smallest_gain_that_pays,
)
from sadari.measure.facts import FactsScorer
from sadari.measure.korean import character_f1, contains, normalise, numbers_in
from sadari.measure.scorecard import make_scorecard, p50_latency_s, p95_latency_s
from sadari.measure.scorers import (
    JsonScorer,
    LabelScorer,
    NumberScorer,
    ShortAnswerF1Scorer,
    ShortAnswerScorer,
    TextScorer,
    ToolCallScorer,
    chrf,
    score_answer,
)
from sadari.measure.statistics import (
    bootstrap_interval,
    mcnemar_mid_p,
    mean_interval,
    more_examples_needed,
    paired_p,
    sign_flip_p,
    wilson,
)
from sadari.measure.verdict import Rule, baseline_verdict, format_p, judge

__all__ = [
    "SCORER_NAMES",
    "FactsScorer",
    "JsonScorer",
    "LabelScorer",
    "Money",
    "NumberScorer",
    "Rule",
    "ShortAnswerF1Scorer",
    "ShortAnswerScorer",
    "TextScorer",
    "ToolCallScorer",
    "baseline_verdict",
    "bootstrap_interval",
    "build_money",
    "character_f1",
    "choose_scorer",
    "chrf",
    "contains",
    "cost_per_request",
    "format_p",
    "is_priced",
    "judge",
    "labels_of",
    "make_scorecard",
    "mcnemar_mid_p",
    "mean_interval",
    "monthly_net",
    "more_examples_needed",
    "normalise",
    "numbers_in",
    "p50_latency_s",
    "p95_latency_s",
    "paired_p",
    "payback_months",
    "score_answer",
    "sign_flip_p",
    "smallest_gain_that_pays",
    "wilson",
]
