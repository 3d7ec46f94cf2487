"""Three small steps on the real model and rows, from which the memory and the time of the real steps follow.

The steps are a sixteenth and a quarter of the largest real batch, so that a model that would not fit is told before it is tried;
of batches below two thousand tokens they are more.
Memory grows in a straight line with the tokens that are computed at once, but for the scores of the vocabulary, whose memory has an
end; time grows with the operations. Weights, gradients, random numbers and what the learner counts stay as they were.

Not covered: validation, whose answers hold a cache of keys and values while nothing is trained; other processes on the machine.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from sadari.errors import TrainingError
from sadari.train.batching import Item
from sadari.train.estimate import Precision, scores_bytes
from sadari.train.learner import Counted, CrossEntropy, Learner, Objective
from sadari.train.memory import is_out_of_memory
from sadari.train.methods.attached import count_weights
from sadari.train.randomness import random_state, restore_random_state
from sadari.train.resident import Peak, available_bytes
from sadari.train.rows import Row
from sadari.train.trie import build_trie, needed

Running = Callable[[], AbstractContextManager[None]]

SMALL, LARGE = 1 / 16, 1 / 4
"""Of the tokens of the largest batch, the sizes that are tried."""

REPEATS = 2
"""How often both sizes are timed."""

LEAST = 96, 512
"""Fewest tokens that are tried, if there are as many: less tells nothing of what each token takes."""

PASSED_OVER = 100
"""Multiplications in the time of which one number is read, changed and written, as norms and activations do: about, on a CPU."""

LOOKED_AT = 16
"""Steps, evenly spaced, whose batches are counted."""

STAND_INS = 2**24
"""Most weights on which the optimiser is timed; its time is in proportion to them."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What one batch computes: tokens, predictions, pairs of tokens that see each other, and tokens of its rows in full."""

    computed: int
    predictions: int
    pairs: int
    before: int


@dataclass(frozen=True, slots=True)
class Line:
    """`fixed + per_token * tokens`, in bytes."""

    fixed: float
    per_token: float

    def at(self, tokens: float) -> float:
        """Its value."""
        return self.fixed + self.per_token * tokens


@dataclass(frozen=True, slots=True)
class Measured:
    """What real steps will take, as measured on small ones.

    Args:
        seconds_per_step: Mean, with the optimiser, without validation and checkpoints.
        tokens_per_s: Of the rows, each counted in full though its beginning is shared.
        peak_bytes: The most that the process holds during training, on CUDA the most that torch's allocator holds.
        activation_bytes_per_token: What a step keeps and passes through for each token computed.
        held_bytes: Before training: the model and all else.
        state_bytes: What stands all the time in training: moments, and gradients if a step has several batches.
        packed_tokens: Of the largest batch.
        holes: How many times more memory passes of several sizes take in turn than the largest alone, without scores; at least 1.
        forward, backward: Growth over that in a batch, without scores of the vocabulary, by its tokens.
        vocabulary, precision: From which the bytes of scores follow; `leaves_holes` on a CPU.
        between_bytes: Growth between passes: gradients, or the weights of the best look when they are read.
        predictions_per_token: Of the largest batch.
    """

    seconds_per_step: float
    tokens_per_s: float
    peak_bytes: int
    activation_bytes_per_token: float
    held_bytes: int
    state_bytes: int
    packed_tokens: int
    holes: float
    forward: Line
    backward: Line
    vocabulary: int
    precision: Precision
    leaves_holes: bool
    between_bytes: int
    predictions_per_token: float

    @property
    def lines(self) -> dict[str, Line]:
        """Both lines by name."""
        return {"forward": self.forward, "backward": self.backward}

    def peak_at(self, packed_tokens: int) -> int:
        """The peak if a batch has so many tokens, in bytes."""
        predictions = self.predictions_per_token * packed_tokens
        scores = scores_bytes(self.vocabulary, predictions, self.precision, leaves_holes=self.leaves_holes)
        passes = max(self.holes * self.forward.at(packed_tokens) + scores, self.holes * self.backward.at(packed_tokens))
        growth = max(passes, self.between_bytes)
        return round(self.held_bytes + self.state_bytes + growth)


