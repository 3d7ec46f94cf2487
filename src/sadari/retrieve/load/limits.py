"""How much one file may cost before it is named as a fault instead of being read."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What reading one file may take.

    Args:
        seconds: Wall-clock time; a file that takes longer is given up.
        memory_bytes: Address space beyond that of the idle worker.
        file_bytes: Size of a file, of one member of an archive, and of a download.
        text_chars: Length of the text that comes out.
        unpacked_bytes: Sum of what an archive, or a document that is one (DOCX, XLSX, HWPX), says it unpacks to.
        ratio: Unpacked over packed size of a member of more than a megabyte; above it the member is taken for a bomb.
        members: Files in one archive.
    """

    seconds: float = 30.0
    memory_bytes: int = 1 << 30
    file_bytes: int = 128 << 20
    text_chars: int = 10_000_000
    unpacked_bytes: int = 512 << 20
    ratio: float = 250.0
    members: int = 10_000


def megabytes(count: int) -> str:
    """A size in words: `1.5 MB`."""
    return f"{count / 1_000_000:,.1f} MB"
