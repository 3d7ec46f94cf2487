"""Files of every format, whole and broken, made from nothing but a marker that each must give back."""

import io
import os
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage
from itertools import cycle, islice
from pathlib import Path

import docx
import openpyxl
import pptx


@dataclass(frozen=True)
class Written:
    """What stands in the folder.

    Args:
        good: For each id that must come out, the text that must stand in it.
        bad: For each name that must be a fault, a word of the reason.
    """

    good: dict[str, str]
    bad: dict[str, str]


def write_files(folder: Path, files: int, broken: int, seed: int = 0, *, large_bytes: int = 200_000_000) -> Written:
    """`files` files of all formats in turn, `broken` of them broken, in three folders.

    Args:
        large_bytes: Size of what the bombs unpack to, and of a text, which must exceed the limit that is loaded with.
    """
    dice = random.Random(seed)
    good: dict[str, str] = {}
    bad: dict[str, str] = {}
    for at, (suffix, make, inside) in enumerate(islice(cycle(_GOOD), files - broken)):
        marker = f"관리번호 K{dice.randrange(10**9):09d}"
        name = f"{('정책', '설명서', 'archive')[at % 3]}/{at:04d}{suffix}"
        _write(folder / name, make(marker))
        good[f"{name}/{inside}" if inside else name] = marker
    for at, (suffix, spoil, reason) in enumerate(islice(cycle(_BROKEN), broken)):
        name = f"broken/{at:04d}{suffix}"
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        spoil(path, large_bytes)
        bad[name] = reason
    return Written(good, bad)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


# --- whole ----------------------------------------------------------------------------------------------------------------


def markdown(marker: str) -> bytes:
    return f"---\ntitle: 안내\ndate: 2026-05-01\nteam: 고객\n---\n\n# 배송\n\n{marker}은 이틀 걸립니다.\n".encode()


def html(marker: str, encoding: str = "utf-8") -> bytes:
    head = f'<!DOCTYPE html><html lang="ko"><head><meta charset="{encoding}"><title>환불</title></head>'
    return f"{head}<body><h2>기준</h2><p>{marker}</p><table><tr><th>등급<td>금액<tr><td>가<td>1</table></body></html>".encode(
        encoding
    )


def word(marker: str) -> bytes:
    document = docx.Document()
    document.add_heading("휴가", 1)
    document.add_paragraph(f"{marker} 연차는 15일이다.")
    grid = document.add_table(2, 2)
    for at, text in enumerate(("구분", "일수", "경조", "5")):
        grid.cell(at // 2, at % 2).text = text
    return _saved(document)


def slides(marker: str) -> bytes:
    presentation = pptx.Presentation()
    for title in ("개요", "결론"):
        slide = presentation.slides.add_slide(presentation.slide_layouts[1])
        slide.shapes.title.text = title
        slide.placeholders[1].text = marker
    return _saved(presentation)


def sheets(marker: str) -> bytes:
    book = openpyxl.Workbook()
    book.active.append(["품목", "값"])
    book.active.append([marker, 1.5])
    return _saved(book)


def _saved(document: object) -> bytes:
    file = io.BytesIO()
    document.save(file)  # type: ignore[attr-defined]
    return file.getvalue()


def pdf(marker: str, *, pages: int = 2, encrypt: bool = False, has_text: bool = True) -> bytes:
    """A PDF by hand: a heading of 18 points and text of 10 in a Korean font that is not embedded."""
    kids = " ".join(f"{5 + 2 * at} 0 R" for at in range(pages))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {pages} >>".encode(),
        b"<< /Type /Font /Subtype /Type0 /BaseFont /HYSMyeongJo-Medium /Encoding /UniKS-UTF16-H /DescendantFonts [4 0 R] >>",
        b"<< /Type /Font /Subtype /CIDFontType0 /BaseFont /HYSMyeongJo-Medium "
        b"/CIDSystemInfo << /Registry (Adobe) /Ordering (Korea1) /Supplement 2 >> /FontDescriptor << /Type /FontDescriptor "
        b"/FontName /HYSMyeongJo-Medium /Flags 6 /FontBBox [0 -148 1001 880] /ItalicAngle 0 /Ascent 880 /Descent -148 "
        b"/CapHeight 660 /StemV 93 >> >>",
    ]
    for at in range(pages):
        heading, line = (f"제{at + 1}장 안내".encode("utf-16-be").hex(), f"{marker} 본문입니다.".encode("utf-16-be").hex())
        text = f"BT /F 18 Tf 72 720 Td <{heading}> Tj /F 10 Tf 0 -40 Td <{line}> Tj 0 -14 Td <{line}> Tj ET"
        content = (text if has_text else "0.5 g 72 72 300 300 re f").encode()
        font = "/Resources << /Font << /F 3 0 R >> >>"
        objects.append(f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] {font} /Contents {6 + 2 * at} 0 R >>".encode())
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content))
    out = bytearray(b"%PDF-1.5\n")
    places = []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(places) + 1) + b"".join(b"%010d 00000 n \n" % place for place in places)
    lock = b"/ID [<00><00>] /Encrypt << /Filter /Standard /V 1 /R 2 /O <%s> /U <%s> /P -4 >>" % (b"11" * 32, b"22" * 32)
    out += b"trailer\n<< /Size %d /Root 1 0 R %s >>\nstartxref\n%d\n%%%%EOF\n" % (len(places) + 1, lock if encrypt else b"", table)
    return bytes(out)


