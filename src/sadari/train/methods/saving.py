"""What training leaves on disk: folders of PEFT and of `transformers`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sadari.files import whole_folder
from sadari.model.adapters import write_base_record


def write_peft(wrapped: Any, folder: Path) -> None:
    """Write a PEFT adapter into an existing folder, and beside it which base it belongs to."""
    wrapped.save_pretrained(str(folder))
    write_base_record(wrapped.get_base_model().name_or_path, folder)


def write_model(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write a `transformers` model into an existing folder, with its tokenizer and chat template if there is one."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    model.save_pretrained(folder)
    if tokenizer is not None:
        tokenizer.save_pretrained(folder)


def save_model(model: Any, tokenizer: Any, folder: Path) -> None:
    """Save as a `transformers` model folder, tokenizer and chat template included, whole or not at all."""
    with whole_folder(folder) as draft:
        write_model(model, tokenizer, draft)


@contextmanager
def disabled(wrapped: Any) -> Iterator[None]:
    """Within it, the layers of PEFT are passed by."""
    with wrapped.disable_adapter():
        yield
