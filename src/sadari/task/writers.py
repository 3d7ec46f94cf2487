"""Rows to files: every example in one shape, OpenAI messages, from which `readers` makes the same example again."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from sadari.files import write_text
from sadari.types import Document, Example, Message, Span, ToolCall


def write_examples(path: Path, examples: Iterable[Example]) -> None:
    """Write examples as JSONL, one a line.

    Raises:
        RunError: If the file cannot be written; names the path.
    """
    write_text(path, "".join(json.dumps(example_row(example), ensure_ascii=False) + "\n" for example in examples))


def write_documents(path: Path, documents: Sequence[Document]) -> None:
    """Write documents as JSONL, one a line: `id`, `title`, `text`, and of `date`, `access` and `metadata` what there is."""
    rows = (
        {"id": d.id, "title": d.title, "text": d.text}
        | {name: value for name, value in (("date", d.date), ("access", d.access), ("metadata", dict(d.metadata))) if value}
        for d in documents
    )
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def example_row(example: Example) -> dict[str, Any]:
    """The row of an example: what it says, then how it is judged, then what it belongs to; nothing that is empty.

    Reading it gives the example again: same messages, weights, tools, calls, references, facts, spans, group, tags and id.
    """
    row: dict[str, Any] = {"id": example.id} if example.id else {}
    turns = [_message_row(message) for message in example.messages]
    if example.kind == "text":
        row["text"] = example.messages[0].content
    elif example.kind == "preference":
        row |= {"prompt": turns[:-1], "chosen": turns[-1:], "rejected": [{"role": "assistant", "content": example.rejected or ""}]}
    else:
        row["messages"] = turns
    if example.tools:
        row["tools"] = [
            {"type": "function", "function": {"name": t.name, "description": t.description, "parameters": dict(t.parameters)}}
            for t in example.tools
        ]
    return row | _reference_row(example) | _place_row(example)


def _reference_row(example: Example) -> dict[str, Any]:
    reference, last = example.reference, example.messages[-1]
    is_answered = last.role == "assistant" and example.kind != "text"
    said = (last.content.strip(),) if is_answered and last.content.strip() else ()
    done = last.tool_calls if is_answered else ()
    row: dict[str, Any] = {}
    if reference.texts != said:
        row["references"] = list(reference.texts)
    if [(call.name, call.arguments) for call in reference.calls] != [(call.name, call.arguments) for call in done]:
        row["calls"] = [{"name": call.name, "arguments": dict(call.arguments)} for call in reference.calls]
    if reference.accepts:
        row["accepts"] = [
            {"name": a.name, "arguments": {key: list(values) for key, values in a.arguments.items()}, "optional": list(a.optional)}
            for a in reference.accepts
        ]
    if reference.facts:
        row["facts"] = [list(fact) for fact in reference.facts]
    if reference.spans:
        row |= _span_rows(reference.spans)
    if reference.abstain:
        row["abstain"] = True
    return row


def _span_rows(spans: Sequence[Span]) -> dict[str, Any]:
    if any(span.quote for span in spans):
        return {"spans": [{"document": s.document, "start": s.start, "end": s.end, "quote": s.quote} for s in spans]}
    return {"relevant": [span.document for span in spans]}


def _place_row(example: Example) -> dict[str, Any]:
    row: dict[str, Any] = {}
    if example.group:
        row["group"] = example.group
    if example.tags:
        row["tags"] = list(example.tags)
    return row


def _message_row(message: Message) -> dict[str, Any]:
    row: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.weight is not None:
        row["weight"] = message.weight
    if message.tool_calls:
        row["tool_calls"] = [_call_row(call) for call in message.tool_calls]
    if message.tool_call_id is not None:
        row["tool_call_id"] = message.tool_call_id
    return row


def _call_row(call: ToolCall) -> dict[str, Any]:
    """OpenAI's wrapping, arguments as a JSON text."""
    arguments = json.dumps(call.arguments, ensure_ascii=False)
    return {**({"id": call.id} if call.id else {}), "type": "function", "function": {"name": call.name, "arguments": arguments}}
