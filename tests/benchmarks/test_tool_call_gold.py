"""Our tool-call scorer against the documented rules of BFCL and FunctionChat-Bench, restated here in plain words and on their gold.

Every gold row is answered rightly in several ways and wrongly in every way the rules name; scorer and rule must agree on each.
"""

import copy
import importlib.util
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from sadari.measure.scorers import ToolCallScorer
from sadari.types import AcceptedCall, Answer, Example, ToolCall

EVIDENCE = Path(__file__).parents[2] / "benchmarks" / "evidence"
Call = tuple[str, dict[str, Any]]


def module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"evidence_{name}", EVIDENCE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


bfcl = module("bfcl")
functionchat = module("functionchat")


def score(scorer: ToolCallScorer, example: Example, calls: list[Call]) -> float:
    return scorer.score(example, Answer("", tuple(ToolCall(name, arguments) for name, arguments in calls))).value


# --- the rule of BFCL, restated ------------------------------------------------------------------------------------------

TYPES = {"string": str, "any": str, "integer": int, "float": float, "boolean": bool, "array": list, "tuple": list, "dict": dict}


def bfcl_accepts(row: dict[str, Any], calls: list[Call]) -> bool:
    """As many calls as the gold has, each gold call met by a different one; none where the gold has none."""
    gold = [(name, values) for call in row["ground_truth"] or [] for name, values in call.items()]
    tools = {tool["name"]: tool["parameters"] for tool in row["function"]}
    if len(calls) != len(gold):
        return False

    def meet(wanted: list[Any], said: list[Call]) -> bool:
        if not wanted:
            return True
        name, values = wanted[0]
        return any(
            said_name == name and meets_call(arguments, values, tools[name]) and meet(wanted[1:], said[:at] + said[at + 1 :])
            for at, (said_name, arguments) in enumerate(said)
        )

    return meet(gold, calls)


def meets_call(arguments: dict[str, Any], gold: dict[str, list[Any]], tool: dict[str, Any]) -> bool:
    if any(name not in arguments for name in tool["required"]):
        return False
    if any(name not in arguments and "" not in accepted for name, accepted in gold.items()):
        return False
    return all(
        name in gold and name in tool["properties"] and meets_value(value, gold[name], tool["properties"][name])
        for name, value in arguments.items()
    )


def meets_value(value: Any, accepted: list[Any], declared: dict[str, Any]) -> bool:
    kind = TYPES[declared["type"]]
    if kind is float and type(value) is int:
        value = float(value)
    meant = [type(item) for item in accepted if item != ""]
    if meant and meant[0] is not kind:  # the gold takes a liberty: its own values, as they are
        return type(value) in (kind, meant[0]) and value in accepted
    if type(value) is not kind:
        return False
    if kind is str:
        return plain(value) in [plain(item) for item in accepted if isinstance(item, str)]
    if kind is dict:
        return any(meets_object(value, item) for item in accepted if item != "")
    if kind is list:
        return any(meets_list(value, item, declared["items"]["type"]) for item in accepted if item != "")
    return value in accepted


def meets_list(value: list[Any], wanted: list[Any], kind: str) -> bool:
    if len(value) != len(wanted):
        return False
    if kind == "dict":
        return all(isinstance(item, dict) and meets_object(item, right) for item, right in zip(value, wanted, strict=True))
    if any(type(item) not in (TYPES[kind], type(wanted[0])) for item in value):
        return False
    return [plain(item) for item in value] == [plain(item) for item in wanted]


def meets_object(value: dict[str, Any], wanted: dict[str, list[Any]]) -> bool:
    if any(key not in value and "" not in accepted for key, accepted in wanted.items()):
        return False
    return all(key in wanted and plain(item) in [plain(right) for right in wanted[key]] for key, item in value.items())


def plain(value: Any) -> Any:
    """Case, spaces and ,./-_*^ do not count, nor which quotes are used."""
    return re.sub(r"[ ,./\-_*^]", "", value).lower().replace("'", '"') if isinstance(value, str) else value


# --- answers, right and wrong --------------------------------------------------------------------------------------------


def right_answers(accepts: tuple[AcceptedCall, ...]) -> Iterator[list[Call]]:
    """The gold without what may be left out, with it, and with the last of the accepted values."""

    def calls(keep: Callable[[AcceptedCall, str], bool], which: int) -> list[Call]:
        return [
            (call.name, {k: copy.deepcopy(v[which]) for k, v in call.arguments.items() if v and keep(call, k)}) for call in accepts
        ]

    done: list[list[Call]] = []
    for answer in (calls(lambda c, name: name not in c.optional, 0), calls(lambda *_: True, 0), calls(lambda *_: True, -1)):
        if answer not in done:
            done.append(answer)
            yield answer


