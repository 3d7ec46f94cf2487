from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from sadari.retrieve import chunk_documents, sentences_of
from sadari.retrieve.chunk import LONGEST_SENTENCE, widened
from sadari.retrieve.tokens import token_counts
from sadari.types import Document

MARKDOWN = st.lists(
    st.sampled_from(
        [
            "# 배송",
            "## 배송비",
            "배송비는 3,000원입니다. 무료도 있습니다!",
            "",
            "- 제주: 2일",
            "| 표 | 칸 |",
            "|---|---|",
            "| 가 | 나 |",
            "```",
            "x = 1",
            "아주 긴 문장 " * 12,
        ]
    ),
    max_size=25,
).map("\n".join)

SHOP = Document("shipping.md", "배송 안내", "# 배송 안내\n\n머리말입니다.\n\n## 배송비\n\n3,000원입니다. 5만 원부터 무료입니다.\n")


@given(MARKDOWN, st.integers(1, 120))
def test_every_chunk_is_the_very_text_of_its_span(text: str, chunk_tokens: int) -> None:
    for chunk in chunk_documents([Document("a.md", "제목", text)], chunk_tokens):
        assert text[chunk.start : chunk.end] == chunk.text != ""


@given(MARKDOWN, st.integers(1, 120))
def test_chunks_stand_in_order_without_overlap_and_lose_no_sentence(text: str, chunk_tokens: int) -> None:
    chunks = chunk_documents([Document("a.md", "", text)], chunk_tokens)
    assert all(a.end <= b.start for a, b in pairwise(chunks))
    kept = {i for c in chunks for i in range(c.start, c.end)}
    lost = "".join(ch for i, ch in enumerate(text) if i not in kept)
    heads = {line for c in chunks for line in c.header.splitlines()}  # shown above the rows
    assert [line for line in lost.splitlines() if line.strip() and not line.startswith(("#", "```")) and line not in heads] == []


@given(MARKDOWN, st.integers(1, 120))
@example("```\n배송비는 3,000원입니다. 무료도 있습니다!\n배송비는 3,000원입니다. 무료도 있습니다!\n- 제주: 2일\n| 표 | 칸 |", 44)
def test_a_chunk_is_longer_than_asked_only_if_it_cannot_be_cut(text: str, chunk_tokens: int) -> None:
    for chunk in chunk_documents([Document("a.md", "", text)], chunk_tokens):
        # What code is packed by is its lines; a line may count fewer tokens than the sentences in it.
        ways = [[s.text for s in sentences_of(chunk)]] + [chunk.text.splitlines()] * ("```" in text)
        assert any(len(parts) <= 1 or sum(token_counts(parts)) <= chunk_tokens for parts in ways)


def test_a_chunk_is_named_by_its_document_and_its_heading() -> None:
    assert [(c.title, c.text) for c in chunk_documents([SHOP], 200)] == [
        ("배송 안내", "머리말입니다."),
        ("배송 안내 - 배송비", "3,000원입니다. 5만 원부터 무료입니다."),
    ]


def test_a_long_section_is_cut_between_sentences() -> None:
    text = "하나입니다. " * 30
    chunks = chunk_documents([Document("a.md", "", text)], 40)
    assert len(chunks) > 1
    assert all(c.text.startswith("하나") and c.text.endswith(".") for c in chunks)


def test_an_empty_document_gives_no_chunk() -> None:
    assert chunk_documents([Document("a.md", "제목", "# 제목\n\n")], 200) == []


TABLE = Document(
    "errors.md", "오류", "# 오류\n\n다음과 같다.\n\n| 코드 | 뜻 |\n|---|---|\n| E1 | 과열 |\n| E2 | 누수 |\n\n끝이다.\n"
)


def test_a_table_that_fits_stays_whole() -> None:
    [chunk] = chunk_documents([TABLE], 200)
    assert "| 코드 | 뜻 |\n|---|---|\n| E1 | 과열 |\n| E2 | 누수 |" in chunk.text


def test_rows_that_are_cut_from_a_table_keep_its_header() -> None:
    rows = [c for c in chunk_documents([TABLE], 1) if c.header]
    assert [(r.text, r.header.splitlines()[0]) for r in rows] == [
        ("| E1 | 과열 |", "| 코드 | 뜻 |"),
        ("| E2 | 누수 |", "| 코드 | 뜻 |"),
    ]


def test_a_chunk_may_begin_with_the_end_of_the_one_before() -> None:
    text = "하나입니다. 둘입니다. 셋입니다. 넷입니다."
    sentence = token_counts(["하나입니다."])[0]
    chunks = chunk_documents([Document("a.md", "", text)], 2 * sentence + 2, overlap=sentence + 1)
    assert len(chunks) > 2
    assert all(b.start < a.end < b.end for a, b in pairwise(chunks))


@given(MARKDOWN, st.integers(1, 60), st.integers(0, 60))
def test_overlap_loses_nothing_and_always_goes_on(text: str, chunk_tokens: int, overlap: int) -> None:
    plain = chunk_documents([Document("a.md", "", text)], chunk_tokens)
    chunks = chunk_documents([Document("a.md", "", text)], chunk_tokens, overlap)
    kept = [{i for c in some for i in range(c.start, c.end) if not text[i].isspace()} for some in (plain, chunks)]
    assert kept[0] <= kept[1]
    assert all(a.start < b.start and a.end < b.end for a, b in pairwise(chunks))


def test_a_line_without_an_end_is_cut_between_words() -> None:
    text = "낱말 " * 2000
    pieces = chunk_documents([Document("a.md", "", text)], 1)
    assert max(len(p.text) for p in pieces) <= LONGEST_SENTENCE
    assert "".join(p.text for p in pieces).replace(" ", "") == text.replace(" ", "")


def test_a_chunk_knows_its_page_date_and_readers() -> None:
    document = Document("a.pdf", "", "첫 쪽입니다.\n둘째 쪽입니다.", pages=(0, 8), date="2026-05-01", access=("hr",))
    assert [(c.page, c.date, c.access) for c in chunk_documents([document], 1)] == [
        (1, "2026-05-01", ("hr",)),
        (2, "2026-05-01", ("hr",)),
    ]


def test_a_chunk_can_be_shown_with_what_stands_around_it_in_its_section() -> None:
    text = "# 가\n앞입니다. 답입니다. 뒤입니다.\n# 나\n남입니다."
    answer = next(c for c in chunk_documents([Document("a.md", "", text)], 1) if c.text == "답입니다.")
    assert widened(answer, text, 100).text == "앞입니다. 답입니다. 뒤입니다."
    assert widened(answer, text, 1).text == "답입니다."
