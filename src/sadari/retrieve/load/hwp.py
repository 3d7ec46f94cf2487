"""Hangul documents: HWPX (zip and XML, by the standard library) and HWP 5 (an OLE file, through `olefile`).

Not covered: the places of footnotes, formulas, pictures; of HWPX, headers and footers of pages.

Source:
    Hancom, "HWP Document File Formats 5.0" (revision 1.3) for the records of HWP 5; KS X 6101 (OWPML) for HWPX.
"""

import re
import struct
import xml.etree.ElementTree as ElementTree
import zipfile
import zlib
from collections.abc import Iterator
from xml.etree.ElementTree import Element

from sadari.retrieve.load.limits import Limits, megabytes
from sadari.retrieve.load.markdown import first_heading, table
from sadari.retrieve.load.package import open_package
from sadari.retrieve.load.parsed import Parsed, UnreadableError, clean, iso_date

_DECLARATION = re.compile(rb"<!\s*(?:DOCTYPE|ENTITY)", re.IGNORECASE)
_OUTLINE = re.compile(r"(?:개요|outline|제목|heading) ?([1-9])", re.IGNORECASE)
_SECTION = re.compile(r"Contents/section(\d+)\.xml")


def read_hwpx(data: bytes, limits: Limits) -> Parsed:
    """Paragraphs in order; outline styles become headings, tables Markdown tables."""
    with open_package(data, limits) as package:
        names = package.namelist()
        if any(b"encryption-data" in package.read(name) for name in names if name == "META-INF/manifest.xml"):
            raise UnreadableError("is password-protected. Save it without a password.")
        levels = _levels(_xml(package, "Contents/header.xml")) if "Contents/header.xml" in names else {}
        sections = sorted((int(found[1]), name) for name in names if (found := _SECTION.fullmatch(name)))
        pieces = [piece for _, name in sections for piece in _blocks(_xml(package, name), levels)]
        facts = _facts(_xml(package, "Contents/content.hpf")) if "Contents/content.hpf" in names else {}
    text = clean("\n\n".join(piece for piece in pieces if piece.strip()))
    return Parsed(
        text,
        clean(facts.get("title", "")) or first_heading(text),
        date=iso_date(facts.get("ModifiedDate")) or iso_date(facts.get("CreatedDate")),
        metadata={"author": clean(facts["creator"])} if facts.get("creator") else {},
    )


def _xml(package: zipfile.ZipFile, name: str) -> Element:
    """The root of an XML member. A document type is refused before parsing: entities can multiply without end."""
    data = package.read(name)
    if _DECLARATION.search(data) or b"\0" in data[:200]:
        raise UnreadableError(f"{name} declares a document type or is not UTF-8, which no Hangul program writes. Save it again.")
    try:
        return ElementTree.fromstring(data)
    except ElementTree.ParseError as error:
        raise UnreadableError(f"is damaged: {name} is broken XML ({error}). Save it again in Hangul.") from error


