"""How well passages are found: `make bench-retrieval`, or `python benchmarks/retrieval/run.py`.

Every way to search of sadari, and LlamaIndex and LangChain at their defaults with the same embedder, each in an environment of
its own under `.venv/peers`, over the same passages and questions (SADARI_DATA, default `../shared/data` beside the repository).
Each way is compared with the best peer in pairs. Ends with one line of JSON: `wiki_recall1, wiki_recall5, wiki_best_peer_recall1,
fastapi_recall1, fastapi_recall5, fastapi_best_peer_recall1, crosslingual_recall1` of sadari's default, and `p95_ms_100k,
build_s_100k, recall_vs_exact` of `benchmarks/retrieval_scale`, which `--scale` runs; what was not measured is null.

`--quick` asks 100 questions of each collection and leaves morphemes and MiniLM out: under 2 minutes of one core.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from statistics import fmean

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from collected import DATA, Collected, collections
from frameworks import FRAMEWORKS, AbsentError, best_first, found_by
from ours import DEFAULT, Ranked, Way, embedders, searched, ways

from sadari.measure import format_p
from sadari.measure.ranking import ndcg_at, ranks_of_documents, recall_at, reciprocal_rank
from sadari.measure.statistics import paired_interval, paired_p
from sadari.retrieve.embed import Embedder

K = 10
QUICK_QUESTIONS = 100
SHORT = {"ko-wiki-qa": "wiki", "ko-fastapi-docs": "fastapi", "English to Korean": "crosslingual"}
FIGURES = (
    "wiki_recall1", "wiki_recall5", "wiki_best_peer_recall1", "fastapi_recall1", "fastapi_recall5", "fastapi_best_peer_recall1",
    "crosslingual_recall1", "p95_ms_100k", "build_s_100k", "recall_vs_exact",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Measured:
    """One way on one collection, one value per question."""

    ranked: Ranked
    recall1: tuple[float, ...]
    recall5: tuple[float, ...]
    reciprocal: tuple[float, ...]
    ndcg10: tuple[float, ...]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run everything; what cannot be run is said and left out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--quick", action="store_true", help="fewer questions and ways")
    parser.add_argument("--no-peers", action="store_true", help="without LlamaIndex and LangChain")
    parser.add_argument("--scale", action="store_true", help="also run benchmarks/retrieval_scale")
    options = parser.parse_args(arguments)
    figures: dict[str, float | None] = dict.fromkeys(FIGURES)
    at_hand = [*islice(embedders(), 1 if options.quick else None)]
    for collected in collections(options.data):
        if options.quick:
            collected = replace(collected, questions=collected.questions[:QUICK_QUESTIONS])
        own = [measured(searched(way, collected, K), collected) for way in _ways(at_hand, options.quick)]
        peers = [] if options.no_peers else _peers(collected, at_hand[:1])
        print(_table(collected, own, peers), flush=True)
        figures |= _figures(SHORT[collected.name], own, peers)
    if options.scale:
        figures |= _scale()
    print(json.dumps({name: None if figures[name] is None else round(figures[name] or 0.0, 4) for name in FIGURES}))
    return 0


def measured(ranked: Ranked, collected: Collected) -> Measured:
    """The measures of what was found. Any of several right documents answers, so the first one counts."""
    rows = []
    for found, question in zip(ranked.found, collected.questions, strict=True):
        ranks = [rank for rank in ranks_of_documents(found, question.right) if rank is not None]
        rows.append([min(ranks, default=None)])
    columns = [[measure(row) for row in rows] for measure in (_at_1, _at_5, reciprocal_rank, ndcg_at)]
    return Measured(ranked, *map(tuple, columns))


def _at_1(ranks: Sequence[int | None]) -> float:
    return recall_at(ranks, 1)


def _at_5(ranks: Sequence[int | None]) -> float:
    return recall_at(ranks, 5)


def _ways(at_hand: Sequence[Embedder], quick: bool) -> list[Way]:
    return [way for way in ways(at_hand) if not quick or way.terms in ("bigrams", None)]


def _peers(collected: Collected, at_hand: Sequence[Embedder]) -> list[Measured]:
    found = []
    for framework in FRAMEWORKS:
        for by, name in [("vectors", f"vectors, {e.name}") for e in at_hand] + [("bm25", "BM25")]:
            try:
                rows = found_by(framework, by, collected, at_hand[0], K)
            except AbsentError as error:
                print(f"{framework.name}, {name}: left out, {error}", flush=True)
                continue
            ranked = Ranked(f"{framework.name}: {name}", tuple(tuple(best_first(row)) for row in rows))
            found.append(measured(ranked, collected))
    return found


def _table(collected: Collected, own: Sequence[Measured], peers: Sequence[Measured]) -> str:
    peer = _best(peers)
    lines = [
        f"\n### {collected.name}: {len(collected.chunks)} passages, {len(collected.questions)} questions\n",
        "| way | recall@1 | recall@5 | MRR@10 | nDCG@10 | ms a question | recall@1 against the best peer |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for m in [*own, *peers]:
        values = " | ".join(f"{fmean(v):.3f}" for v in (m.recall1, m.recall5, m.reciprocal, m.ndcg10))
        took = "" if m.ranked.milliseconds is None else f"{m.ranked.milliseconds:.1f}"
        name = f"**{m.ranked.name}**" if m.ranked.name == DEFAULT else m.ranked.name
        lines.append(f"| {name} | {values} | {took} | {_against(peer, m)} |")
    return "\n".join(lines)


def _against(peer: Measured | None, one: Measured) -> str:
    if peer is None or peer is one:
        return ""
    differences = [b - a for a, b in zip(peer.recall1, one.recall1, strict=True)]
    low, high = paired_interval(differences)
    return f"{fmean(differences):+.3f} [{low:+.3f}, {high:+.3f}], p {format_p(paired_p(peer.recall1, one.recall1))}"


def _best(peers: Sequence[Measured]) -> Measured | None:
    return max(peers, key=lambda m: fmean(m.recall1), default=None)


def _figures(short: str, own: Sequence[Measured], peers: Sequence[Measured]) -> dict[str, float | None]:
    default, peer = next(m for m in own if m.ranked.name == DEFAULT), _best(peers)
    found = {
        f"{short}_recall1": fmean(default.recall1),
        f"{short}_recall5": fmean(default.recall5),
        f"{short}_best_peer_recall1": fmean(peer.recall1) if peer else None,
    }
    return {name: value for name, value in found.items() if name in FIGURES}


def _scale() -> dict[str, float | None]:
    """The figures of the embedded store, by the program beside this one, which ends with a line of JSON too."""
    program = Path(__file__).resolve().parents[1] / "retrieval_scale" / "run.py"
    command = [sys.executable, str(program), "--stores", "folder"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    print(done.stdout)
    lines = done.stdout.strip().splitlines()
    said = json.loads(lines[-1]) if done.returncode == 0 and lines else {}
    return {name: said.get(name) for name in FIGURES[-3:]}


if __name__ == "__main__":
    raise SystemExit(main())
