"""How a model writes tool calls, read off its chat template and never guessed by its name."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from sadari.errors import SadariError
from sadari.model.chat import render_text
from sadari.types import Message, ToolCall, ToolSpec

Layout = Literal["object", "list", "named"]


@dataclass(frozen=True, slots=True)
class CallFormat:
    """How tool calls stand in an answer.

    One call reads `opens`, `space`, the call, and, where there is a closing marker, `space` and `closes`. Whitespace that differs
    between the two sides stands in the markers.

    Args:
        family: "hermes" (Qwen, EXAONE, mini), "llama", "mistral", "phi", "gemma"; "other" for a layout of the template's own;
            "none" for a template that writes no calls, which gets the layout of Hermes.
        opens: What opens a call, or the list of all calls; "" where a call is bare JSON that begins the answer.
        closes: What closes it; "" for nothing.
        name_key: Key of the name, in "object" and "list".
        arguments_key: Key of the arguments, in "object" and "list".
        layout: "object", a JSON object of name and arguments; "list", a JSON list of such objects; "named", the name, `separator`
            and the arguments.
        separator: Between name and arguments, in "named".
        joint: Between two calls: of the elements of a list, otherwise of `closes` and the next `opens`.
        space: Whitespace inside the markers.
        id_key: Key of the id of a call, or in "named" what stands between name and id; "" where no ids are written.
        quote: What stands around a text; other than `"`, keys stand bare and nothing is escaped.
        several: Whether the template writes more than one call in a turn.
    """

    family: str
    opens: str
    closes: str
    name_key: str = "name"
    arguments_key: str = "arguments"
    layout: Layout = "object"
    separator: str = ""
    joint: str = ""
    space: str = ""
    id_key: str = ""
    quote: str = '"'
    several: bool = True

    @property
    def markers(self) -> tuple[str, ...]:
        """The texts that tell a call from other text, without the whitespace around them."""
        texts = [self.opens, self.separator, self.closes]
        if self.layout == "named":
            texts.append(self.id_key)
        if self.quote != '"':
            texts.append(self.quote)
        if self.family == "llama":
            texts.append(PYTHON_TAG)
        return tuple(dict.fromkeys(t.strip() for t in texts if t.strip()))

    def keeps(self, token: str) -> bool:
        """Whether a special token is part of a marker, so that it has to be decoded for the calls to be read."""
        return any(token in marker for marker in self.markers)


PYTHON_TAG = "<|python_tag|>"
"""What Llama 3 may write before a call."""

HERMES = CallFormat("hermes", "<tool_call>", "</tool_call>", joint="\n", space="\n")
LLAMA = CallFormat("llama", "", "", arguments_key="parameters", joint="; ", several=False)
MISTRAL = CallFormat("mistral", "[TOOL_CALLS]", "", layout="list", joint=", ", space=" ", id_key="id")
MISTRAL_NAMED = CallFormat("mistral", "[TOOL_CALLS]", "", layout="named", separator="[ARGS]")
PHI = CallFormat("phi", "<|tool_call|>", "<|/tool_call|>", layout="list", joint=", ")
GEMMA = CallFormat("gemma", "<start_function_call>call:", "<end_function_call>", layout="named", quote="<escape>")
GEMMA4 = CallFormat("gemma", "<|tool_call>call:", "<tool_call|>", layout="named", quote='<|"|>')
NONE = replace(HERMES, family="none")

FAMILIES = (HERMES, LLAMA, MISTRAL_NAMED, MISTRAL, PHI, GEMMA, GEMMA4)
"""The layouts that people use, as their published templates or their makers' pages write them."""

_KEY, _VALUE, _CONTENT = "sadarikey", "sadarivalue", "sadaricontent"
_FIRST = ToolCall("sadariprobe", {_KEY: _VALUE}, "sadari001")  # Mistral takes ids of nine letters and digits, no others
_SECOND = ToolCall("sadariother", {_KEY: _VALUE}, "sadari002")
_TEXT = {"type": "string", "description": "x"}


def format_of(tokenizer: Any) -> CallFormat:
    """The format in which this tokenizer's chat template writes calls.

    A probe is rendered and its call is looked up in the text. A template that writes no calls, or none that can be told from
    other text, gets the family whose markers its vocabulary holds as tokens of their own (Phi-4-mini), else `NONE`.
    """
    cached: dict[str, CallFormat] = tokenizer.__dict__.setdefault("_sadari_call_format", {})
    key = str(getattr(tokenizer, "chat_template", ""))
    if key not in cached:
        cached[key] = _read_off(tokenizer) or _by_vocabulary(tokenizer) or NONE
    return cached[key]


def _read_off(tokenizer: Any) -> CallFormat | None:
    one = written_calls(tokenizer, (_FIRST,))
    if one is None:
        return None
    found = _json_format(one) or _bare_format(one)
    if found is None:
        return None
    format, call = found
    two = written_calls(tokenizer, (_FIRST, _SECOND))
    joint = _joint(one, two, call) if two else None
    if joint is None:
        return replace(format, several=False)
    return replace(format, joint=joint, several=True)


