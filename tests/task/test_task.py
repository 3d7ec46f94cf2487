import json
from pathlib import Path
from typing import Any

import pytest

from sadari.errors import DataError, LeakError
from sadari.task import Task, load_task

TRAIN = [{"question": f"질문 {name} 에 대해 알려 주세요", "answer": f"답 {name}"} for name in "가나다라마바사아자차"]
TEST = [{"question": f"{name} 문의입니다", "answer": f"답 {name}"} for name in "카타파하"]


def write_task(
    folder: Path, more: str = "", examples: str = "{train: train.jsonl, test: test.jsonl}", **files: list[dict[str, Any]]
) -> Path:
    (folder / "sadari.yaml").write_text(f"goal: 답한다\nexamples: {examples}\n{more}")
    for name, rows in {"train": TRAIN, "test": TEST, **files}.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return folder


def problems_of(folder: Path) -> tuple[str, ...]:
    with pytest.raises(DataError) as caught:
        load_task(folder)
    return caught.value.problems


def ids(task: Task) -> list[list[str]]:
    return [[example.id for example in split] for split in (task.train, task.validation, task.test)]


def test_validation_is_cut_from_train_and_said_so(tmp_path: Path) -> None:
    task = load_task(write_task(tmp_path))
    assert task.counts == {"train": 8, "validation": 2, "test": 4, "audit": 0, "documents": 0, "labels": 0, "dropped_train": 0}
    assert task.notes == ("validation (2 rows) was cut from train.jsonl by group, with seed 0.",)
    assert task.sources[task.test[0].id] == "test.jsonl line 1"


def test_one_file_is_split_the_same_way_each_time_and_another_seed_splits_otherwise(tmp_path: Path) -> None:
    names = "가나다라마바사아자차카타파하거너더러머버"
    rows = [{"question": f"{name * 6} 문의", "answer": f"답 {name}"} for name in names]
    write_task(tmp_path, examples="all.jsonl", all=rows)
    task = load_task(tmp_path)
    assert [len(split) for split in ids(task)] == [13, 3, 4]
    write_task(tmp_path, examples="all.jsonl", all=rows[::-1])
    assert [sorted(split) for split in ids(load_task(tmp_path))] == [sorted(split) for split in ids(task)]
    assert ids(load_task(tmp_path, {"seed": 1})) != ids(load_task(tmp_path))


def test_the_fingerprint_changes_with_data_and_options_only(tmp_path: Path) -> None:
    first = load_task(write_task(tmp_path)).fingerprint
    assert load_task(tmp_path).fingerprint == first
    assert load_task(tmp_path, {"seed": 1}).fingerprint != first
    assert load_task(write_task(tmp_path, test=TEST[:3])).fingerprint != first


def test_problems_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    bad = [{"question": "q", "answer": ""}]
    (tmp_path / "docs").mkdir()
    problems = problems_of(write_task(tmp_path, "documents: docs\n", train=bad + TRAIN, test=TEST + bad))
    assert [problem.split(":")[0] for problem in problems] == ["docs", "train.jsonl line 1", "test.jsonl line 5"]


def test_a_leak_beside_bad_rows_is_told_too(tmp_path: Path) -> None:
    problems = problems_of(write_task(tmp_path, train=[*TRAIN, {"question": ""}, TEST[0]]))
    assert len(problems) == 2
    assert "train.jsonl line 12" in problems[1]
    assert "the same question as test.jsonl line 1" in problems[1]


def test_a_leak_stops_or_drops_the_train_side_also_for_validation_and_audit(tmp_path: Path) -> None:
    write_task(
        tmp_path,
        examples="{train: train.jsonl, validation: validation.jsonl, test: test.jsonl, audit: audit.jsonl}",
        train=[*TRAIN, TEST[0]],
        validation=[{"question": "확인 하나", "answer": "예"}, {"question": "확인 둘", "answer": "예"}, TEST[1]],
        audit=[TRAIN[0], {"question": "감사 질문", "answer": "예"}],
    )
    with pytest.raises(LeakError) as caught:
        load_task(tmp_path)
    assert len(caught.value.problems) == 3
    task = load_task(tmp_path, {"leaks": "drop_train"})
    assert (len(task.train), len(task.validation), len(task.test), len(task.audit)) == (9, 2, 4, 2)
    assert task.dropped_train == 3


@pytest.mark.parametrize(
    ("rows", "message"),
    [([], "test.jsonl: holds no examples"), (TEST[:1], "test.jsonl: holds 1 example, which is too few to judge with")],
)
def test_no_example_and_one_example_are_too_few(tmp_path: Path, rows: list[dict[str, Any]], message: str) -> None:
    assert message in problems_of(write_task(tmp_path, test=rows))[0]


def test_a_single_file_of_one_question_cannot_be_split(tmp_path: Path) -> None:
    problems = problems_of(write_task(tmp_path, examples="all.jsonl", all=[TRAIN[0], TRAIN[0]]))
    assert "test cannot be cut from it: all 2 rows form one group" in problems[0]


