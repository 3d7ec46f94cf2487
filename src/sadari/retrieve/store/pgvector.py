"""A store in PostgreSQL with pgvector: one database for many machines.

Changes are one transaction, so a commit is there or not, and readers see whole states. One writer at a time, by an advisory lock
that the server lets go of when the writer is gone. Several indexes in one database: one schema each,
`?options=-csearch_path%3DNAME` in the URI.

*Covered*: no chunk leaves the server but those that the reader may see, access labels are part of every query for them; values
travel as parameters, never inside the text of a statement; a writer that is killed, a server that stops, a disk that is full leave
the commit before. *Not covered*: who holds the password of the database reads all of it; the process that searches is sent the
numbers of chunks that hold a term, those of hidden chunks among them.
"""

import os
import struct
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from sadari.errors import ConfigError, RunError
from sadari.retrieve.store import pg_postings
from sadari.retrieve.store.bm25 import best_by_terms
from sadari.retrieve.store.memory import refuse_held
from sadari.retrieve.store.seam import TermsOf, checked_vectors, name_of
from sadari.retrieve.store.segment import Draft, Segment
from sadari.retrieve.text import indexed_terms
from sadari.types import EVERYONE, Chunk, Found, Reader

T = TypeVar("T")

GRAPH_FROM = 10_000
"""Chunks from which vectors are searched by an HNSW graph; fewer are compared one by one."""

WIDEST_GRAPH = 2_000
"""Dimensions that pgvector builds a graph for."""

SEARCH_WIDTH = 200
"""Candidates that a search of the graph keeps."""

ANALYZED_FROM = 1_000
"""Chunks that one commit adds from which on the server counts its tables anew, so that it plans well at once."""

FORMAT = "2"
"""Of the tables."""

CANDIDATES, MORE = 100, 16
"""Candidates that a reader's best chunks are looked for among, at first; and how many times more if there were too few to see."""

_CHUNK = TypeAdapter(Chunk)

_TABLES = (
    "CREATE EXTENSION IF NOT EXISTS vector",
    "CREATE TABLE IF NOT EXISTS sadari_about (name text PRIMARY KEY, value text NOT NULL)",
    "CREATE TABLE IF NOT EXISTS sadari_documents (id text PRIMARY KEY, hash text NOT NULL)",
    """CREATE TABLE IF NOT EXISTS sadari_chunks (
        number bigint PRIMARY KEY, document text NOT NULL, body text NOT NULL, access text[] NOT NULL, metadata jsonb NOT NULL,
        vector vector)""",
    "CREATE INDEX IF NOT EXISTS sadari_chunks_document ON sadari_chunks (document)",
    *pg_postings.TABLES,
)