def hwpx(marker: str, *, before: str = "") -> bytes:
    name = 'xmlns:hp="http://www.hancom.co.kr/hwpml/2011/paragraph" xmlns:hs="http://www.hancom.co.kr/hwpml/2011/section"'
    cells = "".join(f"<hp:tc><hp:subList>{_hwpx_line(text)}</hp:subList></hp:tc>" for text in ("가", "나"))
    grid = f"<hp:p><hp:run><hp:tbl><hp:tr>{cells}</hp:tr><hp:tr>{cells}</hp:tr></hp:tbl></hp:run></hp:p>"
    section = f"{before}<hs:sec {name}>{_hwpx_line('제1조 목적', '1')}{_hwpx_line(marker)}{grid}</hs:sec>"
    head = (
        '<hh:head xmlns:hh="http://www.hancom.co.kr/hwpml/2011/head"><hh:style id="1" name="개요 1" engName="Outline 1"/></hh:head>'
    )
    facts = (
        '<opf:package xmlns:opf="o"><opf:metadata>'
        '<opf:meta name="ModifiedDate">2026-03-02T00:00:00Z</opf:meta></opf:metadata></opf:package>'
    )
    return archive(
        {
            "mimetype": b"application/hwp+zip",
            "Contents/content.hpf": facts.encode(),
            "Contents/header.xml": head.encode(),
            "Contents/section0.xml": section.encode(),
        }
    )


def _hwpx_line(text: str, style: str = "0") -> str:
    return f'<hp:p styleIDRef="{style}"><hp:run><hp:t>{text}</hp:t></hp:run></hp:p>'


