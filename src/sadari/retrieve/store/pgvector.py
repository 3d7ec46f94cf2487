"""A store in PostgreSQL with pgvector: one database for many machines.

Changes are one transaction, so a commit is there or not, and readers see whole states. One writer at a time, by an advisory lock
that the server lets go of when the writer is gone. Values travel as parameters, never inside the text of a statement; access labels
are part of the query. Several indexes in one database: one schema each, `?options=-csearch_path%3DNAME` in the URI.
"""

import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from sadari.errors import ConfigError, RunError
from sadari.retrieve.store.memory import refuse_held
from sadari.retrieve.store.ranking import WIDTH, Statistics, candidates, rank, sparse_chunk, sparse_query
from sadari.retrieve.store.seam import TermsOf, checked_vectors, name_of
from sadari.retrieve.text import indexed_terms
from sadari.types import EVERYONE, Chunk, Found, Reader

T = TypeVar("T")

GRAPH_FROM = 10_000
"""Chunks from which vectors are searched by an HNSW graph; fewer are compared one by one."""

WIDEST_GRAPH = 2_000
"""Dimensions that pgvector builds a graph for."""

SEARCH_WIDTH = 200
"""Candidates that a search of the graph keeps."""

_MOST_TERMS = 16_000  # of a sparse vector
_CHUNK = TypeAdapter(Chunk)

