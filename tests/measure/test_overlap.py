"""ROUGE, token F1, corpus BLEU and chrF on Korean text."""

import builtins
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sadari.errors import ConfigError, DataError
from sadari.measure.korean import MOST_CHARS, KiwiText, PlainText, character_f1
from sadari.measure.overlap import (
    CHARACTERS,
    SYLLABLES,
    Overlap,
    RougeScorer,
    Tokenizer,
    corpus_bleu,
    corpus_chrf,
    morpheme_f1,
    morphemes,
    rouge,
    rouge_l,
    rouge_n,
)
from sadari.measure.scorers import score_answer
from sadari.types import Answer, Example, Message, Reference

POLICY = "상품을 받으신 날부터 7일 안에 반품을 신청하시면 배송비를 뺀 전액을 돌려드립니다."
UNRELATED = "소행성 탐사선은 발사하고 7일 뒤 달 궤도를 벗어나 먼 우주로 향했다."


def example(*references: str) -> Example:
    return Example(id="test-001", messages=(Message("user", "반품하려면?"),), reference=Reference(texts=references))


# --- against the oracle ------------------------------------------------------------------------------------------------

TOKENS = st.lists(st.sampled_from("abcde"), max_size=30)


class Words:
    """What `rouge-score` asks for: the tokens are already cut."""

    def tokenize(self, text: str) -> list[str]:
        return text.split()


@settings(max_examples=200, deadline=None)
@given(said=TOKENS, wanted=TOKENS)
def test_rouge_equals_rouge_score_given_the_same_tokens(said: list[str], wanted: list[str]) -> None:
    scorer = pytest.importorskip("rouge_score.rouge_scorer").RougeScorer(["rouge1", "rouge2", "rougeL"], tokenizer=Words())
    theirs = scorer.score(" ".join(wanted), " ".join(said))
    ours = {"rouge1": rouge_n(said, wanted, 1), "rouge2": rouge_n(said, wanted, 2), "rougeL": rouge_l(said, wanted)}
    for name, score in ours.items():
        expected = theirs[name]
        assert (score.precision, score.recall, score.f1) == pytest.approx(tuple(expected)), name


def test_rouge_equals_rouge_score_on_korean_morphemes(kiwi: KiwiText) -> None:
    scorer = pytest.importorskip("rouge_score.rouge_scorer").RougeScorer(["rougeL"], tokenizer=Words())
    said, wanted = kiwi.tokens("반품은 수령일로부터 7일 안에 신청하세요."), kiwi.tokens(POLICY)
    assert rouge_l(said, wanted).f1 == pytest.approx(scorer.score(" ".join(wanted), " ".join(said))["rougeL"].fmeasure)
    assert rouge_l(said, wanted).f1 > 0.3


def test_rouge_by_hand() -> None:
    said, wanted = ["가", "나", "다", "라"], ["가", "다", "나", "라", "마"]
    assert rouge_n(said, wanted, 1) == Overlap(4 / 4, 4 / 5)
    assert rouge_n(said, wanted, 2) == Overlap(0, 0)  # 가나 나다 다라 against 가다 다나 나라 라마
    assert rouge_l(said, wanted) == Overlap(3 / 4, 3 / 5)  # 가 나 라
    assert rouge_l(said, wanted).f1 == pytest.approx(2 * 3 / 9)


def test_the_default_tokenizer_falls_into_both_traps() -> None:
    default = pytest.importorskip("rouge_score.rouge_scorer").RougeScorer(["rougeL"])
    hangul = "한강은 서해로 흐르는 긴 강이다."
    assert default.score(hangul, hangul)["rougeL"].fmeasure == 0
    assert default.score(POLICY, UNRELATED)["rougeL"].fmeasure == 1


# --- on Korean ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["서울", "네.", "?!", "은는이가", "환불해 주세요", POLICY, "iPhone 15를 10만 원에 샀다", "ㅋㅋㅋ"])
def test_equal_texts_score_one_in_every_metric(text: str, kiwi: KiwiText) -> None:
    for tokenizer in (morphemes(kiwi), morphemes(PlainText()), SYLLABLES, CHARACTERS):
        assert tokenizer.tokens(text), tokenizer.name
        assert {score.f1 for score in rouge(text, text, tokenizer).values()} == {1.0}
    assert morpheme_f1(text, text, kiwi) == 1
    assert corpus_chrf([text], [[text]]).value == pytest.approx(1)


def test_equal_long_texts_score_one_in_bleu() -> None:
    assert corpus_bleu([POLICY, UNRELATED], [[POLICY], [UNRELATED]]).value == pytest.approx(1)


def test_unrelated_sentences_that_share_a_number_score_near_zero(kiwi: KiwiText) -> None:
    scores = rouge(POLICY, UNRELATED, morphemes(kiwi))
    assert set(kiwi.tokens(POLICY)) & set(kiwi.tokens(UNRELATED)) == {"7일"}
    assert 0 < scores["rougeL"].f1 < 0.15
    assert scores["rouge2"].f1 == 0


def test_morphemes_leave_out_grammar_and_bring_numbers_to_one_spelling(kiwi: KiwiText) -> None:
    assert kiwi.tokens("가격은 10만 원입니다.") == kiwi.tokens("가격이 ₩100,000이에요!") == ("가격", "100000원")
    assert kiwi.tokens("2025년 3월 1일에 출발") == kiwi.tokens("2025-03-01 출발한다") == ("2025-03-01", "출발")
    assert kiwi.tokens("하루에 3일, 3일") == ("하루", "3일", "3일")


