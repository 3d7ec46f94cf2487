"""Chat templates that write each argument between tags of its own, as Qwen3.5 and GLM-4 do, made into response templates."""

import re
from typing import Any

from sadari.model.chat import find_end_of_turn
from sadari.model.toolcalls.formats import written_calls
from sadari.types import ToolCall

_KEYS, _VALUES = ("sadarikey", "sadarimore"), ("sadarivalue", "sadarisecond")
_PROBE = ToolCall("sadariprobe", dict(zip(_KEYS, _VALUES, strict=True)), "sadari001")


def tagged_template(tokenizer: Any) -> dict[str, Any] | None:
    """A response template of `transformers` for the tags that this tokenizer's chat template writes; None if it writes none.

    A probe of two arguments is rendered; what stands between name, keys and values are the tags.
    """
    cached: dict[str, dict[str, Any] | None] = tokenizer.__dict__.setdefault("_sadari_tagged_template", {})
    key = str(getattr(tokenizer, "chat_template", ""))
    if key not in cached:
        written = written_calls(tokenizer, (_PROBE,))
        cached[key] = _template(written, find_end_of_turn(tokenizer)) if written else None
    return cached[key]


def _template(written: str, end_of_turn: str | None) -> dict[str, Any] | None:
    between = []
    for known in (_PROBE.name, _KEYS[0], _VALUES[0], _KEYS[1], _VALUES[1]):
        before, found, written = written.partition(known)
        if not found:
            return None
        between.append(before)
    opens, after_name, before_value, after_value, before_second = between
    key_opens = after_name[after_name.rfind("<") :] if "<" in after_name else ""
    closes_value = after_value.removesuffix(key_opens).strip()
    closes = written.strip().removeprefix(closes_value)
    is_regular = before_value == before_second and after_value.endswith(key_opens) and written.strip().startswith(closes_value)
    if not (is_regular and opens.strip() and key_opens and closes_value and closes.strip()):
        return None
    ends_name = after_name.removesuffix(key_opens)
    name = r"(?P<name>[^<>\n{]+?)\s*" + _loose(ends_name) if ends_name.strip() else r"(?P<name>[^<>\n{]+)(?=[\n<])"
    # a value ends before the next argument begins: otherwise many that never end would each be searched to the end of the answer
    value = _loose(before_value) + rf"\s*+(?P<value>(?:(?!{re.escape(key_opens)}).)*?)\s*" + _loose(closes_value)
    calls = {
        "open_pattern": _loose(opens) + r"\s*" + name,
        "close_pattern": _loose(closes),
        "repeats": True,
        "content": "xml-inline",
        "content_args": {"tag_pattern": _loose(key_opens) + r"\s*+(?P<key>[^<>\n]+?)\s*" + value},
        "transform": {"type": "function", "function": {"name": "{name}", "arguments": "{content}"}},
    }
    content = {"close": end_of_turn} if end_of_turn else {}
    return {
        "start_anchor_pattern": r"[\s\S]*",  # the answer begins where the prompt ends
        "fields": {"reasoning_content": {"open": "<think>", "close": "</think>"}, "tool_calls": calls, "content": content},
    }


def _loose(text: str) -> str:
    """A pattern of `text` with any whitespace where it has some."""
    return r"\s*".join(re.escape(word) for word in text.split())