class PgvectorStore:
    """Chunks and vectors in PostgreSQL.

    Args:
        uri: As PostgreSQL's own tools take it: "postgresql://user@host/database".
        dimensions: Of the vectors; None takes what the database holds.

    Raises:
        ConfigError: If `psycopg` is not installed, or the database holds other dimensions or terms.
        RunError: If the server does not answer, or has no pgvector.
    """

    def __init__(self, uri: str, dimensions: int | None = None, terms_of: TermsOf = indexed_terms) -> None:
        self.uri = uri
        self._terms_of = terms_of
        self._psycopg = _psycopg()
        self._reader: Any = None
        self._reading = Lock()  # a connection holds one transaction at a time
        self._writer: Any = None
        self._added = 0  # chunks, since the last commit
        about = self._read(self._prepare)
        if about and about.get("format") != FORMAT:
            raise RunError(f"{_shown(uri)} was indexed by another version of sadari. Drop its schema and index again.")
        self.dimensions = int(about.get("dimensions", dimensions or 0))
        if dimensions is not None and dimensions != self.dimensions:
            raise ConfigError(f"{_shown(uri)} holds vectors of {self.dimensions} dimensions, not {dimensions}. Use another schema.")
        if about.get("terms", name_of(terms_of)) != name_of(terms_of):
            raise ConfigError(f"{_shown(uri)} was indexed by {about['terms']}, not by {name_of(terms_of)}. Use another schema.")

    def put(self, chunks: Sequence[Chunk], vectors: NDArray[np.float32] | None = None) -> None:
        """As `Store.put`."""
        rows = checked_vectors(len(chunks), self.dimensions, vectors)
        with self._writing() as connection:
            documents = sorted({chunk.document for chunk in chunks})
            held = connection.execute(
                "SELECT DISTINCT document FROM sadari_chunks WHERE document = ANY(%s)", (documents,)
            ).fetchall()
            refuse_held({name for (name,) in held})
            if chunks:
                self._write(connection, chunks, rows)

    def remove(self, documents: Collection[str]) -> None:
        """As `Store.remove`."""
        with self._writing() as connection:
            command = "DELETE FROM sadari_chunks WHERE document = ANY(%s) RETURNING number"
            gone = connection.execute(command, (sorted(documents),)).fetchall() if documents else []
            if gone:
                pg_postings.drop_numbers(connection, [number for (number,) in gone])

    def commit(self, state: Mapping[str, str]) -> None:
        """As `Store.commit`."""
        with self._writing() as connection:
            connection.execute("DELETE FROM sadari_documents WHERE NOT id = ANY(%s)", (list(state),))
            connection.execute(
                "INSERT INTO sadari_documents SELECT * FROM unnest(%s::text[], %s::text[]) ON CONFLICT (id) DO UPDATE SET hash = "
                "excluded.hash WHERE sadari_documents.hash <> excluded.hash",
                (list(state), list(state.values())),
            )
            self._compact(connection)
            self._build_graph(connection)
            if self._added >= ANALYZED_FROM:
                connection.execute("ANALYZE sadari_chunks, sadari_postings")
            connection.execute("COMMIT AND CHAIN")
            self._added = 0

    def state(self) -> dict[str, str]:
        """As `Store.state`."""
        return self._read(lambda connection: dict(connection.execute("SELECT id, hash FROM sadari_documents").fetchall()))

    def chunks_of(self, document: str) -> list[Chunk]:
        """As `Store.chunks_of`."""
        command = "SELECT body FROM sadari_chunks WHERE document = %s"
        found = self._read(lambda connection: connection.execute(command, (document,)).fetchall())
        return sorted((_CHUNK.validate_json(body) for (body,) in found), key=lambda chunk: (chunk.start, chunk.end))

    def by_terms(self, terms: Sequence[str], k: int, reader: Reader = EVERYONE) -> list[Found]:
        """As `Store.by_terms`."""

        def search(connection: Any) -> list[Found]:
            held = pg_postings.read_postings(connection, terms)
            condition, values = _visible(reader)
            wanted = max(CANDIDATES, k)
            while True:
                hits = best_by_terms(held.terms, held.norms, wanted)
                numbers = held.numbers[[hit.position for hit in hits]].tolist() if hits else []
                found = connection.execute(
                    "SELECT place, body FROM unnest(%s::bigint[]) WITH ORDINALITY AS best (number, place) JOIN sadari_chunks "
                    f"USING (number) WHERE {condition} ORDER BY place LIMIT %s",
                    (numbers, *values, k),
                ).fetchall()
                if len(found) == k or len(hits) < wanted:
                    break
                wanted *= MORE
            best = ((hits[place - 1], body) for place, body in found)
            return [Found(_CHUNK.validate_json(body), hit.score, hit.held / held.whole) for hit, body in best]

        return self._read(search) if terms and k > 0 else []

    def by_vector(self, vector: NDArray[np.float32], k: int, reader: Reader = EVERYONE) -> list[Found]:
        """As `Store.by_vector`."""
        if not self.dimensions or k < 1:
            return []

        def search(connection: Any) -> list[Found]:
            condition, values = _visible(reader)
            query = _vector_text(checked_vectors(1, self.dimensions, vector[None])[0])  # type: ignore[index]
            statement = (
                f"SELECT body, -(vector <#> %s::vector({self.dimensions:d})) FROM sadari_chunks WHERE {condition} "
                f"ORDER BY (vector::vector({self.dimensions:d})) <#> %s::vector({self.dimensions:d}) LIMIT %s"
            )
            connection.execute(f"SET LOCAL hnsw.ef_search = {min(1000, max(SEARCH_WIDTH, 2 * k)):d}")
            connection.execute("SET LOCAL hnsw.iterative_scan = strict_order")
            # The planner does not know what it costs to read and compare vectors: left alone it compares 20,000 one by one.
            connection.execute("SET LOCAL enable_seqscan = off")
            found = connection.execute(statement, (query, *values, query, k)).fetchall()
            if len(found) < k:  # few that the reader may see: the graph gave up before it met them
                connection.execute("SET LOCAL enable_seqscan = on")
                connection.execute("SET LOCAL enable_indexscan = off")
                found = connection.execute(statement, (query, *values, query, k)).fetchall()
            return [Found(_CHUNK.validate_json(body), float(score)) for body, score in found]

        return self._read(search)

    def close(self) -> None:
        """As `Store.close`."""
        for connection in (self._writer, self._reader):
            if connection is not None:
                connection.close()
        self._writer = self._reader = None

    def _prepare(self, connection: Any) -> dict[str, str]:
        found = connection.execute("SELECT to_regclass('sadari_about')").fetchone()[0]
        return dict(connection.execute("SELECT name, value FROM sadari_about").fetchall()) if found else {}

    def _read(self, search: Callable[[Any], T]) -> T:
        """What `search` finds in one state of the database."""
        with self._reading:
            return self._asked(search)

    def _asked(self, search: Callable[[Any], T]) -> T:
        """Asked again once if the connection was lost."""
        for last in (False, True):
            try:
                if self._reader is None or self._reader.closed:
                    self._reader = self._connect()
                with self._reader.transaction():
                    self._reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                    return search(self._reader)
            except self._psycopg.errors.UndefinedTable:
                raise RunError(f"{_shown(self.uri)} holds no index yet. Say `sadari index` first.") from None
            except self._psycopg.Error as error:
                if not _is_lost(error):
                    raise RunError(f"{_shown(self.uri)} refused a search: {_first_line(error)}.") from error
                if self._reader is not None:
                    self._reader.close()
                if last or self._reader is None:
                    raise self._lost(error) from error
        raise AssertionError("both tries return or raise")

    @contextmanager
    def _writing(self) -> Iterator[Any]:
        """The writer's connection, its lock held; after a failure nothing of its work is left."""
        try:
            if self._writer is None:
                self._writer = self._begin()
            yield self._writer
        except ValueError:
            raise
        except BaseException as error:
            if self._writer is not None:
                self._writer.close()
                self._writer = None
            if not isinstance(error, self._psycopg.Error):
                raise
            if _is_lost(error):
                raise self._lost(error) from error
            raise RunError(
                f"{_shown(self.uri)} could not be written: {_first_line(error)}. "
                "What was committed is kept; mend it, then index again."
            ) from error

    def _begin(self) -> Any:
        connection = self._connect()
        key = "hashtextextended('sadari ' || current_schema(), 0)"
        try:  # for a moment, which the server may need to notice that a killed writer is gone
            connection.execute("SET lock_timeout = '1s'")
            connection.execute(f"SELECT pg_advisory_lock({key})")
            connection.execute("RESET lock_timeout")
        except self._psycopg.errors.LockNotAvailable:
            names = connection.execute(
                "SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE l.locktype = 'advisory' AND "
                "l.granted AND a.application_name LIKE 'sadari%%'",
                (),
            ).fetchall()
            connection.close()
            holder = names[0][0] if names else "another process"
            raise RunError(
                f"{_shown(self.uri)} is being written by {holder}. Wait until it is done, or stop it; then index again."
            ) from None
        for statement in _TABLES:
            connection.execute(statement)
        about = [("format", FORMAT), ("dimensions", str(self.dimensions)), ("terms", name_of(self._terms_of)), ("next", "1")]
        connection.cursor().executemany("INSERT INTO sadari_about VALUES (%s, %s) ON CONFLICT DO NOTHING", about)
        connection.execute("BEGIN")
        self._added = 0
        return connection

    def _write(self, connection: Any, chunks: Sequence[Chunk], vectors: NDArray[np.float32] | None) -> None:
        draft = Draft(self._terms_of, self.dimensions)
        draft.add(chunks, vectors)
        segment = draft.segment()
        command = "UPDATE sadari_about SET value = value::bigint + %s WHERE name = 'next' RETURNING value::bigint - %s"
        (first,) = connection.execute(command, (len(segment), len(segment))).fetchone()
        command = "COPY sadari_chunks (number, document, body, access, metadata, vector) FROM STDIN (FORMAT BINARY)"
        with connection.cursor().copy(command) as copy:
            copy.set_types(["int8", "text", "text", "text[]", "jsonb", "bytea"])
            for row in _rows(segment, first):
                copy.write_row(row)
        pg_postings.write_block(connection, segment, first)
        self._added += len(segment)

    def _compact(self, connection: Any) -> None:
        """Write anew what is left where most was deleted, and merge small blocks."""
        left = pg_postings.take_sparse_blocks(connection)
        if left:
            command = "DELETE FROM sadari_chunks WHERE number = ANY(%s) RETURNING number, body, vector"
            rows = sorted(connection.execute(command, (left,), binary=True).fetchall())
            vectors = np.array([_vector(held) for *_, held in rows]) if self.dimensions else None
            self._write(connection, [_CHUNK.validate_json(body) for _, body, _ in rows], vectors)
        pg_postings.merge_blocks(connection)

    def _build_graph(self, connection: Any) -> None:
        if not 0 < self.dimensions <= WIDEST_GRAPH:
            return
        (many,) = connection.execute("SELECT count(*) >= %s FROM sadari_chunks", (GRAPH_FROM,)).fetchone()
        if many:
            connection.execute("SET LOCAL maintenance_work_mem = '1GB'")
            connection.execute(
                f"CREATE INDEX IF NOT EXISTS sadari_chunks_vector ON sadari_chunks USING hnsw "
                f"((vector::vector({self.dimensions:d})) vector_ip_ops)"
            )

    def _connect(self) -> Any:
        return self._psycopg.connect(
            self.uri, autocommit=True, connect_timeout=10, application_name=f"sadari, process {os.getpid()}", prepare_threshold=None
        )

    def _lost(self, error: Exception) -> RunError:
        return RunError(
            f"{_shown(self.uri)} does not answer: {_first_line(error)}. What was committed is kept. "
            "Start the server, then run the same command again."
        )