def changed_answers(calls: list[Call]) -> Iterator[tuple[str, list[Call]]]:
    """Each way of changing an answer, tried on every call and argument."""
    yield "no call", []
    yield "reordered", calls[::-1]
    yield "one call too many", [*calls, calls[0]]
    yield "one call too few", calls[1:]
    yield "another tool too", [*calls, ("no_such_tool", {})]
    for at, (name, arguments) in enumerate(calls):

        def instead(call: Call, at: int = at) -> list[Call]:
            return [*calls[:at], call, *calls[at + 1 :]]

        yield "wrong name", instead((name + "_x", arguments))
        yield "name in capitals", instead((name.upper(), arguments))
        yield "extra argument", instead((name, {**arguments, "zz_extra": 1}))
        for key, value in arguments.items():
            yield "argument left out", instead((name, {k: v for k, v in arguments.items() if k != key}))
            for kind, other in changed_values(value):
                yield kind, instead((name, {**arguments, key: other}))


def changed_values(value: Any) -> Iterator[tuple[str, Any]]:
    yield "null", None
    if isinstance(value, bool):
        yield from (("other truth", not value), ("truth in words", str(value)))
    elif isinstance(value, int):
        yield from (("other number", value + 1), ("float for int", float(value)), ("number in quotes", str(value)))
    elif isinstance(value, float):
        yield from (("other number", value + 0.5), ("number in quotes", str(value)))
        if value.is_integer():
            yield "int for float", int(value)
    elif isinstance(value, str):
        yield from (("other text", value + " zz"), ("capitals", value.upper()), ("text as list", [value]))
        yield from (("spaces", " ".join(value)), ("marks", "-".join(value) + "."), ("other marks", value + "!"))
        yield "number for text", 7
    elif isinstance(value, dict):
        yield "other key", {**value, "zz": 1}
        for key, inner in value.items():
            yield "key left out", {k: v for k, v in value.items() if k != key}
            if isinstance(inner, str | int | float) and not isinstance(inner, bool):
                yield from (("in an object: " + kind, {**value, key: other}) for kind, other in changed_values(inner))
    elif isinstance(value, list):
        yield from (("item too many", [*value, *value[:1]] or [1]), ("item too few", value[1:]), ("items reordered", value[::-1]))
        if value and isinstance(value[0], str | int | float) and not isinstance(value[0], bool):
            yield from (("in a list: " + kind, [other, *value[1:]]) for kind, other in changed_values(value[0]))


def answers_to(example: Example) -> Iterator[tuple[str, list[Call]]]:
    """Every answer to one example, and what kind it is."""
    for calls in right_answers(example.reference.accepts):
        yield "right", calls
        yield from changed_answers(calls) if calls else [("a call", [("f", {})])]


# --- BFCL ----------------------------------------------------------------------------------------------------------------

IMPOSSIBLE = {"live_simple_106-63-0", "live_simple_112-68-0", "live_multiple_862-181-3", "live_multiple_964-207-0"}
"""Gold rows that no answer can meet by BFCL's own rule: they require an argument that the gold does not name, or that it gives no
value, or that the tool does not declare."""


def takes_a_liberty(row: dict[str, Any]) -> bool:
    """Whether the gold gives an argument values of another type than the tool declares."""
    tools = {tool["name"]: tool["parameters"]["properties"] for tool in row["function"]}
    return any(
        name in tools[tool] and value != "" and type(value) is not TYPES[tools[tool][name]["type"]]
        for call in row["ground_truth"] or []
        for tool, arguments in call.items()
        for name, values in arguments.items()
        for value in values
    )


def compare_with_bfcl(folder: Path, category: str, *, every: int = 1) -> tuple[Counter[str], int]:
    """How many answers of each kind the rule finds right and wrong, and on how many the scorer disagrees.

    It may disagree on one thing only: where the gold takes a liberty with a type, BFCL's checker stops ignoring case, spaces and
    marks. Its documentation does not say so, and the scorer goes on.
    """
    scorer = ToolCallScorer(strings="lenient", numbers="typed")
    kinds: Counter[str] = Counter()
    disagreed = 0
    for line in (folder / f"{category}.jsonl").read_text(encoding="utf-8").splitlines()[::every]:
        row = json.loads(line)
        example = bfcl.read_row(row)
        gold = [(call.name, dict(call.arguments)) for call in example.reference.calls]
        assert score(scorer, example, gold) == (row["id"] not in IMPOSSIBLE), row["id"]
        for kind, said in answers_to(example):
            rule = bfcl_accepts(row, said)
            kinds[f"{kind}: {'right' if rule else 'wrong'}"] += 1
            if (score(scorer, example, said) == 1) != rule:
                disagreed += 1
                assert kind in ("capitals", "spaces", "marks"), (row["id"], kind, said)
                assert takes_a_liberty(row), (row["id"], kind, said)
    return kinds, disagreed


def test_the_scorer_agrees_with_the_rule_of_bfcl_on_right_and_wrong_answers(shared_data: Path) -> None:
    kinds: Counter[str] = Counter()
    for category in bfcl.CATEGORIES:
        kinds += compare_with_bfcl(shared_data / "bfcl", category, every=40)[0]
    for kind in ("reordered", "capitals", "spaces", "marks", "int for float"):
        assert kinds[f"{kind}: right"], kind
    for kind in (
        "a call",
        "wrong name",
        "argument left out",
        "extra argument",
        "one call too many",
        "float for int",
        "other marks",
    ):
        assert kinds[f"{kind}: wrong"], kind
    assert not kinds["wrong name: right"] + kinds["extra argument: right"] + kinds["one call too many: right"]


