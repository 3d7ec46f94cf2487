"""A model that says what it is told to: for tests, documentation, and trying sadari without a model."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sadari.errors import ConfigError, DataError
from sadari.types import Generation, Message, OneOf, Request, ToolCall, ToolSpec, Usage

Rule = Mapping[str, Any]
Say = str | Generation | Sequence[ToolCall]


class ScriptedModel:
    """Answers by rule, the same way every time, without torch.

    Args:
        rules: Either a function of the request, or a list of `{"when": SUBSTRING, "say": TEXT}` and
            `{"when": SUBSTRING, "tool_calls": [{"name": ..., "arguments": {...}}]}`. The first rule whose `when` stands in the last
            turn that is not the assistant's answers; `when` may be left out, and then always matches. No match says "".
        name: How it is called in reports.

    A constraint is obeyed: what is said is moved to the option it names or whose line of the prompt it quotes, else to the first
    option.
    """

    def __init__(self, rules: Sequence[Rule] | Callable[[Request], Say] = (), name: str = "scripted") -> None:
        self._name = name
        self._say = rules if callable(rules) else _by_rules(tuple(_checked(rules, name)))
        self.requests: list[Request] = []
        """Every request seen, in order: what a test may look at."""

    @classmethod
    def from_file(cls, path: str | Path) -> "ScriptedModel":
        """Read the rules from a JSON file.

        Raises:
            DataError: If the file is not a JSON list of rules.
            ConfigError: If there is no such file.
        """
        path = Path(path)
        try:
            rules = json.loads(path.read_text(encoding="utf-8"))
        except OSError as e:
            raise ConfigError(f"{path}: cannot be read ({e.strerror}). scripted:PATH needs a JSON file of rules.") from e
        except ValueError as e:
            raise DataError(f'{path}: not JSON: {e}. Write a list of {{"when": ..., "say": ...}}.') from e
        if not isinstance(rules, list):
            raise DataError(f'{path}: must be a list of {{"when": ..., "say": ...}}, but is {type(rules).__name__}.')
        return cls(rules, f"scripted:{path}")

    @property
    def name(self) -> str:
        """How the model was asked for."""
        return self._name

    def generate(self, requests: Sequence[Request]) -> list[Generation]:
        """One generation per request, in order; a rule function that raises gives `finish="error"`."""
        return [self._answer(r) for r in requests]

    def count_tokens(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> int:
        """Whitespace words of all turns and tools, and one for each header."""
        spoken = sum(1 + _count(m.content) + _count_calls(m.tool_calls) for m in messages)
        return spoken + sum(_count(f"{t.name} {t.description} {json.dumps(dict(t.parameters))}") for t in tools) + 1

    def _answer(self, request: Request) -> Generation:
        self.requests.append(request)
        prompt_tokens = self.count_tokens(request.messages, request.tools)
        try:
            said = self._say(request)
        except Exception as e:  # the function is the user's: one bad request must not stop the others
            return Generation("", usage=Usage(prompt_tokens), finish="error", error=f"{self._name}: {type(e).__name__}: {e}")
        if isinstance(said, Generation):
            return said
        text, calls = (said, ()) if isinstance(said, str) else ("", tuple(said))
        finish: str = "stop"
        if isinstance(request.constraint, OneOf) and not calls:
            text = _obey(text, request.constraint, request.messages[-1].content if request.messages else "")
        elif not calls:
            text = _cut_at_stop(text, request.stop)
            words = text.split(" ")
            if len(words) > request.max_new_tokens:
                text, finish = " ".join(words[: request.max_new_tokens]), "length"
        usage = Usage(prompt_tokens, _count(text) + _count_calls(calls))
        return Generation(text, calls, usage, "length" if finish == "length" else "stop")


def _checked(rules: Sequence[Rule], name: str) -> Sequence[Rule]:
    problems = []
    for n, rule in enumerate(rules, 1):
        if not isinstance(rule, Mapping) or not {"say", "tool_calls"} & set(rule) or set(rule) - {"when", "say", "tool_calls"}:
            problems.append(f'{name} rule {n}: has to hold "say" or "tool_calls", and may hold "when", but is {rule!r}.')
    if problems:
        raise DataError(problems)
    return rules


def _by_rules(rules: Sequence[Rule]) -> Callable[[Request], Say]:
    def say(request: Request) -> Say:
        heard = next((m.content for m in reversed(request.messages) if m.role != "assistant"), "")
        for rule in rules:
            if rule.get("when", "") in heard:
                if "tool_calls" in rule:
                    return [
                        ToolCall(c["name"], c.get("arguments", {}), c.get("id", f"call_{i}"))
                        for i, c in enumerate(rule["tool_calls"], 1)
                    ]
                return str(rule["say"])
        return ""

    return say


_WHOLE = r"(?<![A-Za-z0-9]){}(?![A-Za-z0-9])"  # "B" is not named by "Because"


def _obey(text: str, constraint: OneOf, heard: str) -> str:
    """`text` if it satisfies the constraint, else the options it names, else the first option.

    An option that marks a line of what was heard ("A. ...") is also named by words of that line.
    """
    if text in constraint.options:
        return text
    lines = {line[: line.index(". ")]: line for line in heard.splitlines() if ". " in line}
    quoting = {o: 0 for o in constraint.options if text and text in lines.get(o, "")}
    places = quoting or {
        o: match.start() for o in constraint.options if o and (match := re.search(_WHOLE.format(re.escape(o)), text))
    }
    named = sorted(places, key=lambda o: (places[o], -len(o)))
    taken: list[str] = []
    for option in named:
        if not any(option in t for t in taken):
            taken.append(option)
    if not taken:
        return constraint.options[0]
    if taken[0] in constraint.alone:
        return taken[0]
    return constraint.joint.join([o for o in taken if o not in constraint.alone][: constraint.most])


def _cut_at_stop(text: str, stop: Sequence[str]) -> str:
    return text[: min((text.index(s) for s in stop if s and s in text), default=len(text))]


def _count(text: str) -> int:
    return len(text.split())


def _count_calls(calls: Sequence[ToolCall]) -> int:
    return sum(1 + _count(json.dumps(dict(c.arguments), ensure_ascii=False)) for c in calls)
