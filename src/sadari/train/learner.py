"""A model under training: rows in, loss and gradients out, by the cheapest way that this model takes.

A model whose layers can attend over a token trie computes shared beginnings once. Whether it can is found by trying: a small batch
must give the hidden states that the model itself gives row by row. Any other model runs its rows padded, and `way` says why.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from sadari.errors import ModelError, TrainingError
from sadari.model.prefix import VirtualPrefix
from sadari.train.attention import NAME, Layout, register
from sadari.train.batching import Item, cut, cut_padded
from sadari.train.lora_linear import fused_lora
from sadari.train.loss import prediction_losses, summed_loss
from sadari.train.memory import is_out_of_memory, keep_freed_memory
from sadari.train.rows import Row
from sadari.train.trie import Trie, behind, build_trie, needed

AGREEMENT = 1e-3
"""Largest relative difference of the probe's hidden states; a wrong mask differs by far more, another kernel by far less."""

COARSE_AGREEMENT = 3e-2
"""The same where weights are in 16 bits."""


class Objective(Protocol):
    """What is made small."""

    def weight(self, items: Sequence[Item]) -> float:
        """What the summed loss of a step is divided by."""
        ...

    def summed(self, learner: "Learner", items: Sequence[Item]) -> Tensor:
        """The summed loss of one batch, differentiable."""
        ...


class CrossEntropy:
    """Weighted cross-entropy of the learnt tokens, in nats per unit of weight."""

    def weight(self, items: Sequence[Item]) -> float:
        """The weight of all learnt tokens."""
        return sum(sum(row.weights[1:]) for item in items for row in item)

    def summed(self, learner: "Learner", items: Sequence[Item]) -> Tensor:
        """Sum of weight times cross-entropy."""
        return learner.summed([row for item in items for row in item])


@dataclass(slots=True)
class Counted:
    """Tokens of the rows that were run, each row in full; and those that were computed."""

    before: int = 0
    computed: int = 0

    @property
    def saved(self) -> float:
        """Share of the tokens that sharing spared, in [0, 1]."""
        return 1 - self.computed / self.before if self.before else 0.0


