"""Server-sent events out of the bytes of an answer, however they are cut.

Source:
    HTML Living Standard, 9.2.6 "Interpreting an event stream". Lines end in LF or CR LF; a lone CR, which no server sends, ends
    none.
"""

from collections.abc import Iterable, Iterator
from itertools import chain

from sadari.model.remote.reply import MalformedError

LONGEST_LINE = 2**20
"""Bytes of one line."""

_BOM = b"\xef\xbb\xbf"


def read_events(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The data of each event, in order.

    A body that is no event stream but JSON is one event: so a server answers that does not stream, or refuses. An `error:` line, as
    older versions of llama-server write it, is an event with that error.

    Raises:
        MalformedError: If a line is longer than may be.
    """
    data: list[bytes] = []
    lines = _read_lines(pieces)
    first = next(lines, b"").removeprefix(_BOM)
    if first.lstrip().startswith(b"{"):
        yield b"\n".join([first, *lines])
        return
    for line in chain([first], lines):
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            data.append(value)
        elif name == b"error":
            yield b'{"error": ' + value + b"}"
        elif not line and any(data):
            yield b"\n".join(data)
            data = []
    if any(data):  # the end without an empty line before it: a stricter reader would drop this
        yield b"\n".join(data)


def _read_lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    rest = bytearray()
    for piece in pieces:
        seen = len(rest)
        rest += piece
        while (end := rest.find(b"\n", seen)) >= 0:
            yield bytes(rest[:end]).removesuffix(b"\r")
            del rest[: end + 1]
            seen = 0
        if len(rest) > LONGEST_LINE:
            raise MalformedError(f"a line of the answer is longer than {LONGEST_LINE >> 20} MiB")
    if rest:
        yield bytes(rest).removesuffix(b"\r")
