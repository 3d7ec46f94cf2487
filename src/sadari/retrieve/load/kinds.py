"""What kind of document some bytes are: by their content first, by the suffix of the name where content does not tell."""

import io
import zipfile
from pathlib import PurePosixPath

from sadari.retrieve.load.encoding import is_text
from sadari.retrieve.load.parsed import UnreadableError

HEAD_BYTES = 4096

SUFFIXES = {
    **dict.fromkeys((".md", ".markdown"), "markdown"),
    **dict.fromkeys((".txt", ".text"), "text"),
    **dict.fromkeys((".html", ".htm", ".xhtml"), "html"),
    **dict.fromkeys((".jsonl", ".ndjson"), "jsonl"),
    **dict.fromkeys((".docx", ".docm"), "docx"),
    **dict.fromkeys((".pptx", ".pptm"), "pptx"),
    **dict.fromkeys((".xlsx", ".xlsm"), "xlsx"),
    **{f".{kind}": kind for kind in ("csv", "tsv", "pdf", "hwpx", "hwp", "eml", "zip")},
}
"""The kind that a suffix promises."""

UNSUPPORTED = {
    **dict.fromkeys((".doc", ".rtf", ".odt", ".pages"), "save it as .docx or .pdf"),
    **dict.fromkeys((".xls", ".xlsb", ".ods", ".numbers"), "save it as .xlsx or .csv"),
    **dict.fromkeys((".ppt", ".odp"), "save it as .pptx or .pdf"),
    **dict.fromkeys((".hwt", ".hml"), "save it as .hwpx in Hangul"),
    **dict.fromkeys((".msg", ".mbox", ".pst"), "export the mail as .eml"),
    **dict.fromkeys((".7z", ".rar", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".alz", ".egg"), "unpack it, or pack it as .zip"),
    **dict.fromkeys((".epub", ".mht", ".mhtml"), "save it as .html or .pdf"),
}
"""Suffixes of documents that cannot be read, and what to do with them."""

TEXTUAL = ("markdown", "text", "html", "csv", "tsv", "jsonl", "eml")

_MAGIC = (
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"RIFF", "a RIFF sound, video or image"),
    (b"II*\0", "a TIFF image"),
    (b"MM\0*", "a TIFF image"),
    (b"{\\rtf", "an RTF text: save it as .docx or .pdf"),
    (b"\x1f\x8b", "packed by gzip: unpack it first"),
    (b"7z\xbc\xaf", "a 7z archive: unpack it, or pack it as .zip"),
    (b"Rar!", "a RAR archive: unpack it, or pack it as .zip"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
)
_OLE = bytes.fromhex("d0cf11e0a1b11ae1")
_OLE_STREAMS = (
    ("EncryptedPackage", "is password-protected. Save it without a password."),
    ("WordDocument", "is a Word document of the old kind. Save it as .docx or .pdf."),
    ("Workbook", "is an Excel workbook of the old kind. Save it as .xlsx or .csv."),
    ("PowerPoint Document", "is a presentation of the old kind. Save it as .pptx or .pdf."),
    ("__properties_version1.0", "is an Outlook message. Export it as .eml."),
)
_PACKAGES = (("word/document.xml", "docx"), ("ppt/presentation.xml", "pptx"), ("xl/workbook.xml", "xlsx"))


def suffix_of(name: str) -> str:
    """The lower-case suffix of a name: `.pdf`."""
    return PurePosixPath(name).suffix.lower()


def is_document(name: str, head: bytes) -> bool:
    """Whether a file found in a folder is meant as a document, readable or not; pictures, programs and styles are not."""
    suffix = suffix_of(name)
    return suffix in SUFFIXES or suffix in UNSUPPORTED or b"%PDF-" in head[:1024] or head.startswith(_OLE)


def kind_of(data: bytes, name: str) -> str:
    """The kind to read some bytes as, one of the values of `SUFFIXES`.

    Raises:
        UnreadableError: If they are of a kind that is not read, or of none.
    """
    promised = SUFFIXES.get(suffix_of(name), "")
    if not data:
        raise UnreadableError("is empty (0 bytes). Fill it in or delete it.")
    if b"%PDF-" in data[:1024] and promised not in ("eml", "markdown", "html"):
        return "pdf"
    if data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _package_kind(data, promised)
    if data.startswith(_OLE):
        return _ole_kind(data)
    for magic, what in _MAGIC:
        if data.startswith(magic) and not (promised in TEXTUAL and is_text(data[:HEAD_BYTES])):
            raise UnreadableError(f"is {what}.")
    return _text_kind(data[:HEAD_BYTES], name, promised)


def _text_kind(head: bytes, name: str, promised: str) -> str:
    if not is_text(head):
        what = f"is no {promised} file and no text" if promised else "is of an unknown format"
        raise UnreadableError(f"{what}: its first bytes are {head[:4].hex(' ')}. It may be damaged; get it again, or delete it.")
    if promised not in TEXTUAL and suffix_of(name) in UNSUPPORTED and not _is_html(head):
        raise UnreadableError(f"files of this kind are not read: {UNSUPPORTED[suffix_of(name)]}.")
    if _is_html(head) and promised not in ("markdown", "eml", "jsonl"):
        return "html"
    return promised if promised in TEXTUAL else "text"


def _is_html(head: bytes) -> bool:
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:200].lower()
    return start.startswith((b"<!doctype html", b"<html"))


def _package_kind(data: bytes, promised: str) -> str:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as package:
            names = set(package.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise UnreadableError(f"is damaged or cut short ({error}). Get it again, or delete it.") from error
    for part, kind in _PACKAGES:
        if part in names:
            return kind
    if "Contents/content.hpf" in names or "Contents/section0.xml" in names:
        return "hwpx"
    if "META-INF/manifest.xml" in names and "content.xml" in names:
        raise UnreadableError("is an OpenDocument file. Save it as .docx, .xlsx or .pdf.")
    if promised in ("docx", "pptx", "xlsx", "hwpx"):
        raise UnreadableError(f"is an archive, but not a {promised} file. Name it .zip if its members are documents.")
    return "zip"


def _ole_kind(data: bytes) -> str:
    for stream, reason in _OLE_STREAMS:
        if stream.encode("utf-16-le") in data:
            raise UnreadableError(reason)
    if "FileHeader".encode("utf-16-le") in data:
        return "hwp"
    raise UnreadableError("is an Office file of an unknown old kind. Save it as .docx, .xlsx, .pptx or .pdf.")
