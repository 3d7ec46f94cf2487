"""Sixty files of every format, fifteen and more of them broken: the benchmark in small."""

from pathlib import Path
from types import ModuleType

from sadari.retrieve.load import Limits, Options, load_all


def test_every_good_file_is_read_and_every_bad_one_is_named(tmp_path: Path, files: ModuleType) -> None:
    written = files.write_files(tmp_path, 60, 25, seed=1, large_bytes=3_000_000)
    loaded = load_all(tmp_path, Options(limits=Limits(file_bytes=2_000_000), folder=tmp_path))
    texts = {document.id: document.text for document in loaded.documents}
    assert [name for name, marker in written.good.items() if marker not in texts.get(name, "")] == []
    named = {fault.source.split(" ")[0].split("/")[1] for fault in loaded.faults}
    assert named == {name.split("/")[1] for name in written.bad}
