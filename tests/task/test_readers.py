import gzip
import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sadari.errors import DataError
from sadari.task import read_examples, scan_rows
from sadari.types import Example, Message, Span, ToolCall

WEATHER = {
    "name": "get_weather",
    "description": "Weather of a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


def write_rows(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def read_row(tmp_path: Path, row: dict[str, Any]) -> Example:
    return read_examples(write_rows(tmp_path / "rows.jsonl", row))[0]


def problems_of(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_examples(path, folder=path.parent)
    return str(caught.value)


QA = (Message("user", "배송비는?"), Message("assistant", "3,000원"))


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [{"role": "user", "content": "배송비는?"}, {"role": "assistant", "content": "3,000원"}]},
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "배송비는?"}]},
                {"role": "assistant", "content": "3,000원"},
            ]
        },
        {"conversations": [{"from": "human", "value": "배송비는?"}, {"from": "gpt", "value": "3,000원"}]},
        {"input": "배송비는?", "output": "3,000원"},
        {"prompt": "배송비는?", "completion": "3,000원"},
        {"prompt": [{"role": "user", "content": "배송비는?"}], "completion": [{"role": "assistant", "content": "3,000원"}]},
        {"instruction": "배송비는?", "input": "", "output": "3,000원"},
        {"question": "배송비는?", "answer": "3,000원"},
        {"question": "배송비는?", "answers": ["3,000원"]},
        {"text": "배송비는?", "label": "3,000원"},
    ],
)
def test_every_shape_of_a_pair_gives_the_same_example(tmp_path: Path, row: dict[str, Any]) -> None:
    example = read_row(tmp_path, row)
    assert example.messages == QA
    assert example.reference.texts == ("3,000원",)
    assert (example.question, example.kind) == ("배송비는?", "chat")


def test_the_weight_of_each_message_is_kept(tmp_path: Path) -> None:
    turns = [("user", "a", None), ("assistant", "b", 0), ("user", "c", None), ("assistant", "d", 0.5)]
    row = {"messages": [{"role": r, "content": c} | ({} if w is None else {"weight": w}) for r, c, w in turns]}
    assert [message.weight for message in read_row(tmp_path, row).messages] == [None, 0.0, None, 0.5]


@pytest.mark.parametrize("arguments", ['{"city": "서울"}', {"city": "서울"}])
@pytest.mark.parametrize("tool", [WEATHER, {"type": "function", "function": WEATHER}])
def test_tools_and_calls_are_read_wrapped_or_bare(tmp_path: Path, arguments: Any, tool: dict[str, Any]) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": arguments}}
    row = {
        "tools": [tool],
        "messages": [
            {"role": "user", "content": "서울 날씨"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "content": "맑음", "tool_call_id": "c1"},
            {"role": "assistant", "content": "맑습니다."},
        ],
    }
    example = read_row(tmp_path, row)
    assert example.tools[0].parameters == WEATHER["parameters"]
    assert example.messages[1].tool_calls == (ToolCall("get_weather", {"city": "서울"}, "c1"),)
    assert example.messages[2].tool_call_id == "c1"
    assert example.target.content == "맑습니다."


def test_a_conversation_that_ends_in_a_call_has_the_call_as_its_reference(tmp_path: Path) -> None:
    call = {"name": "get_weather", "arguments": {"city": "부산"}}
    row = {"tools": [WEATHER], "messages": [{"role": "user", "content": "부산?"}, {"role": "assistant", "tool_calls": [call]}]}
    assert read_row(tmp_path, row).reference.calls == (ToolCall("get_weather", {"city": "부산"}),)


def test_sharegpt_function_calls_and_observations_become_tool_turns(tmp_path: Path) -> None:
    turns = [
        ("human", "서울?"),
        ("function_call", '{"name": "get_weather", "arguments": {"city": "서울"}}'),
        ("observation", "맑음"),
        ("gpt", "맑아요"),
    ]
    row = {"system": "짧게", "conversations": [{"from": f, "value": v} for f, v in turns], "tools": json.dumps([WEATHER])}
    example = read_row(tmp_path, row)
    assert [message.role for message in example.messages] == ["system", "user", "assistant", "tool", "assistant"]
    assert example.messages[2].tool_calls == (ToolCall("get_weather", {"city": "서울"}),)


