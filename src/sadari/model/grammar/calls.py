"""Answers that may call tools: free text until the model opens a call in its own way, then nothing but a well-formed call.

Covered: every layout of `CallFormat`; markers that are one token, several, or part of one; calls opened in the middle of a token;
a thought at the start of an answer, in which markers are text, as for the reader.
Not covered: what a reader takes for a call without the format's marker (code fences); and while `tool_choice` is "none", bare JSON
that does not begin the answer.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import torch
from llguidance import LLMatcher
from torch import Tensor

from sadari.errors import ConfigError, ModelError
from sadari.model.grammar.bare import BareArguments
from sadari.model.grammar.grammar_guide import GrammarGuide
from sadari.model.grammar.grammars import Grammars, with_spacing
from sadari.model.grammar.guide import Guide
from sadari.model.grammar.opening import AT_START, Opening, Reached
from sadari.model.grammar.schema import bounded, check_size, plain
from sadari.model.toolcalls.formats import CallFormat
from sadari.types import ToolSpec

MOST_BYTES = 1024 * 1024
"""Of the parameters of all tools, as JSON."""

MOST_CALLS = 16
"""In one answer: a small model may repeat a call for ever."""

_ID = "/[a-zA-Z0-9]{9}/"
"""As Mistral demands them."""


def call_guide(
    grammars: Grammars,
    format: CallFormat,
    tools: Sequence[ToolSpec],
    tool_choice: str = "auto",
    *,
    is_parallel: bool = True,
    is_compact: bool = False,
) -> Guide:
    """What keeps an answer that may call `tools` well-formed.

    Args:
        format: How the model writes calls.
        tool_choice: "auto", "none" (no call), "required" (the answer is calls), or the name of the tool that is called, once.
        is_parallel: Whether there may be more than one call, where the format knows several.
        is_compact: JSON is written without spaces; otherwise one follows each comma and colon, as chat templates write it.

    Raises:
        ConfigError: If the choice names no tool, there is none to choose from, or a tool's parameters are no JSON Schema for an
            object; the message names tool and place.
    """
    chosen = _choose(tools, tool_choice)
    is_free = tool_choice in ("auto", "none")
    most = MOST_CALLS if is_parallel and format.several and tool_choice in ("auto", "required") else 1

    def compile(tools: Sequence[ToolSpec], what: str) -> LLMatcher:
        lark = _Lark(grammars, format, is_compact).write(tools, most, is_opened=is_free)
        return grammars.compile({"lark_grammar": lark}, what, begins_answer=not is_free)

    def plan() -> _Plan:
        try:
            return _Plan(grammars, format, compile(chosen, "these tools") if chosen else None)
        except ConfigError:
            for tool in chosen:  # say which one it is
                compile((tool,), f"tool {tool.name!r}, whose parameters")
            raise

    told = [[tool.name, plain(tool.parameters)] for tool in chosen]
    made = grammars.kept(json.dumps(["calls", repr(format), told, is_free, most, is_compact]), plan)
    return CallGuide(made) if is_free else made.begin()


def _choose(tools: Sequence[ToolSpec], tool_choice: str) -> tuple[ToolSpec, ...]:
    """The tools that may be called."""
    twice = sorted(name for name, count in Counter(tool.name for tool in tools).items() if count > 1)
    if twice:
        raise ConfigError(f"two tools are called {', '.join(map(repr, twice))}. Rename one.")
    if tool_choice not in ("auto", "none", "required"):
        names = [tool.name for tool in tools]
        if tool_choice not in names:
            close = get_close_matches(tool_choice, names, n=1)
            hint = f"Did you mean {close[0]!r}?" if close else f"Tools: {', '.join(names) or 'none'}."
            raise ConfigError(f"tool_choice {tool_choice!r} is none of the tools. {hint}")
        tools = [tool for tool in tools if tool.name == tool_choice]
    if tool_choice == "required" and not tools:
        raise ConfigError('tool_choice "required" needs at least one tool.')
    size = 0
    for tool in tools if tool_choice != "none" else ():
        try:
            size += check_size(tool.parameters)
        except ConfigError as e:
            raise ConfigError(f"tool {tool.name!r}, parameters {e}") from e
    if size > MOST_BYTES:
        raise ConfigError(
            f"the parameters of these {len(tools)} tools are larger than {MOST_BYTES // 1024} KiB. Offer fewer tools."
        )
    return tuple(tools) if tool_choice != "none" else ()


class CallGuide:
    """Free text that may turn into calls."""

    def __init__(self, plan: "_Plan") -> None:
        self._plan = plan
        self._reached = AT_START
        self._call: GrammarGuide | None = None

    @property
    def is_complete(self) -> bool:
        """Whether the answer may end here: anywhere in free text, and after a whole call."""
        return self._call is None or self._call.is_complete

    @property
    def is_over(self) -> bool:
        """Whether nothing but the end may follow."""
        return self._call is not None and self._call.is_over

    def prepare(self) -> None:
        """Compute what may come next: of free text, only which tokens would open a call wrongly."""
        if self._call is not None:
            self._call.prepare()
        else:
            self._plan.banned(self._reached)

    def restrict(self, scores: Tensor) -> None:
        """Set the scores of tokens that may not come next to -inf, in place."""
        if self._call is not None:
            self._call.restrict(scores)
        elif (banned := self._plan.banned(self._reached)) is not None:
            scores.index_fill_(0, banned[banned < len(scores)], float("-inf"))

    def accept(self, token: int) -> None:
        """Take one token."""
        if self._call is not None:
            self._call.accept(token)
            return
        self._reached, rest = self._plan.opening.follow(self._reached, self._plan.grammars.vocabulary.bytes_of(token))
        if rest is not None:
            self._call = self._plan.begin()
            self._call.feed(rest)

    def forced(self) -> Sequence[int]:
        """Take the tokens of text that has no alternative; free text has none."""
        return () if self._call is None else self._call.forced()


@dataclass(slots=True)
class _Plan:
    """What the answers to requests with the same tools share.

    Args:
        matcher: At the start of a call; None where there may be none.
    """

    grammars: Grammars
    format: CallFormat
    matcher: LLMatcher | None
    opening: Opening = field(init=False)
    _banned: dict[Reached, Tensor | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.opening = Opening.of(self.format)

    def begin(self) -> GrammarGuide:
        """A guide at the start of a call."""
        if self.matcher is None:
            raise ModelError("the answer opens a call, but may not call a tool.")
        return self.grammars.start(self.matcher, is_json=self.format.quote == '"')

    def banned(self, reached: Reached) -> Tensor | None:
        """Token ids that would open a call where there may be none, or open one wrongly; None if there are none."""
        if reached not in self._banned:
            opening = self.grammars.kept(
                f"opening {self.opening} {reached}", lambda: self.opening.completed_by(self.grammars.vocabulary, reached)
            )
            ids = [token for token, rest in opening if not self._may_begin(rest)]
            self._banned[reached] = torch.tensor(ids) if ids else None
        return self._banned[reached]

    def _may_begin(self, rest: bytes) -> bool:
        if self.matcher is None:
            return False
        tokens = self.grammars.vocabulary.spelling(rest) if rest else []
        return tokens is not None and self.matcher.deep_copy().validate_tokens(tokens) == len(tokens)


class _Lark:
    """The grammar of the calls of some tools, from the marker that opens the first one."""

    def __init__(self, grammars: Grammars, format: CallFormat, is_compact: bool) -> None:
        self._grammars, self._format, self._is_compact = grammars, format, is_compact
        self._comma, self._colon = (",", ":") if is_compact else (", ", ": ")

    def write(self, tools: Sequence[ToolSpec], most: int, *, is_opened: bool) -> str:
        """The grammar in Lark; `is_opened` if the marker is already written."""
        format = self._format
        opens = format.opens.strip()
        space = format.opens[len(format.opens.rstrip()) :] + format.space if opens else ""
        closes = self._text(format.space + format.closes) if format.closes else ""
        if format.layout == "list":
            calls = f'"[" {_repeated("call", self._text(format.joint), most)} "]" {closes}'
        else:
            again = self._text(format.joint + opens + space)
            calls = _repeated(f"call {closes}", again, most)
        rules = [rule for i, tool in enumerate(tools) for rule in self._tool(i, tool)]
        names = " | ".join(f"tool_{i}" for i in range(len(tools)))
        return "\n".join([f"start: {self._text(space if is_opened else opens + space)} {calls}", f"call: {names}", *rules])

    def _tool(self, i: int, tool: ToolSpec) -> list[str]:
        format, name = self._format, json.dumps(tool.name, ensure_ascii=False)
        arguments, rules = self._arguments(i, tool)
        if format.layout == "named":
            id = f"({self._text(format.id_key)} {_ID})?" if format.id_key else ""
            return [f"tool_{i}: {name} {id} {self._text(format.separator)} {arguments}", *rules]
        comma, colon = self._comma, self._colon
        head = f"{{{json.dumps(format.name_key)}{colon}{name}{comma}{json.dumps(format.arguments_key)}{colon}"
        id_head = json.dumps(f'{comma}{json.dumps(format.id_key)}{colon}"')
        id = f"({id_head} {_ID} {json.dumps(chr(34))})?" if format.id_key else ""
        return [f'tool_{i}: {json.dumps(head, ensure_ascii=False)} {arguments} {id} "}}"', *rules]

    def _arguments(self, i: int, tool: ToolSpec) -> tuple[str, list[str]]:
        try:
            schema = bounded(_of_object(tool.parameters), self._grammars.limits).schema
            if self._format.quote == '"':
                return f"%json {json.dumps(with_spacing(schema, self._is_compact))}", []
            bare = BareArguments(f"tool_{i}", self._text(self._format.quote), self._quoted, self._grammars.limits)
            return bare.write(schema), bare.rules
        except ConfigError as e:
            raise ConfigError(f"tool {tool.name!r}, parameters {e}") from e

    def _quoted(self, least: int, most: int) -> str:
        """What may stand between quotes that escape nothing."""
        quote = self._format.quote
        is_special = [isinstance(piece, int) for piece in self._grammars.vocabulary.pieces(quote)] == [True]
        return f"/(?s:.{{{least},{most}}})/" if is_special else f"/[^{re.escape(quote[0])}]{{{least},{most}}}/"

    def _text(self, text: str) -> str:
        """`text` in Lark, special tokens by their ids."""
        pieces = self._grammars.vocabulary.pieces(text)
        return " ".join(f"<[{p}]>" if isinstance(p, int) else json.dumps(p, ensure_ascii=False) for p in pieces)


def _repeated(item: str, joint: str, most: int) -> str:
    return f"{item} ({joint} {item}){{0,{most - 1}}}" if most > 1 else item


def _of_object(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of an object: what a tool's parameters are, whether or not they say so."""
    types = parameters.get("type", "object")
    if types != "object" and "object" not in (types if isinstance(types, (list, tuple)) else ()):
        raise ConfigError(f"#/type: the arguments of a tool are an object, but here stands {types!r}.")
    return {**parameters, "type": "object"}
