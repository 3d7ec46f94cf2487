"""Rows from the queue to their end, a step at a time: a row that ends makes room at once for one that waits.

Each step first takes in what fits, then computes the next token of every row that writes, together with pieces of the prompts of
those that begin: a long prompt holds nobody up. What several waiting rows begin with is computed once, before them.

Source:
    Iteration-level scheduling: Yu et al. (2022, Orca). Prompts in pieces beside rows that write: Agrawal et al. (2023), arXiv
    2308.16369.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor

from sadari.errors import BusyError, SadariError
from sadari.model.engine.attention import FEW
from sadari.model.engine.decoder import Decoder, Turn
from sadari.model.engine.drafts import PromptLookup
from sadari.model.engine.memory import SHORTEST
from sadari.model.engine.row import Row

SCORES_BYTES = 256 * 2**20
"""Most memory for the scores of one step."""

DRAFTED = 32
"""Rows guess ahead while a step has fewer tokens than this: beyond, a token more costs as much as a step less saves."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is done at once.

    Args:
        rows: That are computed together.
        step_tokens: Of one step; rows that write come first.
        waiting: Rows in the queue; more are refused.
    """

    rows: int = 64
    step_tokens: int = 512
    waiting: int = 4096


@dataclass(slots=True)
class Counts:
    """What was done so far.

    Args:
        steps: Forward passes.
        computed: Tokens that went through the model.
        spared: Tokens of prompts that were found computed.
        guessed, right: Tokens guessed ahead, and those of them that were right.
    """

    steps: int = 0
    computed: int = 0
    spared: int = 0
    guessed: int = 0
    right: int = 0


@dataclass
class Scheduler:
    """Rows under way and rows that wait.

    Args:
        vocabulary: How many scores a token has.
        drafts: Whether rows guess ahead.
        clock: Seconds; only times told are taken from it.
    """

    decoder: Decoder
    vocabulary: int
    limits: Limits = Limits()
    drafts: bool = True
    clock: Callable[[], float] = time.perf_counter
    counts: Counts = field(default_factory=Counts)

    def __post_init__(self) -> None:
        self.waiting: deque[Row] = deque()
        self.running: list[Row] = []
        self._fillers: list[Row] = []
        self._lookups: dict[int, PromptLookup] = {}
        self._preparing: ThreadPoolExecutor | None = None

    @property
    def is_idle(self) -> bool:
        """Whether nothing is to be done."""
        return not self.waiting and not self.running

    def submit(self, rows: Sequence[Row]) -> None:
        """Queue rows, those with the same beginnings side by side.

        Raises:
            BusyError: If the queue is full; none of the rows was queued then.
        """
        if len(self.waiting) + len(rows) > self.limits.waiting:
            raise BusyError(
                f"{len(self.waiting)} requests wait already, and {len(rows)} more would exceed the limit of {self.limits.waiting}. "
                "Try again later."
            )
        now = self.clock()
        for row in rows:
            row.times["submitted"] = now
        alike = sorted((row for row in rows if not row.is_done), key=lambda row: row.tokens)
        if self.decoder.can_share:
            _note_shared(alike)
        self.waiting.extend(alike)

    def cancel(self, row: Row) -> None:
        """Drop a row, wherever it is."""
        if row in self.waiting:
            self.waiting.remove(row)
        if row in self.running:
            self._let_go(row)
        if not row.is_done:
            row.error = "cancelled"

    def step(self) -> None:
        """Take in what fits, and compute one step.

        A failure ends all rows under way, so that whoever waits for them is told; the error is passed on.
        """
        self._admit()
        turns = self._compose()
        assert turns or self.is_idle, "rows wait, and nothing is computed"
        if not turns:
            return
        try:
            prepared = self._prepare(turns)
            with torch.no_grad():
                scores = self.decoder.run(turns)
            if prepared is not None:
                prepared.result()
            self._count(turns)
            self._advance(turns, scores)
        except Exception as error:
            for row in list(self.running):
                row.error = row.error or f"{type(error).__name__}: {error}"
                self._let_go(row)
            raise

    # --- taking in ---------------------------------------------------------------------------------------------------

    def _admit(self) -> None:
        held_up: list[Row] = []
        while self.waiting and len(self.running) < self.limits.rows and len(held_up) < self.limits.rows:
            row = self.waiting.popleft()
            if row.is_done:
                continue
            if any(_common(filler.tokens, row.tokens) >= SHORTEST for filler in self._fillers):
                held_up.append(row)  # what it begins with is being computed
                continue
            filler = self._filler(row)
            if filler is not None:
                self.waiting.appendleft(row)
            if not self.decoder.admit(filler or row):
                if filler is None:
                    self.waiting.appendleft(row)
                break
            if filler is not None:
                self._fillers.append(filler)
            self.counts.spared += (filler or row).fed
            self.running.append(filler or row)
        self.waiting.extendleft(reversed(held_up))

    def _filler(self, row: Row) -> Row | None:
        """A row that computes what this one shares with others that wait; None if that is held, or not worth it."""
        if not self.decoder.can_share or row.is_begun:
            return None
        row.is_begun = True
        shared = min(row.shared, row.first_wanted)
        if shared - self.decoder.known(row) < SHORTEST:
            return None
        filler = Row(row.tokens[:shared])
        filler.shared = shared
        filler.times["submitted"] = self.clock()
        return filler

    # --- a step ------------------------------------------------------------------------------------------------------

    def _compose(self) -> list[Turn]:
        """What is computed next: rows that write, then pieces of prompts in the order of arrival."""
        writing = [row for row in self.running if len(row.tokens) - row.fed <= FEW and not row.scored]
        room, scores = self.limits.step_tokens, max(1, SCORES_BYTES // (4 * self.vocabulary))
        turns = []
        for row in writing:
            draft = self._draft(row, len(writing))
            count = len(row.tokens) - row.fed
            turns.append(Turn(row, count, (1 + len(draft)) if row.limit else 0, draft))
            room, scores = room - count - len(draft), scores - 1 - len(draft)
        for row in self.running:
            if row in writing or room <= 0 or scores <= 0:
                continue
            count = min(room, len(row.tokens) - row.fed)
            if row.scored:
                count = min(count, max(1, row.first_wanted - row.fed + scores))
            wanted = max(0, row.fed + count - max(row.fed, row.first_wanted)) if row.limit or row.scored else 0
            turns.append(Turn(row, count, wanted))
            room, scores = room - count, scores - wanted
        return turns

    def _draft(self, row: Row, writing: int) -> tuple[int, ...]:
        if not self.drafts or not self.decoder.can_share or row.guide is not None or not row.sampling.is_plain or not row.written:
            return ()
        most = min(DRAFTED // writing - 1, row.limit - row.written - 1)
        lookup = self._lookups.setdefault(id(row), PromptLookup())
        return lookup.guess(row.tokens, most) if most > 0 and lookup.pays else ()

    def _prepare(self, turns: Sequence[Turn]) -> "Future[None] | None":
        guides = [turn.row.guide for turn in turns if turn.wanted and turn.row.guide is not None]
        if not guides:
            return None

        def prepare() -> None:
            for guide in guides:
                with suppress(SadariError):  # the row is told when it takes its turn
                    guide.prepare()

        if self._preparing is None:
            self._preparing = ThreadPoolExecutor(1, "sadari-constraints")
        return self._preparing.submit(prepare)

    def _count(self, turns: Sequence[Turn]) -> None:
        self.counts.steps += 1
        self.counts.computed += sum(turn.count + len(turn.draft) for turn in turns)

    def _advance(self, turns: Sequence[Turn], scores: Tensor) -> None:
        best = scores.argmax(dim=-1)
        is_finite = scores.gather(1, best[:, None]).isfinite()[:, 0].tolist()
        tokens = best.tolist()
        at = 0
        for turn in turns:
            row, lines = turn.row, slice(at, at + turn.wanted)
            at = lines.stop
            if not all(is_finite[lines]):
                row.error = "the scores are not finite. The model's weights are damaged, or its training diverged."
            elif row.scored:
                row.score(scores[lines].cpu())
            elif turn.wanted:
                try:
                    self._write(turn, tokens[lines], scores[lines])
                except SadariError as error:  # of this row's constraint alone
                    row.error = str(error)
            if row.is_done or (not row.limit and not row.scored and row.fed == len(row.tokens)):
                self._let_go(row)

    def _write(self, turn: Turn, best: Sequence[int], scores: Tensor) -> None:
        row = turn.row
        row.times.setdefault("first", self.clock())
        if not turn.draft:
            row.take(best[0] if row.sampling.is_plain and row.guide is None else row.choose(scores[0].cpu()))
            return
        right = 0
        for token, guess in zip(best, (*turn.draft, None), strict=True):
            row.take(token)
            if row.is_done or token != guess:
                break
            right += 1
        self.decoder.rewind(row, len(turn.draft) - right)
        row.fed += right
        self._lookups[id(row)].note(len(turn.draft), right)
        self.counts.guessed += len(turn.draft)
        self.counts.right += right

    def _let_go(self, row: Row) -> None:
        row.times["ended"] = self.clock()
        self.decoder.leave(row)
        self.running.remove(row)
        self._lookups.pop(id(row), None)
        if row in self._fillers:
            self._fillers.remove(row)


def _note_shared(rows: Sequence[Row]) -> None:
    """Note in sorted rows how much of each prompt a neighbour begins with."""
    for one, other in pairwise(rows):
        common = _common(one.tokens, other.tokens)
        one.shared, other.shared = max(one.shared, common), max(other.shared, common)


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """Length of the common beginning."""
    most = min(len(one), len(other))
    if one[:most] == other[:most]:
        return most
    low, high = 0, most  # one[:low] is common, one[:high] is not
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if one[:middle] == other[:middle] else (low, middle)
    return low
