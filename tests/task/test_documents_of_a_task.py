"""A task says what happens to documents that cannot be read, and who may see those that can."""

from pathlib import Path

import pytest
import yaml

from sadari.errors import DataError
from sadari.task import load_task
from sadari.task.clean import CleanOptions, clean_task

ROWS = "".join(f'{{"input": "질문 {word}", "output": "답 {word}"}}\n' for word in ("가", "나", "다", "라", "마", "바", "사", "아"))


def project(folder: Path, **documents: object) -> Path:
    (folder / "docs" / "hr").mkdir(parents=True)
    (folder / "docs" / "a.md").write_text("# 안내\n\n배송은 2일 걸립니다.\n", encoding="utf-8")
    (folder / "docs" / "hr" / "pay.md").write_text("# 급여\n\n급여일은 25일입니다.\n", encoding="utf-8")
    (folder / "docs" / "b.pdf").write_bytes(b"%PDF-1.7 cut off")
    (folder / "rows.jsonl").write_text(ROWS, encoding="utf-8")
    options = {"goal": "묻는 말에 답한다.", "examples": "rows.jsonl", "documents": {"path": "docs", **documents}}
    (folder / "sadari.yaml").write_text(yaml.safe_dump(options, allow_unicode=True), encoding="utf-8")
    return folder


def test_a_file_that_cannot_be_read_stops_the_task(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"docs/b\.pdf"):
        load_task(project(tmp_path))


def test_a_task_may_go_on_without_it_and_says_so(tmp_path: Path) -> None:
    task = load_task(project(tmp_path, bad_files="skip"))
    assert [d.id for d in task.documents] == ["a.md", "hr/pay.md"]
    assert any(note.startswith("left out: docs/b.pdf") for note in task.notes)


def test_labels_of_documents_survive_cleaning(tmp_path: Path) -> None:
    folder = project(tmp_path / "raw", bad_files="skip", access={"hr/*": ["hr"]})
    clean_task(folder, tmp_path / "clean", CleanOptions())
    assert {d.id: d.access for d in load_task(tmp_path / "clean").documents} == {"a.md": (), "hr/pay.md": ("hr",)}
