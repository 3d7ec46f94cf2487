"""A row that is written reads again as the same example, whatever shape it came in."""

import json
from pathlib import Path
from typing import Any

import pytest

from sadari.task.readers import read_examples
from sadari.task.writers import example_row, write_examples

CALL = {"id": "call-1", "type": "function", "function": {"name": "find", "arguments": '{"number": "A-1"}'}}
TOOL = {
    "type": "function",
    "function": {
        "name": "find",
        "description": "주문 조회",
        "parameters": {"type": "object", "properties": {"number": {"type": "string"}}},
    },
}
ROWS: dict[str, dict[str, Any]] = {
    "messages with weights": {
        "messages": [
            {"role": "system", "content": ""},
            {"role": "user", "content": "하나"},
            {"role": "assistant", "content": "둘 ", "weight": 0},
            {"role": "user", "content": "셋"},
            {"role": "assistant", "content": "넷", "weight": 0.5},
        ],
        "id": "row-1",
        "group": "g",
        "tags": ["ko", "short"],
    },
    "tools and a call": {
        "messages": [
            {"role": "user", "content": "A-1 어디?"},
            {"role": "assistant", "content": "", "tool_calls": [CALL]},
            {"role": "tool", "content": '{"state": "moving"}', "tool_call_id": "call-1"},
            {"role": "assistant", "content": "가는 중입니다."},
        ],
        "tools": [TOOL],
    },
    "the right answer is a call": {
        "messages": [{"role": "user", "content": "A-1 어디?"}, {"role": "assistant", "content": None, "tool_calls": [CALL]}],
        "tools": [TOOL],
    },
    "calls beside a question": {
        "messages": [{"role": "user", "content": "A-1 어디?"}],
        "tools": [TOOL],
        "calls": [{"name": "find", "arguments": {"number": "A-1"}}],
        "accepts": [{"name": "find", "arguments": {"number": ["A-1", "a1"]}, "optional": []}],
    },
    "several references": {"question": "수도?", "references": ["서울", "서울특별시"], "facts": [["서울", "Seoul"], ["한국"]]},
    "a reference unlike the answer": {"question": "수도?", "answer": "서울입니다", "references": ["서울"]},
    "answers": {"question": "수도?", "answers": ["서울", "서울시"]},
    "spans": {"question": "며칠?", "answer": "3일", "spans": [{"document": "a.md", "start": 2, "end": 4, "quote": "3일"}]},
    "relevant documents": {"question": "며칠?", "answer": "3일", "relevant": ["a.md", "b.md"]},
    "a span by its start": {"question": "며칠?", "answers": [{"text": "3일", "answer_start": 7}], "relevant": ["a.md"]},
    "abstention": {"question": "내일 날씨?", "abstain": True},
    "abstention in words": {"question": "내일 날씨?", "answer": "모릅니다.", "abstain": True},
    "alpaca": {"instruction": "옮겨라", "input": "cat", "output": "고양이", "system": "번역가"},
    "sharegpt": {"conversations": [{"from": "human", "value": "안녕"}, {"from": "gpt", "value": "네"}]},
    "completion": {"prompt": "하늘은", "completion": " 파랗다"},
    "preference": {"prompt": "인사해", "chosen": "안녕하세요", "rejected": "뭐"},
    "preference in messages": {
        "prompt": [{"role": "system", "content": "공손히"}, {"role": "user", "content": "인사해"}],
        "chosen": [{"role": "assistant", "content": "안녕하세요", "weight": 0.5}],
        "rejected": [{"role": "assistant", "content": "뭐"}],
    },
    "raw text": {"text": "  그냥 글입니다.\n", "tags": ["raw"]},
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_a_written_row_reads_as_the_same_example(row: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps(row, ensure_ascii=False) + "\n")
    examples = read_examples(tmp_path / "a.jsonl")
    write_examples(tmp_path / "b.jsonl", examples)
    assert read_examples(tmp_path / "b.jsonl") == examples


def test_writing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(
        "".join(json.dumps(ROWS[name]) + "\n" for name in ("messages with weights", "tools and a call"))
    )
    write_examples(tmp_path / "b.jsonl", read_examples(tmp_path / "a.jsonl"))
    write_examples(tmp_path / "c.jsonl", read_examples(tmp_path / "b.jsonl"))
    assert (tmp_path / "b.jsonl").read_bytes() == (tmp_path / "c.jsonl").read_bytes()


def test_a_row_says_nothing_that_is_empty(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": "x", "question": "수도?", "answer": "서울"}\n')
    turns = [{"role": "user", "content": "수도?"}, {"role": "assistant", "content": "서울"}]
    assert example_row(read_examples(tmp_path / "a.jsonl")[0]) == {"id": "x", "messages": turns}


@pytest.mark.parametrize("name", ["train", "test"])
def test_the_example_shop_survives_the_trip(name: str, tmp_path: Path) -> None:
    examples = read_examples(Path(__file__).parents[2] / "examples" / "mall" / "data" / f"{name}.jsonl")
    write_examples(tmp_path / "b.jsonl", examples)
    assert read_examples(tmp_path / "b.jsonl") == examples


def test_real_tool_calls_survive_the_trip(shared_data: Path, tmp_path: Path) -> None:
    rows = []
    for line in (shared_data / "ko-functionchat" / "singlecall.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        rows.append({"id": row["id"], "messages": row["messages"], "tools": row["tools"], "calls": [row["ground_truth"]]})
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    examples = read_examples(tmp_path / "a.jsonl")
    write_examples(tmp_path / "b.jsonl", examples)
    assert read_examples(tmp_path / "b.jsonl") == examples
