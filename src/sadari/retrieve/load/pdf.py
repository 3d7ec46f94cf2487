"""PDF files, through `pypdfium2`: text by page, headings by the outline and by the size of the letters."""

import ctypes
import re
import struct
import zlib
from collections import Counter
from typing import Any

from sadari.retrieve.load.limits import Limits
from sadari.retrieve.load.markdown import first_heading
from sadari.retrieve.load.office import too_long
from sadari.retrieve.load.parsed import Parsed, UnreadableError, clean, iso_date, join_pages

_PROGRAM_TITLE = re.compile(r"\.(docx?|hwpx?|pptx?|xlsx?|indd|tmp)$|^(untitled|제목 없음|microsoft )", re.IGNORECASE)
_LETTER = re.compile(r"[^\W\d_]")
_HEADING_SCALE = 1.15
_HEADING_CHARS = 80
_PASSWORD = "password"
_END_BYTES = 2048
_DOTS_PER_POINT = 2.0  # 144 dpi, which OCR of 10-point Hangul needs
_MOST_DOTS = 3000


def read_pdf(data: bytes, limits: Limits) -> Parsed:
    """The text of each page; lines that the outline names, or in larger letters, are headings.

    Raises:
        UnreadableError: If it is damaged or password-protected.
    """
    document = _open(data)
    outline = _outline(document)
    pages: list[str] = []
    pictures: list[int] = []
    length = 0
    for at in range(len(document)):
        page = _page(document, at)
        pages.append(_page_text(page, outline.get(at, {})))
        length += len(pages[-1])
        if length > limits.text_chars:
            raise too_long(limits)
        if not pages[-1].strip() and next(iter(page.get_objects(max_depth=2)), None) is not None:
            pictures.append(at)
        page.close()
    text, starts = join_pages(pages)
    facts = document.get_metadata_dict(skip_empty=True)
    title = " ".join(clean(facts.get("Title", "")).split())
    title = "" if _PROGRAM_TITLE.search(title) else title
    author = clean(facts.get("Author", ""))
    return Parsed(
        text,
        title or first_heading(text[: starts[1] if len(starts) > 1 else None]),
        starts,
        iso_date(facts.get("ModDate")) or iso_date(facts.get("CreationDate")),
        metadata={"author": author} if author else {},
        pictures=tuple(pictures),
    )


def picture_of_page(data: bytes, page: int) -> bytes:
    """One page as a PNG in grey, for an OCR. `page` counts from 0."""
    sheet = _page(_open(data), page)
    scale = min(_DOTS_PER_POINT, _MOST_DOTS / max(*sheet.get_size(), 1.0))
    bitmap = sheet.render(scale=scale, grayscale=True)
    rows = bytes(bitmap.buffer)
    lines = b"".join(b"\0" + rows[at * bitmap.stride : at * bitmap.stride + bitmap.width] for at in range(bitmap.height))
    header = struct.pack(">IIBBBBB", bitmap.width, bitmap.height, 8, 0, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(lines, 6)), (b"IEND", b""))
    packed = (struct.pack(">I", len(part)) + name + part + struct.pack(">I", zlib.crc32(name + part)) for name, part in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def _open(data: bytes) -> Any:
    import pypdfium2

    if b"%%EOF" not in data[-_END_BYTES:]:  # pdfium would mend it, and leave out what is not there
        raise UnreadableError("is damaged or cut short: its end mark is missing. Get it again, or delete it.")
    try:
        document = pypdfium2.PdfDocument(data)
        count = len(document)
    except pypdfium2.PdfiumError as error:
        if _PASSWORD in str(error).lower():
            raise UnreadableError("is password-protected. Save it without a password.") from error
        raise UnreadableError("is damaged or cut short: it holds no readable page. Get it again, or delete it.") from error
    if not count:
        raise UnreadableError("is damaged or cut short: it holds no page. Get it again, or delete it.")
    return document


def _page(document: Any, at: int) -> Any:
    import pypdfium2

    try:
        return document[at]
    except (pypdfium2.PdfiumError, IndexError) as error:
        raise UnreadableError("is damaged. Print the file to a new PDF, or delete it.", where=f" page {at + 1}") from error


def _outline(document: Any) -> dict[int, dict[str, int]]:
    """For each page, the titles of the outline that point there and their levels from 1."""
    found: dict[int, dict[str, int]] = {}
    for bookmark in document.get_toc(max_depth=6):
        dest = bookmark.get_dest()
        page = dest.get_index() if dest is not None else None
        if page is not None:
            found.setdefault(page, {})["".join(clean(bookmark.get_title()).split())] = bookmark.level + 1
    return found


def _page_text(page: Any, titles: dict[str, int]) -> str:
    textpage = page.get_textpage()
    text = textpage.get_text_range().replace("\ufffe", "")
    lines = text.split("\n")
    sizes = _line_sizes(textpage, lines) if len(text) == textpage.count_chars() else [0.0] * len(lines)
    weights: Counter[float] = Counter()
    for line, size in zip(lines, sizes, strict=True):
        weights[size] += len(line)
    body = weights.most_common(1)[0][0] if weights else 0.0
    out = []
    for raw, size in zip(lines, sizes, strict=True):
        line = raw.strip()
        level = titles.get("".join(clean(line).split()), 0) or 2 * _is_heading(line, size, body)
        out.append(f"\n{'#' * min(level, 6)} {line}\n" if level and line else line)
    textpage.close()
    return "\n".join(out)


def _is_heading(line: str, size: float, body: float) -> bool:
    """Whether a line in larger letters than the body's reads like a heading, not like a lone number or a line of the contents."""
    is_large = bool(body) and size >= _HEADING_SCALE * body
    return is_large and 1 < len(line) <= _HEADING_CHARS and _LETTER.search(line) is not None and ". . ." not in line


def _line_sizes(textpage: Any, lines: list[str]) -> list[float]:
    """Height in points, to half a point, of the letters that each line begins with; 0 for an empty line."""
    import pypdfium2.raw as raw

    sizes, at = [], 0
    for line in lines:
        start = at + len(line) - len(line.lstrip())
        box = [ctypes.c_double() for _ in range(4)]
        size = raw.FPDFText_GetFontSize(textpage, start) if line.strip() else 0.0
        if size == 1.0 and raw.FPDFText_GetCharBox(textpage, start, *box):  # the matrix scales a font of one point
            size = abs(box[3].value - box[2].value) * 1.4
        sizes.append(round(2 * size) / 2)
        at += len(line) + 1
    return sizes