def dry_run(
    learner: Learner,
    parameters: Mapping[str, Tensor],
    steps_items: Sequence[Sequence[Item]],
    *,
    objective: Objective | None = None,
    running: Running = nullcontext,
    clock: Callable[[], float] = time.perf_counter,
) -> Measured:
    """Try small steps and tell what the real ones take.

    Args:
        parameters: What is trained, by name (`Attached.parameters`).
        steps_items: The items of every step of the run (`Job.steps()`), at least one step.
        running: Gives contexts in which the blocks run as they will (`execution_of`).
        clock: Seconds; `time.process_time` leaves out what other processes take, and is right with one thread.

    Raises:
        TrainingError: If not even the smallest step fits the memory.
    """
    objective = objective or CrossEntropy()
    steps = [_batches(learner, items) for items in _some_steps(steps_items)]
    largest = max((batch for step in steps for batch in step), key=lambda batch: batch[1].computed)
    trained = list(parameters.values())
    sizes = sum(map(_bytes, trained))
    accumulates = any(len(step) > 1 for step in steps)
    with _untouched(learner, trained), running():
        passes = _Passes(learner, objective, trained if accumulates else (), clock)
        small, large, holes = passes.tries(*largest)
        update_s = _update_seconds(trained, clock)
    seconds = _step_seconds(learner, [[counts for _, counts in step] for step in steps], small, large) + update_s
    tokens = sum(counts.before for step in steps for _, counts in step) / len(steps)
    forward = _line(small.counts, large.counts, (small.forward, large.forward))
    backward = _line(small.counts, large.counts, (small.backward, large.backward))
    measured = Measured(
        seconds_per_step=seconds,
        tokens_per_s=tokens / seconds,
        peak_bytes=0,
        activation_bytes_per_token=max(forward.per_token, backward.per_token),
        held_bytes=small.held - (sizes if accumulates else 0),
        state_bytes=(3 if accumulates else 2) * sizes,
        packed_tokens=largest[1].computed,
        holes=holes,
        forward=forward,
        backward=backward,
        vocabulary=_vocabulary(learner),
        precision=_precision(learner),
        leaves_holes=learner.model.device.type == "cpu",
        between_bytes=0 if accumulates else sizes,
        predictions_per_token=largest[1].predictions / largest[1].computed,
    )
    return replace(measured, peak_bytes=measured.peak_at(measured.packed_tokens))


# --- what is to be computed ------------------------------------------------------------------------------------------------------


def _some_steps(steps_items: Sequence[Sequence[Item]]) -> list[Sequence[Item]]:
    """Steps evenly spaced, and the one with the longest item, which may be a batch of its own."""
    count = min(LOOKED_AT, len(steps_items))
    chosen = {round(i * (len(steps_items) - 1) / max(1, count - 1)) for i in range(count)}
    chosen.add(max(range(len(steps_items)), key=lambda s: max(sum(needed(row) for row in item) for item in steps_items[s])))
    return [steps_items[s] for s in sorted(chosen)]


def _batches(learner: Learner, items: Sequence[Item]) -> list[tuple[list[Item], Counts]]:
    batches = [[items[i] for i in batch] for batch in learner.cut(items)]
    return [(batch, _counts(learner, batch)) for batch in batches]


def _counts(learner: Learner, items: Sequence[Item]) -> Counts:
    rows = [row for item in items for row in item]
    trie = build_trie(rows, share=learner.share and learner.is_trie)
    length = 0 if learner.prefix is None else learner.prefix.length
    if learner.is_trie:
        computed, pairs = len(trie) + length, int(trie.depth.sum()) + (1 + length) * len(trie)
    else:
        width = max(needed(row) for row in rows) + length
        computed, pairs = len(rows) * width, len(rows) * width * width // 2
    return Counts(computed, len(trie.at), pairs, trie.tokens_before)


