"""What a method gives the loop: which parameters are trained, what stands before the rows, and how the result is saved."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import nn

from sadari.model.prefix import VirtualPrefix

Method = Literal["lora", "qlora", "adapter", "prompt_tuning", "prefix", "ia3", "full"]


@dataclass(frozen=True, slots=True)
class Attached:
    """A model whose trained part is in place.

    Args:
        model: The torch model, a causal language model of `transformers`.
        parameters: What is trained, by name; they alone have `requires_grad`.
        total: Weights of the model and of what was put into it.
        learning_rate: Peak for AdamW by default.
        write: Writes the result into an existing folder; the tokenizer is written beside whole models only.
        is_identity: Whether the model surely answers as it did before anything was put in.
        prefix: Learnt vectors that have to stand before every row, in training and in answering.
        off: Within it the model is the base again; None where that cannot be had.
    """

    method: Method
    model: Any
    parameters: Mapping[str, nn.Parameter]
    total: int
    learning_rate: float
    write: Callable[[Path, Any], None]
    is_identity: Callable[[], bool]
    prefix: VirtualPrefix | None = None
    off: Callable[[], AbstractContextManager[None]] | None = None

    @property
    def trainable(self) -> int:
        """Weights that are trained."""
        return sum(p.numel() for p in self.parameters.values())

    @property
    def share(self) -> float:
        """Trained share of all weights, in [0, 1]. The field's rule of thumb for LoRA is 0.01 to 0.03, or less."""
        return self.trainable / self.total

    @property
    def is_adapter(self) -> bool:
        """Whether what is saved goes over the base (`System.adapter`); else it is a model of its own (`System.model`)."""
        return self.method != "full"

    def save(self, folder: Path, tokenizer: Any = None) -> None:
        """Save as a folder, whole or not at all.

        Args:
            tokenizer: Written into the folder of a whole model, chat template included; adapters need none.

        Raises:
            RunError: If the folder cannot be written.
        """
        from sadari.files import whole_folder

        with whole_folder(folder) as draft:
            self.write(draft, tokenizer)


def is_identity(attached: Attached) -> bool:
    """Whether the weights alone show that training changed nothing about the answers; False proves no change of answers."""
    return attached.is_identity()


def freeze(model: nn.Module) -> None:
    """Train nothing."""
    for parameter in model.parameters():
        parameter.requires_grad_(False)


def trained_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters of a model that have `requires_grad`, by name."""
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def count_weights(model: nn.Module) -> int:
    """All weights of a model; two in a byte where they are kept in four bits."""
    return sum(2 * p.numel() * p.element_size() if type(p).__name__ == "Params4bit" else p.numel() for p in model.parameters())


@contextmanager
def nothing_off() -> Iterator[None]:
    """For methods whose trained part stands before the rows: without it the model is the base."""
    yield
