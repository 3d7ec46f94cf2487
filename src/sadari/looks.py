"""Every look at a test set, written down: `runs/looks.jsonl` beside the runs of a task.

A test set that many climbs were judged on is used up bit by bit: who looks often enough finds something that is good by luck. The
log says how often that was, and what can still be believed (`sadari.measure.reuse`).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from sadari.files import append_line, read_log
from sadari.types import Example, Scorecard

LOG = "looks.jsonl"

EVAL = "eval"
"""The run of a look that no climb took: of `sadari eval`, `compare` and `gate`."""


@dataclass(frozen=True, slots=True)
class Look:
    """One system scored on a test set.

    Args:
        run: Number of the run, or `EVAL`.
        test: Names the test set and its scorer; see `name_of_test`.
        scores: One per example, in [0, 1].
    """

    run: str
    rung: str
    test: str
    scores: tuple[float, ...]


def name_of_test(examples: Sequence[Example], scorer: str) -> str:
    """A short hash of what is asked, what is right, and by which rule."""
    sha = hashlib.sha256(scorer.encode())
    adapter = TypeAdapter(Example)  # making one takes longer than everything else here
    for example in examples:
        sha.update(adapter.dump_json(example))
    return sha.hexdigest()[:16]


def log_look(runs: Path, run: str, test: str, card: Scorecard) -> None:
    """Add a look, unless this very one stands there: a climb that goes on after a crash does not look again.

    Scores of `EVAL` that stand there already, of whatever run, tell nothing new and are no look.
    """
    look = Look(run, card.rung, test, card.scores)
    known = looks_at(runs, test)
    if look not in known and not (run == EVAL and any(one.scores == look.scores for one in known)):
        append_line(runs / LOG, look, Look)


def looks_at(runs: Path, test: str) -> list[Look]:
    """The looks at one test set, oldest first."""
    return [look for look in read_log(runs / LOG, Look) if look.test == test]
