"""Tool calls that are right in more than one way, from the JSON of a row.

{"name": "get_weather", "arguments": {"city": ["서울", "Seoul"], "unit": ["C"]}, "optional": ["unit"]}
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sadari.task.messages import RowProblems, check_calls, kind_of, read_calls
from sadari.types import AcceptedCall, ToolCall, ToolSpec


def read_accepts(value: Any, tools: Sequence[ToolSpec], problems: RowProblems) -> tuple[AcceptedCall, ...]:
    """Calls with a list of accepted values for each argument, and the names of those that may be left out.

    A single value may stand without its list, unless it is a list itself. Every accepted value must match the tool's schema.
    """
    if value in (None, "", []):
        return ()
    if not isinstance(value, list):
        problems.add("accepts", f"must be a list of tool calls, but is {kind_of(value)}.")
        return ()
    read = (_read_accepted(item, f"accepts[{at}]", tools, problems) for at, item in enumerate(value))
    return tuple(call for call in read if call is not None)


def simplest_call(accepted: AcceptedCall) -> ToolCall:
    """The call with the first accepted value of every argument that may not be left out."""
    return ToolCall(accepted.name, {key: v[0] for key, v in accepted.arguments.items() if v and key not in accepted.optional})


def check_accepted(calls: Sequence[ToolCall], accepts: Sequence[AcceptedCall], problems: RowProblems) -> None:
    """`accepts` says of each of `calls` what else is right: it lists the same tools in the same order, and accepts their values."""
    if not accepts:
        return
    said, wanted = [accepted.name for accepted in accepts], [call.name for call in calls]
    if said != wanted:
        problems.add(
            "accepts", f"lists {', '.join(said)}, but the calls are {', '.join(wanted)}. List the same calls in the same order."
        )
        return
    for at, (call, accepted) in enumerate(zip(calls, accepts, strict=True)):
        for key, value in call.arguments.items():
            if value not in accepted.arguments.get(key, ()):
                problems.add(f"accepts[{at}].arguments.{key}", f"does not hold {value!r}, which the call itself says. Add it.")


def _read_accepted(item: Any, name: str, tools: Sequence[ToolSpec], problems: RowProblems) -> AcceptedCall | None:
    before = len(problems.found)
    calls = read_calls([item], name, problems)
    if not calls:
        return None
    inner = item.get("function") if isinstance(item.get("function"), Mapping) else item
    arguments = {key: tuple(given) if isinstance(given, list) else (given,) for key, given in calls[0].arguments.items()}
    for key, values in arguments.items():
        if not values:
            problems.add(f"{name}.arguments.{key}", "is empty. List the accepted values, or delete the argument.")
    optional = inner.get("optional") or []
    if not isinstance(optional, list):
        problems.add(f"{name}.optional", f"must be a list of argument names, but is {kind_of(optional)}.")
        optional = []
    for key in optional:
        if key not in arguments:
            problems.add(f"{name}.optional", f'"{key}" is not among the arguments: {", ".join(arguments) or "there are none"}.')
    accepted = AcceptedCall(calls[0].name, arguments, tuple(map(str, optional)))
    for spelling in _spellings(accepted):
        if len(problems.found) == before:  # one fault is enough: the others would repeat it
            check_calls([spelling], tools, name, problems)
    return accepted


def _spellings(accepted: AcceptedCall) -> list[ToolCall]:
    """The simplest call, then one for each accepted value."""
    simplest = simplest_call(accepted)
    others = [ToolCall(accepted.name, {**simplest.arguments, key: v}) for key, values in accepted.arguments.items() for v in values]
    return [simplest, *others]
