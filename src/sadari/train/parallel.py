"""One fit on several accelerators: the weights lie divided among processes, and each step's items are shared among them.

`torchrun --nproc-per-node 2 -m sadari tune ...` starts the processes. The first one runs the command; the others take part in every
fit of it (`take_part`) and say nothing. In a fit all of them run the same loop: `fully_shard` of torch divides the weights of each
decoder layer, their gradients and what the optimiser keeps of them; each process computes its share of a step's items, and the
gradients are those of the whole step, as in one process. Checkpoints hold whole tensors, so that the number of processes may change
between a crash and its resumption.

Covered: every method but those below, with frozen or trained weights, tied embeddings, any objective, shares of any size, none
included; processes on one machine, or on several that see the same folders.

Not covered:

- models that do not fit one accelerator whole: they are loaded whole, and put together again in the first process's sight for looks
  at validation and for saving;
- four-bit weights, and learnt prompts, which are a few vectors before a whole model: an error says so;
- halving `packed_tokens` when memory runs out: it runs out in one process while the others wait for it, so the fit ends instead;
- plans by time know the speed of one process, and answers at looks are given by the first process alone;
- `compile: true`, experts that only some rows reach, and NCCL: not tested.

Source:
    Dividing weights, gradients and optimiser states: Rajbhandari et al. (2020), arXiv 1910.02054; Zhao et al. (2023),
    arXiv 2304.11277.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from sadari.errors import ConfigError, TrainingError
from sadari.model.bottleneck import blocks_of
from sadari.train.batching import Item, _added
from sadari.train.learner import Learner, Objective
from sadari.train.memory import is_out_of_memory

PATIENCE = timedelta(days=7)
"""How long a process waits for another. The others wait while the first one measures; one that dies is noticed by `torchrun`."""


# --- the processes -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class World:
    """The processes that work on one fit, as one of them sees it; alone by default. All of them call the same methods."""

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the process that speaks, writes and looks."""
        return self.rank == 0

    def sum(self, *values: float) -> tuple[float, ...]:
        """Sums over the processes."""
        return self._reduced(values, dist.ReduceOp.SUM)

    def most(self, value: int) -> int:
        """The largest over the processes."""
        return int(self._reduced((value,), dist.ReduceOp.MAX)[0])

    def first(self, act: Callable[[], Sequence[float]]) -> tuple[float, ...]:
        """What the first process finds by `act`, told to all, who wait for it.

        Raises:
            TrainingError: In every other process, if the first one fails; in that one, whatever it was.
        """
        if self.size == 1:
            return tuple(act())
        found: Sequence[float] = ()
        error: BaseException | None = None
        if self.is_first:
            try:
                found = act()
            except Exception as e:
                error = e
        head = torch.tensor([error is not None, len(found)])
        dist.broadcast(head, 0)
        if error is not None:
            raise error
        failed, count = head.tolist()
        if failed:
            raise TrainingError("the first process failed; its message says at what.")
        told = torch.tensor(found if self.is_first else [0.0] * count, dtype=torch.float64)
        dist.broadcast(told, 0)
        return tuple(told.tolist())

    def _reduced(self, values: Sequence[float], by: Any) -> tuple[float, ...]:
        if self.size == 1:
            return tuple(values)
        total = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(total, by)
        return tuple(total.tolist())


