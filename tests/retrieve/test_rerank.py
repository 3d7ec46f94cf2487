from math import log
from pathlib import Path

import numpy as np
import pytest

from sadari.errors import ModelError, TrainingError
from sadari.retrieve.rerank import (
    LEARNED,
    SIGNALS,
    WEIGHTS,
    Candidate,
    Judged,
    LearnedReranker,
    Reranker,
    load_reranker,
    signals,
    train_reranker,
)
from sadari.types import Chunk


def candidate(title: str, text: str, terms: float = 1.0) -> Candidate:
    return Candidate(Chunk(title, title, 0, len(text), text), terms, 0.0, 0.5, 1, None)


def seen(query: str, *candidates: Candidate) -> list[dict[str, float]]:
    return [dict(zip(SIGNALS, row, strict=True)) for row in signals(query, candidates)]


def test_a_title_that_the_question_names_is_seen() -> None:
    right, wrong = seen("남북전쟁은 언제 일어났는가?", candidate("남북 전쟁 (미국)", "링컨이"), candidate("베트남", "링컨이"))
    assert (right["title_in"], wrong["title_in"]) == (1.0, 0.0)  # whatever the spacing and what stands in brackets


def test_the_kind_of_answer_is_looked_for_near_the_best_sentence() -> None:
    with_date, without = seen(
        "거북선은 언제 완성되었나요?",
        candidate("거북선", "거북선은 1592년 완성되었다."),
        candidate("거북선", "거북선은 나무로 완성되었다."),
    )
    assert (with_date["kind_nearby"], without["kind_nearby"]) == (1.0, 0.0)
    assert (with_date["date"], without["date"], with_date["number"]) == (0.5, -0.5, 0.0)


def test_morphemes_are_found_whatever_particle_follows() -> None:
    held, wrong = seen("정책을 바꾼", candidate("", "정책이 나왔다"), candidate("", "고양이"))
    # 정책 stands in one of two texts, 바꾸 in none.
    assert held["text_morphemes"] == pytest.approx(log(1 + 1.5 / 1.5) / (log(1 + 1.5 / 1.5) + log(1 + 2.5 / 0.5)))
    assert wrong["text_morphemes"] == 0


def test_numbers_are_whole() -> None:
    right, wrong = seen("1945년", candidate("", "1945년에"), candidate("", "19450명"))
    assert (right["numbers"], wrong["numbers"]) == (1.0, 0.0)


def test_the_longest_shared_piece_is_measured_in_characters_of_the_question() -> None:
    (only,) = seen("abcde 나무", candidate("", "abcd 나무"))
    # "abcde나무" and "abcd나무": four of seven.
    assert only["piece"] == pytest.approx(4 / 7)


@pytest.mark.parametrize("query", ["", "?!", "가", "1", "왜", "🤓", "a" * 5000])
def test_any_question_and_any_text_give_finite_signals(query: str) -> None:
    assert np.isfinite(signals(query, [candidate("", ""), candidate("제목", "본문 1"), candidate("(괄호)", "\n\n.")])).all()


def some_judged(count: int) -> list[Judged]:
    """Questions whose right chunk has the lower BM25, but the title that is asked for."""
    return [
        Judged(f"이름{i} 나이는?", (candidate("다른 것", f"이름{i} 나이", 2.0), candidate(f"이름{i}", "열 살")), (False, True))
        for i in range(count)
    ]


def test_training_finds_the_signal_that_tells_right_from_wrong() -> None:
    reranker = train_reranker(some_judged(40))
    row = some_judged(60)[-1]
    assert reranker.scores(row.query, row.candidates).argmax() == 1
    assert dict(zip(SIGNALS, reranker.weights, strict=True))["title_share"] > 0


def test_training_stays_near_the_weights_it_starts_with_if_told_so() -> None:
    start = train_reranker(some_judged(40))
    held = train_reranker(some_judged(30), start, keep=1e6)
    assert held.weights == pytest.approx(start.weights, abs=0.2)


def test_few_questions_are_refused() -> None:
    with pytest.raises(TrainingError, match="30 or more"):
        train_reranker(some_judged(3))


def test_saved_weights_are_loaded_again(tmp_path: Path) -> None:
    reranker = train_reranker(some_judged(40))
    reranker.save(tmp_path)
    loaded = load_reranker(str(tmp_path))
    assert isinstance(loaded, LearnedReranker)
    assert loaded.weights == reranker.weights


def test_damaged_weights_and_absent_folders_say_what_to_do(tmp_path: Path) -> None:
    (tmp_path / WEIGHTS).write_text('{"terms": [0, 1]}')
    with pytest.raises(ModelError, match="Train it again"):
        load_reranker(str(tmp_path))
    with pytest.raises(ModelError, match="no such folder"):
        load_reranker(str(tmp_path / "nowhere"))


def test_the_bundled_reranker_prefers_the_passage_that_answers() -> None:
    reranker = load_reranker(LEARNED)
    assert isinstance(reranker, Reranker)
    scores = reranker.scores(
        "거북선은 언제 처음 만들어졌나요?",
        [
            candidate("임진왜란", "임진왜란 때 거북선이 널리 쓰였다.", 5.0),
            candidate("거북선", "거북선은 1592년에 처음 만들어졌다.", 5.0),
        ],
    )
    assert scores.argmax() == 1


def test_nothing_found_is_nothing_to_order() -> None:
    assert load_reranker(LEARNED).scores("질문", []).shape == (0,)
