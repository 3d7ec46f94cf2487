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
    CrossEncoder,
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


# --- a cross-encoder ---------------------------------------------------------------------------------------------------


def cross_encoder(folder: Path, labels: int = 1) -> Path:
    """A tiny BERT with random weights that reads the letters a to h, 12 tokens at most."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", "[SEP]", *"abcdefgh"]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A [SEP]", pair="$A [SEP] $B:1 [SEP]:1", special_tokens=[("[SEP]", 2)]
    )
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", model_max_length=12)
    fast.save_pretrained(str(folder))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=12, num_labels=labels, initializer_range=0.5,
    )  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(str(folder))
    return folder


def logits_of(folder: Path, query: str, passage: str) -> np.ndarray:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    encoded = AutoTokenizer.from_pretrained(str(folder))(query, passage, return_tensors="pt")
    with torch.inference_mode():
        return AutoModelForSequenceClassification.from_pretrained(str(folder)).eval()(**encoded).logits[0].numpy()


PASSAGES = (candidate("c", "d e"), candidate("h", "g"), candidate("", "b"))


def test_a_cross_encoder_scores_question_title_and_text_together(tmp_path: Path) -> None:
    scores = load_reranker(str(cross_encoder(tmp_path))).scores("a b", PASSAGES)
    expected = [logits_of(tmp_path, "a b", text)[0] for text in ("c d e", "h g", "b")]
    assert scores == pytest.approx(expected, abs=1e-5)


def test_of_yes_and_no_the_difference_counts(tmp_path: Path) -> None:
    no, yes = logits_of(cross_encoder(tmp_path, labels=2), "a", "c d e")
    assert CrossEncoder(tmp_path).scores("a", PASSAGES[:1]) == pytest.approx([yes - no], abs=1e-5)


def test_what_a_cross_encoder_does_not_read_stays_behind_in_its_order(tmp_path: Path) -> None:
    scores = CrossEncoder(cross_encoder(tmp_path), reads=1).scores("a", PASSAGES)
    assert np.argsort(-scores).tolist() == [0, 1, 2]
    assert np.isfinite(scores).all()


def test_of_question_and_passage_the_longer_is_cut(tmp_path: Path) -> None:
    encoder = CrossEncoder(cross_encoder(tmp_path))
    long, cut = candidate("c", "d " * 50), candidate("c", "d " * 8)
    assert encoder.scores("a", [long]) == pytest.approx(encoder.scores("a", [cut]), abs=1e-5)  # a, c, 8 d and 2 ends are 12
    assert np.isfinite(encoder.scores("a " * 50, [long])).all()
    assert encoder.scores("a", []).shape == (0,)


def test_a_model_of_many_labels_or_no_model_is_no_cross_encoder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="3 labels"):
        load_reranker(str(cross_encoder(tmp_path / "three", labels=3)))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="cannot be loaded as a cross-encoder"):
        load_reranker(str(tmp_path / "empty"))
