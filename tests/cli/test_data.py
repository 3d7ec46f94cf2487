"""`sadari data clean` says what it did, writes to a new folder only, and prints no personal data."""

import json
from pathlib import Path

import pytest

from command import Sadari
from small_tasks import write_task


@pytest.fixture
def task(tmp_path: Path) -> Path:
    """Eight good rows, one repeat, one leak, one broken, one with a phone number."""
    test = [
        {"id": f"s{n}", "question": f"{thing} 교환은 어떻게 하나요?", "answer": "접수하세요."}
        for n, thing in enumerate(("신발", "모자"))
    ]
    train = [
        {"id": f"t{n}", "question": f"{thing}의 배송비가 얼마인지요?", "answer": f"{n + 2}천 원"}
        for n, thing in enumerate("책컵옷펜공종초솥")
    ]
    train += [
        {**train[0], "id": "again"},
        {**test[0], "id": "leak"},
        {"id": "broken", "question": "무엇?", "answer": ""},
        {"id": "mine", "question": "제 번호는 010-1234-5678입니다", "answer": "적어 두었습니다."},
    ]
    return write_task(tmp_path / "shop", train, test, rules=[{"say": "네"}], goal="고객에게 답한다.")


def test_clean_tells_what_it_did_and_names_the_new_folder(sadari: Sadari, task: Path) -> None:
    said = sadari("data", "clean", task)
    assert said.code == 0
    assert "train.jsonl line 9: duplicate: repeats train.jsonl line 1" in said.out
    assert "train.jsonl line 10: leak: asks what test.jsonl line 1 asks (test)" in said.out
    assert "train.jsonl line 11: broken: answer: is empty" in said.out
    assert f"{task}-clean: the clean task." in said.out
    assert (task.parent / "shop-clean" / "sadari.yaml").is_file()


def test_the_json_counts_rows_and_holds_no_personal_data(sadari: Sadari, task: Path, tmp_path: Path) -> None:
    said = sadari("data", "clean", task, "--out", tmp_path / "new", "--mask", "--json")
    found = json.loads(said.out)
    assert found["splits"]["train"] == {"read": 12, "written": 9}
    assert found["splits"]["test"] == {"read": 2, "written": 2}
    assert found["masked"] == {"values": 1, "places": 1}
    assert found["placeholders"] == {"[전화1]": 1}
    assert "1234-5678" not in said.out + said.err
    assert "[전화1]" in (tmp_path / "new" / "data" / "train.jsonl").read_text()


def test_the_mapping_is_written_only_where_it_is_asked_for(sadari: Sadari, task: Path, tmp_path: Path) -> None:
    said = sadari("data", "clean", task, "--out", tmp_path / "new", "--mask", "--mapping", tmp_path / "map.json")
    assert "keep it apart from the data" in " ".join(said.out.split())
    assert json.loads((tmp_path / "map.json").read_text()) == {"[전화1]": "010-1234-5678"}
    assert "1234-5678" not in "".join(file.read_text() for file in (tmp_path / "new").rglob("*.*") if file.is_file())


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--mapping", "map.json"), "--mapping says how to mask: give --mask with it."),
        (("--keep-published",), "--keep-published says how to mask: give --mask with it."),
        (("--mask", "--out", "new", "--mapping", "new/map.json"), "the mapping goes to a new file outside of new"),
        (("--out", "."), "exists. The clean rows go to a new folder"),
    ],
)
def test_flags_that_cannot_be_meant_are_told(
    sadari: Sadari, task: Path, monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...], told: str
) -> None:
    monkeypatch.chdir(task)
    said = sadari("data", "clean", task, *flags)
    assert said.code == 2
    assert told in said.err.replace("\n", " ")