def join() -> World:
    """Join the processes that `torchrun` started; without it, a world of one and no connections."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ and not dist.is_initialized():
        has_cuda = torch.cuda.is_available()
        if has_cuda:
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        # Numbers that are agreed upon lie on the CPU whatever the weights lie on.
        dist.init_process_group("cpu:gloo,cuda:nccl" if has_cuda else "gloo", timeout=PATIENCE)
    return current()


def current() -> World:
    """The world that was joined; a world of one if none was."""
    return World(dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else World()


def shares(items: Sequence[Item], size: int, *, is_trie: bool = True) -> list[list[int]]:
    """Positions of the items that each of `size` processes computes; some get none if there are few items.

    Items come in the order of their tokens and neighbours stay together, since they share most; where to cut is chosen so that
    the largest share, in computed tokens, is the smallest possible.

    Args:
        is_trie: Whether what items share is computed once.
    """
    order = sorted(range(len(items)), key=lambda i: items[i][0].ids)
    alone = [_added(items[i], None) for i in order]
    behind = [
        _added(items[i], items[order[at - 1]][-1]) if at and is_trie else _added(items[i], None) for at, i in enumerate(order)
    ]
    low, high = max(alone, default=0), sum(alone)
    while low < high:
        most = (low + high) // 2
        if len(_filled(order, alone, behind, most)) <= size:
            high = most
        else:
            low = most + 1
    found = _filled(order, alone, behind, low)
    return [*found, *([] for _ in range(size - len(found)))]


def _filled(order: Sequence[int], alone: Sequence[int], behind: Sequence[int], most: int) -> list[list[int]]:
    """The order cut into parts of at most so many tokens, each as long as it can be."""
    parts: list[list[int]] = []
    room = 0
    for i, first, further in zip(order, alone, behind, strict=True):
        if not parts or further > room:
            parts.append([])
            room = most - first
        else:
            room -= further
        parts[-1].append(i)
    return parts


# --- the weights -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Shards:
    """A model whose weights lie divided among the processes.

    Args:
        learner: Runs a step's items in all processes together; every process gives it all items and gets the loss of all.
        parameters: What is trained, by the names it had.
        put_together: Within it every process holds the whole model as it was before it was divided, with the weights of now: for
            answers, not for gradients, and not to be saved. Entered by all.
    """

    learner: Learner
    parameters: Mapping[str, nn.Parameter]
    put_together: Callable[[], Any]


@contextmanager
def divided(learner: Learner, parameters: Mapping[str, nn.Parameter]) -> Iterator[Shards]:
    """Within it the model lies divided among the processes; after it, it is whole in each of them. In a world of one, it just is.

    All processes begin with the first one's values of `parameters`. Whatever held the parameters before holds their new values
    after. After an error they hold nothing: the processes may stand at different places then, and cannot ask each other any more.

    Raises:
        ConfigError: If the model cannot be divided.
    """
    if not dist.is_initialized():
        yield Shards(learner, parameters, _as_it_is)
        return
    require_divisible(learner)
    for parameter in parameters.values():
        dist.broadcast(parameter.detach(), 0)
    weights = _Weights(learner.model)
    root = weights.divide()
    shared = _SharedLearner(learner, root)
    yield Shards(shared, {name: weights.now(p) for name, p in parameters.items()}, lambda: weights.put_together(root))
    weights.restore()


def require_divisible(learner: Learner) -> None:
    """Refuse a model that cannot be divided.

    Raises:
        ConfigError: Says what to do instead.
    """
    if learner.prefix is not None:
        raise ConfigError(
            "learnt prompts (prompt_tuning, prefix) are a few vectors before a whole model: there is nothing to divide. Start "
            "without torchrun, or use lora."
        )
    if any(type(p).__name__ == "Params4bit" for p in learner.model.parameters()):
        raise ConfigError("weights in four bits cannot be divided among processes. Start without torchrun, or use lora.")


@contextmanager
def _as_it_is() -> Iterator[None]:
    yield


class _Block(nn.Module):
    """Stands in the place of a decoder layer: what `fully_shard` hangs on a module hangs on this one and goes with it."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.block(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        """Decoders ask their layers for what they are."""
        inside = super().__getattr__("block")
        return inside if name == "block" else getattr(inside, name)


class _Root(nn.Module):
    """Everything that a loss is computed by, since the output layer and the loss are used outside of the model's own forward."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, run: Callable[[], Tensor]) -> Tensor:
        return run()