def test_alpaca_rows_keep_system_history_and_input(tmp_path: Path) -> None:
    row = {"system": "s", "history": [["q1", "a1"]], "instruction": "요약해", "input": "긴 글", "output": "짧은 글"}
    assert read_row(tmp_path, row).messages == (
        Message("system", "s"),
        Message("user", "q1"),
        Message("assistant", "a1"),
        Message("user", "요약해\n긴 글"),
        Message("assistant", "짧은 글"),
    )


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "q", "chosen": "good", "rejected": "bad"},
        {
            "prompt": [{"role": "user", "content": "q"}],
            "chosen": [{"role": "assistant", "content": "good"}],
            "rejected": [{"role": "assistant", "content": "bad"}],
        },
        {
            "chosen": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "good"}],
            "rejected": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "bad"}],
        },
    ],
)
def test_preference_pairs_keep_both_answers(tmp_path: Path, row: dict[str, Any]) -> None:
    example = read_row(tmp_path, row)
    assert example.kind == "preference"
    assert example.messages == (Message("user", "q"), Message("assistant", "good"))
    assert example.rejected == "bad"


def test_raw_text_is_one_assistant_message(tmp_path: Path) -> None:
    example = read_row(tmp_path, {"text": "그냥 글"})
    assert (example.kind, example.messages, example.question) == ("text", (Message("assistant", "그냥 글"),), "")


def test_answers_with_their_place_give_a_gold_span_in_the_relevant_document(tmp_path: Path) -> None:
    row = {"question": "얼마?", "answers": [{"text": "3,000원", "answer_start": 5}, {"text": "삼천 원"}], "relevant": ["ship.md"]}
    reference = read_row(tmp_path, row).reference
    assert reference.texts == ("3,000원", "삼천 원")
    assert reference.spans == (Span("ship.md", 5, 11, "3,000원"),)


def test_extras_are_kept_on_any_row(tmp_path: Path) -> None:
    row = {
        "id": 7,
        "group": "g",
        "tags": ["vip"],
        "question": "언제?",
        "answer": "2일",
        "facts": ["2일", ["이틀", "2일"]],
        "spans": [{"document": "a.md", "start": 0, "end": 2, "quote": "2일"}],
    }
    example = read_row(tmp_path, row)
    assert (example.id, example.group, example.tags) == ("7", "g", ("vip",))
    assert example.reference.facts == (("2일",), ("이틀", "2일"))
    assert example.reference.spans == (Span("a.md", 0, 2, "2일"),)


def test_an_abstaining_row_without_wording_learns_the_default_abstention(tmp_path: Path) -> None:
    example = read_row(tmp_path, {"question": "주차?", "answer": "", "abstain": True})
    assert example.reference.abstain
    assert example.target.content == "문서에서 확인할 수 없습니다."


def test_a_question_without_an_answer_turn_takes_its_references(tmp_path: Path) -> None:
    row = {"messages": [{"role": "user", "content": "수도?"}], "references": ["서울", "서울시"]}
    example = read_row(tmp_path, row)
    assert example.reference.texts == ("서울", "서울시")
    assert example.target.content == "서울"


def test_a_table_with_two_columns_of_any_name_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes('\ufeff문의,분류\n"배송, 언제\n와요?",배송\n환불해줘,환불\n'.encode())
    first, second = scan_rows(path, folder=tmp_path).rows
    assert (first.example.question, first.example.target.content) == ("배송, 언제\n와요?", "배송")
    assert second.where == "a.csv line 4"


def test_tables_may_be_separated_by_tabs_and_packed(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv.gz"
    path.write_bytes(gzip.compress("text\tlabel\n안녕\t인사\n".encode()))
    assert read_examples(path)[0].target.content == "인사"


def test_a_json_file_holds_a_list_of_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('[{"input": "a", "output": "b"}, {"input": "c"}]')
    scan = scan_rows(path, folder=tmp_path)
    assert len(scan.rows) == 1
    assert scan.problems[0].startswith("a.json row 2: has `input` but no answer")


def test_decomposed_hangul_is_composed_in_every_string(tmp_path: Path) -> None:
    apart = unicodedata.normalize("NFD", "한글")
    row = {
        "messages": [
            {"role": "user", "content": apart},
            {"role": "assistant", "tool_calls": [{"name": "f", "arguments": {apart: apart}}]},
        ]
    }
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(row))  # escaped, so that only the reading of the string can compose it
    example = read_examples(path)[0]
    assert example.question == "한글"
    assert example.reference.calls[0].arguments == {"한글": "한글"}


