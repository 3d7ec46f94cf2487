"""`sadari data generate` makes rows that the task can learn from, tells what it refused, and writes over nothing."""

import json
from pathlib import Path

import pytest

from command import Sadari
from generated_material import SHOP_TOOLS
from sadari.task import load_task, read_examples
from sadari.task.writers import example_row
from sadari.types import Example, Message, Reference, ToolCall
from small_tasks import write_documents_task, write_task


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return write_documents_task(tmp_path / "shop")


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A task whose train rows declare tools."""

    def row(name: str, product: str) -> dict[str, object]:
        call = ToolCall("search_products", {"query": product}, "c1")
        turns = (Message("user", f"{product} 찾아 주세요"), Message("assistant", "", tool_calls=(call,)))
        return example_row(Example(name, turns, Reference(calls=(call,)), SHOP_TOOLS))

    train = [row(f"a{n}", product) for n, product in enumerate(("장화", "비옷", "모자", "장갑"))]
    return write_task(tmp_path / "desk", train, [row("t0", "우산"), row("t1", "안경")], rules=[{"say": "네"}], goal="돕는다.")


def test_documents_give_rows_that_the_task_reads(sadari: Sadari, shop: Path) -> None:
    said = sadari("data", "generate", shop, "--from", "documents", "--rows", "3", "--passages", "2")
    assert said.code == 0
    file = shop / "generated-documents.jsonl"
    assert f"{file}: 3 rows, tagged generated." in said.out
    assert "--passages 0" in said.out
    train = shop / "train.jsonl"
    pairs = [json.dumps(example_row(e), ensure_ascii=False) for e in (*read_examples(train), *read_examples(file))]
    train.write_text("\n".join(pairs))
    task = load_task(shop)
    assert sum("generated" in example.tags for example in (*task.train, *task.validation)) == 3


def test_tools_come_from_train_rows_and_from_a_file(sadari: Sadari, desk: Path, tmp_path: Path) -> None:
    extra = {"name": "cancel_order", "description": "주문을 취소합니다.", "parameters": {"type": "object", "properties": {}}}
    (tmp_path / "more.json").write_text(json.dumps([{"type": "function", "function": extra}], ensure_ascii=False))
    said = sadari(
        "data", "generate", desk, "--rows", "40", "--tools", tmp_path / "more.json", "--json", "--output", tmp_path / "o.jsonl"
    )
    assert said.json["made"] == 40
    assert said.json["file"] == str(tmp_path / "o.jsonl")
    offered = {spec.name for row in read_examples(tmp_path / "o.jsonl") for spec in row.tools}
    assert offered == {spec.name for spec in SHOP_TOOLS} | {"cancel_order"}


def test_paraphrases_and_rationales_come_from_train_rows(sadari: Sadari, shop: Path, tmp_path: Path) -> None:
    assert sadari("data", "generate", shop, "--from", "paraphrases", "--rows", "2").code == 0
    rules = tmp_path / "teacher.json"
    rules.write_text(json.dumps([{"say": '{"reasoning": "정책을 차례로 따져 봅니다.", "answer": "배송비는 3,000원입니다."}'}]))
    said = sadari("data", "generate", shop, "--from", "rationales", "--rows", "2", "--teacher", f"scripted:{rules}", "--json")
    assert said.json["made"] == 2
    assert said.json["refused"]["the teacher's answer is not the reference"] > 0
    for row in read_examples(shop / "generated-rationales.jsonl"):
        assert row.target.content == "정책을 차례로 따져 봅니다.\n답: 배송비는 3,000원입니다."


def test_an_existing_file_is_never_written_over(sadari: Sadari, shop: Path) -> None:
    before = (shop / "train.jsonl").read_bytes()
    said = sadari("data", "generate", shop, "--from", "documents", "--output", shop / "train.jsonl")
    assert said.code == 2
    assert "exists and is not written over" in said.err
    assert (shop / "train.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("flags", "code", "told"),
    [
        (("--from", "rationales"), 2, "name a model with --teacher"),
        (("--from", "documents", "--tools", "x.json"), 2, "--tools gives tools"),
        (("--from", "documents", "--output", "rows.csv"), 2, "ends in .jsonl"),
        (("--from", "tools"), 3, "no train row declares `tools`"),
        (("--from", "tools", "--tools", "missing.json"), 3, "no such file"),
        (("--from", "documents", "--rows", "0"), 2, "--rows"),
    ],
)
def test_flags_that_cannot_be_meant_are_told(sadari: Sadari, shop: Path, flags: tuple[str, ...], code: int, told: str) -> None:
    said = sadari("data", "generate", shop, *flags)
    assert said.code == code
    assert told in " ".join(said.err.split())
    assert not list(shop.glob("generated-*"))


def test_nothing_is_written_where_no_row_can_be_made(sadari: Sadari, shop: Path, tmp_path: Path) -> None:
    rules = tmp_path / "teacher.json"
    rules.write_text(json.dumps([{"say": "모르겠습니다."}]))
    said = sadari("data", "generate", shop, "--from", "documents", "--rows", "2", "--teacher", f"scripted:{rules}")
    assert said.code == 3
    assert "the teacher's answer is no JSON" in said.err
    assert not (shop / "generated-documents.jsonl").exists()
