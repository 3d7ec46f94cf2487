from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from sadari.retrieve import chunk_documents, sentence_spans
from sadari.types import Document

MARKDOWN = st.lists(
    st.sampled_from(
        ["# 배송", "## 배송비", "배송비는 3,000원입니다. 무료도 있습니다!", "", "- 제주: 2일", "| 표 | 칸 |", "아주 긴 문장 " * 12]
    ),
    max_size=25,
).map("\n".join)

SHOP = Document("shipping.md", "배송 안내", "# 배송 안내\n\n머리말입니다.\n\n## 배송비\n\n3,000원입니다. 5만 원부터 무료입니다.\n")


@given(MARKDOWN, st.integers(80, 400))
def test_every_chunk_is_the_very_text_of_its_span(text: str, chunk_chars: int) -> None:
    for chunk in chunk_documents([Document("a.md", "제목", text)], chunk_chars):
        assert text[chunk.start : chunk.end] == chunk.text != ""


@given(MARKDOWN, st.integers(80, 400))
def test_chunks_stand_in_order_without_overlap_and_lose_no_sentence(text: str, chunk_chars: int) -> None:
    chunks = chunk_documents([Document("a.md", "", text)], chunk_chars)
    assert all(a.end <= b.start for a, b in pairwise(chunks))
    kept = {i for c in chunks for i in range(c.start, c.end)}
    lost = "".join(ch for i, ch in enumerate(text) if i not in kept)
    assert [line for line in lost.splitlines() if line.strip() and not line.startswith("#")] == []


@given(MARKDOWN, st.integers(80, 400))
def test_a_chunk_is_longer_than_asked_only_if_it_is_one_sentence(text: str, chunk_chars: int) -> None:
    for chunk in chunk_documents([Document("a.md", "", text)], chunk_chars):
        assert len(chunk.text) <= chunk_chars or len(sentence_spans(chunk.text)) == 1


def test_a_chunk_is_named_by_its_document_and_its_heading() -> None:
    assert [(c.title, c.text) for c in chunk_documents([SHOP], 400)] == [
        ("배송 안내", "머리말입니다."),
        ("배송 안내 - 배송비", "3,000원입니다. 5만 원부터 무료입니다."),
    ]


def test_a_long_section_is_cut_between_sentences() -> None:
    text = "하나입니다. " * 30
    chunks = chunk_documents([Document("a.md", "", text)], 80)
    assert len(chunks) > 1
    assert all(c.text.startswith("하나") and c.text.endswith(".") for c in chunks)


def test_an_empty_document_gives_no_chunk() -> None:
    assert chunk_documents([Document("a.md", "제목", "# 제목\n\n")], 400) == []