def test_ids_come_from_content_so_that_file_order_does_not_matter(tmp_path: Path) -> None:
    rows = [{"input": "a", "output": "b"}, {"input": "c", "output": "d"}]
    forth = read_examples(write_rows(tmp_path / "a.jsonl", *rows))
    back = read_examples(write_rows(tmp_path / "b.jsonl", *reversed(rows)))
    assert {e.question: e.id for e in forth} == {e.question: e.id for e in back}


def test_repeated_content_gets_a_suffix(tmp_path: Path) -> None:
    row = {"input": "a", "output": "b"}
    ids = [example.id for example in read_examples(write_rows(tmp_path / "a.jsonl", row, row, row))]
    assert ids == [ids[0], f"{ids[0]}-2", f"{ids[0]}-3"]


# --- bad input -------------------------------------------------------------------------------------------------------------


def test_all_bad_rows_are_told_at_once_with_file_line_and_field(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    good = '{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}'
    role = '{"messages": [{"role": "user", "content": "q"}, {"role": "asistant", "content": "a"}]}'
    weight = '{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a", "weight": 2}]}'
    empty = '{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": " "}]}'
    path.write_text("\n".join([good, '{"messages": [', role, weight, empty, "[1]", '{"a": 1}']))
    lines = problems_of(path).split("\n")
    assert [line.split(":")[0] for line in lines] == [f"train.jsonl line {n}" for n in (2, 3, 4, 5, 6, 7)]
    assert "broken JSON" in lines[0]
    assert 'messages[1].role: "asistant" is no known role. Did you mean `assistant`?' in lines[1]
    assert "messages[1].weight: is 2. A weight is a number from 0 (not learnt) to 1" in lines[2]
    assert "messages[1].content: is empty. Fill it in or delete the line." in lines[3]
    assert "must be a JSON object, but this is a list" in lines[4]
    assert "none of the known shapes (its keys: `a`)" in lines[5]


def test_more_than_twenty_problems_are_counted(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "a.jsonl", *({"question": f"q{n}", "answer": ""} for n in range(25)))
    assert problems_of(path).endswith("... and 5 more problems of this kind.")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"question": "q", "answers": []}, "answers: is empty"),
        ({"question": "q", "answers": ["a", ""]}, "answers[1]: is empty"),
        ({"question": "", "answer": "a"}, "question: is empty"),
        ({"question": "q", "answer": True}, "answer: is true, not text. Write it in quotes"),
        ({"messages": [{"role": "user", "content": "q"}]}, "reference: is missing: nothing says what a right answer is"),
        ({"messages": [{"role": "user", "content": "q"}], "reference": ""}, "reference: is empty"),
        ({"messages": []}, "messages: must be a list of at least one message, but is empty"),
        ({"messages": [{"role": "assistant", "content": "a"}]}, "has no user turn"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "only text parts can be read, but this is image_url",
        ),
        ({"prompt": "q", "chosen": "a", "rejected": "a"}, "rejected: is the same as `chosen`"),
        ({"question": "q", "answer": "a", "abstain": "perhaps"}, "abstain: is 'perhaps'. Give true or false"),
        (
            {"question": "q", "answer": "a", "spans": [{"document": "d", "start": 5, "end": 2, "quote": "x"}]},
            "must be character positions",
        ),
        ({"question": "q", "answer": "\ud83d"}, "answer: holds half of a surrogate pair"),
        ({"question": "q", "answer": "a", "tools": [{"name": "t", "parameters": {"type": "nothing"}}]}, "is not a JSON Schema"),
    ],
)
def test_a_fault_of_a_field_is_named_with_its_remedy(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(row))
    assert message in problems_of(path)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"name": "get_wether", "arguments": {}}, '"get_wether" is not among the tools of this row. Did you mean `get_weather`?'),
        ({"name": "get_weather", "arguments": {}}, "arguments: 'city' is a required property, says the schema of `get_weather`"),
        ({"name": "get_weather", "arguments": {"city": 3}}, "arguments.city: 3 is not of type 'string'"),
        ({"name": "get_weather", "arguments": "{city"}, "arguments: is not JSON"),
    ],
)
def test_a_call_must_match_the_schema_of_a_declared_tool(tmp_path: Path, call: dict[str, Any], message: str) -> None:
    row = {"tools": [WEATHER], "messages": [{"role": "user", "content": "q"}, {"role": "assistant", "tool_calls": [call]}]}
    assert message in problems_of(write_rows(tmp_path / "a.jsonl", row))