@pytest.mark.slow
def test_the_scorer_agrees_with_the_rule_of_bfcl_on_every_answer(shared_data: Path) -> None:
    found = [compare_with_bfcl(shared_data / "bfcl", category) for category in bfcl.CATEGORIES]
    answers = sum(kinds.total() for kinds, _ in found)
    disagreed = sum(count for _, count in found)
    print(f"{answers} answers, {disagreed} disagreements")
    assert answers > 90_000
    assert disagreed / answers < 0.002


def test_a_tool_of_bfcl_becomes_json_schema() -> None:
    tool = {
        "name": "f",
        "description": "",
        "parameters": {
            "type": "dict",
            "properties": {"a": {"type": "float"}, "b": {"type": "tuple", "items": {"type": "any"}}},
            "required": ["a"],
        },
    }
    row = {"id": "x", "category": "simple", "question": [[{"role": "user", "content": "q"}]], "function": [tool]}
    example = bfcl.read_row(row | {"ground_truth": [{"f": {"a": [1.0, 2.5], "b": [""]}}]})
    assert example.tools[0].parameters == {
        "type": "object",
        "properties": {"a": {"type": "number"}, "b": {"type": "array", "items": {}}},
        "required": ["a"],
    }
    assert example.reference.accepts == (AcceptedCall("f", {"a": (1.0, 1, 2.5), "b": ()}, ("b",)),)
    assert example.reference.calls == (ToolCall("f", {"a": 1.0}),)


# --- FunctionChat-Bench --------------------------------------------------------------------------------------------------


def functionchat_accepts(gold: dict[str, Any], acceptable: dict[str, Any], calls: list[Call]) -> bool:
    """One call of the gold's name with the gold's arguments, each with its value or one that is acceptable."""

    def is_same(said: Any, right: Any) -> bool:
        if isinstance(said, str) and isinstance(right, str):
            return said.replace(" ", "").lower() == right.replace(" ", "").lower()
        return said == right and (type(said) is type(right) or {type(said), type(right)} == {int, float})

    if len(calls) != 1 or calls[0][0] != gold["name"] or set(calls[0][1]) != set(gold["arguments"]):
        return False
    others = {name: value if isinstance(value, list) else [value] for name, value in acceptable.items()}
    return all(
        any(is_same(value, right) for right in [gold["arguments"][name], *others.get(name, [])])
        for name, value in calls[0][1].items()
    )


def test_the_scorer_agrees_with_the_rule_of_functionchat_on_every_answer(shared_data: Path) -> None:
    path = shared_data / "ko-functionchat" / "singlecall.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    scorer = ToolCallScorer(strings="loose")
    kinds: Counter[str] = Counter()
    wrong = []
    for row, example in zip(rows, functionchat.read_singlecalls(path), strict=True):
        acceptable = row["acceptable_arguments"] if isinstance(row["acceptable_arguments"], dict) else {}

        def rule(said: list[Call], row: dict[str, Any] = row, acceptable: dict[str, Any] = acceptable) -> bool:
            return functionchat_accepts(row["ground_truth"], acceptable, said)

        for kind, said in answers_to(example):
            right = rule(said)
            kinds[f"{kind}: {'right' if right else 'wrong'}"] += 1
            wrong += [(row["id"], kind, said)] if (score(scorer, example, said) == 1) != right else []
    assert wrong == []
    assert kinds["right: right"] >= 240
    assert not kinds["right: wrong"]
    assert min(kinds[kind] for kind in ("spaces: right", "capitals: right", "marks: wrong", "other text: wrong")) > 0


def test_every_turn_of_the_functionchat_dialogues_is_scored(shared_data: Path) -> None:
    examples = functionchat.read_dialog(shared_data / "ko-functionchat" / "dialog.jsonl")
    scorer = ToolCallScorer(strings="loose")
    assert Counter(example.tags[0] for example in examples) == {"call": 70, "slot": 36, "relevance": 23, "completion": 71}
    for example in examples:
        gold = [(call.name, dict(call.arguments)) for call in example.reference.calls]
        assert score(scorer, example, gold) == 1
        assert bool(gold) == (example.tags[0] == "call")
        if not gold:
            assert score(scorer, example, [("add_task", {})]) == 0


def test_what_functionchat_finds_acceptable_is_read_from_objects_json_and_remarks() -> None:
    gold = ToolCall("start_playlist", {"playlist": "ost mix", "shuffle": True})
    read = functionchat.accepted_call
    assert read(gold, '{"repeat": false}') == AcceptedCall(
        "start_playlist", {"playlist": ("ost mix",), "shuffle": (True,), "repeat": (False,)}, ("repeat",)
    )
    assert read(gold, {"playlist": ["OST", "믹스"]}).arguments["playlist"] == ("ost mix", "OST", "믹스")
    assert read(gold, "Only ground truth is allowed.").arguments == {"playlist": ("ost mix",), "shuffle": (True,)}