_TABLES = (
    "CREATE EXTENSION IF NOT EXISTS vector",
    "CREATE TABLE IF NOT EXISTS sadari_about (name text PRIMARY KEY, value text NOT NULL)",
    "CREATE TABLE IF NOT EXISTS sadari_documents (id text PRIMARY KEY, hash text NOT NULL)",
    "CREATE TABLE IF NOT EXISTS sadari_totals (one boolean PRIMARY KEY DEFAULT true CHECK (one), chunks bigint, length bigint)",
    "INSERT INTO sadari_totals VALUES (true, 0, 0) ON CONFLICT DO NOTHING",
    "CREATE TABLE IF NOT EXISTS sadari_terms (term text PRIMARY KEY, chunks bigint NOT NULL)",
    """CREATE TABLE IF NOT EXISTS sadari_chunks (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, document text NOT NULL, body text NOT NULL, access text[] NOT NULL,
        metadata jsonb NOT NULL, length integer NOT NULL, terms sparsevec NOT NULL, vector vector)""",
    "ALTER TABLE sadari_chunks ALTER COLUMN terms SET STORAGE MAIN",  # beside the row: every search by terms reads them all
    "CREATE INDEX IF NOT EXISTS sadari_chunks_document ON sadari_chunks (document)",
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
        self._writer: Any = None
        about = self._read(self._prepare)
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
            terms = [self._terms_of(chunk) for chunk in chunks]
            total, length = _add_totals(connection, len(chunks), sum(map(len, terms)))
            mean = length / max(1, total)
            command = "COPY sadari_chunks (document, body, access, metadata, length, terms, vector) FROM STDIN"
            with connection.cursor().copy(command) as copy:
                for i, chunk in enumerate(chunks):
                    copy.write_row(_row(chunk, terms[i], mean, None if rows is None else rows[i]))
            _count_terms(connection, (term for held_terms in terms for term in set(held_terms)), 1)

    def remove(self, documents: Collection[str]) -> None:
        """As `Store.remove`."""
        with self._writing() as connection:
            if not documents:
                return
            command = "DELETE FROM sadari_chunks WHERE document = ANY(%s) RETURNING body, length"
            gone = connection.execute(command, (sorted(documents),)).fetchall()
            _add_totals(connection, -len(gone), -sum(length for _, length in gone))
            chunks = (_CHUNK.validate_json(body) for body, _ in gone)
            _count_terms(connection, (term for chunk in chunks for term in set(self._terms_of(chunk))), -1)

    def commit(self, state: Mapping[str, str]) -> None:
        """As `Store.commit`."""
        with self._writing() as connection:
            connection.execute("DELETE FROM sadari_documents WHERE NOT id = ANY(%s)", (list(state),))
            connection.execute(
                "INSERT INTO sadari_documents SELECT * FROM unnest(%s::text[], %s::text[]) ON CONFLICT (id) DO UPDATE SET hash = "
                "excluded.hash WHERE sadari_documents.hash <> excluded.hash",
                (list(state), list(state.values())),
            )
            self._build_graph(connection)
            connection.execute("COMMIT AND CHAIN")

    def state(self) -> dict[str, str]:
        """As `Store.state`."""
        return self._read(lambda connection: dict(connection.execute("SELECT id, hash FROM sadari_documents").fetchall()))

    def by_terms(self, terms: Sequence[str], k: int, reader: Reader = EVERYONE) -> list[Found]:
        """As `Store.by_terms`."""

        def search(connection: Any) -> list[Found]:
            statistics = _statistics(connection, sorted(set(terms)))
            query = sparse_query(terms, statistics)
            if not query or k < 1:
                return []
            condition, values = _visible(reader)
            found = connection.execute(
                "SELECT body FROM (SELECT id, body, terms <#> %s::sparsevec AS away FROM sadari_chunks "
                f"WHERE {condition} OFFSET 0) AS seen WHERE away < 0 ORDER BY away, id LIMIT %s",
                (_sparse_text(query), *values, candidates(k)),
            ).fetchall()
            return rank((_CHUNK.validate_json(body) for (body,) in found), terms, statistics, self._terms_of)[:k]

        return self._read(search)

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
            found = connection.execute(statement, (query, *values, query, k)).fetchall()
            if len(found) < k:  # few that the reader may see: the graph gave up before it met them
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
        """What `search` finds in one state of the database; asked again once if the connection was lost."""
        for last in (False, True):
            try:
                if self._reader is None or self._reader.closed:
                    self._reader = self._connect()
                with self._reader.transaction():
                    self._reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                    return search(self._reader)
            except self._psycopg.OperationalError as error:
                if self._reader is not None:
                    self._reader.close()
                if last or self._reader is None:
                    raise self._lost(error) from error
            except self._psycopg.errors.UndefinedTable:
                raise RunError(f"{_shown(self.uri)} holds no index yet. Say `sadari index` first.") from None
            except self._psycopg.Error as error:
                raise RunError(f"{_shown(self.uri)} refused a search: {_first_line(error)}.") from error
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
            if isinstance(error, self._psycopg.OperationalError):
                raise self._lost(error) from error
            if isinstance(error, self._psycopg.Error):
                raise RunError(
                    f"{_shown(self.uri)} could not be written: {_first_line(error)}. "
                    "What was committed is kept; mend it, then index again."
                ) from error
            raise

    def _begin(self) -> Any:
        connection = self._connect()
        key = "hashtextextended('sadari ' || current_schema(), 0)"
        if not connection.execute(f"SELECT pg_try_advisory_lock({key})").fetchone()[0]:
            names = connection.execute(
                "SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE l.locktype = 'advisory' AND "
                "l.granted AND a.application_name LIKE 'sadari%%'",
                (),
            ).fetchall()
            connection.close()
            holder = names[0][0] if names else "another process"
            raise RunError(f"{_shown(self.uri)} is being written by {holder}. Wait until it is done, or stop it; then index again.")
        for statement in _TABLES:
            connection.execute(statement)
        about = [("dimensions", str(self.dimensions)), ("terms", name_of(self._terms_of))]
        connection.cursor().executemany("INSERT INTO sadari_about VALUES (%s, %s) ON CONFLICT DO NOTHING", about)
        connection.execute("BEGIN")
        return connection

    def _build_graph(self, connection: Any) -> None:
        if not 0 < self.dimensions <= WIDEST_GRAPH:
            return
        (many,) = connection.execute("SELECT chunks >= %s FROM sadari_totals", (GRAPH_FROM,)).fetchone()
        if many:
            connection.execute("SET LOCAL maintenance_work_mem = '1GB'")
            connection.execute(
                f"CREATE INDEX IF NOT EXISTS sadari_chunks_vector ON sadari_chunks USING hnsw "
                f"((vector::vector({self.dimensions:d})) vector_ip_ops)"
            )
            connection.execute("ANALYZE sadari_chunks")  # or the planner does not know that the graph is worth it

    def _connect(self) -> Any:
        return self._psycopg.connect(
            self.uri, autocommit=True, connect_timeout=10, application_name=f"sadari, process {os.getpid()}", prepare_threshold=None
        )

    def _lost(self, error: Exception) -> RunError:
        return RunError(
            f"{_shown(self.uri)} does not answer: {_first_line(error)}. What was committed is kept. "
            "Start the server, then run the same command again."
        )


def _row(chunk: Chunk, terms: Sequence[str], mean_length: float, vector: NDArray[np.float32] | None) -> tuple[Any, ...]:
    return (
        chunk.document,
        _CHUNK.dump_json(chunk).decode(),
        list(chunk.access),
        TypeAdapter(dict[str, str]).dump_json(dict(chunk.metadata)).decode(),
        len(terms),
        _sparse_text(sparse_chunk(terms, mean_length)),
        None if vector is None else _vector_text(vector),
    )


def _add_totals(connection: Any, chunks: int, length: int) -> tuple[int, int]:
    command = "UPDATE sadari_totals SET chunks = chunks + %s, length = length + %s RETURNING chunks, length"
    total, whole = connection.execute(command, (chunks, length)).fetchone()
    return total, whole


def _count_terms(connection: Any, terms: Iterable[str], sign: int) -> None:
    counts = sorted(Counter(terms).items())  # in one order, so that nobody waits in a circle
    connection.execute(
        "INSERT INTO sadari_terms SELECT * FROM unnest(%s::text[], %s::bigint[]) ON CONFLICT (term) DO UPDATE SET chunks = "
        "sadari_terms.chunks + excluded.chunks",
        ([term for term, _ in counts], [sign * count for _, count in counts]),
    )


def _statistics(connection: Any, terms: list[str]) -> Statistics:
    total, length = connection.execute("SELECT chunks, length FROM sadari_totals").fetchone()
    holding = connection.execute("SELECT term, chunks FROM sadari_terms WHERE term = ANY(%s) AND chunks > 0", (terms,)).fetchall()
    return Statistics(total, length / max(1, total), dict(holding))


def _visible(reader: Reader) -> tuple[str, list[Any]]:
    """The condition under which a chunk is open to a reader, and the values in it."""
    condition = "(cardinality(access) = 0 OR access && %s::text[])" + " AND metadata ->> %s = ANY(%s::text[])" * len(reader.within)
    values: list[Any] = [sorted(reader.labels)]
    for name, wanted in reader.within.items():
        values += [name, list(wanted)]
    return condition, values


def _sparse_text(vector: Mapping[int, float]) -> str:
    best = sorted(sorted(vector.items(), key=lambda item: -item[1])[:_MOST_TERMS])
    return "{" + ",".join(f"{place + 1}:{weight:.7g}" for place, weight in best) + f"}}/{WIDTH}"


def _vector_text(vector: NDArray[np.float32]) -> str:
    return "[" + ",".join(f"{x:.8g}" for x in vector.tolist()) + "]"


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