def test_tool_schemas_with_python_type_names_are_understood(tmp_path: Path) -> None:
    tool = {"name": "area", "parameters": {"type": "dict", "properties": {"base": {"type": "float"}}}}
    call = {"name": "area", "arguments": {"base": 1.5}}
    row = {"tools": [tool], "messages": [{"role": "user", "content": "q"}, {"role": "assistant", "tool_calls": [call]}]}
    assert read_row(tmp_path, row).tools[0].parameters["type"] == "object"


def test_a_schema_that_points_elsewhere_is_named_and_not_fetched(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "tool_calls": [{"name": "f", "arguments": {"city": "x"}}]}]
    row = {"tools": [{"name": "f", "parameters": {"$ref": "http://127.0.0.1:9/schema"}}], "messages": turns}
    assert "arguments: cannot be checked (" in problems_of(write_rows(tmp_path / "a.jsonl", row))


def test_half_a_surrogate_pair_in_an_argument_is_named(tmp_path: Path) -> None:
    turns = [
        {"role": "user", "content": "q"},
        {"role": "assistant", "tool_calls": [{"name": "f", "arguments": {"city": "\ud83d"}}]},
    ]
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"messages": turns}))
    assert "messages[1].tool_calls[0].arguments: holds half of a surrogate pair" in problems_of(path)


def test_duplicate_ids_name_both_lines(tmp_path: Path) -> None:
    rows = [{"id": name, "input": text, "output": "x"} for name, text in (("a", "1"), ("b", "2"), ("a", "3"))]
    assert 'a.jsonl line 3: id: "a" also stands on line 1.' in problems_of(write_rows(tmp_path / "a.jsonl", *rows))


def test_mixed_formats_name_the_line_that_differs(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "a.jsonl", {"input": "a", "output": "b"}, {"prompt": "a", "completion": "b"})
    assert "a.jsonl line 2: mixed formats: this row is `prompt/completion`, but line 1 is `input/...`" in problems_of(path)


def test_a_file_that_is_not_utf8_names_the_byte_and_the_likely_encoding(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"text,label\n" + "가,나\n".encode("cp949"))
    assert "a.csv line 2: not UTF-8 at byte 11 (0xb0). It may be cp949" in problems_of(path)
    path.write_bytes("text,label\n가,나\n".encode("utf-16"))
    assert "It may be utf-16; convert it: iconv -f utf-16 -t utf-8." in problems_of(path)


def test_a_missing_file_suggests_its_neighbour(tmp_path: Path) -> None:
    write_rows(tmp_path / "train.jsonl", {"input": "a", "output": "b"})
    assert "tran.jsonl: no such file. Did you mean `train.jsonl`?" in problems_of(tmp_path / "tran.jsonl")


