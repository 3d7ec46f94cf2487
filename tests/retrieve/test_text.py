from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from sadari.retrieve import search_terms
from sadari.text.sentences import sentence_spans

PROSE = st.text(alphabet="가나 다라.!?\n\t\"'#1234ab。 ", max_size=200)


def test_korean_terms_are_bigrams_inside_words() -> None:
    assert search_terms("배송비는 무료") == ["배송", "송비", "비는", "무료"]


def test_a_single_character_is_its_own_term() -> None:
    assert search_terms("총 3 개") == ["총", "3", "개"]


def test_latin_words_stay_whole_in_lower_case_and_long_ones_add_their_stem() -> None:
    assert search_terms("VIP transferred") == ["vip", "transferred", "trans*"]
    assert set(search_terms("transfers")) & set(search_terms("transferred")) == {"trans*"}


def test_a_particle_does_not_hide_a_foreign_name() -> None:
    assert search_terms("FastAPI는 5시부터 GZip을") == ["fastapi", "fasta*", "는", "5시", "시부", "부터", "gzip", "을"]
    assert set(search_terms("Host가")) & set(search_terms("TrustedHost, Host 헤더")) == {"host"}


def test_inflected_and_compounded_korean_still_meets_its_noun() -> None:
    for form in ("환불은", "환불을", "자동환불", "환불금"):
        assert "환불" in search_terms(form)


def test_sentences_end_at_marks_and_lines_and_not_inside_numbers() -> None:
    text = "배송비는 3.5달러입니다. 무료인가요? 네!\n끝"
    assert [text[a:b] for a, b in sentence_spans(text)] == ["배송비는 3.5달러입니다.", "무료인가요?", "네!", "끝"]


def test_a_numbered_list_item_is_one_sentence() -> None:
    text = "1. 신청합니다.\n2. 기다립니다."
    assert [text[a:b] for a, b in sentence_spans(text)] == ["1. 신청합니다.", "2. 기다립니다."]


def test_headings_are_not_sentences() -> None:
    text = "# 배송\n\n내일 옵니다."
    assert [text[a:b] for a, b in sentence_spans(text)] == ["내일 옵니다."]


@given(PROSE)
def test_sentences_are_trimmed_in_order_and_never_overlap(text: str) -> None:
    spans = sentence_spans(text)
    assert all(text[a:b] == text[a:b].strip() != "" for a, b in spans)
    assert all(first[1] <= second[0] for first, second in pairwise(spans))


@given(st.text(alphabet="가나다 .?!\n1", max_size=200))
def test_no_character_outside_the_sentences_but_white_space(text: str) -> None:
    covered = {i for a, b in sentence_spans(text) for i in range(a, b)}
    assert all(ch.isspace() for i, ch in enumerate(text) if i not in covered)