def written_calls(tokenizer: Any, calls: tuple[ToolCall, ...]) -> str | None:
    """What the template writes for a turn of these calls, without the header and the end of the turn; None if nothing."""
    asked = Message("user", "x")
    specs = tuple(ToolSpec(c.name, "x", {"type": "object", "properties": dict.fromkeys(c.arguments, _TEXT)}) for c in calls)
    for tools in (specs, ()):
        try:
            plain = render_text(tokenizer, (asked, Message("assistant", _CONTENT)), tools)
            called = render_text(tokenizer, (asked, Message("assistant", "", tool_calls=calls)), tools)
        except SadariError:  # no template, or one that refuses calls, tools, or this many
            continue
        header, _, tail = plain.rpartition(_CONTENT)
        start = next((i for i, (a, b) in enumerate(zip(header, called, strict=False)) if a != b), min(len(header), len(called)))
        written = called[start:].removesuffix(tail).strip()
        if all(c.name in written for c in calls):
            return written
    return None


def _json_format(text: str) -> tuple[CallFormat, str] | None:
    """The format of a text that holds the probe's call as JSON, and the call in it, markers included but in a list."""
    for start, c in enumerate(text):
        if c not in "[{":
            continue
        try:
            value, end = json.JSONDecoder().raw_decode(text, start)
        except ValueError:
            continue
        before, after = text[:start], text[end:]
        if value == _FIRST.arguments:
            return _named_format(before, after, text[start:end], '"')
        item = value[0] if isinstance(value, list) and len(value) == 1 else value
        keys = {v: k for k, v in item.items() if isinstance(v, str)} if isinstance(item, dict) else {}
        arguments = next((k for k, v in item.items() if v == _FIRST.arguments), None) if keys else None
        if _FIRST.name not in keys or arguments is None:
            return None
        layout: Layout = "list" if isinstance(value, list) else "object"
        opens, space, closes = _edges(before, after)
        format = _of_family(
            CallFormat("other", opens, closes, keys[_FIRST.name], arguments, layout, space=space, id_key=keys.get(_FIRST.id, ""))
        )
        call = text[start + 1 : end - 1] if layout == "list" else _marked(format, text[start:end])
        return format, call.strip()
    return None


def _bare_format(text: str) -> tuple[CallFormat, str] | None:
    """The format of a text that holds the call as Gemma writes it: the name, then keys without quotes."""
    start = text.find("{" + _KEY + ":")
    end = text.find("}", start) + 1
    if start < 0 or not end:
        return None
    arguments = text[start:end]
    quote, _, rest = arguments[len("{" + _KEY + ":") :].partition(_VALUE)
    if rest != quote + "}" or quote == '"':
        return None
    return _named_format(text[:start], text[end:], arguments, quote)


def _named_format(before: str, after: str, arguments: str, quote: str) -> tuple[CallFormat, str] | None:
    opens, name, between = before.rpartition(_FIRST.name)
    id_key, has_id, separator = between.partition(_FIRST.id)
    if not has_id:
        id_key, separator = "", between
    if not name or not opens.strip():  # without a marker, any word before a brace would open a call
        return None
    opens, space, closes = _edges(opens, after)
    format = _of_family(
        CallFormat("other", opens, closes, layout="named", separator=separator, space=space, id_key=id_key, quote=quote)
    )
    return (format, _marked(format, name + between + arguments)) if format.quote else None


def _edges(before: str, after: str) -> tuple[str, str, str]:
    """Opening marker, the whitespace on both sides of the call, closing marker."""
    opens, closes = before.strip(), after.strip()
    first = before[len(before.rstrip()) :]
    last = after[: len(after) - len(after.lstrip())]
    if closes and first != last:
        return before.lstrip(), "", after.rstrip()
    return opens, first, closes


def _of_family(format: CallFormat) -> CallFormat:
    """The format with the name of its family, and without what a template writes after the last call of a turn."""
    for known in FAMILIES:
        same = all(getattr(format, f) == getattr(known, f) for f in ("opens", "layout", "separator"))
        keys = format.layout == "named" or (format.name_key, format.arguments_key) == (known.name_key, known.arguments_key)
        ends = format.closes.startswith(known.closes) if known.closes else not format.closes
        if same and keys and ends and format.quote in (known.quote, ""):
            return replace(format, family=known.family, closes=known.closes, joint=known.joint, quote=known.quote)
    return format


def _marked(format: CallFormat, call: str) -> str:
    return format.opens + format.space + call + (format.space + format.closes if format.closes else "")


def _joint(one: str, two: str, call: str) -> str | None:
    """What stands between two calls; None if the second is not written as the first."""
    second = call.replace(_FIRST.name, _SECOND.name).replace(_FIRST.id, _SECOND.id)
    start = two.find(call)
    end = two.find(second, start + len(call))
    if start < 0 or end < 0:
        return None
    joint = two[start + len(call) : end]
    return joint if two == one.replace(call, call + joint + second) else None


def _by_vocabulary(tokenizer: Any) -> CallFormat | None:
    added: Mapping[str, int] = getattr(tokenizer, "get_added_vocab", dict)()
    return next((f for f in FAMILIES if f.opens and all(marker in added for marker in f.markers)), None)
