"""Learning from a teacher: from its probabilities where both models have the same vocabulary, else from its answers.

Of the teacher's distribution at each learnt token its most probable tokens are kept with their probabilities, and the rest of the
probability on a few tokens drawn from the rest. Kept alone, the most probable tokens teach too much certainty: a student that is
fitted to them, renormalised or not, gives nothing to the others. With the draws, every token has its own probability on average, so
the gradient is, on average, that of the whole distribution.

Source:
    Forward divergence from teacher to student: Hinton et al. (2015), arXiv 1503.02531. Bias of the most probable tokens, and draws
    against it: Anshumann et al. (2025), arXiv 2503.16870. Learning from a teacher's answers: Kim and Rush (2016), arXiv 1606.07947.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any, cast, overload
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sadari.errors import RunError
from sadari.files import whole_folder
from sadari.train.batching import Item
from sadari.train.learner import CrossEntropy, Learner
from sadari.train.loss import SCORES_BYTES, scores_of, summed_loss, targets_of
from sadari.train.rows import Row
from sadari.train.trie import Trie
from sadari.types import Answer, Example, Message

DRAWS = 8
"""Tokens drawn from all but the most probable ones; each stands for an eighth of what those leave."""

TAG = "generated"
"""Stands among the tags of every example whose answer a teacher gave."""

ROWS_AT_ONCE = 256
"""Rows that a teacher is asked about between two looks at the clock."""

DIFFERENCES_SHOWN = 3

_FILE = "distributions.npz"


# --- probabilities -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Distributions:
    """What a teacher gives to the tokens of some rows; L learnt tokens, row after row, K ids each.

    Args:
        ids: Shape (L, K).
        shares: Their probabilities, shape (L, K); an id may stand there twice, and one with the share 0 counts nothing.
        rows: How many rows these are.
    """

    ids: NDArray[np.int32]
    shares: NDArray[np.float32]
    rows: int

    def put_into(self, rows: Sequence[Row]) -> list[Row]:
        """The first `self.rows` of the rows that the teacher was asked about, with what to learn instead of their tokens.

        Raises:
            RunError: If these are others.
        """
        some = rows[: self.rows]
        if len(self.ids) != sum(len(_learnt(row)) for row in some):
            raise RunError("what the teacher gave belongs to other rows. Delete the folder of this rung and run again.")
        softened, at = [], 0
        for row in some:
            places = _learnt(row)
            soft = _Soft(len(row.ids), {place: at + i for i, place in enumerate(places)}, self)
            softened.append(replace(row, soft=cast(Any, soft)))
            at += len(places)
        return softened

    def save(self, folder: Path) -> None:
        """Write into a folder, whole or not at all.

        Raises:
            RunError: If it cannot be written.
        """
        with whole_folder(folder) as draft:
            np.savez(draft / _FILE, ids=self.ids, shares=self.shares, rows=self.rows)

    @staticmethod
    def load(folder: Path) -> "Distributions":
        """Read what `save` wrote.

        Raises:
            RunError: If there is no such file, or it is damaged.
        """
        try:
            with np.load(folder / _FILE, allow_pickle=False) as held:
                return Distributions(held["ids"], held["shares"], int(held["rows"]))
        except (OSError, ValueError, KeyError, BadZipFile) as error:
            raise RunError(f"{folder} is damaged: it holds no distributions ({error}). Delete it and run again.") from error


class _Soft(Sequence[tuple[tuple[int, float], ...]]):
    """One row's part of `Distributions`; tuples of tokens with probabilities would need fifteen times the memory."""

    __slots__ = ("_given", "_length", "_line_of")

    def __init__(self, length: int, line_of: dict[int, int], given: Distributions) -> None:
        self._length, self._line_of, self._given = length, line_of, given

    def __len__(self) -> int:
        return self._length

    def __repr__(self) -> str:
        """Equal where the contents are, in any process: runs are told apart by the rows they learn."""
        lines = list(self._line_of.values())
        digest = blake2b(self._given.ids[lines].tobytes() + self._given.shares[lines].tobytes(), digest_size=16)
        return f"<{len(lines)} distributions {digest.hexdigest()}>"

    @overload
    def __getitem__(self, place: int) -> tuple[tuple[int, float], ...]: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[tuple[tuple[int, float], ...], ...]: ...
    def __getitem__(self, place: int | slice) -> Any:
        if isinstance(place, slice):
            return tuple(self[i] for i in range(*place.indices(self._length)))
        at = range(self._length)[place]  # IndexError past the end: that is how an iteration ends
        if at not in self._line_of:
            return ()
        line = self._line_of[at]
        return tuple(zip(self._given.ids[line].tolist(), self._given.shares[line].tolist(), strict=True))


