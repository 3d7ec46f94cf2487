import json
from pathlib import Path

import numpy as np
import pytest

from sadari.errors import ConfigError, ModelError, TrainingError
from sadari.retrieve.embed import Embedder, load_embedder
from sadari.retrieve.embed.contrast import Contrast, train_embedder
from sadari.retrieve.embed.static import VOCABULARY, StaticEmbedder, load_static, pieces_of, quantised

RNG = np.random.default_rng(0)


def small_embedder(pieces: tuple[str, ...] = ("환불", "배송"), shared: int = 64) -> StaticEmbedder:
    rows, scales = quantised(RNG.standard_normal((len(pieces) + shared, 32)).astype(np.float32))
    return StaticEmbedder("small", {piece: i for i, piece in enumerate(pieces)}, rows, scales)


def test_pieces_of_korean_are_bigrams_and_beginnings_and_of_english_words_and_stems() -> None:
    assert pieces_of("환불은 Transferred 24") == ["환불", "불은", "^환불", "^환불은", "transferred", "trans*", "24"]


def test_a_vector_is_the_sum_of_those_of_the_pieces_as_a_unit() -> None:
    embedder = small_embedder()
    expected = sum(embedder.scales[i] * embedder.rows[i].astype(np.float32) for i in (0, 1))
    assert embedder.embed(["환불 배송"])[0] == pytest.approx(expected / np.linalg.norm(expected), abs=1e-5)


def test_rows_are_units_and_zeros_for_a_text_without_words() -> None:
    vectors = small_embedder().embed(["환불", "", "?!"])
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 0, 0], abs=1e-5)


def test_pieces_that_are_not_named_meet_themselves() -> None:
    a, b = small_embedder().embed(["깐따삐야", "깐따삐야"])
    assert a @ b == pytest.approx(1, abs=1e-5)


def test_without_shared_rows_pieces_that_are_not_named_are_passed_over() -> None:
    assert not small_embedder(shared=0).embed(["깐따삐야"]).any()


def test_what_is_saved_is_loaded_again(tmp_path: Path) -> None:
    embedder = small_embedder()
    embedder.save(tmp_path)
    loaded = load_embedder(str(tmp_path))
    assert loaded.embed(["환불 배송 문의"]) == pytest.approx(embedder.embed(["환불 배송 문의"]), abs=1e-4)


def test_a_damaged_folder_says_what_to_do(tmp_path: Path) -> None:
    small_embedder().save(tmp_path)
    (tmp_path / VOCABULARY).write_text(json.dumps([str(i) for i in range(100)]))
    with pytest.raises(ModelError, match="do not belong together"):
        load_static(tmp_path, "x")


def test_an_eighth_of_the_bits_keeps_each_row_within_half_a_step() -> None:
    table = RNG.standard_normal((5, 16)).astype(np.float32)
    rows, scales = quantised(table)
    assert np.abs(rows * scales[:, None] - table).max() < np.abs(table).max() / 127


def test_the_bundled_embedder_knows_words_of_both_languages() -> None:
    embedder = load_embedder("bundled")
    assert isinstance(embedder, Embedder)
    query, right, wrong = embedder.embed(["파일을 여는 함수", "a function that opens a file", "the weather of the city"])
    assert query @ right > query @ wrong + 0.1


def test_an_empty_name_is_refused_with_the_choices() -> None:
    for name in ("", "openai:"):
        with pytest.raises(ConfigError, match="bundled"):
            load_embedder(name)


def test_training_brings_questions_and_their_passages_together() -> None:
    # Questions and passages share no piece, so only training can tell which belong together.
    pairs = [(f"질문{chr(0xAC00 + 40 * i)}{chr(0xAC00 + 41 * i)}", f"passage{chr(97 + i)}{chr(98 + i)}x") for i in range(24)]

    def first(embedder: StaticEmbedder) -> float:
        questions, passages = embedder.embed([q for q, _ in pairs]), embedder.embed([p for _, p in pairs])
        return float(((questions @ passages.T).argmax(axis=1) == np.arange(len(pairs))).mean())

    start = small_embedder(shared=4096)
    trained = train_embedder(pairs, start, Contrast(steps=120, learning_rate=0.02, pieces_dropped=0))
    assert first(start) < 0.3
    assert first(trained) > 0.9
    assert (
        train_embedder(pairs, start, Contrast(steps=5)).rows.tobytes()
        == train_embedder(pairs, start, Contrast(steps=5)).rows.tobytes()
    )


def test_too_few_pairs_are_refused() -> None:
    with pytest.raises(TrainingError, match="16 or more"):
        train_embedder([("a", "b")] * 3, small_embedder())
