import shutil
from pathlib import Path

import pytest

from sadari.bundle import digest, load_bundle, save_bundle
from sadari.errors import RunError
from sadari.files import write_lines
from sadari.types import Document, Example, Message, Prompt, Retrieval, System, ToolSpec


@pytest.fixture
def system(tmp_path: Path) -> System:
    """A system with every part that a bundle carries."""
    work = tmp_path / "work"
    for part in ("adapter", "model"):
        (work / part).mkdir(parents=True)
        (work / part / "weights.bin").write_bytes(part.encode())
    write_lines(work / "d.jsonl", [Document("a.md", "가", "나")], Document)
    write_lines(work / "e.jsonl", [Example("1", (Message("user", "q"),))], Example)
    return System(
        str(work / "model"), work / "adapter", prompt=Prompt("지시"), retrieval=Retrieval(), documents=work / "d.jsonl",
        examples=work / "e.jsonl",
    )  # fmt: skip


def test_a_bundle_holds_all_that_its_system_needs_and_can_be_moved(system: System, tmp_path: Path) -> None:
    save_bundle(system, tmp_path / "best")
    shutil.move(tmp_path / "best", tmp_path / "elsewhere")
    shutil.rmtree(tmp_path / "work")
    moved = load_bundle(tmp_path / "elsewhere")
    assert (Path(moved.model) / "weights.bin").read_bytes() == b"model"
    assert moved.adapter is not None
    assert (moved.adapter / "weights.bin").read_bytes() == b"adapter"
    assert (moved.prompt, moved.retrieval) == (system.prompt, system.retrieval)


def test_a_base_model_that_is_named_stays_a_name(tmp_path: Path) -> None:
    save_bundle(System("mini"), tmp_path / "best")
    assert load_bundle(tmp_path / "best") == System("mini")


def test_a_bundle_remembers_its_tools_and_how_many_are_shown(tmp_path: Path) -> None:
    tools = (ToolSpec("lookup", "주문 조회", {"type": "object", "properties": {"order": {"type": "integer"}}}),)
    system = System("mini", tools=tools, tools_shown=8)
    save_bundle(system, tmp_path / "best")
    assert load_bundle(tmp_path / "best") == system


def test_a_missing_part_is_named_by_its_path(system: System, tmp_path: Path) -> None:
    save_bundle(system, tmp_path / "best")
    shutil.rmtree(tmp_path / "best" / "adapter")
    with pytest.raises(RunError, match=r"best/adapter is missing.*copy the whole folder"):
        load_bundle(tmp_path / "best")


def test_a_part_that_cannot_be_copied_leaves_no_half_bundle(system: System, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "work" / "adapter")
    with pytest.raises(RunError, match=r"work/adapter cannot be copied into the bundle"):
        save_bundle(system, tmp_path / "best")
    assert [p.name for p in tmp_path.iterdir()] == ["work"]


def test_a_folder_that_is_no_bundle_is_told_what_one_is(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"is no bundle: it holds no system\.json\. Give the `best` folder"):
        load_bundle(tmp_path)


def test_a_damaged_bundle_is_named(tmp_path: Path) -> None:
    (tmp_path / "system.json").write_text("{")
    with pytest.raises(RunError, match=r"system\.json is damaged"):
        load_bundle(tmp_path)


def test_the_digest_follows_the_content_and_not_the_place(system: System, tmp_path: Path) -> None:
    save_bundle(system, tmp_path / "a")
    save_bundle(system, tmp_path / "b")
    first, second = load_bundle(tmp_path / "a"), load_bundle(tmp_path / "b")
    assert digest(first) == digest(second) == digest(system)
    (tmp_path / "b" / "adapter" / "weights.bin").write_bytes(b"other")
    assert digest(load_bundle(tmp_path / "b")) != digest(first)
    assert digest(first.with_(prompt=Prompt("다른 지시"))) != digest(first)


def test_a_search_that_was_trained_travels_with_its_bundle(tmp_path: Path) -> None:
    for part in ("embedder", "reranker"):
        (tmp_path / "work" / part).mkdir(parents=True)
        (tmp_path / "work" / part / "weights.bin").write_bytes(part.encode())
    retrieval = Retrieval(embedder=str(tmp_path / "work/embedder"), reranker=str(tmp_path / "work/reranker"))
    system = System("mini", retrieval=retrieval)
    save_bundle(system, tmp_path / "best")
    hashed = digest(system)
    shutil.rmtree(tmp_path / "work")
    shutil.move(tmp_path / "best", tmp_path / "elsewhere")
    moved = load_bundle(tmp_path / "elsewhere")
    assert moved.retrieval is not None
    assert (Path(moved.retrieval.embedder) / "weights.bin").read_bytes() == b"embedder"
    assert (Path(moved.retrieval.reranker) / "weights.bin").read_bytes() == b"reranker"
    assert digest(moved) == hashed
    (tmp_path / "elsewhere/reranker/weights.bin").write_bytes(b"changed")
    assert digest(moved) != hashed
    shutil.rmtree(tmp_path / "elsewhere/embedder")
    with pytest.raises(RunError, match="elsewhere/embedder is missing"):
        load_bundle(tmp_path / "elsewhere")


def test_what_comes_with_sadari_stays_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "learned").mkdir()  # whatever else is called so
    system = System("mini", retrieval=Retrieval(embedder="bundled", reranker="learned"))
    save_bundle(system, tmp_path / "best")
    assert load_bundle(tmp_path / "best") == system
