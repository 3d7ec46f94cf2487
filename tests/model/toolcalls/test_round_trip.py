"""What the template of each family writes is read back as it was."""

import json
from collections.abc import Iterator
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sadari.model.toolcalls import format_of, read_answer
from sadari.types import ToolCall, ToolSpec

IDS = ("aB3dE6gH9", "000000002", "000000003")
NAMES = ("get_weather", "주문.조회", "쿠폰-발급")


def has_calls(read, calls):
    """Whether the calls were read as they are; ids where the family writes them."""
    return [(c.name, dict(c.arguments)) for c in read.calls] == [(c.name, dict(c.arguments)) for c in calls]


KEYS = st.text(alphabet="abc_가나다09", min_size=1, max_size=8).filter(lambda k: not k[0].isdigit())
TEXTS = st.text(max_size=12) | st.sampled_from(
    ["</tool_call>", "[TOOL_CALLS]", '"}}', "서울 강남구", "a\\nb\n", "```", "]<|/tool_call|>"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)
CALLS = st.lists(
    st.tuples(st.sampled_from(NAMES), st.dictionaries(KEYS, VALUES, max_size=3)),
    min_size=1,
    max_size=3,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CALLS, st.sampled_from(["", "찾아보겠습니다."]))
def test_what_the_template_writes_is_read_back(exact_family, drawn, content):
    format = format_of(exact_family.tokenizer)
    calls = [ToolCall(name, arguments, id) for (name, arguments), id in zip(drawn, IDS, strict=False)]
    if not format.several:
        calls, content = calls[:1], ""
    read = read_answer(exact_family.answer(content, *calls), format, [ToolSpec(name, "", {}) for name in NAMES])
    assert has_calls(read, calls)
    assert read.text == content
    assert read.repairs == ()
    if format.id_key:
        assert [c.id for c in read.calls] == [c.id for c in calls]


def reference_calls(folder: Path) -> Iterator[tuple[list[ToolCall], list[ToolSpec]]]:
    """The calls that the rows of BFCL and FunctionChat ask for, and the tools they may choose from."""
    for path in sorted((folder / "bfcl").glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            wanted = [item for call in row["ground_truth"] or [] for item in call.items()]
            calls = [ToolCall(name, {k: v[0] for k, v in accepted.items() if v and v[0] != ""}) for name, accepted in wanted]
            yield calls, [ToolSpec(f["name"], "", {}) for f in row["function"]]
    for line in (folder / "ko-functionchat" / "singlecall.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        gold = row["ground_truth"]
        arguments = json.loads(gold["arguments"]) if isinstance(gold["arguments"], str) else gold["arguments"]
        yield [ToolCall(gold["name"], arguments)], [ToolSpec(t["function"]["name"], "", {}) for t in row["tools"]]
    for line in (folder / "ko-functionchat" / "dialog.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        for turn in row["turns"]:
            said = [c["function"] for c in turn["ground_truth"].get("tool_calls") or []]
            calls = [ToolCall(f["name"], json.loads(f["arguments"])) for f in said]
            yield calls, [ToolSpec(t["function"]["name"], "", {}) for t in row["tools"]]


def test_the_reference_calls_of_real_tasks_are_read_back(exact_family, shared_data):
    format = format_of(exact_family.tokenizer)
    read_back = 0
    for calls, tools in reference_calls(shared_data):
        if not calls or (len(calls) > 1 and not format.several):
            continue
        calls = [ToolCall(c.name, c.arguments, f"{n:09}") for n, c in enumerate(calls)]
        read = read_answer(exact_family.answer("", *calls), format, tools)
        assert has_calls(read, calls)
        assert (read.text, read.repairs) == ("", ())
        read_back += 1
    assert read_back > 1000