class _Weights:
    """The parameters of a model, in their places and out of them."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._blocks = blocks_of(model)
        self._originals = list(self._blocks)
        self._places = [(m, name, p) for m in model.modules() for name, p in m._parameters.items() if p is not None]
        self._place_of = {id(p): (m, name) for m, name, p in self._places}

    def divide(self) -> Any:
        """Divide; returns the module that has to be called whenever weights are needed."""
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard  # takes a second, which a world of one does not wait for

        mesh = init_device_mesh(self._model.device.type, (dist.get_world_size(),))
        shells = [_Block(block) for block in self._originals]
        for i, shell in enumerate(shells):
            self._blocks[i] = fully_shard(shell, mesh=mesh)
        root: Any = fully_shard(_Root(self._model), mesh=mesh, reshard_after_forward=False)
        for _, _, parameter in self._places:
            parameter.data = parameter.data.new_empty(0)  # whoever holds it must not hold the memory
        return root

    def now(self, parameter: nn.Parameter) -> nn.Parameter:
        """What stands in the place of a parameter."""
        module, name = self._place_of[id(parameter)]
        found: nn.Parameter = getattr(module, name)
        return found

    @contextmanager
    def put_together(self, root: Any) -> Iterator[None]:
        from torch.distributed.fsdp import FSDPModule

        parts: list[Any] = [module for module in root.modules() if isinstance(module, FSDPModule)]
        shells = list(self._blocks)
        for part in parts:
            part.unshard()
        # The layers themselves, not what stands in their place: one process alone may run them then.
        for i, block in enumerate(self._originals):
            self._blocks[i] = block
        yield
        for i, shell in enumerate(shells):
            self._blocks[i] = shell
        for part in parts:
            part.reshard()

    def restore(self) -> None:
        for i, block in enumerate(self._originals):
            self._blocks[i] = block
        found: set[int] = set()
        for _, _, parameter in self._places:
            if id(parameter) not in found:
                found.add(id(parameter))
                now: Any = self.now(parameter)
                parameter.data = now.detach().full_tensor()
        for module, name, parameter in self._places:
            setattr(module, name, parameter)


class _SharedLearner(Learner):
    """A learner whose steps are shared among all processes."""

    def __init__(self, learner: Learner, root: Any) -> None:
        vars(self).update(vars(learner))
        self._world, self._root = current(), root

    def _step(self, items: Sequence[Item], objective: Objective) -> float:
        own = shares(items, self._world.size, is_trie=self.is_trie and self.share)[self._world.rank]
        mine = [items[i] for i in own]
        batches = [[mine[i] for i in batch] for batch in self.cut(mine)]
        spare = [min(items, key=lambda item: _added(item, None))]
        total, loss, was = objective.weight(items), 0.0, (self.counted.before, self.counted.computed)
        counted = was
        with self.running():
            # Weights are gathered and gradients summed by all processes together: each runs as many batches as the busiest.
            for n in range(self._world.most(len(batches))):
                some = batches[n] if n < len(batches) else spare
                part = self._root(lambda some=some: objective.summed(self, some))
                if n < len(batches):
                    loss += float(part.detach())
                    counted = self.counted.before, self.counted.computed
                if torch.is_grad_enabled():
                    # Of the gradients of all processes the mean is taken.
                    (part * (self._world.size / total if n < len(batches) else 0.0)).backward()
                else:
                    self._root.reshard()
        loss, *more = self._world.sum(loss, *(now - then for now, then in zip(counted, was, strict=True)))
        self.counted.before, self.counted.computed = (then + int(added) for then, added in zip(was, more, strict=True))
        return loss / total

    def _within_memory(self, items: Sequence[Item], run: Callable[[], float]) -> float:
        try:
            return run()
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            raise TrainingError(
                f"memory ran out in process {self._world.rank + 1} of {self._world.size} with {self.packed_tokens} tokens at once. "
                "Halve `packed_tokens`, set `checkpointing: true`, or use more processes."
            ) from error


# --- checkpoints -------------------------------------------------------------------------------------------------------


def full(value: Any, *, keep: bool = True) -> Any:
    """Tensors in dicts, lists and tuples put together on the CPU, if they are divided; all else as it is. Called by all processes.

    Args:
        keep: False takes part without keeping what is put together: it is None then.
    """
    if isinstance(value, Tensor) and _is_divided(value):
        part: Any = value.detach()
        whole = part.full_tensor()
        return whole.cpu() if keep else None
    if isinstance(value, Mapping):
        return {key: full(held, keep=keep) for key, held in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(full(held, keep=keep) for held in value)
    return value


def fill(parameter: Tensor, value: Tensor) -> None:
    """Copy a whole tensor into a parameter, or this process's part of it into its part."""
    with torch.no_grad():
        parameter.copy_(_like(parameter, value))


def fill_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """`load_state_dict`, with whole tensors, of an optimiser whose parameters may be divided."""
    fitted = [p for group in optimizer.param_groups for p in group["params"]]
    held = {
        i: {name: _like(fitted[i], v) if isinstance(v, Tensor) and v.shape == fitted[i].shape else v for name, v in values.items()}
        for i, values in state["state"].items()
    }
    optimizer.load_state_dict({**state, "state": held})


def _like(parameter: Tensor, value: Tensor) -> Tensor:
    """A whole tensor, divided as a parameter is. Each process cuts out its own part."""
    if not _is_divided(parameter):
        return value
    from torch.distributed.tensor import distribute_tensor

    whole = value.detach().to(parameter.device)
    like: Any = parameter
    found: Tensor = distribute_tensor(whole, like.device_mesh, like.placements, src_data_rank=None)
    return found


def _is_divided(tensor: Tensor) -> bool:
    if not dist.is_initialized():
        return False
    from torch.distributed.tensor import DTensor

    return isinstance(tensor, DTensor)
