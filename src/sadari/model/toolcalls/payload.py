"""From the value between the markers to the calls it makes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sadari.model.toolcalls.formats import CallFormat
from sadari.model.toolcalls.nesting import DEPTH
from sadari.model.toolcalls.repair import load_json, mend
from sadari.types import ToolCall, ToolSpec

Found = tuple[list[ToolCall], list[str]]
"""Calls, with the ids the model wrote or none, and what was mended to read them."""


@dataclass(frozen=True, slots=True)
class Payload:
    """A value as it was written.

    Args:
        text: The value, JSON or nearly so.
        head: In the layout "named", what stands between the opening marker and the arguments.
        is_cut: The answer ended within it.
        is_closed_early: The closing marker came before the last bracket.
    """

    text: str
    head: str | None = None
    is_cut: bool = False
    is_closed_early: bool = False


class PayloadReader:
    """Reads payloads of one format.

    Args:
        tools: The tools that may be called, by name; None where they are not known.
        mend_truncated: Mend calls that were cut off within their arguments.
    """

    def __init__(self, format: CallFormat, tools: Mapping[str, ToolSpec] | None, mend_truncated: bool) -> None:
        self._format, self._tools, self._mend_truncated = format, tools, mend_truncated

    def read(self, payload: Payload, notes: list[str], must_know: bool) -> Found | None:
        """The calls of one payload, with `notes` and what else was mended; None if it is malformed.

        What was mended, or bears no marker (`must_know`), is a call only if it calls a tool that is known.
        """
        loaded = self._load(payload)
        if loaded is None:
            return None
        value, mended = loaded
        notes = notes + mended
        if payload.head is not None and isinstance(value, dict):
            calls = [self._named(payload.head, value)]
        else:
            items = value if isinstance(value, list) else [value]
            calls = [self._call(item, notes, needs_arguments=payload.is_cut or must_know) for item in items]
        kept = [c for c in calls if c is not None and self._is_known(c.name, bool(notes) or must_know)]
        return (kept, notes) if kept and len(kept) == len(calls) else None

    def _load(self, payload: Payload) -> tuple[Any, list[str]] | None:
        text, notes = payload.text, []
        if text.startswith("{{") and text.endswith("}}"):  # as some templates show it to their models
            text, notes = text[1:-1], ["took off doubled braces"]
        try:
            return load_json(text), notes
        except ValueError:
            pass
        around = 0 if payload.head is not None else 1 + text.startswith("[")  # brackets around the arguments
        cut = payload.is_cut and self._mend_truncated
        unclosed = DEPTH if cut or payload.is_closed_early else around * payload.is_cut
        mended = mend(text, quote=self._format.quote, unclosed=unclosed, cut=cut)
        return None if mended is None else (mended[0], notes + list(mended[1]))

    def _named(self, head: str, arguments: dict[str, Any]) -> ToolCall | None:
        name = head.strip()
        separator = self._format.separator.strip()
        if separator:
            name = name.removesuffix(separator)
        id_key = self._format.id_key.strip() or "[CALL_ID]"
        name, _, id = name.partition(id_key)
        name, id = name.strip(), id.strip()
        return ToolCall(name, arguments, id) if name and not any(c.isspace() for c in name + id) else None

    def _call(self, item: Any, notes: list[str], *, needs_arguments: bool) -> ToolCall | None:
        if not isinstance(item, dict):
            return None
        id = item.get("id")
        if isinstance(item.get("function"), dict):
            item = item["function"]
            notes.append("took the call out of 'function'")
        key = next((k for k in (self._format.arguments_key, "arguments", "parameters") if k in item), None)
        name = item.get(self._format.name_key, item.get("name"))
        if not isinstance(name, str) or not name:
            return None
        if key is None and (needs_arguments or len(item) > 1 or self._requires_arguments(name)):
            return None
        if key not in (self._format.arguments_key, None):
            notes.append(f"read '{key}' as '{self._format.arguments_key}'")
        arguments = self._arguments(item[key], notes) if key else {}
        if not isinstance(arguments, dict):
            return None
        return ToolCall(name, arguments, id if isinstance(id, str) and len(id) == 9 and id.isalnum() else "")

    def _arguments(self, value: Any, notes: list[str]) -> Any:
        if not isinstance(value, str):
            return value
        notes.append("read the arguments out of a text")
        try:
            return load_json(value)
        except ValueError:
            mended = mend(value)
        if mended is None:
            return None
        notes.extend(mended[1])
        return mended[0]

    def _requires_arguments(self, name: str) -> bool:
        if self._tools is None or name not in self._tools:
            return False
        return bool(self._tools[name].parameters.get("required"))

    def _is_known(self, name: str, must_know: bool) -> bool:
        return not must_know or self._tools is None or name in self._tools
