"""A clean copy loses what is broken, repeated or leaked, keeps every test row, and loads as a task."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from sadari.errors import ConfigError, DataError
from sadari.task.clean import CleanOptions, clean_rows, clean_task, write_mapping
from sadari.task.readers import Row, scan_rows
from sadari.task.task import load_task
from sadari.types import Example
from small_tasks import write_task

TEST = [
    {"id": f"s{n}", "question": f"{thing} 교환은 어떻게 하나요?", "answer": f"{thing}은 접수 뒤 교환합니다."}
    for n, thing in enumerate(("신발", "모자", "가방"))
]
TRAIN = [
    {"id": f"t{n}", "question": f"{thing}의 배송비가 얼마인지요?", "answer": f"{n + 2}천 원입니다."}
    for n, thing in enumerate(["책", "컵", "옷", "펜", "공", "종", "초", "솥"])
]


def rows_of(tmp_path: Path, *rows: dict[str, Any]) -> tuple[Row, ...]:
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return scan_rows(tmp_path / "rows.jsonl", folder=tmp_path).rows


def task_of(folder: Path, train: list[dict[str, Any]], test: list[dict[str, Any]] = TEST, **options: Any) -> Path:
    return write_task(folder, train, test, rules=[{"say": "네"}], goal="고객에게 답한다.", **options)


def ids(examples: tuple[Example, ...]) -> list[str]:
    return [example.id for example in examples]


def test_a_row_that_says_the_same_again_is_dropped(tmp_path: Path) -> None:
    rows = rows_of(
        tmp_path,
        {"id": "a", "question": "배송비는 얼마예요?", "answer": "3천 원입니다."},
        {"id": "b", "question": "배송비는  얼마예요", "answer": "3천 원입니다"},
        {"id": "c", "question": "배송비는 얼마예요?", "answer": "5천 원입니다."},
    )
    cleaned = clean_rows({"train": rows})
    assert [row.example.id for row in cleaned.splits["train"]] == ["a", "c"]
    assert [(change.where, change.kind, change.why) for change in cleaned.changes] == [
        ("rows.jsonl line 2", "duplicate", "repeats rows.jsonl line 1")
    ]
    assert cleaned.notes == ("rows.jsonl line 3: answers the question of rows.jsonl line 1 differently. Keep the right one.",)


def test_a_near_duplicate_is_dropped_only_if_its_answer_is_the_same(tmp_path: Path) -> None:
    question = "주문한 상품을 받은 뒤에 마음이 바뀌어서 반품을 신청하려면 며칠 안에 어디에서 어떻게 해야 하나요"
    rows = rows_of(
        tmp_path,
        {"id": "a", "question": question, "answer": "7일 안에 하세요."},
        {"id": "b", "question": question + "요", "answer": "7일 안에 하세요."},
        {"id": "c", "question": question + "?!", "answer": "앱에서 하세요."},
        {"id": "d", "question": question + "용", "answer": "앱에서 하세요!"},
    )
    assert [row.example.id for row in clean_rows({"train": rows}).splits["train"]] == ["a", "c"]
    assert len(clean_rows({"train": rows}, options=CleanOptions(near=1)).splits["train"]) == 4


def test_the_same_last_question_after_other_turns_is_no_repeat(tmp_path: Path) -> None:
    def talk(id: str, before: str) -> dict[str, Any]:
        turns = [("user", before), ("assistant", "네."), ("user", "얼마예요?"), ("assistant", "3천 원입니다.")]
        return {"id": id, "messages": [{"role": role, "content": content} for role, content in turns]}

    rows = rows_of(tmp_path, talk("a", "책을 사려고요"), talk("b", "의자를 빌리려고요"))
    assert len(clean_rows({"train": rows}).splits["train"]) == 2


def test_invisible_characters_leave_train_and_stay_in_test(tmp_path: Path) -> None:
    row = {
        "id": "a",
        "question": "배송\u200b비는\ufeff?\r\n",
        "answer": "👨\u200d👩\u200d👧 \U0001f3f4\U000e0067\U000e0062\U000e007f 3천 원",
    }
    train, test = rows_of(tmp_path, row), rows_of(tmp_path, {**row, "id": "b", "question": "다른\u200b 것"})
    cleaned = clean_rows({"train": train, "test": test})
    assert cleaned.splits["train"][0].example.question == "배송비는?\n"
    assert cleaned.splits["train"][0].example.target.content == row["answer"]
    assert cleaned.splits["test"] == test
    assert [change.kind for change in cleaned.changes] == ["repaired"]


def test_leaks_leave_train_and_the_test_set_stays(tmp_path: Path) -> None:
    folder = task_of(tmp_path / "task", [*TRAIN, {**TEST[1], "id": "leak"}])
    cleaned = clean_task(folder, tmp_path / "clean")
    loaded = load_task(tmp_path / "clean")
    assert [(c.where, c.kind, c.why) for c in cleaned.changes] == [
        ("train.jsonl line 9", "leak", "asks what test.jsonl line 2 asks (test)")
    ]
    assert ids(loaded.test) == ["s0", "s1", "s2"]
    assert "leak" not in ids(loaded.train + loaded.validation)


def test_broken_rows_are_left_out_and_named(tmp_path: Path) -> None:
    folder = task_of(tmp_path / "task", [*TRAIN, {"id": "x", "question": "", "answer": "네"}, {"id": "y", "question": "무엇?"}])
    cleaned = clean_task(folder, tmp_path / "clean")
    assert [(c.where, c.kind) for c in cleaned.changes] == [("train.jsonl line 9", "broken"), ("train.jsonl line 10", "broken")]
    assert cleaned.read == {"train": 10, "validation": 0, "test": 3, "audit": 0}
    assert len(cleaned.splits["train"]) == 8


def test_a_broken_test_row_is_for_a_person_to_mend(tmp_path: Path) -> None:
    folder = task_of(tmp_path / "task", TRAIN, [*TEST, {"id": "x", "question": "무엇?", "answer": ""}])
    with pytest.raises(DataError, match=r"test.jsonl line 4: answer: is empty"):
        clean_task(folder, tmp_path / "clean")
    assert not (tmp_path / "clean").exists()


def test_a_row_that_only_the_whole_task_refuses_is_left_out_too(tmp_path: Path) -> None:
    folder = task_of(
        tmp_path / "task",
        [{"input": f"{row['question']}", "output": "예" if n else "글쎄"} for n, row in enumerate(TRAIN)],
        [{"input": row["question"], "output": "아니오"} for row in TEST],
        labels=["예", "아니오"],
    )
    cleaned = clean_task(folder, tmp_path / "clean")
    assert [(c.where, c.kind) for c in cleaned.changes] == [("train.jsonl line 1", "broken")]
    assert '"글쎄" is not in `labels`' in cleaned.changes[0].why


def test_a_lost_quote_in_test_is_told_by_its_place_in_the_users_file(tmp_path: Path) -> None:
    (tmp_path / "task" / "docs").mkdir(parents=True)
    (tmp_path / "task" / "docs" / "a.md").write_text("# 안내\n\n반품은 7일.\n")
    lost = {"spans": [{"document": "a.md", "start": 0, "end": 2, "quote": "8일"}]}
    folder = task_of(tmp_path / "task", TRAIN, [*TEST[:2], {**TEST[2], **lost}], documents="docs/")
    with pytest.raises(DataError, match=r"^test.jsonl line 3: spans\[0\]: \"8일\" does not stand in a.md"):
        clean_task(folder, tmp_path / "clean")


def test_without_masking_the_copy_is_the_same_task(tmp_path: Path) -> None:
    shop = Path(__file__).parents[2] / "examples" / "mall"
    clean_task(shop, tmp_path / "clean")
    ours, theirs = load_task(tmp_path / "clean"), load_task(shop)
    assert (ours.train, ours.validation, ours.test) == (theirs.train, theirs.validation, theirs.test)
    assert ours.documents == theirs.documents
    assert ours.score == theirs.score


def test_a_masked_task_loads_and_holds_no_personal_data(tmp_path: Path) -> None:
    from sadari.task.survey import survey

    (tmp_path / "task" / "docs").mkdir(parents=True)
    page = "# 안내\n\n담당은 010-2222-3333입니다. 반품은 7일 안에 합니다.\n"
    (tmp_path / "task" / "docs" / "a.md").write_text(page)

    def cited(row: dict[str, Any]) -> dict[str, Any]:
        quote = "담당은 010-2222-3333입니다."
        at = page.index(quote)
        spans = [{"document": "a.md", "start": at, "end": at + len(quote), "quote": quote}]
        return {**row, "answer": quote, "facts": [["010-2222-3333"]], "spans": spans}

    train = [
        *TRAIN,
        {"id": "p", "question": "제 번호 010-1234-5678로 담당이 누구인지 알려 주세요", "answer": "네, 010-1234-5678로요."},
    ]
    folder = task_of(tmp_path / "task", train, [cited(row) for row in TEST], documents="docs/", score={"by": "facts"})
    cleaned = clean_task(folder, tmp_path / "clean", CleanOptions(mask=True))
    loaded = load_task(tmp_path / "clean")
    assert survey(loaded).counts == {}
    assert len(loaded.test) == len(TEST)
    span = loaded.test[0].reference.spans[0]
    assert loaded.documents[0].text[span.start : span.end] == span.quote == loaded.test[0].target.content == "담당은 [전화2]입니다."
    assert loaded.test[0].reference.facts == (("[전화2]",),)
    assert cleaned.mapping == {"[전화1]": "010-1234-5678", "[전화2]": "010-2222-3333"}
    assert "010-" not in "".join(file.read_text() for file in (tmp_path / "clean").rglob("*") if file.is_file())


def test_published_values_can_be_kept_everywhere(tmp_path: Path) -> None:
    (tmp_path / "task" / "docs").mkdir(parents=True)
    (tmp_path / "task" / "docs" / "a.md").write_text("# 안내\n\n고객센터 02-555-1234\n")
    train = [*TRAIN, {"id": "p", "question": "저는 010-1234-5678이고, 번호가?", "answer": "02-555-1234입니다."}]
    folder = task_of(tmp_path / "task", train, documents="docs/")
    cleaned = clean_task(folder, tmp_path / "clean", CleanOptions(mask=True, keep_published=True))
    row = next(row.example for row in cleaned.splits["train"] if row.example.id == "p")
    assert [message.content for message in row.messages] == ["저는 [전화1]이고, 번호가?", "02-555-1234입니다."]
    assert "02-555-1234" in (tmp_path / "clean" / "docs" / "a.md").read_text()


def test_one_file_for_everything_keeps_the_test_set_that_is_cut_from_it(tmp_path: Path) -> None:
    folder = task_of(tmp_path / "task", TRAIN, TEST, examples={"all": "train.jsonl"})
    before = load_task(folder)
    clean_task(folder, tmp_path / "clean")
    after = load_task(tmp_path / "clean")
    assert ids(after.test) == ids(before.test)
    assert {*ids(after.train), *ids(after.validation)} == {*ids(before.train), *ids(before.validation)}


def test_tables_and_jsonl_documents_are_cleaned_too(tmp_path: Path) -> None:
    folder = task_of(tmp_path / "task", TRAIN, documents="pages.jsonl", examples={"train": "rows.csv", "test": "test.jsonl"})
    (folder / "pages.jsonl").write_text('{"id": "p#1", "title": "안내", "text": "담당 010-1234-5678"}\n')
    (folder / "rows.csv").write_text("question,answer\n" + "".join(f"{r['question']},{r['answer']}\n" for r in TRAIN))
    clean_task(folder, tmp_path / "clean", CleanOptions(mask=True))
    loaded = load_task(tmp_path / "clean")
    assert [document.text for document in loaded.documents] == ["담당 [전화1]"]
    assert len(loaded.train) + len(loaded.validation) == len(TRAIN)


def test_paths_of_other_files_still_lead_to_them(tmp_path: Path) -> None:
    folder = task_of(tmp_path / "task", TRAIN, score={"by": "json", "json_schema": "schema.json"})
    (folder / "schema.json").write_text("{}")
    clean_task(folder, tmp_path / "elsewhere" / "clean")
    loaded = load_task(tmp_path / "elsewhere" / "clean")
    assert loaded.score.json_schema is not None
    assert (loaded.folder / loaded.score.json_schema).resolve() == (folder / "schema.json").resolve()
    assert loaded.model.startswith("scripted:")
    assert Path(loaded.model.removeprefix("scripted:")).resolve() == (folder / "rules.json").resolve()


def test_what_stands_in_the_way_is_never_overwritten(tmp_path: Path) -> None:
    folder = task_of(tmp_path / "task", TRAIN)
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    with pytest.raises(ConfigError, match=r"exists\. The clean rows go to a new folder"):
        clean_task(folder, folder)
    clean_task(folder, folder / "clean")
    assert {file: file.read_bytes() for file in before} == before


def test_the_copy_may_not_lie_in_the_documents(tmp_path: Path) -> None:
    (tmp_path / "task" / "docs").mkdir(parents=True)
    (tmp_path / "task" / "docs" / "a.md").write_text("# 안내\n")
    folder = task_of(tmp_path / "task", TRAIN, documents="docs/")
    with pytest.raises(ConfigError, match="lies in the documents"):
        clean_task(folder, folder / "docs" / "clean")


def test_the_mapping_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    write_mapping(tmp_path / "map.json", {"[전화1]": "010-1234-5678"})
    assert stat.S_IMODE((tmp_path / "map.json").stat().st_mode) == 0o600
    assert json.loads((tmp_path / "map.json").read_text()) == {"[전화1]": "010-1234-5678"}
    with pytest.raises(ConfigError, match="Name a new file"):
        write_mapping(tmp_path / "map.json", {})


def test_cleaning_a_clean_task_changes_nothing(tmp_path: Path) -> None:
    folder = task_of(
        tmp_path / "task", [*TRAIN, {**TRAIN[0], "id": "again"}, {"id": "p", "question": "010-1234-5678?", "answer": "네"}]
    )
    clean_task(folder, tmp_path / "one", CleanOptions(mask=True))
    again = clean_task(tmp_path / "one", tmp_path / "two", CleanOptions(mask=True))
    assert again.changes == ()
    assert (tmp_path / "one" / "data" / "train.jsonl").read_bytes() == (tmp_path / "two" / "data" / "train.jsonl").read_bytes()
