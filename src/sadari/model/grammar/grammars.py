"""Constraints compiled for one tokenizer: once each, then a copy of a few microseconds for every answer."""

import json
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any, TypeVar

from llguidance import LLMatcher, LLParserLimits
from llguidance.numpy import allocate_token_bitmask, fill_next_token_bitmask

from sadari.errors import ConfigError
from sadari.model.grammar.brake import Brake
from sadari.model.grammar.grammar_guide import GrammarGuide, reason_of
from sadari.model.grammar.schema import MAX_BYTES, Limits, bounded, check_size, plain
from sadari.model.grammar.vocabulary import Vocabulary
from sadari.types import Grammar, JsonSchema, Regex

MOST_KEPT = 256
"""Compiled grammars; a tool catalogue of forty tools takes about a megabyte."""

_NO_FORCING = '%llguidance {"no_forcing": true}\n'

T = TypeVar("T")


class Grammars:
    """What answers of one model may be held to.

    Args:
        limits: How far JSON goes where its schema sets no bound.
        kept: Most compiled grammars that are kept; those unused for longest make room.
    """

    def __init__(self, vocabulary: Vocabulary, limits: Limits | None = None, kept: int = MOST_KEPT) -> None:
        self.vocabulary, self.limits = vocabulary, limits or Limits()
        self._kept = kept
        self._compiled: OrderedDict[str, Any] = OrderedDict()
        self._lock = Lock()

    def guide(self, constraint: JsonSchema | Regex | Grammar, *, is_compact: bool = False) -> GrammarGuide:
        """A guide for one answer under this constraint.

        Args:
            is_compact: JSON is written without spaces; otherwise one follows each comma and colon, as models write it.

        Raises:
            ConfigError: If the constraint is invalid, too large, or asks for what cannot be held while decoding.
        """
        if isinstance(constraint, JsonSchema):
            check_size(constraint.schema)
            key = json.dumps([is_compact, plain(constraint.schema)])
            return self.start(self.kept(key, lambda: self.compile(self._json(constraint.schema, is_compact), "the JSON Schema")))
        kind, text = ("regex", constraint.pattern) if isinstance(constraint, Regex) else ("lark", constraint.lark)
        if len(text) > MAX_BYTES:
            raise ConfigError(f"this {kind} constraint is longer than {MAX_BYTES // 1024} Ki characters. Make it shorter.")
        write = _regex if kind == "regex" else _lark
        return self.start(self.kept(f"{kind} {text}", lambda: self.compile(write(text), f"the {kind} constraint")), is_json=False)

    def kept(self, key: str, make: Callable[[], T]) -> T:
        """What was made under this key, or is now."""
        with self._lock:
            if key in self._compiled:
                self._compiled.move_to_end(key)
                found: T = self._compiled[key]
                return found
        made = make()
        with self._lock:
            self._compiled[key] = made
            while len(self._compiled) > self._kept:
                self._compiled.popitem(last=False)
        return made

    def compile(self, grammar: Mapping[str, Any], what: str, *, begins_answer: bool = True) -> LLMatcher:
        """A matcher at its start, to be copied.

        Args:
            grammar: One grammar of llguidance, `lark_grammar` or `json_schema`.
            what: How to name it in an error.
            begins_answer: Whether it describes the answer from its first token on.

        Raises:
            ConfigError: If it is invalid, or nothing can be written under it.
        """
        grammars = [dict(grammar)]
        if begins_answer and self.vocabulary.writes_leading_space:
            forcing = _NO_FORCING if _NO_FORCING in grammar.get("lark_grammar", "") else ""
            grammars = [{"lark_grammar": f'{forcing}start: " "? @answer'}, {"name": "answer", **grammar}]
        matcher = LLMatcher(
            self.vocabulary.tokens, json.dumps({"grammars": grammars}), log_level=0, limits=LLParserLimits(verbose_errors=False)
        )
        if not matcher.is_error():
            matcher, probe = matcher.deep_copy(), matcher
            fill_next_token_bitmask(probe, allocate_token_bitmask(1, self.vocabulary.size))
            matcher = probe if probe.is_error() else matcher
        if matcher.is_error():
            raise ConfigError(f"{what} cannot be held to: {reason_of(matcher)}")
        return matcher

    def start(self, matcher: LLMatcher, *, is_json: bool = True) -> GrammarGuide:
        """A guide at the start of a compiled grammar."""
        brake = Brake(self.vocabulary, self.limits) if is_json else None
        return GrammarGuide(matcher.deep_copy(), self.vocabulary, brake)

    def _json(self, schema: Mapping[str, Any], is_compact: bool) -> Mapping[str, Any]:
        made = bounded(schema, self.limits)
        if made.unenforced:
            raise ConfigError(
                f"this JSON Schema asks for what cannot be held while decoding: {', '.join(made.unenforced[:5])}. Leave it out of "
                "the schema, and check it in the answer."
            )
        return {"json_schema": with_spacing(made.schema, is_compact)}


def grammars_of(tokenizer: Any, ends: frozenset[int], limits: Limits | None = None) -> Grammars:
    """What answers of this tokenizer's model may be held to; made once, and kept with the tokenizer.

    Args:
        tokenizer: A fast tokenizer of `transformers`.
        ends: Tokens that end an answer.

    Raises:
        ModelError: If the tokenizer cannot be used for it.
    """
    cached: dict[Any, Grammars] = tokenizer.__dict__.setdefault("_sadari_grammars", {})
    key = ends, limits
    if key not in cached:
        cached[key] = Grammars(Vocabulary(tokenizer, ends), limits)
    return cached[key]


def with_spacing(schema: Mapping[str, Any], is_compact: bool) -> dict[str, Any]:
    """The schema with llguidance's word for how values are spaced: in one way only."""
    comma, colon = (",", ":") if is_compact else (", ", ": ")
    options = {"whitespace_flexible": False, "item_separator": comma, "key_separator": colon}
    return {**schema, "x-guidance": options}


def _regex(pattern: str) -> dict[str, Any]:
    try:
        made: dict[str, Any] = json.loads(LLMatcher.grammar_from_regex(pattern))["grammars"][0]
    except UnicodeEncodeError as e:
        raise ConfigError(f"the regex constraint holds half of a character at {e.start}. Write the character itself.") from e
    return {"lark_grammar": _NO_FORCING + made["lark_grammar"]}


def _lark(text: str) -> dict[str, Any]:
    if re.search(r"%\s*json\b", text):
        raise ConfigError(
            "a lark constraint with %json: a schema within a grammar is not checked. Give it as a JsonSchema constraint."
        )
    return {"lark_grammar": _NO_FORCING + text}
