"""Rows of FunctionChat-Bench (Kakao) as examples that `ToolCallScorer` scores by the benchmark's own exact rule.

    scorer = ToolCallScorer(strings="loose")

The rule: the name, and every argument of the gold and no other, each with the gold value or one listed as acceptable; texts apart
from case and spaces. Turns that ask back, decline or tell a result make no call; what they say needs a judge.

Unlike the benchmark, which looks at the first call only, a second call is wrong.

Source:
    https://github.com/kakao/FunctionChat-Bench: `data/rubric_call.txt`, and the exact match that comes before its judge
    (`src/evaluation_handler.py`).
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sadari.errors import DataError
from sadari.task.messages import RowProblems, read_calls, read_messages, read_tools
from sadari.types import AcceptedCall, Example, Reference, ToolCall


def read_singlecalls(path: Path) -> tuple[Example, ...]:
    """One example per row of `singlecall.jsonl`; the tag names the kind of its tool set."""
    return tuple(
        _example(row["id"], row["messages"], row["tools"], [row["ground_truth"]], row["acceptable_arguments"], row["tools_type"])
        for row in map(json.loads, path.read_text(encoding="utf-8").splitlines())
    )


def read_dialog(path: Path) -> tuple[Example, ...]:
    """One example per assistant turn of `dialog.jsonl`; the tag names its kind: call, slot, relevance or completion."""
    return tuple(
        _example(
            f"fc-dialog-{turn['serial_num']:03}",
            turn["query"],
            dialog["tools"],
            turn["ground_truth"].get("tool_calls") or [],
            turn["acceptable_arguments"],
            turn["type_of_output"],
            turn["ground_truth"].get("content") or "",
        )
        for dialog in map(json.loads, path.read_text(encoding="utf-8").splitlines())
        for turn in dialog["turns"]
    )


def _example(name: str, messages: Any, tools: Any, gold: list[Any], acceptable: Any, kind: str, text: str = "") -> Example:
    problems = RowProblems(name)
    calls = read_calls(gold, "ground_truth", problems)
    example = Example(
        id=name,
        messages=tuple(read_messages(messages, "messages", problems)),
        reference=Reference((text,) if text else (), calls=calls, accepts=tuple(accepted_call(call, acceptable) for call in calls)),
        tools=read_tools(tools, "tools", problems),
        tags=(kind,),
    )
    if problems.found:
        raise DataError(problems.found)
    return example


def accepted_call(gold: ToolCall, acceptable: Any) -> AcceptedCall:
    """The gold call with the other values that count as right; one that the gold does not name may be left out.

    Args:
        acceptable: Other values by argument, one or a list, as an object or as JSON; a remark in words adds none.
    """
    others = {name: value if isinstance(value, list) else [value] for name, value in _read_acceptable(acceptable)}
    arguments = {name: (value, *others.get(name, ())) for name, value in gold.arguments.items()}
    extra = tuple(name for name in others if name not in gold.arguments)
    return AcceptedCall(gold.name, arguments | {name: tuple(others[name]) for name in extra}, extra)


def _read_acceptable(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, str) and value.lstrip().startswith("{"):
        value = json.loads(value)
    yield from value.items() if isinstance(value, Mapping) else ()