def distributions_of(
    teacher: Learner,
    rows: Sequence[Row],
    *,
    k: int = 32,
    temperature: float = 1.0,
    vocabulary: int | None = None,
    time_s: float | None = None,
) -> Distributions:
    """What the teacher gives to each learnt token of the rows.

    The draws depend on nothing but the tokens before, so the same rows get the same ones, however they are batched. Where a token
    is chosen among a few, so it is for the teacher.

    Args:
        k: Most probable tokens kept with their own probability; `DRAWS` further ones stand for the rest.
        temperature: The teacher's scores are divided by it.
        vocabulary: Ids from here on are never given, such as those that only fill up the teacher's output layer.
        time_s: Wall seconds after which no more rows are begun: the first of them are given. At least `ROWS_AT_ONCE` always are.
    """
    started = time.perf_counter()
    parts: list[Distributions] = []
    with teacher.running(), torch.no_grad():
        for start in range(0, len(rows), ROWS_AT_ONCE):
            if start and time_s is not None and time.perf_counter() - started > time_s:
                break
            parts.append(_given(teacher, rows[start : start + ROWS_AT_ONCE], k, temperature, vocabulary))
    ids, shares = np.concatenate([part.ids for part in parts]), np.concatenate([part.shares for part in parts])
    return Distributions(ids, shares, sum(part.rows for part in parts))


def _given(teacher: Learner, rows: Sequence[Row], k: int, temperature: float, vocabulary: int | None) -> Distributions:
    first = np.concatenate([[0], np.cumsum([len(_learnt(row)) for row in rows])])
    width = min(k + DRAWS, _head(teacher).shape[0])
    ids, shares = np.zeros((first[-1], width), dtype=np.int32), np.zeros((first[-1], width), dtype=np.float32)
    for batch in teacher.cut([(row,) for row in rows]):
        trie, hidden = teacher.hidden([rows[i] for i in batch])
        # Of each row its learnt tokens in order, which is how they stand in `rows`.
        entries = trie.prediction_of[np.argsort(trie.row_of, kind="stable")]
        lines = np.concatenate([np.arange(first[i], first[i + 1]) for i in batch])
        offsets = np.zeros(len(trie.at), dtype=np.float32)
        offsets[entries] = np.concatenate([_offsets(rows[i]) for i in batch])
        given = [
            _most_probable(scores / temperature, k, torch.as_tensor(offsets[some], device=scores.device))
            for some, scores in _scored(teacher, trie, hidden, vocabulary)
        ]
        ids[lines] = np.concatenate([i for i, _ in given])[entries]
        shares[lines] = np.concatenate([s for _, s in given])[entries]
    return Distributions(ids, shares, len(rows))


