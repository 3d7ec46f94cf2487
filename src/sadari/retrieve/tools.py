"""Choose which tools of a long catalogue a conversation is shown.

A small model fails at finding a tool among many, not at using it, and a long catalogue may not fit its context at all. So the tool
is found here, by search, and the model chooses among few. Never hidden: a tool that was called earlier in the conversation, that
the system prompt names, or that the caller names.

The search knows words. Where it has no hold, as for a Korean question to tools described in English, a catalogue that is not much
too long is shown whole; in a longer one, questions that the tools answered before bridge the gap, if there are any.

The numbers behind the defaults: `benchmarks/tools`.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from types import MappingProxyType
from typing import Any

from sadari.retrieve.index import LexicalIndex
from sadari.types import Example, Message, ToolSpec

LEAST_COVERAGE = 0.1
"""Share of a question's own term weight that the words of the best tool hold where the search has a hold."""

WHOLE_UP_TO = 4
"""Where the search has no hold, a catalogue of so many times the tools that would be shown is shown whole."""

TURNS_SEARCHED = 4
"""User turns searched with, the last ones: "and on Friday?" says little alone."""

QUESTIONS_KEPT = 20
"""Earlier questions that a tool is found by; more changed nothing."""

CATALOGUES_KEPT = 8
"""Indexes kept, of the catalogues used last."""

_MOST_CHARS = 4000
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


class ToolSearch:
    """Picks the tools that a conversation is shown.

    Args:
        most: Tools shown of a longer catalogue, unless more must stay; 0 shows every catalogue whole.
        questions: For a tool's name, questions that were answered by calling it (`questions_by_tool`).
    """

    def __init__(self, most: int, questions: Mapping[str, Sequence[str]] = MappingProxyType({})) -> None:
        self._most = most
        self._questions = questions
        self._catalogues: list[_Catalogue] = []

    def shown(self, tools: Sequence[ToolSpec], conversation: Sequence[Message], keep: Collection[str] = ()) -> tuple[ToolSpec, ...]:
        """The tools that `conversation` is shown, in the order of the catalogue: prompts then share their beginnings longest.

        None, where nothing of a long catalogue is found, as for a greeting.

        Args:
            conversation: Up to the turn to answer, the system prompt included.
            keep: Names of tools that are shown whatever is asked; each takes the place of a found one.
        """
        tools = tuple(tools)
        if not self._most or len(tools) <= self._most:
            return tools
        catalogue = self._catalogue(tools)
        question = _asked(m.content for m in conversation if m.role == "user")
        if len(tools) <= WHOLE_UP_TO * self._most and not catalogue.has_words_of(question):
            return tools
        kept = catalogue.named(keep) | catalogue.in_use(conversation)
        found = catalogue.index.search(question, max(0, self._most - len(kept)), exclude=kept)
        return tuple(tools[i] for i in sorted(kept.union(hit.position for hit in found)))

    def _catalogue(self, tools: tuple[ToolSpec, ...]) -> "_Catalogue":
        # Schemas cannot be hashed. Comparing is quick: unequal catalogues differ early, equal ones mostly hold the same objects.
        known = next((c for c in self._catalogues if c.tools == tools), None) or _Catalogue(tools, self._questions)
        self._catalogues = [known, *(c for c in self._catalogues if c is not known)][:CATALOGUES_KEPT]
        return known


def questions_by_tool(examples: Iterable[Example]) -> dict[str, tuple[str, ...]]:
    """For each tool that `examples` call, what the user had asked, without repeats, in their order; `QUESTIONS_KEPT` at most."""
    found: dict[str, dict[str, None]] = {}
    for example in examples:
        turns: list[str] = []
        for message in example.messages:
            if message.role == "user":
                turns.append(message.content)
            for call in message.tool_calls:
                found.setdefault(call.name, {})[_asked(turns)] = None
        for call in example.reference.calls:
            found.setdefault(call.name, {})[_asked(turns)] = None
    return {name: tuple(questions)[:QUESTIONS_KEPT] for name, questions in found.items()}


class _Catalogue:
    """The tools of one catalogue, and what finds them."""

    def __init__(self, tools: tuple[ToolSpec, ...], questions: Mapping[str, Sequence[str]]) -> None:
        self.tools = tools
        texts = [_text_of(tool) for tool in tools]
        self.index = self._words = LexicalIndex(texts)
        if any(tool.name in questions for tool in tools):
            self.index = LexicalIndex(["\n".join((text, *questions.get(t.name, ()))) for text, t in zip(texts, tools, strict=True)])

    def has_words_of(self, question: str) -> bool:
        # Earlier questions do not count: "please tell me" stands in all of them.
        best = self._words.search(question, 1)
        return bool(best) and best[0].coverage >= LEAST_COVERAGE

    def named(self, names: Collection[str]) -> frozenset[int]:
        return frozenset(i for i, tool in enumerate(self.tools) if tool.name in names)

    def in_use(self, conversation: Sequence[Message]) -> frozenset[int]:
        """Those that the conversation called, or its system prompt names."""
        told = "\n".join(m.content for m in conversation if m.role == "system")
        spoken = {tool.name for tool in self.tools if tool.name in told and _stands_alone(tool.name, told)}
        return self.named(spoken | {call.name for m in conversation for call in m.tool_calls})


def _asked(turns: Iterable[str]) -> str:
    """What is searched with, of the user's turns; the end of it where a document was pasted."""
    return "\n".join([*turns][-TURNS_SEARCHED:])[-_MOST_CHARS:]


def _text_of(tool: ToolSpec) -> str:
    """What a tool is found by; its name counts twice, as titles do."""
    text, length = [], 0
    for piece in chain((tool.name, tool.name, tool.description), _words_of(tool.parameters)):
        text.append(_HUMP.sub(" ", piece[:_MOST_CHARS]))
        length += len(piece)
        if length >= _MOST_CHARS:
            break
    return " ".join(text)


def _words_of(schema: Mapping[str, Any]) -> Iterator[str]:
    """Names, descriptions and listed values of the parameters, without recursion: a schema may be nested at any depth."""
    waiting: list[Any] = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Mapping):
            if isinstance(node.get("properties"), Mapping):
                yield from map(str, node["properties"])
            if isinstance(node.get("description"), str):
                yield node["description"]
            if isinstance(node.get("enum"), list | tuple):
                yield from (value for value in node["enum"] if isinstance(value, str))
            waiting.extend(reversed([*node.values()]))
        elif isinstance(node, list | tuple):
            waiting.extend(reversed(node))


def _stands_alone(name: str, text: str) -> bool:
    """Whether `name` is no part of a longer name; a Korean particle may follow it."""
    return re.search(rf"(?<![A-Za-z0-9_.-]){re.escape(name)}(?!\.?[A-Za-z0-9_-])", text) is not None