@dataclass
class Learner:
    """A model and how its rows are run.

    Args:
        model: A `transformers` causal language model; parameters with `requires_grad` are fitted.
        packed_tokens: Tokens computed at once. Halved where memory runs out.
        prefix: Learnt vectors before every row.
        share: Compute shared beginnings once.
        precision: bfloat16 multiplies in bfloat16 and keeps weights and sums in float32.
        fuse: Run plain LoRA layers fused; a compiler does that itself, and would start anew with each step.
        tell: Hears when the budget is halved.
    """

    model: Any
    packed_tokens: int = 2048
    prefix: VirtualPrefix | None = None
    share: bool = True
    precision: str = "float32"
    fuse: bool = True
    tell: Callable[[str], None] = field(default=lambda line: None)
    counted: Counted = field(default_factory=Counted)
    way: str = field(init=False, default="")

    def __post_init__(self) -> None:
        register()
        keep_freed_memory()
        checkpointing = any(getattr(module, "gradient_checkpointing", False) for module in self.model.modules())
        if checkpointing and self.prefix is not None and self.prefix.key_values is not None:
            raise TrainingError("`checkpointing: true` drops learnt keys and values. Set it to false, or use prompt_tuning.")
        self._configs = list({id(m.config): m.config for m in self.model.modules() if hasattr(m, "config")}.values())
        self._decoder = self.model.get_decoder()
        self._runs = 0
        self.is_trie = False
        fault = self._probe()
        self.is_trie = not fault
        self.way = f"padded rows: {fault}" if fault else "token trie" if self.share else "packed rows"

    # --- losses ------------------------------------------------------------------------------------------------------

    def step(self, items: Sequence[Item], objective: Objective | None = None) -> float:
        """Forward and backward over one step's items, gradients added to the parameters'; returns the mean loss.

        The gradients are those of the summed loss of all items divided by their whole weight, however the step is cut.

        Raises:
            TrainingError: If a single item does not fit the memory.
        """
        objective = objective or CrossEntropy()
        return self._within_memory(items, lambda: self._step(items, objective))

    def mean_loss(self, items: Sequence[Item], objective: Objective | None = None) -> float:
        """The mean loss without gradients, by the same way as in training.

        Raises:
            TrainingError: If a single item does not fit the memory.
        """
        objective = objective or CrossEntropy()
        with torch.no_grad():
            return self._within_memory(items, lambda: self._step(items, objective))

    def cut(self, items: Sequence[Item]) -> list[list[int]]:
        """Positions of the items of each batch that is computed at once."""
        long_from = _long_from(self.model) - (0 if self.prefix is None else self.prefix.length)
        is_long = [max(needed(row) for row in item) > long_from for item in items]
        batches = []
        for kind in (False, True):
            some = [i for i, long in enumerate(is_long) if long == kind]
            of_kind = [items[i] for i in some]
            cuts = cut(of_kind, self.packed_tokens, share=self.share) if self.is_trie else cut_padded(of_kind, self.packed_tokens)
            batches += [[some[i] for i in batch] for batch in cuts]
        return batches

    def summed(self, rows: Sequence[Row]) -> Tensor:
        """Sum over learnt tokens of weight times cross-entropy, nats."""
        trie, hidden = self.hidden(rows)
        with self.autocast():
            return summed_loss(self.model, hidden, trie)

    def log_probabilities(self, rows: Sequence[Row]) -> Tensor:
        """For each row the weighted sum of the log-probabilities of its learnt tokens, nats, shape (R,)."""
        trie, hidden = self.hidden(rows)
        with self.autocast():
            losses = prediction_losses(self.model, hidden, trie)
        device = losses.device
        prediction_of, row_of = (torch.as_tensor(values, device=device) for values in (trie.prediction_of, trie.row_of))
        terms = losses[prediction_of] * torch.as_tensor(trie.weight_of, device=device)
        return -torch.zeros(len(rows), device=device).index_add(0, row_of, terms)

    def hidden(self, rows: Sequence[Row]) -> tuple[Trie, Tensor]:
        """The rows as a trie, and the final hidden states at its predictions, shape (M, D)."""
        trie = build_trie(rows, share=self.share and self.is_trie)
        self.counted.before += trie.tokens_before
        self.counted.computed += len(trie)
        with self.autocast(), self.running():
            states = self._over_trie(trie) if self.is_trie else self._over_padded(rows)
        return trie, states[torch.as_tensor(trie.at, device=states.device)]

    @contextmanager
    def running(self) -> Iterator[None]:
        """Attention over tries and fused layers, for as long as gradients may be computed; may be nested."""
        if self._runs or not self.is_trie:
            yield
            return
        before = [config._attn_implementation for config in self._configs]
        self._runs += 1
        try:
            for config in self._configs:
                config._attn_implementation = NAME
            with fused_lora(self.model) if self.fuse else nullcontext():
                yield
        finally:
            self._runs -= 1
            for config, name in zip(self._configs, before, strict=True):
                config._attn_implementation = name

    # --- how it is run -----------------------------------------------------------------------------------------------

    def _step(self, items: Sequence[Item], objective: Objective) -> float:
        total, loss = objective.weight(items), 0.0
        with self.running():
            for batch in self.cut(items):
                part = objective.summed(self, [items[i] for i in batch]) / total
                if torch.is_grad_enabled():
                    part.backward()
                loss += float(part.detach())
        return loss

    def _within_memory(self, items: Sequence[Item], run: Callable[[], float]) -> float:
        """Run with half of `packed_tokens` as often as memory runs out; what a failed try added to gradients is taken back."""
        before = [(p, None if p.grad is None else p.grad.clone()) for p in self._fitted()]
        counted = replace(self.counted)
        while True:
            try:
                return run()
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                self._shrink(items, error)
            for parameter, grad in before:
                parameter.grad = None if grad is None else grad.clone()
            self.counted = replace(counted)
            if torch.cuda.is_available():
                torch.cuda.empty_cache()

    def _shrink(self, items: Sequence[Item], error: Exception) -> None:
        tokens = [sum(needed(row) for row in item) for item in items]
        longest = max(tokens)
        if self.packed_tokens <= longest:
            raise TrainingError(
                f"memory ran out at row {items[tokens.index(longest)][0].id} alone, of {longest} tokens "
                f"({str(error).splitlines()[0]}). Set `checkpointing: true`, shorten the rows, or train with `qlora` or a smaller "
                "model."
            ) from error
        self.packed_tokens = max(longest, self.packed_tokens // 2)
        self.tell(f"memory ran out: computing {self.packed_tokens} tokens at once from here on")

    def _fitted(self) -> list[Tensor]:
        given = self.prefix.tensors() if self.prefix is not None else []
        own = [p for p in self.model.parameters() if p.requires_grad]
        return list({id(t): t for t in (*own, *_leaves(given))}.values())

    def _over_trie(self, trie: Trie) -> Tensor:
        device = self.model.device
        length = 0 if self.prefix is None else self.prefix.length
        as_keys = self.prefix is not None and self.prefix.key_values is not None
        ids, depth = (torch.as_tensor(values, device=device)[None] for values in (trie.ids, trie.depth))
        inputs = self._inputs(ids)
        place = depth + length
        if length and not as_keys:  # the vectors are the root of the trie
            place = torch.cat([torch.arange(length, device=device)[None], place], dim=1)
            trie = behind(trie, length)
        layout = Layout(trie, length if as_keys else 0, device)
        out = self._decoder(
            **inputs,
            position_ids=place,
            past_key_values=self._cache(1),
            use_cache=as_keys,
            trie_layout=layout,
        )
        hidden: Tensor = out.last_hidden_state[0]
        return hidden if as_keys else hidden[length:]

    def _over_padded(self, rows: Sequence[Row]) -> Tensor:
        """Hidden states of the rows one after another, shape (N, D)."""
        device = self.model.device
        lengths = torch.tensor([needed(row) for row in rows])
        width = int(lengths.max())
        ids = torch.zeros(len(rows), width, dtype=torch.long)
        for i, row in enumerate(rows):
            ids[i, : lengths[i]] = torch.tensor(row.ids[: lengths[i]])
        real = torch.arange(width)[None, :] < lengths[:, None]
        length = 0 if self.prefix is None else self.prefix.length
        inputs = self._inputs(ids.to(device))
        mask = F.pad(real, (length, 0), value=True).long().to(device)
        cache = self._cache(len(rows))
        if cache is not None:
            inputs["past_key_values"] = cache
        out = self._decoder(**inputs, attention_mask=mask, use_cache=cache is not None)
        hidden: Tensor = out.last_hidden_state
        return hidden[:, hidden.shape[1] - width :][real.to(device)]

    def _inputs(self, ids: Tensor) -> dict[str, Any]:
        if self.prefix is None or self.prefix.embeddings is None:
            return {"input_ids": ids}
        embedded = self.model.get_input_embeddings()(ids)
        before = self.prefix.embeddings().to(embedded.dtype)
        return {"inputs_embeds": torch.cat([before.expand(len(ids), -1, -1), embedded], dim=1)}

    def _cache(self, rows: int) -> Any:
        if self.prefix is None or self.prefix.key_values is None:
            return None
        from transformers import DynamicCache

        cache = DynamicCache()
        for layer, (keys, values) in enumerate(self.prefix.key_values()):
            cache.update(keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1), layer)
        return cache

    def autocast(self) -> Any:
        return torch.autocast(self.model.device.type, torch.bfloat16, enabled=self.precision == "bfloat16")

    def _probe(self) -> str:
        """Why rows of this model cannot be run as a trie; "" if they can.

        Raises:
            TrainingError: If they cannot be run at all.
        """
        rows = _probe_rows(self.model.get_input_embeddings().weight.shape[0])
        was_training, precision, counted = self.model.training, self.precision, replace(self.counted)
        self.model.eval()
        self.precision = "float32"
        try:
            with torch.no_grad():
                expected = torch.cat([self._predicting([row]) for row in rows])
                self.is_trie = True
                return self._disagreement(rows, expected)
        except Exception as error:  # whatever a layer makes of it
            if not self.is_trie:
                raise TrainingError(
                    f"a {type(self.model).__name__} gives no hidden states that could be learnt from ({_first_line(error)}). "
                    "Choose another base model."
                ) from error
            fault = _first_line(error)
            return fault if isinstance(error, ModelError) else f"its layers take no other attention ({fault})"
        finally:
            self.precision = precision
            self.model.train(was_training)
            self.counted = counted

    def _disagreement(self, rows: Sequence[Row], expected: Tensor) -> str:
        """How hidden states over a trie differ from the expected ones; "" if they agree."""
        found = self._predicting(rows)
        error = float((found - expected).norm() / expected.norm())
        if not error <= (COARSE_AGREEMENT if expected.dtype.itemsize < 4 else AGREEMENT):
            return f"over a trie its hidden states differ by {error:.2g} of their size from those row by row"
        with torch.random.fork_rng():
            self.model.train()
            self._predicting(rows)  # a layer that drops attention weights says so
        return ""

    def _predicting(self, rows: Sequence[Row]) -> Tensor:
        """Hidden states that predict each learnt token, the rows being in the order of their tokens."""
        trie, hidden = self.hidden(rows)
        return hidden[torch.as_tensor(trie.prediction_of, device=hidden.device)]