def _local(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _levels(header: Element) -> dict[str, int]:
    """Heading levels by the id of a paragraph style."""
    styles = (element for element in header.iter() if _local(element) == "style")
    named = (
        (style.get("id", ""), _OUTLINE.fullmatch(style.get("name", "")) or _OUTLINE.fullmatch(style.get("engName", "")))
        for style in styles
    )
    return {name: int(found[1]) for name, found in named if found}


def _facts(root: Element) -> dict[str, str]:
    facts = {_local(element): element.text or "" for element in root.iter() if _local(element) in ("title", "creator")}
    return facts | {element.get("name", ""): element.text or "" for element in root.iter() if _local(element) == "meta"}


def _blocks(root: Element, levels: dict[str, int]) -> Iterator[str]:
    """The paragraphs and tables right below an element."""
    for paragraph in root:
        if _local(paragraph) != "p":
            continue
        text = clean("".join(_texts(paragraph))).strip()
        level = min(levels.get(paragraph.get("styleIDRef", ""), 0), 6)
        if text:
            yield f"{'#' * level} {' '.join(text.split())}" if level else text
        for element in _inside(paragraph):
            if _local(element) == "tbl":
                yield _grid(element, levels)
            else:
                yield "\n\n".join(_blocks(element, levels))


def _inside(element: Element) -> Iterator[Element]:
    """The nearest tables and boxes of text below a paragraph."""
    for child in element:
        if _local(child) in ("tbl", "subList"):
            yield child
        elif _local(child) not in ("t", "secPr", "header", "footer"):
            yield from _inside(child)


def _texts(paragraph: Element) -> Iterator[str]:
    for run in paragraph:
        for item in run if _local(run) == "run" else ():
            if _local(item) == "t":
                yield item.text or ""
                for mark in item:
                    yield {"tab": "\t", "lineBreak": "\n", "nbSpace": " ", "fwSpace": " ", "hyphen": "-"}.get(_local(mark), "")
                    yield mark.tail or ""


def _grid(grid: Element, levels: dict[str, int]) -> str:
    rows = []
    for row in (child for child in grid if _local(child) == "tr"):
        cells: list[str] = []
        for cell in (child for child in row if _local(child) == "tc"):
            cells.append(" ".join(" ".join(_blocks(part, {})) for part in cell if _local(part) == "subList"))
            span = next((int(part.get("colSpan", "1")) for part in cell if _local(part) == "cellSpan"), 1)
            cells += [""] * min(span - 1, 100)
        rows.append(cells)
    return table(rows)


# --- HWP 5 ---------------------------------------------------------------------------------------------------------------

_COMPRESSED, _ENCRYPTED, _DISTRIBUTED = 1, 2, 4
_TEXT_RECORD, _LIST_RECORD, _TABLE_RECORD = 67, 72, 77
_WIDE_CONTROLS = frozenset(range(1, 24)) - {10, 13}  # they take eight units of two bytes, the others one


def read_hwp(data: bytes, limits: Limits) -> Parsed:
    """The paragraphs of every section in order; the cells of a table row by row, one row a line.

    Raises:
        UnreadableError: If it is encrypted or damaged, or `olefile` is missing; the message says how to convert it.
    """
    try:
        import olefile
    except ImportError as error:
        raise UnreadableError(
            "HWP 5 needs the package olefile: pip install olefile. Or save it as .hwpx or .pdf in Hangul."
        ) from error
    try:
        with olefile.OleFileIO(data) as file:
            flags = struct.unpack_from("<I", file.openstream("FileHeader").read(40), 36)[0]
            if flags & (_ENCRYPTED | _DISTRIBUTED):
                kind = "password-protected" if flags & _ENCRYPTED else "a copy for distribution, which is encrypted"
                raise UnreadableError(f"is {kind}. Save it as .hwpx without a password.")
            found = (re.fullmatch(r"Section(\d+)", path[1]) for path in file.listdir() if path[0] == "BodyText" and len(path) == 2)
            sections = sorted(int(match[1]) for match in found if match)
            streams = [file.openstream(f"BodyText/Section{number}").read() for number in sections]
            date = iso_date(file.get_metadata().last_saved_time)
    except (OSError, struct.error, ValueError, IndexError) as error:
        raise UnreadableError(f"is damaged ({error}). Open it in Hangul and save it again as .hwpx.") from error
    left = limits.unpacked_bytes
    pieces: list[str] = []
    for stream in streams:
        section = _inflate(stream, left) if flags & _COMPRESSED else stream
        left -= len(section)
        pieces += _hwp_lines(section)
    return Parsed(clean("\n\n".join(piece for piece in pieces if piece.strip())), date=date)


def _inflate(stream: bytes, most: int) -> bytes:
    unpack = zlib.decompressobj(-15)
    try:
        section = unpack.decompress(stream, max(most, 1))
    except zlib.error as error:
        raise UnreadableError(f"is damaged ({error}). Open it in Hangul and save it again as .hwpx.") from error
    if unpack.unconsumed_tail:
        raise UnreadableError(f"unpacks to more than {megabytes(most)} (`unpacked_bytes`). Split it.")
    return section


def _hwp_lines(section: bytes) -> Iterator[str]:
    """Paragraphs, and each table as a Markdown table, by the levels of the records."""
    grid: dict[tuple[int, int], str] = {}
    cell, depth = None, -1
    for tag, level, body in _records(section):
        if depth >= 0 and level < depth:
            yield _hwp_table(grid)
            grid, cell, depth = {}, None, -1
        if tag == _TABLE_RECORD and depth < 0:
            depth = level
        elif tag == _LIST_RECORD and level == depth and len(body) >= 12:
            column, row = struct.unpack_from("<HH", body, 8)
            cell = (row, column)
        elif tag == _TEXT_RECORD:
            text = _hwp_text(body)
            if cell is None:
                yield text
            else:
                grid[cell] = f"{grid.get(cell, '')} {text}"
    yield _hwp_table(grid)


def _hwp_table(grid: dict[tuple[int, int], str]) -> str:
    rows: dict[int, dict[int, str]] = {}
    for (row, column), text in sorted(grid.items()):
        rows.setdefault(row, {})[min(column, 255)] = text
    return table([cells.get(column, "") for column in range(max(cells) + 1)] for cells in rows.values())


def _records(section: bytes) -> Iterator[tuple[int, int, bytes]]:
    at = 0
    while at + 4 <= len(section):
        header = struct.unpack_from("<I", section, at)[0]
        at += 4
        size = header >> 20
        if size == 0xFFF and at + 4 <= len(section):
            size = struct.unpack_from("<I", section, at)[0]
            at += 4
        if at + size > len(section):
            raise UnreadableError("is damaged: a record is cut short. Open it in Hangul and save it again as .hwpx.")
        yield header & 0x3FF, header >> 10 & 0x3FF, section[at : at + size]
        at += size


def _hwp_text(body: bytes) -> str:
    units = struct.unpack(f"<{len(body) // 2}H", body[: len(body) // 2 * 2])
    kept: list[int] = []
    at = 0
    while at < len(units):
        unit = units[at]
        if unit >= 32:
            kept.append(unit)
        elif unit in (9, 10, 30, 31):
            kept.append({9: 9, 10: 10}.get(unit, 32))
        at += 8 if unit in _WIDE_CONTROLS else 1
    return struct.pack(f"<{len(kept)}H", *kept).decode("utf-16-le", errors="replace")
