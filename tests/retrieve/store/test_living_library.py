"""A system that answers from an index on a server sees what `sadari index` did there at once."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from command import Said
from sadari.cli import main
from sadari.retrieve.library import Library, open_library
from sadari.types import Retrieval


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    (tmp_path / "배송.md").write_text("# 배송\n\n제주도는 3,000원이 더 듭니다.\n", encoding="utf-8")
    (tmp_path / "환불.md").write_text("# 환불\n\n칠 일 이내에 신청합니다.\n", encoding="utf-8")
    return tmp_path


@pytest.fixture
def index(schema: str, pages: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Indexes the pages into PostgreSQL."""

    def run() -> Said:
        monkeypatch.setattr("sys.argv", ["sadari", "index", str(pages), "--store", schema])
        with pytest.raises(SystemExit) as ended:
            main()
        return Said(int(ended.value.code or 0), *capsys.readouterr())

    return run


def cited(library: Library, question: str) -> list[str]:
    return [found.chunk.document for found in library.search(question, 3)]


def test_what_is_deleted_or_changed_on_a_server_is_seen_by_the_next_search(index, schema: str, pages: Path) -> None:
    assert index().code == 0
    library = open_library(None, Retrieval(), schema)
    assert (cited(library, "제주도"), cited(library, "환불")) == (["배송.md"], ["환불.md"])
    (pages / "환불.md").unlink()
    (pages / "배송.md").write_text("# 배송\n\n울릉도는 5,000원이 더 듭니다.\n", encoding="utf-8")
    assert index().code == 0
    assert (cited(library, "제주도"), cited(library, "환불"), cited(library, "울릉도")) == ([], [], ["배송.md"])


def test_many_may_ask_one_library_at_a_time(index, schema: str) -> None:
    index()
    library = open_library(None, Retrieval(), schema)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda i: cited(library, ("제주도", "환불")[i % 2]), range(80)))
    assert answers == [["배송.md"], ["환불.md"]] * 40
