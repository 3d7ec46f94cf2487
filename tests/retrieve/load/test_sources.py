import os
from pathlib import Path

import pytest

from sadari.retrieve.load import Loaded, Options, load_all


def ids(loaded: Loaded) -> list[str]:
    return [document.id for document in loaded.documents]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    for name in ("docs/배송.md", "docs/sub/환불.md", "faq/배송.md", "docs/.git/x.md", "docs/style.css", "docs/~$a.docx"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("글")
    return tmp_path


def test_a_folder_is_read_to_its_depth_without_hidden_files(shop: Path) -> None:
    loaded = load_all(shop / "docs", Options(folder=shop))
    assert ids(loaded) == ["sub/환불.md", "배송.md"]
    assert [skipped.source for skipped in loaded.skipped] == ["docs/style.css"]
    assert not loaded.faults


def test_folders_side_by_side_keep_their_documents_apart(shop: Path) -> None:
    assert ids(load_all([shop / "docs", shop / "faq"])) == ["docs/sub/환불.md", "docs/배송.md", "faq/배송.md"]


def test_a_pattern_names_files_below_its_fixed_part(shop: Path) -> None:
    assert ids(load_all(f"{shop}/docs/**/*.md")) == ["sub/환불.md", "배송.md"]
    assert "matches no file" in load_all(f"{shop}/docs/*.pdf").faults[0].reason


def test_what_is_not_there_is_a_fault(shop: Path) -> None:
    assert "no such folder" in load_all(shop / "nothing").faults[0].reason


def test_an_id_that_stands_twice_is_a_fault_and_the_first_is_kept(shop: Path) -> None:
    loaded = load_all([shop / "docs" / "배송.md", shop / "faq" / "배송.md"])
    assert ids(loaded) == ["배송.md"]
    assert 'id: "배송.md" stands twice' in loaded.faults[0].reason


def test_links_out_of_the_folder_are_not_followed_and_links_inside_are_read(shop: Path) -> None:
    secret = shop / "secret.md"
    secret.write_text("비밀")
    os.symlink(secret, shop / "docs" / "link.md")
    os.symlink(shop / "faq", shop / "docs" / "faq")
    os.symlink(shop / "docs" / "배송.md", shop / "docs" / "again.md")
    os.symlink(shop / "docs" / "sub", shop / "docs" / "loop")
    loaded = load_all(shop / "docs", Options(folder=shop))
    assert ids(loaded) == ["again.md", "sub/환불.md", "배송.md"]
    assert [fault.source for fault in loaded.faults] == ["docs/faq", "docs/link.md"]
    assert all("outside of the folder" in fault.reason for fault in loaded.faults)
    assert ids(load_all(f"{shop}/docs/*/배송.md")) == []


def test_a_link_that_leads_to_itself_is_named(shop: Path) -> None:
    os.symlink("loop.md", shop / "docs" / "loop.md")
    assert "broken link" in load_all(shop / "docs").faults[0].reason


def test_files_and_folders_without_permission_are_named(shop: Path) -> None:
    (shop / "docs" / "배송.md").chmod(0)
    if os.access(shop / "docs" / "배송.md", os.R_OK):
        pytest.skip("this user may read everything")
    (shop / "docs" / "sub").chmod(0)
    loaded = load_all(shop / "docs", Options(folder=shop))
    (shop / "docs" / "sub").chmod(0o700)
    assert [fault.source for fault in loaded.faults] == ["docs/sub", "docs/배송.md"]
    assert all("Permission denied" in fault.reason for fault in loaded.faults)


def test_labels_come_from_the_last_pattern_that_holds_the_document(tmp_path: Path) -> None:
    (tmp_path / "hr").mkdir()
    (tmp_path / "hr" / "pay.md").write_text("---\naccess: [everyone]\n---\n연봉")
    (tmp_path / "open.md").write_text("---\naccess: [staff]\n---\n공지")
    loaded = load_all(tmp_path, Options(access={"*.txt": ("x",), "*": ("staff",), "hr/": ("hr", "chief")}))
    assert {d.id: d.access for d in loaded.documents} == {"hr/pay.md": ("hr", "chief"), "open.md": ("staff",)}
    assert [str(fault)[:40] for fault in loaded.faults] == ["access: *.txt: matches no document. Patt"]


def test_labels_of_an_archive_hold_for_its_members(tmp_path: Path, files) -> None:
    (tmp_path / "secret.zip").write_bytes(files.archive({"a.md": b"x"}))
    assert load_all(tmp_path, Options(access={"*.zip": ("hr",)})).documents[0].access == ("hr",)


def test_rows_bring_their_own_date_labels_and_metadata(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(
        '{"id": "a", "text": "글", "date": "2026-05-01", "access": ["hr"], "metadata": {"team": "cs", "deep": {}}}\n'
        '{"id": "b", "text": "글", "access": []}\n'
        '{"id": "c", "text": "글", "access": {"hr": 1}}\n'
    )
    loaded = load_all(tmp_path)
    (document,) = loaded.documents
    assert (document.id, document.date, document.access) == ("rows.jsonl/a", "2026-05-01", ("hr",))
    assert document.metadata == {"team": "cs"}
    assert [fault.source[-6:] for fault in loaded.faults] == ["line 2", "line 3"]


def test_a_file_that_states_no_date_has_none(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("글")
    assert load_all(tmp_path).documents[0].date == ""
