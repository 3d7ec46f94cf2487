"""What every store promises, tried on every store at hand."""

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from retrieve.store.made import SHOP, ask, chunk, fill, names, shop, unit
from sadari.retrieve import LexicalIndex
from sadari.retrieve.store import Store
from sadari.retrieve.text import search_terms
from sadari.types import Chunk, Reader


def test_it_is_a_store(opens) -> None:
    assert isinstance(opens(), Store)


def test_nothing_is_found_in_an_empty_store(opens) -> None:
    store = opens()
    fill(store, [])
    assert (ask(store, "배송"), store.state()) == ([], {})


def test_what_was_put_is_seen_after_the_commit_and_not_before(opens) -> None:
    store = opens()
    store.put(shop())
    assert (ask(store, "환불"), store.state()) == ([], {})
    store.commit(dict.fromkeys(SHOP, "1"))
    assert ask(store, "환불 신청")[0] == "환불.md"
    assert store.state() == dict.fromkeys(SHOP, "1")


def test_a_removed_document_is_found_until_the_commit_and_never_after(opens) -> None:
    store = opens()
    fill(store, shop())
    store.remove(["배송.md", "unknown.md"])
    assert "배송.md" in ask(store, "배송비")
    store.commit({"환불.md": "1", "교환.md": "1"})
    assert ask(store, "배송비 배송") == ["교환.md"]
    assert store.state().keys() == {"환불.md", "교환.md"}


def test_a_document_is_replaced_in_one_commit(opens) -> None:
    store = opens()
    fill(store, shop())
    store.remove(["배송.md"])
    store.put([chunk("배송.md", "무료로 보내 드립니다")])
    store.commit({**store.state(), "배송.md": "2"})
    assert store.by_terms(search_terms("무료"), 3)[0].chunk.text == "무료로 보내 드립니다"
    assert ask(store, "제주도") == []
    assert store.state()["배송.md"] == "2"


def test_a_document_is_not_held_twice(opens) -> None:
    store = opens()
    fill(store, shop())
    with pytest.raises(ValueError, match=r'holds "배송.md" already'):
        store.put([chunk("배송.md", "또")])


def test_every_field_of_a_chunk_comes_back(opens) -> None:
    store = opens()
    kept = Chunk(
        document="규정/가.md",
        title="제목 'q\" \\",
        start=3,
        end=9,
        text="한 줄\n두 줄",
        header="| 칸 |",
        page=4,
        date="2026-11-21",
        access=("hr", "임원"),
        metadata={"부서": "인사", "a.b": "x'y"},
    )
    fill(store, [kept])
    assert [f.chunk for f in store.by_terms(["한"], 1, Reader(frozenset({"hr"})))] == [kept]


def test_scores_and_coverage_are_those_of_the_published_formula(opens) -> None:
    store = opens()
    fill(store, [Chunk("a", "", 0, 2, "가나"), Chunk("b", "", 0, 5, "다라 마바"), Chunk("c", "", 0, 8, "사아 자차 카타")])
    [found] = store.by_terms(["다라", "없다"], 3)
    idf, unseen, mean = math.log(1 + 2.5 / 1.5), math.log(4), 2
    assert found.score == pytest.approx(idf / (1 + 1.2 * (0.25 + 0.75 * 2 / mean)), rel=1e-5)
    assert found.coverage == pytest.approx(idf / (idf + unseen))


def test_statistics_forget_what_was_deleted(opens) -> None:
    store = opens()
    fill(store, [Chunk(f"d{i}", "", 0, 5, "다라 마바") for i in range(5)])
    fill(store, [Chunk("a", "", 0, 2, "가나"), Chunk("b", "", 0, 5, "다라 마바"), Chunk("c", "", 0, 8, "사아 자차 카타")])
    store.remove([f"d{i}" for i in range(5)])
    store.commit(dict.fromkeys("abc", "1"))
    [found] = store.by_terms(["다라"], 9)
    assert found.score == pytest.approx(math.log(1 + 2.5 / 1.5) / (1 + 1.2 * (0.25 + 0.75)), rel=1e-5)


def labelled(n: int, access: Sequence[str] = (), **metadata: str) -> Chunk:
    return Chunk(
        f"{'-'.join([*access, *metadata.values()])}{n}",
        "",
        0,
        3,
        "배송 안내 " * (3 if access else 1),
        access=tuple(access),
        metadata=metadata,
    )


