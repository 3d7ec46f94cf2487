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

from sadari.errors import BusyError, ConfigError, SadariError
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

    def __post_init__(self) -> None:
        if min(self.rows, self.step_tokens, self.waiting) < 1:
            raise ConfigError(f"{self}: each of these has to be 1 or more.")


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
        self._is_stepping = False

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
        """Drop a row, wherever it is; one that is being computed, at the end of the step."""
        if row in self.waiting:
            self.waiting.remove(row)
        if not row.is_done:
            row.error = "cancelled"
        if self._is_stepping:
            return
        self._let_done_go()
        for filler in list(self._fillers):
            if not any(_common(filler.tokens, other.tokens) == len(filler.tokens) for other in self.waiting):
                filler.error = "cancelled"
        self._let_done_go()

    def step(self) -> None:
        """Take in what fits, and compute one step.

        A failure ends all rows under way, so that whoever waits for them is told; the error is passed on.
        """
        self._is_stepping = True
        try:
            self._admit()
            turns = self._compose()
            assert turns or not self.running, "rows are under way, and nothing is computed"
            if turns:
                self._run(turns)
        except BaseException as error:
            for row in self.running:
                row.error = row.error or f"{type(error).__name__}: {error}"
            raise
        finally:
            self._is_stepping = False
            self._let_done_go()

    def _run(self, turns: Sequence[Turn]) -> None:
        prepared = self._prepare(turns)
        with torch.no_grad():
            scores = self.decoder.run(turns)
        if prepared is not None:
            prepared.result()
        self.counts.steps += 1
        self.counts.computed += sum(turn.count + len(turn.draft) for turn in turns)
        self._advance(turns, scores)

    # --- taking in ---------------------------------------------------------------------------------------------------

    def _admit(self) -> None:
        held_up: list[Row] = []
        try:
            while self.waiting and len(self.running) < self.limits.rows and len(held_up) < self.limits.rows:
                row = self.waiting[0]
                if row.is_done:
                    self.waiting.popleft()
                elif self._is_held_up(row):
                    held_up.append(self.waiting.popleft())
                elif not self._take_in(row):
                    return
        finally:
            self.waiting.extendleft(reversed(held_up))

    def _take_in(self, row: Row) -> bool:
        """Let the first of the queue, or what computes its beginning, come under way; False if there is no room yet."""
        filler = self._filler(row)
        one = filler or row
        try:
            if not self.decoder.admit(one):
                row.is_begun = row.is_begun and filler is None
                return False
        except Exception as error:  # there never will be room
            row.error = str(error)
            return True
        self.counts.spared += one.fed
        self.running.append(one)
        if filler is not None:
            self._fillers.append(filler)
        else:
            self.waiting.popleft()
        return True

    def _is_held_up(self, row: Row) -> bool:
        """Whether what the row begins with is being computed."""
        common = max((_common(filler.tokens, row.tokens) for filler in self._fillers), default=0)
        if common < SHORTEST:
            return False
        row.is_begun |= min(row.shared, row.first_wanted) - common < SHORTEST
        return True

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
            count = len(row.tokens) - row.fed
            if self.decoder.takes_pieces:
                count = min(room, count)
            if row.scored and self.decoder.takes_pieces:
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
                with suppress(Exception):  # the row is told when it takes its turn
                    guide.prepare()

        if self._preparing is None:
            self._preparing = ThreadPoolExecutor(1, "sadari-constraints")
        return self._preparing.submit(prepare)

    def _advance(self, turns: Sequence[Turn], scores: Tensor) -> None:
        best = scores.argmax(dim=-1)
        is_finite = scores.gather(1, best[:, None]).isfinite()[:, 0].tolist()
        tokens = best.tolist()
        at = 0
        for turn in turns:
            row, lines = turn.row, slice(at, at + turn.wanted)
            at = lines.stop
            if row.is_done:  # cancelled meanwhile
                continue
            if not all(is_finite[lines]):
                row.error = "the scores are not finite. The model's weights are damaged, or its training diverged."
            elif row.scored:
                row.score(scores[lines].cpu())
            elif turn.wanted:
                try:
                    self._write(turn, tokens[lines], scores[lines])
                except Exception as error:  # of this row's constraint or settings alone
                    row.error = str(error) if isinstance(error, SadariError) else f"{type(error).__name__}: {error}"
            elif not row.limit and row.fed == len(row.tokens):
                row.finish = "stop"  # a filler: others begin with it from here on

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

    def _let_done_go(self) -> None:
        for row in [row for row in self.running if row.is_done]:
            row.times["ended"] = self.clock()
            self.running.remove(row)
            self._lookups.pop(id(row), None)
            if row in self._fillers:
                self._fillers.remove(row)
            self.decoder.leave(row)


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
