"""What `sadari check` prints, for a person and for a program."""

import json
import sys
from pathlib import Path

import pytest

from sadari.cli import main
from small_tasks import write_label_task


def said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str | Path) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["sadari", "check", *map(str, words)])
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0), capsys.readouterr().out


def test_json_holds_everything_and_warnings_leave_the_exit_code_at_0(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out = said(capsys, monkeypatch, write_label_task(tmp_path / "task"), "--json", "--models")
    found = json.loads(out)
    assert code == 0
    assert {"splits", "remarks", "rungs", "provable_gains", "base_models", "label_counts", "machine"} <= set(found)
    assert found["splits"]["test"]["rows"] == 32
    assert all({"about", "level", "sentence", "rows", "remedy"} == set(r) for r in found["remarks"])
    assert any(r["level"] == "warning" for r in found["remarks"])


def test_a_person_reads_a_sentence_a_remedy_and_where(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out = said(capsys, monkeypatch, write_label_task(tmp_path / "[task]"), "--models")
    assert code == 0
    assert "train rows by label" in out
    assert "warning" in out
    assert "    -> " in out
    assert "What each rung will take" in out
    assert "kanana" in out