def test_a_missing_file_is_named_as_the_task_names_it(tmp_path: Path) -> None:
    problems = problems_of(write_task(tmp_path, examples="{train: trian.jsonl, test: test.jsonl}"))
    assert problems[0].startswith("trian.jsonl: no such file. Did you mean `train.jsonl`?")


def test_ids_that_two_files_share_are_told_apart(tmp_path: Path) -> None:
    train = [{"id": at, **row} for at, row in enumerate(TRAIN)]
    test = [{"id": at, **row} for at, row in enumerate(TEST)]
    task = load_task(write_task(tmp_path, train=train, test=test))
    assert [example.id for example in task.test] == ["0", "1", "2", "3"]
    others = {example.id for example in (*task.train, *task.validation)}
    assert others == {"train:0", "train:1", "train:2", "train:3", "4", "5", "6", "7", "8", "9"}


def test_gold_spans_are_checked_against_the_documents(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("배송은 2일 걸립니다.")
    spans = [("a.md", 4, 6, "2일"), ("a.md", 0, 2, "2일"), ("b.md", 0, 2, "2일"), ("a.md", 0, 2, "9일")]
    test = [
        {**row, "spans": [dict(zip(("document", "start", "end", "quote"), span, strict=True))]}
        for row, span in zip(TEST, spans, strict=True)
    ]
    problems = problems_of(write_task(tmp_path, "documents: docs\n", test=test))
    assert 'test.jsonl line 3: spans[0]: there is no document "b.md"' in problems[0]
    assert 'test.jsonl line 4: spans[0]: "9일" does not stand in a.md. Quote the document word for word.' in problems[1]
    task = load_task(write_task(tmp_path, "documents: docs\n", test=test[:2]))
    assert [(example.reference.spans[0].start, example.reference.spans[0].end) for example in task.test] == [(4, 6), (4, 6)]
    assert "1 gold spans moved to where their quote stands in the document." in task.notes


def test_labels_are_found_listed_or_left_alone(tmp_path: Path) -> None:
    train = [
        {"text": f"{name * 7} 문의", "label": label}
        for name, label in zip("가나다라마바사아자차", ["배송", "환불"] * 5, strict=True)
    ]
    test = [
        {"text": f"{name} 관련", "label": label} for name, label in zip("카타파하", ["배송", "환불", "배송", "교환"], strict=True)
    ]
    task = load_task(write_task(tmp_path, train=train, test=test))
    assert task.labels == ("배송", "환불")
    assert "1 labels of test never stand in train, for example 교환." in task.notes
    assert load_task(tmp_path, {"score.by": "text"}).labels == ()
    assert load_task(tmp_path, {"labels": ["환불", "배송", "교환"]}).labels == ("환불", "배송", "교환")
    write_task(tmp_path, "labels: [배송, 환불]\n", train=train, test=test)
    assert problems_of(tmp_path) == ('test.jsonl line 4: "교환" is not in `labels`. Add it there, or mend the row.',)


def test_raw_text_is_learnt_from_but_never_judged_with(tmp_path: Path) -> None:
    texts = [{"text": f"{name * 9} 이야기"} for name in "가나다라마바"]
    assert "raw text has no answer to judge" in problems_of(write_task(tmp_path, test=texts))[0]


def test_a_path_may_name_an_environment_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_task(tmp_path, examples="{train: '${SADARI_TEST_HOME}/train.jsonl', test: '${SADARI_TEST_NONE:-.}/test.jsonl'}")
    assert "the environment variable SADARI_TEST_HOME is not set" in problems_of(tmp_path)[0]
    monkeypatch.setenv("SADARI_TEST_HOME", str(tmp_path))
    assert len(load_task(tmp_path).test) == 4


def test_ko_wiki_qa_is_a_task_with_its_corpus(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "ko-wiki-qa"
    (tmp_path / "sadari.yaml").write_text(
        f"goal: 위키에서 찾아 답한다\nexamples: {{train: {folder}/train.jsonl, test: {folder}/test.jsonl}}\n"
        f"documents: {folder}/corpus.jsonl\n"
    )
    task = load_task(tmp_path)
    assert (len(task.documents), len(task.test), task.labels) == (927, 300, ())
    assert any("about another passage" in note for note in task.notes)


def test_an_audit_set_is_cut_from_a_large_test_set_unless_the_task_says_none(tmp_path: Path) -> None:
    names = [a + b for a in "가나다라마바사아자차카타파하거너더러머버" for b in "고노도로모보소오조초코토포호구누두루무부"]
    rows = [{"question": f"{name * 4} 문의합니다", "answer": f"답 {name}"} for name in names]
    task = load_task(write_task(tmp_path, test=rows))
    assert (task.counts["test"], task.counts["audit"]) == (300, 100)
    assert task.notes[-1] == "audit (100 rows) was cut from test by group, for one last look (`examples: {audit: none}` cuts none)."
    whole = load_task(write_task(tmp_path, examples="{train: train.jsonl, test: test.jsonl, audit: none}", test=rows))
    assert (whole.counts["test"], whole.counts["audit"]) == (400, 0)
