from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from sadari.errors import ConfigError
from sadari.retrieve.rerank import Candidate, Judged
from sadari.retrieve.search import Fusion, Searcher, fused, learn_fusion
from sadari.retrieve.store import MemoryStore
from sadari.retrieve.terms import both_terms, chunk_terms, morpheme_terms
from sadari.types import EVERYONE, Chunk, Reader, Retriever

TEXTS = ("환불은 이레 안에 합니다.", "배송은 사흘 걸립니다.", "적립금은 한 해 동안 씁니다.", "환불 규정과 배송 규정")


class Directions:
    """Embeds a text as the direction of the first topic word in it."""

    name = "directions"
    dimensions = 3

    def embed(self, texts: Sequence[str], *, is_query: bool = False) -> NDArray[np.float32]:
        topics = ("환불", "배송", "적립")
        return np.array([[float(topic in text) for topic in topics] for text in texts], dtype=np.float32)


class Backwards:
    """Prefers what came last."""

    name = "backwards"

    def scores(self, query: str, candidates: Sequence[Candidate]) -> NDArray[np.float64]:
        return np.arange(len(candidates), dtype=float)


def chunks(access: tuple[str, ...] = ()) -> list[Chunk]:
    return [Chunk(f"d{i}", "", 0, len(text), text, access=access if i == 0 else ()) for i, text in enumerate(TEXTS)]


def filled(dimensions: int = 0, access: tuple[str, ...] = ()) -> MemoryStore:
    store = MemoryStore(dimensions)
    store.put(chunks(access), Directions().embed(TEXTS) if dimensions else None)
    store.commit({})
    return store


def found(searcher: Searcher, query: str, k: int = 4, reader: Reader = EVERYONE) -> list[str]:
    return [f.chunk.document for f in searcher.search(query, k, reader)]


def test_a_searcher_is_a_retriever() -> None:
    assert isinstance(Searcher(filled()), Retriever)


def test_words_alone_give_what_the_store_gives() -> None:
    store = filled()
    assert found(Searcher(store), "환불 이레", 1) == ["d0"]
    assert Searcher(store).search("환불 이레", 1)[0].coverage > 0.5


def test_vectors_find_what_shares_no_word() -> None:
    store = filled(3)

    class Synonyms(Directions):
        def embed(self, texts: Sequence[str], *, is_query: bool = False) -> NDArray[np.float32]:
            return super().embed(["적립" if is_query else text for text in texts])

    assert found(Searcher(store), "마일리지") == []
    hits = Searcher(store, Synonyms(), terms="none").search("마일리지", 1)
    assert (hits[0].chunk.document, hits[0].coverage) == ("d2", 0.0)


def test_fusion_by_rank_adds_reciprocal_ranks() -> None:
    a, b = (Candidate(Chunk(name, "", 0, 1, "x"), 0, 0, 0, *ranks) for name, ranks in (("a", (1, 3)), ("b", (2, None))))
    scores = {c.chunk.document: c.fused for c in fused([b, a], Fusion("rank", 0.25))}
    assert scores == pytest.approx({"a": 0.75 / 61 + 0.25 / 63, "b": 0.75 / 62})


def test_fusion_by_score_adds_the_share_of_the_best_and_the_cosine() -> None:
    a, b = (Candidate(Chunk(name, "", 0, 1, "x"), terms, cosine, 0, 1, 1) for name, terms, cosine in (("a", 4, 0.2), ("b", 3, 0.9)))
    assert [(c.chunk.document, c.fused) for c in fused([a, b], Fusion("score", 0.5))] == [
        ("b", pytest.approx(0.825)),
        ("a", pytest.approx(0.6)),
    ]


def test_the_weight_of_the_vectors_is_learnt() -> None:
    def judged(right_by_vectors: bool) -> Judged:
        wrong, right = ((4.0, 0.1), (1.0, 0.9)) if right_by_vectors else ((1.0, 0.9), (4.0, 0.1))
        candidates = tuple(Candidate(Chunk(n, "", 0, 1, "x"), *scores, 0, 1, 1) for n, scores in (("w", wrong), ("r", right)))
        return Judged("?", candidates, (False, True))

    assert learn_fusion([judged(True)]).vectors > 0.5
    assert learn_fusion([judged(False)]).vectors < 0.5


def test_a_reranker_has_the_last_word() -> None:
    plain = found(Searcher(filled(3), Directions()), "환불 배송")
    assert found(Searcher(filled(3), Directions(), reranker=Backwards()), "환불 배송") == plain[::-1]


def test_access_labels_hold_for_words_and_vectors() -> None:
    searcher = Searcher(filled(3, access=("staff",)), Directions())
    assert "d0" not in found(searcher, "환불 이레")
    assert "d0" in found(searcher, "환불 이레", reader=Reader(labels=frozenset({"staff"})))


def test_right_answers_among_what_is_found_are_marked() -> None:
    questions = [("환불 이레", lambda chunk: chunk.document == "d0"), ("배송", lambda chunk: chunk.document == "nowhere")]
    (only,) = Searcher(filled()).judged(questions)
    assert [c.chunk.document for c, right in zip(only.candidates, only.right, strict=True) if right] == ["d0"]


def test_what_does_not_fit_together_is_refused() -> None:
    with pytest.raises(ValueError, match="Index the documents again"):
        Searcher(filled(0), Directions())
    with pytest.raises(ValueError, match="Give an embedder"):
        Searcher(filled(), terms="none")
    with pytest.raises(ConfigError, match="morphemes or both"):
        Searcher(filled(), terms="words")  # type: ignore[arg-type]


def test_morphemes_leave_particles_out_and_open_compounds() -> None:
    assert morpheme_terms("해외출장비정산규정은 2024년에 바뀌었다") == ["해외", "출장비", "정산", "규정", "2024", "년", "바뀌"]


def test_a_store_of_morphemes_is_searched_by_morphemes() -> None:
    store = MemoryStore(0, chunk_terms("morphemes"))
    store.put([Chunk("a", "규정", 0, 3, "비용을 정산합니다"), Chunk("b", "", 0, 3, "정산동 주민")])
    store.commit({})
    assert found(Searcher(store, terms="morphemes"), "규정에 따른 정산", 1) == ["a"]


def test_both_terms_are_bigrams_and_marked_morphemes() -> None:
    assert both_terms("정책이") == ["정책", "책이", "=정책"]


def test_one_index_of_both_finds_what_only_one_kind_of_terms_shares() -> None:
    store = MemoryStore(0, chunk_terms("both"))
    store.put([Chunk("verb", "", 0, 3, "규칙을 바꾼다"), Chunk("compound", "", 0, 3, "해외출장비정산규정")])
    store.commit({})
    searcher = Searcher(store, terms="both")
    assert found(searcher, "바뀐 것을 바꾸는", 1) == ["verb"]
    assert found(searcher, "장비정산", 1) == ["compound"]
