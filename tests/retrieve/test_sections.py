"""What stands around a chunk is put together from the chunks of its document as it stands in the document itself."""

from pathlib import Path

import pytest

from sadari.retrieve.chunk import chunk_documents, widened
from sadari.retrieve.sections import section_around
from sadari.types import Chunk, Document

TABLE = "# 요금\n\n지역마다 다릅니다.\n\n| 지역 | 요금 |\n| --- | --- |\n| 제주 | 3,000원 |\n| 울릉 | 5,000원 |\n| 서울 | 무료 |\n"
PROSE = "# 배송\n\n첫 문장입니다. 둘째 문장입니다.\n셋째 문장입니다.\n\n# 환불\n\n다른 이야기입니다.\n"


def around(text: str, wanted: str, tokens: int, *, chunk_tokens: int = 1) -> Chunk:
    """The chunk that holds `wanted`, widened by way of the chunks alone."""
    chunks = chunk_documents([Document("a.md", "안내", text)], chunk_tokens)
    chunk = next(c for c in chunks if wanted in c.text)
    section = section_around(chunk, chunks[::-1])
    assert section is not None
    return section.widened(chunk, tokens)


def test_neighbours_come_back_at_their_places_and_a_heading_ends_them() -> None:
    wide = around(PROSE, "둘째", 100)
    assert wide.text == "첫 문장입니다.\n둘째 문장입니다.\n셋째 문장입니다."
    assert PROSE[wide.start : wide.end].split() == wide.text.split()


def test_no_more_than_the_tokens_allow_is_shown() -> None:
    assert around(PROSE, "둘째", 1).text == "둘째 문장입니다."


@pytest.mark.parametrize("tokens", [40, 60])
def test_rows_of_a_table_have_its_head_again(tokens: int) -> None:
    wide = around(TABLE, "울릉", tokens)
    assert TABLE[wide.start : wide.end] == wide.text
    assert "| 지역 | 요금 |\n| --- | --- |" in f"{wide.header}\n{wide.text}"
    assert "서울" in wide.text


def test_chunks_that_overlap_are_not_said_twice() -> None:
    chunks = [Chunk("a", "t", 0, 6, "하나. 둘."), Chunk("a", "t", 4, 10, "둘. 셋째.")]
    section = section_around(chunks[1], chunks)
    assert section is not None
    assert (section.text, section.start) == ("하나. 둘. 셋째.", 0)


def test_a_chunk_of_another_version_of_the_document_has_no_section() -> None:
    old, new = (chunk_documents([Document("a.md", "안내", text)], 200) for text in (PROSE, PROSE.replace("둘째", "두 번째")))
    assert section_around(old[0], new) is None
    assert section_around(old[0], []) is None


def words(chunk: Chunk) -> list[str]:
    """Fences of code are no part of a chunk of less than the whole of it."""
    return [word for line in chunk.text.splitlines() if not line.startswith("```") for word in line.split()]


@pytest.mark.parametrize("chunk_tokens", [1, 60])
def test_real_pages_are_widened_as_from_their_own_text(shared_data: Path, chunk_tokens: int) -> None:
    alike = []
    for page in sorted((shared_data / "ko-fastapi-docs").rglob("*.md"))[:12]:
        document = Document(page.name, page.stem, page.read_text("utf-8"))
        chunks = chunk_documents([document], chunk_tokens)
        for chunk in chunks[::5]:
            section = section_around(chunk, chunks)
            assert section is not None
            alike.append(words(section.widened(chunk, 150)) == words(widened(chunk, document.text, 150)))
    assert len(alike) > 100
    assert sum(alike) > 0.95 * len(alike)
