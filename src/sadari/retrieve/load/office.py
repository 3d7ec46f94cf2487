"""Word, PowerPoint and Excel files, through `python-docx`, `python-pptx` and `openpyxl`.

Not covered: footnotes, headers and footers, text boxes of Word files, charts, and anything that is a picture.
"""

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from typing import Any

from sadari.retrieve.load.limits import Limits
from sadari.retrieve.load.markdown import first_heading, table
from sadari.retrieve.load.package import open_package
from sadari.retrieve.load.parsed import Parsed, UnreadableError, clean, iso_date, join_pages


@contextmanager
def _opened(data: bytes, limits: Limits) -> Iterator[io.BytesIO]:
    """The bytes as a file, after the sizes inside were checked; what a library cannot make sense of is named."""
    with open_package(data, limits):
        pass
    try:
        yield io.BytesIO(data)
    except (UnreadableError, MemoryError, RecursionError, ImportError):
        raise
    except Exception as error:
        why = " ".join(str(error).split())[:200] or type(error).__name__
        raise UnreadableError(f"is damaged ({why}). Open it in its program and save it again, or delete it.") from error


def read_docx(data: bytes, limits: Limits) -> Parsed:
    """Paragraphs, headings, lists and tables in their order."""
    import docx

    with _opened(data, limits) as file:
        document = docx.Document(file)
        text = clean("\n\n".join(piece for piece in _blocks(document) if piece.strip()))
        return _described(text, document.core_properties, first_heading(text))


def _blocks(container: Any) -> Iterator[str]:
    from docx.table import Table

    for block in container.iter_inner_content():
        yield table(_docx_rows(block)) if isinstance(block, Table) else _paragraph(block)


def _paragraph(paragraph: Any) -> str:
    text = paragraph.text.strip()
    style = (paragraph.style.name or "").lower() if paragraph.style is not None else ""
    if not text:
        return ""
    for word in ("heading", "제목", "개요"):
        level = style.removeprefix(word).strip()
        if style.startswith(word) and (level or word == "heading") and (level or "1").isdecimal():
            return f"{'#' * min(int(level or 1), 6)} {' '.join(text.split())}"
    if style in ("title", "제목"):
        return f"# {' '.join(text.split())}"
    return f"- {text}" if style.startswith(("list", "목록")) and style != "list paragraph" else text


def _docx_rows(grid: Any) -> list[list[str]]:
    """Cells as text. A cell that spans columns is told once and then left empty."""
    rows = []
    for row in grid.rows:
        seen: set[Any] = set()
        cells = []
        for cell in row.cells:
            inside = " ".join(piece for piece in _cell_texts(cell) if piece)
            cells.append("" if cell._tc in seen else inside)
            seen.add(cell._tc)
        rows.append(cells)
    return rows


def _cell_texts(cell: Any) -> Iterator[str]:
    from docx.table import Table

    for block in cell.iter_inner_content():
        yield "; ".join(", ".join(row) for row in _docx_rows(block)) if isinstance(block, Table) else block.text


def read_pptx(data: bytes, limits: Limits) -> Parsed:
    """One page a slide: its title as a heading, then its texts, tables and notes."""
    import pptx

    with _opened(data, limits) as file:
        presentation = pptx.Presentation(file)
        text, pages = join_pages(_slide(slide) for slide in presentation.slides)
        return _described(text, presentation.core_properties, first_heading(text), pages)


def _slide(slide: Any) -> str:
    title = slide.shapes.title
    heading = " ".join(title.text_frame.text.split()) if title is not None else ""
    pieces = [f"## {heading}"] if heading else []
    pieces += _shapes(shape for shape in slide.shapes if title is None or shape.shape_id != title.shape_id)
    if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
        pieces.append(slide.notes_slide.notes_text_frame.text)
    return "\n\n".join(piece for piece in pieces if piece.strip())


def _shapes(shapes: Iterable[Any]) -> Iterator[str]:
    for shape in shapes:
        if hasattr(shape, "shapes"):  # a group
            yield from _shapes(shape.shapes)
        elif getattr(shape, "has_table", False):
            yield table([cell.text for cell in row.cells] for row in shape.table.rows)
        elif shape.has_text_frame:
            yield shape.text_frame.text


def read_xlsx(data: bytes, limits: Limits) -> Parsed:
    """Each sheet as a heading and a table, formulas by their last values."""
    import openpyxl

    with _opened(data, limits) as file:
        book = openpyxl.load_workbook(file, read_only=True, data_only=True)
        pieces, length = [], 0
        for sheet in book.worksheets:
            sheet.reset_dimensions()  # a file may claim a million columns that are not there
            rows = []
            for row in sheet.iter_rows(values_only=True):
                cells = _row(row)
                length += sum(map(len, cells)) + 3 * len(cells)
                if length > limits.text_chars:
                    raise too_long(limits)
                if cells:
                    rows.append(cells)
            if rows:
                pieces.append(f"## {sheet.title}\n\n{table(rows)}")
        return _described(clean("\n\n".join(pieces)), book.properties)


def too_long(limits: Limits) -> UnreadableError:
    """The fault of a file whose text exceeds the limit."""
    return UnreadableError(
        f"holds more than {limits.text_chars:,} characters of text (`text_chars`). Split it, or raise the limit."
    )


def _row(values: Iterable[Any]) -> list[str]:
    cells = ["" if value is None else _value(value) for value in values]
    while cells and not cells[-1]:
        cells.pop()
    return cells


def _value(value: Any) -> str:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d" if value.time() == datetime.min.time() else "%Y-%m-%d %H:%M")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def _described(text: str, properties: Any, heading: str = "", pages: tuple[int, ...] = ()) -> Parsed:
    """With title, date and author from the file's core properties."""
    author = str(getattr(properties, "author", None) or getattr(properties, "creator", None) or "")
    stamp = properties.modified or properties.created
    named = {"author": clean(author)} if author and author not in ("python-docx", "openpyxl") else {}
    return Parsed(text, clean(str(properties.title or "")) or heading, pages, iso_date(stamp), metadata=named)