def test_syllables_keep_words_of_other_letters_and_numbers_whole() -> None:
    assert SYLLABLES.tokens("iPhone 15를 삼십 분") == ("iphone", "15", "를", "30", "분")
    assert CHARACTERS.tokens("A 나.") == ("A", "나", ".")


def test_morpheme_f1_is_the_harmonic_mean_over_content_words(kiwi: KiwiText) -> None:
    assert morpheme_f1("서울에서 반품 신청", "서울 반품", kiwi) == pytest.approx(2 * 2 / (3 + 2))
    assert morpheme_f1("부산", "서울", kiwi) == 0


def test_tokenizers_stand_in_the_names(kiwi: KiwiText) -> None:
    assert "kiwi" in RougeScorer(morphemes(kiwi)).name
    assert "morphemes" in RougeScorer(morphemes(kiwi)).name
    assert "syllables" in RougeScorer(SYLLABLES).name
    assert "kiwipiepy is not installed" in RougeScorer(morphemes(PlainText())).name


def test_the_scorer_takes_the_best_reference(kiwi: KiwiText) -> None:
    scorer = RougeScorer(morphemes(kiwi))
    assert score_answer(scorer, example(UNRELATED, POLICY), Answer(POLICY)).value == 1
    assert score_answer(scorer, example(POLICY), Answer("")).value == 0
    assert score_answer(scorer, example(POLICY), Answer(POLICY, error="timeout")).value == 0


# --- corpus metrics ----------------------------------------------------------------------------------------------------


def test_bleu_and_chrf_say_how_they_were_counted() -> None:
    bleu, chrf = corpus_bleu([UNRELATED], [[POLICY]]), corpus_chrf([UNRELATED], [[POLICY]])
    assert "tok:ko-mecab" in bleu.signature
    assert "nc:6" in chrf.signature
    assert 0 <= bleu.value < 0.1
    assert 0 <= chrf.value < 0.3


def test_corpus_scores_are_those_of_sacrebleu_with_several_references() -> None:
    metrics = pytest.importorskip("sacrebleu.metrics")
    answers = ["반품은 7일 안에 신청하셔야 배송비를 뺀 전액을 돌려받으실 수 있습니다.", UNRELATED]
    references = [[POLICY, POLICY.replace("7일", "10일")], [UNRELATED]]
    streams = [[POLICY, UNRELATED], [POLICY.replace("7일", "10일"), None]]
    bleu = metrics.BLEU(tokenize="ko-mecab").corpus_score(answers, streams).score
    chrf = metrics.CHRF().corpus_score(answers, streams).score
    assert corpus_bleu(answers, references).value == pytest.approx(bleu / 100)
    assert corpus_chrf(answers, references).value == pytest.approx(chrf / 100)


def test_bleu_is_refused_for_short_answers() -> None:
    with pytest.raises(DataError, match="Use chrF, ROUGE or exact match"):
        corpus_bleu(["서울", "부산"], [["서울"], ["부산"]])


@pytest.mark.parametrize("metric", [corpus_bleu, corpus_chrf])
def test_corpus_metrics_refuse_answers_without_references(metric: Callable[..., Any]) -> None:
    for answers, references in (([], []), (["가"], []), (["가"], [[]])):
        with pytest.raises(DataError, match="one or more references for every answer"):
            metric(answers, references)


def test_without_sacrebleu_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("sacrebleu"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match=r"pip install 'sadari\[eval\]'"):
        corpus_chrf(["가"], [["가"]])


# --- bad input ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tokenizer", [SYLLABLES, CHARACTERS, None], ids=["syllables", "characters", "morphemes"])
def test_empty_texts_have_defined_scores(tokenizer: Tokenizer | None, kiwi: KiwiText) -> None:
    tokenizer = tokenizer or morphemes(kiwi)
    for said, wanted, expected in (("", "", 1.0), (" \n", "", 1.0), ("", "서울", 0.0), ("서울", "", 0.0)):
        assert {score.f1 for score in rouge(said, wanted, tokenizer).values()} == {expected}
    assert corpus_chrf([""], [["서울"]]).value == 0


@pytest.mark.parametrize("text", ["서울\x00입니다", "서울\ud800입니다", "\x00", "\udfff", "😀서울", "서울\n\r\u2028입니다"])
def test_control_characters_and_lone_surrogates_are_read_past(text: str, kiwi: KiwiText) -> None:
    assert 0 <= rouge(text, "서울입니다", morphemes(kiwi))["rougeL"].f1 <= 1
    assert 0 <= character_f1(text, "서울") <= 1
    assert 0 <= corpus_chrf([text], [["서울"]]).value <= 1
    assert 0 <= corpus_bleu([text], [[POLICY]]).value <= 1


@pytest.mark.parametrize("unit", ["가나다 ", "1,", "二", "a", "\u1112"])
def test_a_gigantic_answer_is_cut_and_said_to_be(unit: str, kiwi: KiwiText) -> None:
    answer = unit * (1_000_000 // len(unit))
    start = time.process_time()
    score = score_answer(RougeScorer(morphemes(kiwi)), example(POLICY), Answer(answer))
    assert time.process_time() - start < 10
    assert 0 <= score.value < 0.1
    assert f"first {MOST_CHARS:,} characters" in score.reason


def test_common_subsequences_of_long_texts_are_quick() -> None:
    start = time.process_time()
    assert rouge_l(["a", "b"] * 5_000, ["b", "a"] * 5_000).f1 == pytest.approx(9_999 / 10_000)
    assert time.process_time() - start < 2