def test_k_chunks_are_found_among_those_that_the_reader_may_see(opens) -> None:
    store = opens(2)
    hidden = [labelled(n, ["hr"]) for n in range(20)]  # repeats make them rank first
    seen = [labelled(n) for n in range(3)]
    vectors = unit(np.array([[1, 0.001]] * 20 + [[1, 0.5 + n] for n in range(3)], dtype=np.float32))
    fill(store, [*hidden, *seen], vectors)
    toward = np.array([1, 0], dtype=np.float32)
    assert set(names(store.by_terms(["배송"], 3))) == {"0", "1", "2"}
    assert names(store.by_vector(toward, 3)) == ["0", "1", "2"]
    inside = Reader(frozenset({"hr", "it"}))
    assert all(
        name.startswith("hr") for name in names(store.by_terms(["배송"], 3, inside)) + names(store.by_vector(toward, 3, inside))
    )


def test_a_search_within_metadata_finds_nothing_else(opens) -> None:
    store = opens()
    fill(store, [labelled(0, 제품="A1"), labelled(1, 제품="B2"), labelled(2, 제품="B2", 말="en"), labelled(3)])
    assert set(names(store.by_terms(["배송"], 9, Reader(within={"제품": ("B2", "C3")})))) == {"B21", "B2-en2"}
    assert names(store.by_terms(["배송"], 9, Reader(within={"제품": ("B2",), "말": ("en",)}))) == ["B2-en2"]
    assert store.by_terms(["배송"], 9, Reader(within={"' OR 1=1 --": ('"] or id > 0',)})) == []


def test_vectors_are_ranked_by_their_cosine(opens) -> None:
    store = opens(3)
    rows = unit(np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1]], dtype=np.float32))
    fill(store, shop(), rows)
    found = store.by_vector(np.array([0, 1, 0], dtype=np.float32), 2)
    assert found[0].chunk.document == "환불.md"
    assert found[0].score == pytest.approx(math.sqrt(0.5), rel=1e-3)


def test_vectors_that_do_not_fit_are_refused(opens) -> None:
    store = opens(3)
    with pytest.raises(ValueError, match="none were given"):
        store.put(shop())
    with pytest.raises(ValueError, match=r"\(3, 3\)"):
        store.put(shop(), np.ones((3, 2), dtype=np.float32))
    with pytest.raises(ValueError, match="not finite"):
        store.put(shop(), np.full((3, 3), np.nan, dtype=np.float32))


def test_what_was_not_committed_is_gone_after_close(opens) -> None:
    store = opens()
    fill(store, shop())
    store.remove(["배송.md"])
    store.put([chunk("새.md", "새로운 글")])
    store.close()
    again = opens()
    if type(again).__name__ != "MilvusStore":  # its file is closed with it
        assert (ask(again, "새로운"), "배송.md" in ask(again, "배송비")) == ([], True)


def test_an_open_reader_sees_a_commit_at_its_next_search(opens) -> None:
    writer = opens()
    fill(writer, shop())
    reader = opens()
    assert ask(reader, "제주도") == ["배송.md"]
    writer.remove(["배송.md"])
    writer.commit({"환불.md": "1", "교환.md": "1"})
    assert ask(reader, "제주도") == []


def test_the_ranking_is_that_of_the_lexical_index_on_real_questions(opens, shared_data: Path) -> None:
    folder = shared_data / "ko-wiki-qa"
    corpus = [json.loads(line) for line in (folder / "corpus.jsonl").read_text().splitlines()]
    asked = [json.loads(line)["question"] for line in (folder / "test.jsonl").read_text().splitlines()][::10]
    store = opens()
    for part in (corpus[:400], corpus[400:]):  # statistics are those of both commits together
        fill(store, [Chunk(d["doc_id"], d["title"], 0, len(d["text"]), d["text"]) for d in part])
    index = LexicalIndex([f"{d['title']} {d['title']} {d['text']}" for d in corpus])
    for question in asked:
        found, right = store.by_terms(search_terms(question), 10), index.search(question, 10)
        assert [f.score for f in found] == pytest.approx([h.score for h in right], rel=1e-4)
        assert [f.coverage for f in found] == pytest.approx([h.coverage for h in right], rel=1e-4)
        scores = {corpus[h.position]["doc_id"]: h.score for h in index.search(question, 12)}
        assert [scores.get(name, 0) for name in names(found)] == pytest.approx([h.score for h in right], rel=1e-4)


def test_the_chunks_of_a_document_are_those_of_the_last_commit_in_their_order(opens) -> None:
    store = opens()
    pieces = [Chunk("약관.md", "약관", 10 * i, 10 * i + 9, f"제{i}조 내용") for i in range(12)]
    fill(store, [*shop(), *pieces])
    assert store.chunks_of("약관.md") == pieces
    assert store.chunks_of("없음.md") == []
    store.remove(["약관.md"])
    store.put(pieces[:2])
    assert store.chunks_of("약관.md") == pieces
    store.commit(store.state())
    assert store.chunks_of("약관.md") == pieces[:2]
    store.remove(["약관.md"])
    store.commit(dict.fromkeys(SHOP, "1"))
    assert (store.chunks_of("약관.md"), len(store.chunks_of("환불.md"))) == ([], 1)
