"""Answers held to a constraint while they are written: options, JSON Schema, regular expressions, grammars, tool calls."""

from sadari.model.grammar.calls import call_guide
from sadari.model.grammar.grammar_guide import GrammarGuide
from sadari.model.grammar.grammars import Grammars, grammars_of
from sadari.model.grammar.guide import Guide
from sadari.model.grammar.options import OptionGuide, OptionTrie
from sadari.model.grammar.schema import Bounded, Limits, bounded

__all__ = [
    "Bounded",
    "GrammarGuide",
    "Grammars",
    "Guide",
    "Limits",
    "OptionGuide",
    "OptionTrie",
    "bounded",
    "call_guide",
    "grammars_of",
]