def hwp(marker: str, *, flags: int = 1) -> bytes:
    """An HWP 5 file: a paragraph, a table of two by two cells, a paragraph."""

    def record(tag: int, level: int, body: bytes) -> bytes:
        return struct.pack("<I", tag | level << 10 | len(body) << 20) + body

    def line(level: int, text: str) -> bytes:
        return record(66, level, bytes(22)) + record(67, level + 1, text.encode("utf-16-le") + b"\r\0")

    section = line(0, marker) + record(66, 0, bytes(22)) + record(67, 1, struct.pack("<8H", 11, 0, 0, 0, 0, 0, 0, 11) + b"\r\0")
    section += record(71, 1, b" lbt" + bytes(40)) + record(77, 2, bytes(20))
    for at, text in enumerate(("구분", "일수", "연차", "15")):
        section += record(72, 2, bytes(8) + struct.pack("<4H", at % 2, at // 2, 1, 1) + bytes(18)) + line(2, text)
    section += line(0, "끝.")
    packer = zlib.compressobj(wbits=-15)
    header = b"HWP Document File".ljust(32, b"\0") + bytes((0, 3, 0, 5)) + struct.pack("<I", flags)
    return ole({"FileHeader": header, "BodyText/Section0": packer.compress(section) + packer.flush()})


def ole(streams: dict[str, bytes]) -> bytes:
    """A compound file with streams in at most one storage each; every stream is padded to 4,096 bytes."""
    names = sorted({name.split("/")[0] for name in streams} | set(streams))
    sectors = [stream.ljust(4096, b"\0") + bytes(-max(len(stream), 4096) % 512) for stream in streams.values()]
    directory_sectors = (len(names) + 4) // 4
    fat = [0xFFFFFFFD] + [at + 2 for at in range(directory_sectors - 1)] + [0xFFFFFFFE]
    starts = {}
    for name, data in zip(streams, sectors, strict=True):
        starts[name] = len(fat)
        fat += [*range(len(fat) + 1, len(fat) + len(data) // 512), 0xFFFFFFFE]
    fat += [0xFFFFFFFF] * (128 - len(fat))
    tops = [name for name in names if "/" not in name]
    entries = [_entry("Root Entry", 5, child=names.index(tops[0]) + 1)]
    for name in names:
        inside = [n for n in names if n.startswith(name + "/")]
        siblings = [n for n in names if n.rpartition("/")[0] == name.rpartition("/")[0]]
        after = siblings[siblings.index(name) + 1 :]
        entries.append(
            _entry(
                name.rpartition("/")[2],
                2 if name in streams else 1,
                right=names.index(after[0]) + 1 if after else None,
                child=names.index(inside[0]) + 1 if inside else None,
                start=starts.get(name, 0),
                size=max(len(streams[name]), 4096) if name in streams else 0,
            )
        )
    directory = b"".join(entries).ljust(512 * directory_sectors, b"\0")
    header = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(16) + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6) + bytes(6)
    header += struct.pack("<IIIIIIIII", 0, 1, 1, 0, 4096, 0xFFFFFFFE, 0, 0xFFFFFFFE, 0)
    header += struct.pack("<109I", 0, *[0xFFFFFFFF] * 108)
    return header + struct.pack("<128I", *fat) + directory + b"".join(sectors)


def _entry(
    name: str, kind: int, *, right: int | None = None, child: int | None = None, start: int = 0xFFFFFFFE, size: int = 0
) -> bytes:
    text = name.encode("utf-16-le") + b"\0\0"
    links = [0xFFFFFFFF if link is None else link for link in (None, right, child)]
    return text.ljust(64, b"\0") + struct.pack("<HBB3I36xIQ", len(text), kind, 1, *links, start, size)


def mail(marker: str) -> bytes:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "kim@example.com", "lee@example.com", "회의 안내"
    message["Date"] = "Fri, 01 May 2026 09:00:00 +0900"
    message.set_content(f"{marker}\n\n세 시에 모입니다.")
    message.add_attachment(markdown("첨부"), maintype="text", subtype="markdown", filename="첨부.md")
    return bytes(message)


def archive(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as package:
        for name, data in members.items():
            package.writestr(name, data)
    return file.getvalue()


_GOOD: tuple[tuple[str, Callable[[str], bytes], str], ...] = (
    (".md", markdown, ""),
    (".txt", lambda marker: f"{marker}\n본문".encode(), ""),
    ("-cp949.txt", lambda marker: f"{marker}\n배송은 이틀 걸립니다.".encode("cp949"), ""),
    ("-utf16.txt", lambda marker: f"{marker}\n배송".encode("utf-16"), ""),
    (".html", html, ""),
    ("-euckr.htm", lambda marker: html(marker, "euc-kr"), ""),
    (".csv", lambda marker: f"이름,값\n{marker},1\n".encode("cp949"), ""),
    (".tsv", lambda marker: f"이름\t값\n{marker}\t1\n".encode("utf-8-sig"), ""),
    (".docx", word, ""),
    (".pptx", slides, ""),
    (".xlsx", sheets, ""),
    (".pdf", pdf, ""),
    (".hwpx", hwpx, ""),
    (".eml", mail, ""),
    ("-renamed.pdf", word, ""),
    (".zip", lambda marker: archive({"안/규정.docx": word(marker)}), "안/규정.docx"),
    (".jsonl", lambda marker: f'{{"id": "r1", "text": "{marker}"}}\n'.encode(), "r1"),
)


# --- broken ---------------------------------------------------------------------------------------------------------------


def _bomb(path: Path, name: str, size: int) -> None:
    """An archive with a member of nothing but blanks, which deflate packs a thousand times."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as package, package.open(name, "w") as member:
        for _ in range(size // 1_000_000):
            member.write(b" " * 1_000_000)
    _write(path, file.getvalue())


def locked_zip() -> bytes:
    """An archive whose one member claims to be encrypted."""
    data = bytearray(archive({"a.md": markdown("x")}))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


def laughs() -> str:
    """A document type whose entities multiply to ten billion characters."""
    entities = "".join(f'<!ENTITY e{at} "{f"&e{at - 1};" * 10}">' for at in range(1, 11))
    return f'<!DOCTYPE x [<!ENTITY e0 "haha">{entities}]>'


def _endless_word() -> bytes:
    """A Word file whose one paragraph is an entity that multiplies."""
    with zipfile.ZipFile(io.BytesIO(word("x"))) as package:
        parts = {name: package.read(name) for name in package.namelist()}
    body = b'<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body><w:p><w:r><w:t>&e10;</w:t></w:r></w:p></w:body></w:document>'
    return archive(parts | {"word/document.xml": laughs().encode() + body})


def _large(path: Path, size: int) -> None:
    line = "배송은 이틀 걸립니다.\n".encode() * 1000
    with path.open("wb") as file:
        for _ in range(size // len(line) + 1):
            file.write(line)


def _bytes(data: bytes | Callable[[], bytes]) -> Callable[[Path, int], None]:
    return lambda path, size: _write(path, data() if callable(data) else data) and None


_BROKEN: tuple[tuple[str, Callable[[Path, int], None], str], ...] = (
    (".pdf", _bytes(lambda: pdf("x")[:-200]), "damaged or cut short"),
    ("-bomb.zip", lambda path, size: _bomb(path, "big.txt", size), "zip bomb"),
    ("-locked.pdf", _bytes(lambda: pdf("x", encrypt=True)), "password-protected"),
    ("-png.pdf", _bytes(b"\x89PNG\r\n\x1a\n" + bytes(100)), "PNG image"),
    (".md", _bytes(b""), "0 bytes"),
    ("-large.txt", _large, "file_bytes"),
    ("-endless.hwpx", _bytes(lambda: hwpx("&e10;", before=laughs())), "document type"),
    ("-link.md", lambda path, size: os.symlink("/etc/hostname", path), "outside of the folder"),
    ("-noise.txt", _bytes(random.Random(1).randbytes(5000)), "unknown|no text"),
    ("-scanned.pdf", _bytes(lambda: pdf("x", has_text=False)), "no text: scanned; give an OCR hook"),
    ("-cut.docx", _bytes(lambda: word("x")[:2000]), "damaged or cut short"),
    ("-locked.docx", _bytes(lambda: ole({"EncryptedPackage": b"x", "EncryptionInfo": b"y"})), "password-protected"),
    ("-bomb.docx", lambda path, size: _bomb(path, "word/document.xml", size), "zip bomb"),
    ("-latin.txt", _bytes("Füße, naïve café, déjà vu: Ærø".encode("cp1252")), "not UTF-8 at byte 1"),
    ("-pipe.md", lambda path, size: os.mkfifo(path), "no regular file"),
    ("-locked.zip", _bytes(locked_zip), "password-protected"),
    ("-endless.docx", _bytes(_endless_word), "damaged|empty|memory"),
    ("-nested.zip", _bytes(lambda: archive({"inner.zip": archive({"a.md": b"x"})})), "archive inside an archive"),
    ("-old.doc", _bytes(lambda: ole({"WordDocument": b"x"})), "old kind"),
    ("-empty.docx", _bytes(b""), "0 bytes"),
    ("-closed.md", _bytes(b"---\naccess: [hr\n---\ntext"), "front matter"),
    ("-rows.jsonl", _bytes(b'{"id": "a"}\n'), "needs `id`"),
    ("-blank.txt", _bytes(b" \n\n"), "is empty"),
    ("-lost.md", lambda path, size: os.symlink(path.parent / "nothing.md", path), "broken link"),
    ("-rar.zip", _bytes(b"Rar!\x1a\x07\x00" + bytes(100)), "RAR"),
)
