import time
from pathlib import Path

import pytest

from sadari.errors import LeakError
from sadari.task import LeaksConfig, Row, check_leaks, load_task, scan_rows
from sadari.types import Example, Message, Reference, Span


def row(where: str, question: str, document: str = "") -> Row:
    spans = (Span(document, 0, 0, ""),) if document else ()
    return Row(Example(where, (Message("user", question), Message("assistant", "답")), Reference(("답",), spans=spans)), where)


LONG = "어제 주문한 검은색 운동화의 배송이 언제쯤 시작되는지 자세히 알고 싶습니다 부탁드립니다"


def test_the_same_question_stops_and_names_both_rows() -> None:
    check = check_leaks(
        [row("train line 1", "환불 되나요"), row("train line 2", "다른 말")], [row("test line 9", "환불, 되나요?")], LeaksConfig()
    )
    assert check.problems == (
        "train line 1 (id train line 1): the same question as test line 9 (id test line 9). "
        "Remove it from train, or set `leaks: drop_train`.",
    )


def test_drop_train_removes_the_train_side_and_counts_it() -> None:
    train = [row("train line 1", "환불 되나요"), row("train line 2", "다른 말")]
    check = check_leaks(train, [row("test line 9", "환불, 되나요?")], LeaksConfig(exact="drop_train"))
    assert (check.kept, check.dropped, check.problems) == ((train[1],), (train[0],), ())
    assert check.notes == ("1 train rows dropped because they also stand in test (leaks: drop_train).",)


def test_near_duplicates_are_noted_unless_the_task_says_otherwise() -> None:
    train, test = [row("train line 1", LONG)], [row("test line 9", LONG + " 네")]
    noted = check_leaks(train, test, LeaksConfig())
    assert noted.kept == tuple(train)
    assert "1 train rows have a near duplicate in test and were kept: train line 1 and test line 9." in noted.notes
    assert check_leaks(train, test, LeaksConfig(near="drop_train")).kept == ()
    assert "a near duplicate (0.9" in check_leaks(train, test, LeaksConfig(near="stop")).problems[0]


def test_the_same_question_about_another_passage_is_a_note() -> None:
    check = check_leaks([row("train line 1", "언제 생겼나?", "a")], [row("test line 9", "언제 생겼나?", "b")], LeaksConfig())
    assert check.problems == ()
    assert check.notes[0].startswith(
        "1 train rows ask a question of test about another passage and were kept: train line 1 and test line 9"
    )
    assert check_leaks([row("t", "언제 생겼나?", "a")], [row("s", "언제 생겼나?", "a")], LeaksConfig()).problems


def test_banking77_has_29_train_rows_that_stand_in_test_found_in_seconds(shared_data: Path) -> None:
    train = scan_rows(shared_data / "banking77" / "train.csv").rows
    test = scan_rows(shared_data / "banking77" / "test.csv").rows
    begin = time.process_time()
    check = check_leaks(train, test, LeaksConfig(exact="drop_train"))
    assert time.process_time() - begin < 10
    assert len(check.dropped) == 29
    assert len(check.kept) == 10_003 - 29


def test_banking77_as_a_task_stops_or_drops(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "banking77"
    (tmp_path / "sadari.yaml").write_text(
        f"goal: Sort messages\nexamples: {{train: {folder}/train.csv, test: {folder}/test.csv}}\n"
    )
    with pytest.raises(LeakError) as caught:
        load_task(tmp_path)
    assert len(caught.value.problems) == 29
    task = load_task(tmp_path, {"leaks": "drop_train"})
    assert (task.dropped_train, len(task.labels), len(task.validation), len(task.test) + len(task.audit)) == (29, 77, 400, 3080)