def _probe_rows(vocabulary: int) -> list[Row]:
    """Three short rows with a common beginning, the first of them the beginning of the second."""
    shared = [i % vocabulary for i in range(1, 8)]
    ends = [[], [3, 1, 4, 1, 5], [5, 9, 2, 6, 5, 3, 5, 8]]
    rows = [(*shared, *(i % vocabulary for i in end)) for end in ends]
    return [Row(f"probe {i}", ids, (0.0,) * 3 + (1.0,) * (len(ids) - 3)) for i, ids in enumerate(sorted(rows))]


def _leaves(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The parameters that these are computed from."""
    found = [t for t in tensors if t.requires_grad and t.grad_fn is None]
    nodes = [t.grad_fn for t in tensors if t.grad_fn is not None]
    while nodes:
        node = nodes.pop()
        found += [node.variable] if hasattr(node, "variable") else []
        nodes += [before for before, _ in node.next_functions if before is not None]
    return found


def _long_from(model: Any) -> float:
    """Length of a row from which on the model turns all its positions otherwise, for which such rows go by themselves."""
    rotation = getattr(model.config.get_text_config(decoder=True), "rope_parameters", None) or {}
    long = rotation.get("original_max_position_embeddings") if rotation.get("rope_type") == "longrope" else None
    return float("inf") if long is None else float(long)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
