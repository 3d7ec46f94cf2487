"""Rows of the Berkeley Function-Calling Leaderboard (v4, single turn) as examples that `ToolCallScorer` scores by BFCL's own rule.

    scorer = ToolCallScorer(strings="lenient", numbers="typed")

BFCL's dialect: a tool's types are "dict", "float", "tuple" and "any"; a right call lists the accepted values of each argument, ""
among them if it may be left out; an object lists the accepted values of each of its keys. An int may stand for a float, never a
float for an int. Where the accepted values have another type than the tool declares, they are taken as they are.

Left out: live_relevance, where any call counts and none is named.

Source:
    Patil et al., https://gorilla.cs.berkeley.edu/blogs/8_berkeley_function_calling_leaderboard.html, and the checker of the
    leaderboard (`bfcl_eval/eval_checker/ast_eval/ast_checker.py`).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from sadari.errors import DataError
from sadari.task.messages import RowProblems, read_tools
from sadari.types import AcceptedCall, Example, Message, Reference, ToolCall

CATEGORIES = (
    "simple_python",
    "multiple",
    "parallel",
    "parallel_multiple",
    "irrelevance",
    "live_simple",
    "live_multiple",
    "live_parallel",
    "live_parallel_multiple",
    "live_irrelevance",
)
LEFT_OUT = ""
"""Among the accepted values: the argument may be left out."""
_TEXT_TYPES = ("string", "any")


def read_category(folder: Path, category: str) -> tuple[Example, ...]:
    """The examples of one category, in file order; the gold call with its first accepted values stands as reference call."""
    lines = (folder / f"{category}.jsonl").read_text(encoding="utf-8").splitlines()
    return tuple(read_row(json.loads(line)) for line in lines)


def read_row(row: Mapping[str, Any]) -> Example:
    """One example; a row without gold calls is one where no call is right.

    Raises:
        DataError: If the row calls a tool that it does not declare, or a tool is no tool.
    """
    problems = RowProblems(str(row["id"]))
    tools = read_tools(row["function"], "function", problems)
    if problems.found:
        raise DataError(problems.found)
    accepts = tuple(
        accepted_call(name, values, row["function"]) for call in row["ground_truth"] or () for name, values in call.items()
    )
    return Example(
        id=str(row["id"]),
        messages=tuple(Message(turn["role"], turn["content"]) for turn in row["question"][0]),
        reference=Reference(calls=tuple(map(gold_call, accepts)), accepts=accepts),
        tools=tools,
        tags=(str(row["category"]),),
    )


def gold_call(call: AcceptedCall) -> ToolCall:
    """The call with the first accepted value of every argument that must be there."""
    return ToolCall(call.name, {name: v[0] for name, v in call.arguments.items() if v and name not in call.optional})


def accepted_call(name: str, values: Mapping[str, Sequence[Any]], tools: Sequence[Mapping[str, Any]]) -> AcceptedCall:
    """A gold call with every accepted spelling written out.

    An argument that the tool does not declare is accepted with no value at all; if it may not be left out either, no call is right.
    So it is with one that the tool requires and the gold does not name.
    """
    tool = next((tool for tool in tools if tool["name"] == name), None)
    if tool is None:
        raise DataError(f"the gold calls {name}, which is not among the tools. Mend the row.")
    declared, required = tool["parameters"]["properties"], tool["parameters"].get("required", [])
    arguments = {key: tuple(_spellings(accepted, declared[key])) if key in declared else () for key, accepted in values.items()}
    arguments |= {key: () for key in required if key not in values}
    optional = tuple(key for key, accepted in values.items() if LEFT_OUT in accepted and key not in required)
    return AcceptedCall(name, arguments, optional)


def _spellings(accepted: Sequence[Any], declared: Mapping[str, Any]) -> Iterator[Any]:
    """Every value that is right, of a declared type."""
    kind = declared["type"]
    meant = next((value for value in accepted if value != LEFT_OUT), None)
    for value in accepted:
        if value == LEFT_OUT:
            if kind in _TEXT_TYPES or isinstance(meant, str):
                yield value  # an empty text says the same
        elif kind == "dict" and isinstance(value, Mapping):
            yield from _objects(value)
        elif isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
            yield from map(list, product(*(list(_objects(item)) for item in value)))
        elif kind in ("array", "tuple") and declared.get("items", {}).get("type") == "float" and isinstance(value, list):
            is_whole = all(type(item) is int for item in value)  # in a list an int stands for a float only where the gold has ints
            yield from map(list, product(*map(_numbers, value))) if is_whole else (value,)
        elif kind == "float":
            yield from _numbers(value)
        else:
            yield value


def _objects(accepted: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    """Every object that takes one accepted value for each key, or leaves the key out where it may."""
    choices = [
        [(key, spelling) for value in values if value != LEFT_OUT for spelling in _numbers(value)] + [None] * (LEFT_OUT in values)
        for key, values in accepted.items()
    ]
    for chosen in product(*choices):
        yield dict(pair for pair in chosen if pair is not None)


def _numbers(value: Any) -> Iterator[Any]:
    """The number as int and as float, where it is both; any other value as it is."""
    yield value
    if type(value) is int:
        yield float(value)
    elif type(value) is float and value.is_integer():
        yield int(value)