def test_a_folder_in_place_of_a_file_names_a_file_in_it(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    write_rows(tmp_path / "data" / "train.jsonl", {"input": "a", "output": "b"})
    assert "data: is a folder, but a file is needed. Name the file in it, for example data/train.jsonl." in problems_of(
        tmp_path / "data"
    )


@pytest.mark.parametrize("content", ["", "\n \n"])
def test_an_empty_file_holds_no_examples(tmp_path: Path, content: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(content)
    assert "a.jsonl: holds no examples" in problems_of(path)


def test_a_table_with_only_a_header_holds_no_examples(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label\n")
    assert "a.csv: holds no examples" in problems_of(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text,label\na,b,c\n", "line 2: has 3 columns where the header has 2"),
        ("text;label\na;b\n", "line 1: the whole line is one column"),
        ("첫 문의,배송\n둘째,환불\n셋째,배송\n", 'there is no header line ("배송" is a value of the second column)'),
        ("a,b,c\n1,2,3\n", "no pair of columns is known as question and answer in a, b, c"),
        ('text,label\n"open,b\n', "line 2: broken table"),
    ],
)
def test_a_broken_table_names_the_line_and_the_remedy(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(content)
    assert message in problems_of(path)


def test_a_damaged_archive_and_an_unknown_ending_are_named(tmp_path: Path) -> None:
    packed, sheet = tmp_path / "a.jsonl.gz", tmp_path / "a.xlsx"
    packed.write_bytes(b"no gzip")
    sheet.write_bytes(b"x")
    assert "a.jsonl.gz: cannot be unpacked as gzip" in problems_of(packed)
    assert 'a.xlsx: files ending in ".xlsx" are not read. Give one of .jsonl' in problems_of(sheet)


def test_real_rows_are_read_whole(shared_data: Path) -> None:
    assert len(read_examples(shared_data / "banking77" / "train.csv")) == 10_003
    assert len(read_examples(shared_data / "ko-chatbot" / "train.jsonl")) == 8_750
    assert all(example.reference.spans for example in read_examples(shared_data / "ko-wiki-qa" / "test.jsonl"))


CALL = {"id": "c", "type": "function", "function": {"name": "get_weather", "arguments": {"city": "서울"}}}
WHOLE_ROWS: list[dict[str, Any]] = [
    {
        "tools": [{"type": "function", "function": WEATHER}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "q"}]},
            {"role": "assistant", "content": None, "tool_calls": [CALL], "weight": 1},
            {"role": "tool", "content": "맑음", "tool_call_id": "c"},
            {"role": "assistant", "content": "a", "function_call": None},
        ],
        "reference": {"texts": ["a"], "facts": [["a"]], "calls": [CALL], "abstain": False},
    },
    {
        "system": "s",
        "conversations": [{"from": "human", "value": "q"}, {"from": "function_call", "value": "[]"}, {"from": "gpt", "value": "a"}],
    },
    {"system": "s", "history": [["q", "a"]], "instruction": "i", "input": "n", "output": "o"},
    {
        "id": 1,
        "group": "g",
        "tags": ["t"],
        "question": "q",
        "answers": [{"text": "a", "answer_start": 3}],
        "relevant": ["d"],
        "context": "c",
    },
    {"question": "q", "answers": {"text": ["a"], "answer_start": [3]}, "references": ["a"]},
    {
        "question": "q",
        "answer": "a",
        "spans": [{"document": "d", "start": 0, "end": 1, "quote": "a"}],
        "facts": ["a"],
        "abstain": 0,
    },
    {"prompt": [{"role": "user", "content": "q"}], "chosen": {"role": "assistant", "content": "a"}, "rejected": "b"},
    {"prompt": "p", "completion": [{"role": "assistant", "content": "c"}]},
    {"text": "t"},
]
scalars = (
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.sampled_from(["", "user", "[", "{}", "[1]", "가", "\ud83d"])
)
odd = (
    scalars
    | st.lists(scalars, max_size=2)
    | st.dictionaries(st.sampled_from(["text", "name", "role", "type", "x"]), scalars, max_size=2)
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place inside a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [*([path] if path else []), *(place for key, item in inner for place in places(item, (*path, key)))]


@given(st.data())
@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_row_however_odd_breaks_the_reader(tmp_path: Path, data: st.DataObject) -> None:
    row = json.loads(json.dumps(data.draw(st.sampled_from(WHOLE_ROWS))))
    for _ in range(data.draw(st.integers(1, 2))):
        *way, last = data.draw(st.sampled_from(places(row)))
        target = row
        for key in way:
            target = target[key]
        target[last] = data.draw(odd)
    path = tmp_path / "odd.jsonl"
    path.write_text(json.dumps(row))
    scan = scan_rows(path)
    assert scan.rows or scan.problems
    assert all("odd.jsonl" in problem for problem in scan.problems)
