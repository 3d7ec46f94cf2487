"""Postings in PostgreSQL: one row for a term and a block of chunks, so that a search reads few rows and adds up in memory.

A row for each term of each chunk would be simpler, but to join and group the hundred thousands of them that a question of everyday
words meets takes the server tenths of a second.

Chunks are numbered in the order in which they are put. A block covers the numbers from its own, the first, up to `ends`; `numbers`
and `lengths` are those of its chunks that are left, and postings of the others are passed over. Blocks that one commit after
another leaves are merged, in the server; one that is mostly gone is written anew by the store.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sadari.retrieve.store.bm25 import AskedTerm, Postings, length_norms
from sadari.retrieve.store.seam import term_weight
from sadari.retrieve.store.segment import Segment, hash_term

MERGED_TOGETHER = 8
"""Blocks that are merged at a time, and at least."""

LARGEST_MERGED = 50_000
"""Chunks of a block that is merged no more."""

TABLES = (
    """CREATE TABLE IF NOT EXISTS sadari_blocks (
        block bigint PRIMARY KEY, ends bigint NOT NULL, numbers bytea NOT NULL, lengths bytea NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS sadari_postings (
        term bigint, block bigint, numbers bytea NOT NULL, counts bytea NOT NULL, PRIMARY KEY (term, block))""",
    # Numbers do not shrink, and a search should not have to unpack them.
    "ALTER TABLE sadari_blocks ALTER COLUMN numbers SET STORAGE EXTERNAL, ALTER COLUMN lengths SET STORAGE EXTERNAL",
    "ALTER TABLE sadari_postings ALTER COLUMN numbers SET STORAGE EXTERNAL, ALTER COLUMN counts SET STORAGE EXTERNAL",
)

_NUMBER, _LENGTH, _COUNT = np.dtype("<u4"), np.dtype("<u4"), np.dtype("<u2")
_GONE = np.uint32(0xFFFFFFFF)


@dataclass(frozen=True, slots=True)
class _Block:
    block: int
    ends: int
    numbers: NDArray[np.uint32]
    lengths: NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class AskedPostings:
    """What a search by terms adds up.

    Args:
        terms: Those that some chunk holds.
        whole: The weight of all terms that were asked for.
        norms: Of the chunks that are held, shape (n,).
        numbers: Theirs, shape (n,).
    """

    terms: tuple[AskedTerm, ...]
    whole: float
    norms: NDArray[np.float32]
    numbers: NDArray[np.uint32]


def write_block(connection: Any, segment: Segment, first: int) -> None:
    """Keep the postings of a segment whose chunks are numbered from `first`."""
    numbers = np.arange(first, first + len(segment), dtype=_NUMBER)
    connection.execute(
        "INSERT INTO sadari_blocks VALUES (%s, %s, %s, %s)",
        (first, first + len(segment), numbers.tobytes(), segment.lengths.astype(_LENGTH).tobytes()),
    )
    held = memoryview((segment.positions + np.uint32(first)).astype(_NUMBER).tobytes())
    counts = memoryview(segment.counts.astype(_COUNT).tobytes())
    starts = segment.starts.tolist()
    with connection.cursor().copy("COPY sadari_postings FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(["int8", "int8", "bytea", "bytea"])
        for i, term in enumerate(segment.terms.view(np.int64).tolist()):
            start, end = starts[i], starts[i + 1]
            copy.write_row((term, first, held[4 * start : 4 * end], counts[2 * start : 2 * end]))


def drop_numbers(connection: Any, gone: Collection[int]) -> None:
    """Forget chunks; their postings stay until their block is merged or written anew, and are passed over."""
    sought = np.array(sorted(gone), dtype=_NUMBER)
    for block in _blocks(connection):
        left = ~np.isin(block.numbers, sought)
        if not left.all():
            connection.execute(
                "UPDATE sadari_blocks SET numbers = %s, lengths = %s WHERE block = %s",
                (block.numbers[left].tobytes(), block.lengths[left].tobytes(), block.block),
            )


def take_sparse_blocks(connection: Any) -> list[int]:
    """Delete the blocks of which less than half is left; the numbers of the chunks that were left in them."""
    sparse = [b for b in _blocks(connection) if 2 * len(b.numbers) < b.ends - b.block]
    if sparse:
        for table in ("sadari_postings", "sadari_blocks"):
            connection.execute(f"DELETE FROM {table} WHERE block = ANY(%s)", ([b.block for b in sparse],))
    return [number for b in sparse for number in b.numbers.tolist()]


def merge_blocks(connection: Any) -> None:
    """Make one block of the newest ones where there are many small ones."""
    blocks = list(_blocks(connection))
    at = merged_from([len(b.numbers) for b in blocks])
    if at is None:
        return
    merged = [b.block for b in blocks[at:]]
    connection.execute(
        "WITH old AS (DELETE FROM sadari_postings WHERE block = ANY(%s) RETURNING *) INSERT INTO sadari_postings SELECT term, %s, "
        "string_agg(numbers, '' ORDER BY block), string_agg(counts, '' ORDER BY block) FROM old GROUP BY term",
        (merged, merged[0]),
    )
    connection.execute(
        "WITH old AS (DELETE FROM sadari_blocks WHERE block = ANY(%s) RETURNING *) INSERT INTO sadari_blocks SELECT %s, max(ends), "
        "string_agg(numbers, '' ORDER BY block), string_agg(lengths, '' ORDER BY block) FROM old",
        (merged, merged[0]),
    )


def merged_from(sizes: Sequence[int]) -> int | None:
    """From which block on they are merged into one: the fewest of the newest that are enough, and double the size of the oldest."""
    for at in range(len(sizes) - MERGED_TOGETHER, -1, -1):
        whole = sum(sizes[at:])
        if whole > LARGEST_MERGED:
            return None
        if 2 * sizes[at] <= whole:
            return at
    return None


def read_postings(connection: Any, terms: Sequence[str]) -> AskedPostings:
    """Where terms stand, and how much each weighs."""
    blocks = list(_blocks(connection))
    numbers = np.concatenate([np.zeros(0, _NUMBER), *(b.numbers for b in blocks)])
    lengths = np.concatenate([np.zeros(0, _LENGTH), *(b.lengths for b in blocks)])
    asked = Counter(hash_term(term) for term in terms)
    signed = dict(zip(np.array([*asked], dtype=np.uint64).view(np.int64).tolist(), asked.values(), strict=True))
    rows: dict[int, list[tuple[int, bytes, bytes]]] = {}
    cursor = connection.execute(
        "SELECT term, block, numbers, counts FROM sadari_postings WHERE term = ANY(%s) ORDER BY block", ([*signed],), binary=True
    )
    for term, *row in cursor:
        rows.setdefault(term, []).append(tuple(row))
    places = _Places(blocks)
    found = [(times, _joined(rows.get(term, ()), places)) for term, times in signed.items()]
    weighted = [(term_weight(len(numbers), len(held.positions)), times, held) for times, held in found]
    return AskedPostings(
        tuple(AskedTerm(*term) for term in weighted if len(term[2].positions)),
        sum(weight for weight, _, _ in weighted),
        length_norms(lengths, float(lengths.mean(dtype=np.float64)) if len(lengths) else 0.0),
        numbers,
    )


class _Places:
    """Positions of chunks among all that are held, by block and number."""

    def __init__(self, blocks: Sequence[_Block]) -> None:
        self._shifts: dict[int, np.uint32] = {}  # of whole blocks: what a number is more than its position
        self._tables: dict[int, NDArray[np.uint32]] = {}
        offset = 0
        for b in blocks:
            if len(b.numbers) == b.ends - b.block:
                self._shifts[b.block] = np.uint32(b.block - offset)
            else:
                table = np.full(b.ends - b.block, _GONE)
                table[b.numbers - np.uint32(b.block)] = np.arange(offset, offset + len(b.numbers), dtype=np.uint32)
                self._tables[b.block] = table
            offset += len(b.numbers)

    def of(self, block: int, held: Postings) -> Postings:
        """The postings by position, without chunks that are not held any more."""
        if block in self._shifts:
            return Postings(held.positions - self._shifts[block], held.counts)
        positions = self._tables[block][held.positions - np.uint32(block)]
        left = positions != _GONE
        return Postings(positions[left], held.counts[left])


def _joined(rows: Sequence[tuple[int, bytes, bytes]], places: _Places) -> Postings:
    held = [places.of(block, Postings(np.frombuffer(numbers, _NUMBER), np.frombuffer(n, _COUNT))) for block, numbers, n in rows]
    if not held:
        return Postings(np.zeros(0, np.uint32), np.zeros(0, np.uint16))
    positions, counts = zip(*held, strict=True)
    return Postings(np.concatenate(positions), np.concatenate(counts))


def _blocks(connection: Any) -> Iterator[_Block]:
    """Oldest first, which is by number."""
    cursor = connection.execute("SELECT block, ends, numbers, lengths FROM sadari_blocks ORDER BY block", binary=True)
    for block, ends, numbers, lengths in cursor:
        yield _Block(block, ends, np.frombuffer(numbers, _NUMBER), np.frombuffer(lengths, _LENGTH))