def _part(learner: Learner, items: Sequence[Item], tokens: int) -> list[Item]:
    """Of a batch as many items as have about so many tokens; the end of one if it alone has more."""
    ordered = sorted(items, key=lambda item: item[0].ids)
    if _counts(learner, ordered[:1]).computed > tokens:
        return [tuple(_end(row, max(2, tokens // len(ordered[0]))) for row in ordered[0])]
    low, high = 1, len(ordered)  # sizes grow with the items: halve
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if _counts(learner, ordered[:middle]).computed <= tokens else (low, middle - 1)
    return ordered[:low]


def _end(row: Row, tokens: int) -> Row:
    """The last so many tokens of a row, up to its last learnt one, which stays learnt."""
    stop = needed(row) + 1
    kept = slice(max(0, stop - tokens - 1), stop)
    return Row(row.id, row.ids[kept], row.weights[kept], row.among[kept], row.soft[kept])


# --- trying ----------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Pass:
    """One forward and backward pass: what it took above `held`, in bytes; scores of the vocabulary are not in `forward`."""

    counts: Counts
    held: int
    forward: float
    backward: float
    scores: float
    seconds: float = 0.0

    @property
    def most(self) -> float:
        """Growth at the peak."""
        return max(self.forward + self.scores, self.backward)


@dataclass(frozen=True, slots=True)
class _Passes:
    """Runs passes; `standing` are parameters whose gradients stand while the next batch is computed."""

    learner: Learner
    objective: Objective
    standing: Sequence[Tensor]
    clock: Callable[[], float]

    def tries(self, items: Sequence[Item], counts: Counts) -> tuple[_Pass, _Pass, float]:
        """A small pass and, if that leaves room for it, a larger one; and how much more memory both take in turn than alone."""
        sizes = (max(round(share * counts.computed), least) for share, least in zip((SMALL, LARGE), LEAST, strict=True))
        parts = [_part(self.learner, items, size) for size in sizes]
        self._make_room()
        try:
            self.run(parts[0])  # what is computed first is slow, and loads what is loaded late
            small = self.measured(parts[0])
            wanted = _counts(self.learner, parts[1]).computed / small.counts.computed * small.most
            if wanted > available_bytes(self.learner.model.device):
                return small, small, 1.0
            large = self.measured(parts[1])
            seconds, holes = self.in_turn(parts, large)
            return replace(small, seconds=seconds[0]), replace(large, seconds=seconds[1]), holes
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            raise TrainingError(
                f"memory ran out in a trial step of {_counts(self.learner, parts[0]).computed} tokens "
                f"({str(error).splitlines()[0]}). Take a smaller model, or train with `qlora`."
            ) from error

    def _make_room(self) -> None:
        wanted, left = sum(map(_bytes, self.standing)), available_bytes(self.learner.model.device)
        if wanted > left:
            raise TrainingError(
                f"the gradients alone take {wanted / 2**30:.1f} GiB, and {left / 2**30:.1f} GiB are free. "
                "Train fewer weights (`lora`, or `full` with `last_layers`), or take a smaller model."
            )
        for parameter in self.standing:
            parameter.grad = torch.zeros_like(parameter)

    def run(self, items: Sequence[Item]) -> float:
        """Seconds of a pass."""
        device = self.learner.model.device
        with self.learner.running():
            began = self.clock()
            self.objective.summed(self.learner, items).backward()
            _wait(device)
            seconds = self.clock() - began
        self._forget()
        return seconds

    def measured(self, items: Sequence[Item]) -> _Pass:
        """A pass whose two halves have their memory measured, each by itself."""
        counts = _counts(self.learner, items)
        with self.learner.running():
            with Peak(self.learner.model.device) as forward:
                loss = self.objective.summed(self.learner, items)
            with Peak(self.learner.model.device) as backward:
                loss.backward()
                del loss
        self._forget()
        scores = min(self._scores(counts, leaves_holes=False), forward.growth)
        return _Pass(counts, forward.held, forward.growth - scores, max(0, backward.most - forward.held), scores)

    def in_turn(self, parts: Sequence[Sequence[Item]], large: _Pass) -> tuple[tuple[float, ...], float]:
        """Mean seconds of each part, run in turn; and the memory of that in proportion to that of the `large` one alone.

        A CPU's memory gets holes when tensors of several sizes come and go, and no step of a run is like the one before.
        """
        with Peak(self.learner.model.device) as together:
            seconds = [[self.run(part) for part in parts] for _ in range(REPEATS)]
        scores = self._scores(large.counts, leaves_holes=self.learner.model.device.type == "cpu")
        alone = max(large.forward + scores, large.backward, 1.0)
        return tuple(map(fmean, zip(*seconds, strict=True))), max(1.0, together.growth / alone)

    def _scores(self, counts: Counts, *, leaves_holes: bool) -> float:
        return scores_bytes(_vocabulary(self.learner), counts.predictions, _precision(self.learner), leaves_holes=leaves_holes)

    def _forget(self) -> None:
        if not self.standing:
            self.learner.model.zero_grad(set_to_none=True)


@contextmanager
def _untouched(learner: Learner, trained: Sequence[Tensor]) -> Iterator[None]:
    """Gradients, random numbers, the mode of the model and what was counted are afterwards as before."""
    model = learner.model
    gradients, counted = [p.grad for p in trained], learner.counted
    modes = {module: module.training for module in model.modules()}
    learner.counted = Counted()
    for parameter in trained:
        parameter.grad = None
    numbers = random_state()
    try:
        model.train()
        yield
    finally:
        restore_random_state(numbers)
        learner.counted = counted
        for parameter, gradient in zip(trained, gradients, strict=True):
            parameter.grad = gradient
        for module, mode in modes.items():
            module.training = mode


def _update_seconds(trained: Sequence[Tensor], clock: Callable[[], float]) -> float:
    """Seconds of clipping and of AdamW, on stand-ins for the first of the weights."""
    stand_ins: list[Tensor] = []
    for parameter in trained:
        if stand_ins and sum(p.numel() for p in stand_ins) + parameter.numel() > STAND_INS:
            break
        stand_ins.append(torch.zeros_like(parameter.flatten()[:STAND_INS]).requires_grad_())
    optimizer = torch.optim.AdamW(stand_ins, fused=stand_ins[0].device.type in ("cpu", "cuda"))
    seconds = 0.0
    for _ in range(2):  # the first makes the moments
        for stand_in in stand_ins:
            stand_in.grad = torch.zeros_like(stand_in)
        _wait(stand_ins[0].device)
        began = clock()
        torch.nn.utils.clip_grad_norm_(stand_ins, 1.0)
        optimizer.step()
        _wait(stand_ins[0].device)
        seconds = clock() - began
    share: float = sum(p.numel() for p in trained) / sum(p.numel() for p in stand_ins)
    return seconds * share


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _bytes(tensor: Tensor) -> int:
    return int(tensor.numel() * tensor.element_size())


# --- from small to large ---------------------------------------------------------------------------------------------------------


def _vocabulary(learner: Learner) -> int:
    return int(learner.model.get_output_embeddings().weight.shape[0])


def _precision(learner: Learner) -> Precision:
    is_short = learner.precision == "bfloat16" or learner.model.dtype == torch.bfloat16
    return "bfloat16" if is_short else "float32"


def _line(small: Counts, large: Counts, bytes_: tuple[float, float]) -> Line:
    """Through two points, never falling and never below nothing; through one and nothing if they are the same."""
    if large.computed <= small.computed:
        return Line(0.0, bytes_[0] / small.computed)
    slope = max(0.0, (bytes_[1] - bytes_[0]) / (large.computed - small.computed))
    fixed = bytes_[0] - slope * small.computed
    return Line(fixed, slope) if fixed > 0 else Line(0.0, bytes_[1] / large.computed)


def _step_seconds(learner: Learner, steps: Sequence[Sequence[Counts]], small: _Pass, large: _Pass) -> float:
    """Mean seconds of the passes of a step: some for each batch, and some for each operation."""
    work = _work(learner)
    few, many = work(small.counts), work(large.counts)
    per_operation = (large.seconds - small.seconds) / (many - few) if many > few else 0.0
    per_batch = small.seconds - per_operation * few
    if per_operation <= 0 or per_batch < 0:
        per_batch, per_operation = 0.0, large.seconds / many
    return sum(per_batch + per_operation * work(counts) for step in steps for counts in step) / len(steps)


def _work(learner: Learner) -> Callable[[Counts], float]:
    """Multiplications of one forward pass over a batch; numbers that are passed over one by one count as `PASSED_OVER`."""
    model: Any = learner.model
    config = model.config.get_text_config(decoder=True)
    layers = getattr(config, "num_hidden_layers", 0)
    heads = getattr(config, "num_attention_heads", 0)
    width = heads * (getattr(config, "head_dim", None) or config.hidden_size // max(1, heads))
    inside = getattr(config, "intermediate_size", None) or 4 * config.hidden_size
    body: int = max(1, count_weights(model.get_decoder()) - model.get_input_embeddings().weight.numel())
    each: int = body + PASSED_OVER * layers * (8 * config.hidden_size + 4 * inside)
    head: int = model.get_output_embeddings().weight.numel()

    def multiplications(counts: Counts) -> float:
        return float(each * counts.computed + head * counts.predictions + 2 * width * layers * counts.pairs)

    return multiplications
