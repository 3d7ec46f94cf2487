"""From bytes to text by rules: a byte order mark, else UTF-8, else Korean Windows (CP949, which holds EUC-KR)."""

import codecs
import unicodedata

from sadari.retrieve.load.parsed import UnreadableError

_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be"))
_WIDE_MARKS = ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))  # after UTF-32, whose mark begins alike
_LEAST_HANGUL = 0.5
"""Share of Hangul among the letters beyond ASCII from which text that decodes as CP949 is taken for it."""
_SAMPLE_BYTES = 64_000


def decode(data: bytes, declared: str = "") -> str:
    """The text of a file, not normalised.

    Args:
        declared: An encoding that the file names itself, such as the charset of a web page; tried after a mark and UTF-8.

    Raises:
        UnreadableError: If no rule holds; names byte and line.
    """
    for mark, encoding in (*_MARKS, *_WIDE_MARKS):
        if data.startswith(mark):
            return _strict(data[len(mark) :], encoding)
    if b"\0" in data[:_SAMPLE_BYTES]:
        raise UnreadableError("holds NUL bytes, so it is no text. Name it by its format, or convert it to UTF-8.")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        korean = _korean(data)
        if korean is None and declared:
            korean = _declared(data, declared)
        if korean is None:
            raise _undecodable(data, error) from error
        return korean


def is_text(head: bytes) -> bool:
    """Whether the first bytes of a file can be text: no NUL (unless a mark says UTF-16) and hardly a control character."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF8)):
        return True
    controls = sum(byte < 32 and byte not in b"\t\n\r\f\x0b\x1b" for byte in head)
    return b"\0" not in head and controls <= len(head) / 100


def _strict(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding == "utf-8":
            raise _undecodable(data, error, offset=len(codecs.BOM_UTF8)) from error
        raise UnreadableError(f"its byte order mark says {encoding}, but byte {error.start} is not. Save it as UTF-8.") from error


def _korean(data: bytes) -> str | None:
    try:
        text = data.decode("cp949")
    except UnicodeDecodeError:
        return None
    letters = [char for char in text[:_SAMPLE_BYTES] if char > "\x7f" and unicodedata.category(char)[0] == "L"]
    hangul = sum("가" <= char <= "힣" or "ㄱ" <= char <= "ㆎ" for char in letters)
    return text if letters and hangul >= _LEAST_HANGUL * len(letters) else None


def _declared(data: bytes, name: str) -> str | None:
    try:
        codec = codecs.lookup(name)
        return data.decode(codec.name) if codec._is_text_encoding else None
    except (LookupError, UnicodeDecodeError, AttributeError):
        return None


def _undecodable(data: bytes, error: UnicodeDecodeError, offset: int = 0) -> UnreadableError:
    line = data.count(b"\n", 0, error.start) + 1
    guess = next((name for name in ("cp949", "cp1252") if _declared(data, name) is not None), "")
    remedy = f"It may be {guess}; convert it: iconv -f {guess} -t utf-8." if guess else "Save it as UTF-8."
    bad = f"byte {error.start + offset} (0x{data[error.start]:02x})"
    return UnreadableError(f"not UTF-8 at {bad}, nor Korean Windows (cp949). {remedy}", where=f" line {line}")