def _rows(segment: Segment, first: int) -> Iterator[tuple[Any, ...]]:
    """The chunks of a segment, numbered from `first`, in the types of the table."""
    from psycopg.types.json import Jsonb

    bounds = segment.first.tolist()
    texts = segment.text_starts.tolist()
    for document, name in enumerate(segment.documents):
        for at in range(bounds[document], bounds[document + 1]):
            access, metadata = segment.kinds[segment.kinds_at[at]]
            body = segment.text[texts[at] : texts[at + 1]].tobytes().decode()
            vector = _vector_bytes(segment.vectors[at]) if segment.vectors.shape[1] else None
            yield first + at, name, body, list(access), Jsonb(dict(metadata)), vector


def _visible(reader: Reader) -> tuple[str, list[Any]]:
    """The condition under which a chunk is open to a reader, and the values in it."""
    condition = "(access = '{}' OR access && %s::text[])" + " AND metadata ->> %s = ANY(%s::text[])" * len(reader.within)
    values: list[Any] = [sorted(reader.labels)]
    for name, wanted in reader.within.items():
        values += [name, list(wanted)]
    return condition, values


def _vector_text(vector: NDArray[np.float32]) -> str:
    return "[" + ",".join(f"{x:.8g}" for x in vector.tolist()) + "]"


def _vector_bytes(vector: NDArray[np.float32]) -> bytes:
    """As pgvector sends it: the dimensions, two bytes for later use, the numbers."""
    return struct.pack(">HH", len(vector), 0) + vector.astype(">f4").tobytes()


def _vector(held: bytes) -> NDArray[np.float32]:
    return np.frombuffer(held, ">f4", offset=4).astype(np.float32)


def _is_lost(error: Any) -> bool:
    """Whether a server went away, or never answered; a full disk is told by one that is there."""
    from psycopg import OperationalError

    return isinstance(error, OperationalError) and (error.sqlstate is None or error.sqlstate[:2] in ("08", "57"))


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def _shown(uri: str) -> str:
    """The URI without its password."""
    from urllib.parse import urlsplit

    parts = urlsplit(uri)
    return f"postgresql://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{parts.path}"


def _psycopg() -> Any:
    try:
        import psycopg
    except ImportError as error:
        raise ConfigError("A store in PostgreSQL needs psycopg: pip install 'sadari[postgres]'.") from error
    return psycopg
