"""One answer put together from what an endpoint sends, whole or in pieces.

What is read was written by somebody else: every field is checked before it is used, and what does not fit is an error.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from sadari.model.remote.payload import Call
from sadari.types import Generation, TokenScore, ToolCall, Usage

Finish = Literal["stop", "length"]

_CUT = frozenset({"length", "max_tokens"})
_WITHHELD = frozenset({"content_filter", "abort", "error"})
_MOST_TOKENS = 10**9
"""A count above this is none."""
_MOST_CALLS = 256
"""Of one answer."""


class MalformedError(Exception):
    """What came is no chat completion."""


class SaidError(Exception):
    """What came is an error in the words of the server.

    Args:
        said: What it said, as it came: not to be shown before it is cleaned.
    """

    def __init__(self, said: Any) -> None:
        super().__init__("the server answered with an error")
        self.said = said


@dataclass(slots=True)
class _Fragment:
    """A tool call as far as it has come."""

    index: int | None
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)

    def whole(self, number: int) -> ToolCall:
        text = "".join(self.arguments)
        try:
            arguments = json.loads(text or "{}")
        except (ValueError, RecursionError) as e:
            raise MalformedError(f"the arguments of {self.name} are no JSON") from e
        if not isinstance(arguments, dict):
            raise MalformedError(f"the arguments of {self.name} are not an object")
        return ToolCall(self.name, arguments, self.id or f"call_{number}")


class Reply:
    """One answer, piece by piece.

    `add` takes the choices of a whole completion and those of a stream: a message is one large piece.
    """

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._fragments: list[_Fragment] = []
        self._scores: list[TokenScore] = []
        self._finish = ""

    @property
    def text(self) -> str:
        """What was said so far."""
        return "".join(self._texts)

    @property
    def has_ended(self) -> bool:
        """Whether the server said why the answer ends."""
        return bool(self._finish)

    def add(self, choice: Mapping[str, Any], likeliest: int | None = None) -> str:
        """Take one piece in; the text that it adds.

        Args:
            likeliest: So many likeliest tokens are kept of each token's log-probabilities; None keeps none at all.

        Raises:
            MalformedError: If it is no piece of a chat completion.
        """
        piece = choice.get("delta", choice.get("message"))
        if not isinstance(piece, dict):
            raise MalformedError("a choice holds no message")
        text = piece.get("content") or piece.get("refusal") or ""
        if not isinstance(text, str):
            raise MalformedError("the content is no text")
        self._texts.append(text)
        for fragment in _listed(piece, "tool_calls"):
            self._add_fragment(fragment)
        if likeliest is not None:
            scores = choice.get("logprobs")
            self._scores += [_score(entry, likeliest) for entry in _listed(scores if isinstance(scores, dict) else {}, "content")]
        self._finish = str(choice.get("finish_reason") or self._finish)
        return text

    def generation(self, call: Call, usage: Usage) -> Generation:
        """The whole answer.

        Raises:
            MalformedError: If a tool call cannot be read, or the server withheld the answer.
            NotHeldError: If it is outside the constraint that was sent.
        """
        if self._finish in _WITHHELD:
            raise MalformedError(f"the server withheld the answer ({self._finish})")
        is_cut = self._finish in _CUT
        calls = self._calls(is_cut)
        kept = calls[:1] if call.is_single else calls  # not every server knows that wish
        notes = (f"{len(calls) - 1} further tool calls left out: one at a time was asked for",) if kept != calls else ()
        made = Generation(self.text, kept, usage, repairs=notes, logprobs=tuple(self._scores))
        if is_cut:
            return replace(made, finish="truncated" if call.is_constrained or len(calls) < len(self._fragments) else "length")
        return made if calls else replace(made, text=call.hold.read(self.text))

    def _calls(self, is_cut: bool) -> tuple[ToolCall, ...]:
        """The tool calls; of an answer that was cut, without the last one if it was cut too."""
        calls = []
        for number, fragment in enumerate(self._fragments, 1):
            may_be_cut = is_cut and number == len(self._fragments)
            if may_be_cut and not any(fragment.arguments):
                break
            try:
                calls.append(fragment.whole(number))
            except MalformedError:
                if not may_be_cut:
                    raise
        return tuple(calls)

    def _add_fragment(self, fragment: Any) -> None:
        function = fragment.get("function") if isinstance(fragment, dict) else None
        if not isinstance(function, dict):
            raise MalformedError("a tool call holds no function")
        index, id = fragment.get("index"), str(fragment.get("id") or "")
        name, arguments = str(function.get("name") or ""), function.get("arguments")
        open_ = self._fragment(index, id, name)
        open_.id, open_.name = open_.id or id, open_.name or name
        if not open_.name:
            raise MalformedError("a tool call has no name")
        open_.arguments.append(arguments if isinstance(arguments, str) else "" if arguments is None else json.dumps(arguments))

    def _fragment(self, index: Any, id: str, name: str) -> _Fragment:
        """The call that a fragment belongs to, a new one if it opens it.

        Some servers give every call the index 0, and another id; some give none, and each call whole.
        """
        for open_ in reversed(self._fragments):
            if open_.index == index and (index is not None or not name) and (not id or not open_.id or id == open_.id):
                return open_
        if len(self._fragments) == _MOST_CALLS:
            raise MalformedError(f"it makes more than {_MOST_CALLS} tool calls")
        self._fragments.append(_Fragment(index if isinstance(index, int) else None))
        return self._fragments[-1]


def read_usage(data: Mapping[str, Any]) -> Usage | None:
    """The tokens that an answer counts; None if it counts none."""
    counted = data.get("usage")
    if not isinstance(counted, dict):
        return None
    prompt, completion = counted.get("prompt_tokens"), counted.get("completion_tokens")
    usage = Usage(_count(prompt), _count(completion))
    return None if usage == Usage() else usage


def checked(data: Any) -> dict[str, Any]:
    """`data` as the object that a chat completion, or a piece of one, is.

    Raises:
        SaidError: If it is an error instead.
        MalformedError: If it is something else.
    """
    if not isinstance(data, dict):
        raise MalformedError("it is no JSON object")
    if data.get("error") or data.get("object") == "error":
        raise SaidError(data)
    return data


def choices_of(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The choices of a completion or of a piece of one; [] for none, which some servers write as null."""
    choices = _listed(data, "choices")
    if not all(isinstance(choice, dict) for choice in choices):
        raise MalformedError("a choice is no object")
    return choices


def _listed(data: Mapping[str, Any], name: str) -> list[Any]:
    value = data.get(name) or []
    if not isinstance(value, list):
        raise MalformedError(f"{name} is no list")
    return value


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_TOKENS else 0


def _score(entry: Any, likeliest: int) -> TokenScore:
    if not isinstance(entry, dict):
        raise MalformedError("a log-probability is no object")
    listed = _listed(entry, "top_logprobs")[:likeliest]
    if not all(isinstance(other, dict) for other in listed):
        raise MalformedError("a log-probability is no object")
    others = tuple((str(other.get("token", "")), _log_probability(other)) for other in listed)
    return TokenScore(str(entry.get("token", "")), _log_probability(entry), others)


def _log_probability(entry: Mapping[str, Any]) -> float:
    value = entry.get("logprob")
    if value is None:  # JSON has no infinity
        return -math.inf
    if not isinstance(value, (int, float)) or not -1e30 < value < 1e30:
        raise MalformedError("a log-probability is no number")
    return float(value)