def _scored(teacher: Learner, trie: Trie, hidden: Tensor, vocabulary: int | None) -> Iterator[tuple[slice, Tensor]]:
    """The teacher's scores of the vocabulary, chunk by chunk; what must not be said has -inf."""
    head = _head(teacher)
    rows = max(16, SCORES_BYTES // (4 * len(head)))
    for start in range(0, len(trie.at), rows):
        some = slice(start, start + rows)
        scores = scores_of(teacher.model, hidden[some].to(head.dtype))
        forbidden = targets_of(trie, some, head)[2]
        if forbidden is not None:
            scores = scores.masked_fill(forbidden, float("-inf"))
        if vocabulary is not None:
            scores[:, vocabulary:] = float("-inf")
        yield some, scores


def _most_probable(scores: Tensor, k: int, offsets: Tensor) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Ids and shares, shape (M, K): the most probable tokens, then draws from the rest at even distances of its probability."""
    rest = scores.softmax(dim=1)
    top, ids = rest.topk(min(k, rest.shape[1]), dim=1)
    if k < rest.shape[1]:
        below = rest.scatter_(1, ids, 0.0).cumsum(dim=1)
        draws = min(DRAWS, rest.shape[1] - k)
        at = (offsets[:, None] + torch.arange(draws, device=scores.device)) / draws * below[:, -1:]
        drawn = torch.searchsorted(below, at, right=True).clamp_max(rest.shape[1] - 1)
        is_real = rest.gather(1, drawn) > 0  # rounding may lead past the last token that can be drawn
        ids, top = torch.cat([ids, drawn], dim=1), torch.cat([top, below[:, -1:] / draws * is_real], dim=1)
    return ids.cpu().numpy().astype(np.int32), top.cpu().numpy()


def _offsets(row: Row) -> NDArray[np.float32]:
    """For each learnt token a number in [0, 1) that the tokens before it decide."""
    found, told, seen = [], 0, blake2b(digest_size=4)
    for place in _learnt(row):
        seen.update(np.asarray(row.ids[told:place], dtype=np.int64).tobytes())
        told = place
        found.append(int.from_bytes(seen.copy().digest()) >> 8)
    return np.asarray(found, dtype=np.float32) / np.float32(2**24)


def _learnt(row: Row) -> list[int]:
    return [place for place in range(1, len(row.ids)) if row.weights[place] > 0]


def _head(learner: Learner) -> Tensor:
    weight: Tensor = learner.model.get_output_embeddings().weight
    return weight


@dataclass(frozen=True, slots=True)
class Distillation(CrossEntropy):
    """Cross-entropy against the teacher's distributions: its gradient is that of the forward divergence, teacher to student.

    Args:
        temperature: The student's scores are divided by it, as the teacher's were, and the loss is multiplied by its square, so
            that gradients keep their size.

    Source:
        Hinton et al. (2015), arXiv 1503.02531, section 2.
    """

    temperature: float = 1.0

    def summed(self, learner: Learner, items: Sequence[Item]) -> Tensor:
        """Sum of weight times cross-entropy, nats."""
        rows = [row for item in items for row in item]
        if self.temperature == 1:
            return learner.summed(rows)
        trie, hidden = learner.hidden(rows)
        with learner.autocast():
            return summed_loss(learner.model, hidden / self.temperature, trie) * self.temperature**2


def temperature_fault(model: Any) -> str:
    """Why scores of this model cannot be divided before its output layer; "" if they can. Caps are found by trying."""
    head = model.get_output_embeddings()
    if getattr(head, "bias", None) is not None:
        return "its output layer has a bias"
    with torch.no_grad():
        large = 1000 * torch.arange(head.weight.shape[1], device=head.weight.device).cos().to(head.weight.dtype)[None]
        whole, half = scores_of(model, large), scores_of(model, large / 2)
    return "" if (2 * half - whole).norm() <= 1e-2 * whole.norm() else "it caps its scores"


def vocabulary_fault(student: Any, teacher: Any) -> str:
    """Why the tokens of two tokenizers are not the same ones; "" if they are.

    Every token must have the same id in both. The sizes of the models' output layers say nothing: some are filled up.
    """
    ours, theirs = student.get_vocab(), teacher.get_vocab()
    different = sorted(
        (token for token in ours.keys() | theirs.keys() if ours.get(token) != theirs.get(token)),
        key=lambda token: (min(ours.get(token, len(ours)), theirs.get(token, len(theirs))), token),
    )
    if not different:
        return ""
    shown = "; ".join(
        f"{token!r} is {_told(ours.get(token))} for the student and {_told(theirs.get(token))} for the teacher"
        for token in different[:DIFFERENCES_SHOWN]
    )
    return f"{len(different):,} of {len(ours.keys() | theirs.keys()):,} tokens differ: {shown}"


def _told(token_id: int | None) -> str:
    return "none" if token_id is None else f"token {token_id}"


# --- answers -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Taught:
    """Examples with the teacher's answers in place of their own; how many were left out, without an answer or with a wrong one."""

    examples: tuple[Example, ...]
    unanswered: int
    wrong: int


def taught_examples(
    examples: Sequence[Example], answers: Sequence[Answer], scores: Sequence[float], *, least_score: float = 0.5
) -> Taught:
    """The examples whose answer the teacher gave, and gave well, each with that answer to learn from, tagged as generated.

    Args:
        scores: Of the answers, in [0, 1].
        least_score: An answer that scores less is wrong.
    """
    kept: list[Example] = []
    unanswered = wrong = 0
    for example, answer, score in zip(examples, answers, scores, strict=True):
        if answer.error is not None or not (answer.text.strip() or answer.tool_calls):
            unanswered += 1
        elif score < least_score:
            wrong += 1
        else:
            said = Message("assistant", answer.text, weight=example.target.weight, tool_calls=answer.tool_calls)
            tags = (*(tag for tag in example.tags if tag != TAG), TAG)
            kept.append(replace(example, messages=(*example.prompt, said), tags=tags))
    return Taught(tuple(kept), unanswered, wrong)
