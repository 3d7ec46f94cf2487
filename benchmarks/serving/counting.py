"""What clients were told, against what the log holds: what is missing, and what is there twice."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from client import Said

from sadari.agent.log import Event, Log

ONCE = ("run.started", "run.asked", "model.answered", "run.answered")
"""What happens once in each run here: one question each, and no tools. An answer makes the last two together."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What is wrong with a log.

    Args:
        lost_events: Events that a client was told of, and that are not in the log as they were told.
        doubled_events: Events beyond the first of their kind in a run, and questions that stand in a second run.
        acknowledged_lost: Questions that a client was told are kept, and that the log does not hold.
        faults: Breaks of the chain of hashes.
        left_running: Runs that nobody works on and that are not over.
        tokens: That the model wrote, of all runs.
    """

    lost_events: int
    doubled_events: int
    acknowledged_lost: int
    faults: tuple[str, ...] = ()
    left_running: int = 0
    tokens: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.lost_events or self.doubled_events or self.acknowledged_lost or self.faults or self.left_running)


def count_log(file: Path, said: Sequence[Said]) -> Counted:
    """The findings of a log, read when no request is under way."""
    log = Log(file)
    try:
        verified, running = log.verify(), log.runs(status="running")
        return count(log.happened(), said, verified.faults, len(running))
    finally:
        log.close()


def count(events: Iterable[Event], said: Iterable[Said], faults: tuple[str, ...] = (), running: int = 0) -> Counted:
    """The findings of all events of a log.

    Args:
        said: What clients were told; of a question that was asked again with its key, each time.
    """
    runs: dict[str, list[Event]] = defaultdict(list)
    asked: Counter[str] = Counter()
    for event in events:
        runs[event.run].append(event)
        if event.kind == "run.asked":
            asked[str((event.body or {}).get("text"))] += 1
    doubled = sum(times - 1 for times in asked.values())
    doubled += sum(max(0, times - 1) for some in runs.values() for times in _kinds(some).values())
    acknowledged = [one for one in said if one.is_acknowledged]
    lost = {one.asked for one in acknowledged if not _is_kept(one, runs[one.run])}
    lost_events = len(lost) + sum(_missing(one, runs[one.run]) for one in acknowledged)
    tokens = sum((e.body or {})["usage"][1] for some in runs.values() for e in some if e.kind == "model.answered")
    return Counted(lost_events, doubled, len(lost), faults, running, tokens)


def _kinds(events: Sequence[Event]) -> Counter[str]:
    return Counter(event.kind for event in events if event.kind in ONCE)


def _is_kept(said: Said, events: Sequence[Event]) -> bool:
    """Whether the question stands where the client was told."""
    return any(e.seq == said.question and e.kind == "run.asked" and (e.body or {}).get("text") == said.asked for e in events)


def _missing(said: Said, events: Sequence[Event]) -> int:
    """Events besides the question that have to be there and are not."""
    kinds = _kinds(events)
    if not said.is_whole:
        return int("run.started" not in kinds)
    told = [e for e in events if e.kind == "run.answered" and (e.body or {}).get("text") == said.text]
    return sum(kind not in kinds for kind in ("run.started", "model.answered")) + (not told)
