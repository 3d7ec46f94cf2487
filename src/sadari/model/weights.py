"""Weights and tokenizer of a model, from a folder or the Hugging Face hub, with errors that say what to do."""

import inspect
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch

from sadari.errors import ModelError

Precision = Literal["float32", "bfloat16", "nf4"]
"""Of weights and arithmetic; nf4 keeps the matrices of the blocks in four bits and computes in bfloat16 on an accelerator, else in
float32."""


def resolve(name: str) -> str:
    """The folder or hub name behind how a model is asked for.

    Raises:
        ModelError: If it can be neither.
    """
    if name == "mini":
        from sadari.mini import MINI_PATH

        return str(MINI_PATH)
    if Path(name).is_dir():
        if not (Path(name) / "config.json").is_file():
            raise ModelError(
                f"{name}: has no config.json, so it is no model folder. Save the model with save_pretrained, or correct the path."
            )
        return name
    if name.startswith((".", "/", "~")) or name.count("/") > 1 or Path(name).exists():
        raise ModelError(f"{name}: there is no such folder. Correct `model:`, or give a Hugging Face name such as OWNER/MODEL.")
    return name


def load_tokenizer(source: str) -> Any:
    """The tokenizer.

    Raises:
        ModelError: If it cannot be had or read.
    """
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(source)
    except Exception as e:  # transformers raises OSError, ValueError, ImportError and its own
        raise _cannot_load(source, "tokenizer", e) from e


def load_weights(source: str, precision: Precision) -> Any:
    """The model of `transformers`, on the accelerator if there is one, in evaluation mode and with no weight to be trained.

    Raises:
        ModelError: If it cannot be had or read, if weights are missing or left over, or if it keeps no key-value cache.
    """
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    how = _four_bits(source) if precision == "nf4" else {"dtype": getattr(torch, precision)}
    shows_progress = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        model, found = AutoModelForCausalLM.from_pretrained(source, output_loading_info=True, **how)
    except Exception as e:
        raise _cannot_load(source, "model", e) from e
    finally:
        if shows_progress:
            logging.enable_progress_bar()
    if "past_key_values" not in inspect.signature(model.forward).parameters:
        raise ModelError(
            f"{source}: models of the kind {model.config.model_type!r} keep no key-value cache and cannot run here yet."
        )
    for kind, what in (
        ("missing_keys", "misses"),
        ("mismatched_keys", "has in other shapes"),
        ("unexpected_keys", "adds"),
    ):
        keys = sorted(str(k[0] if isinstance(k, tuple) else k) for k in found.get(kind) or ())
        if keys:
            raise ModelError(
                f"{source}: against config.json its weight file {what} {len(keys)} weights ({', '.join(keys[:3])}). "
                "The folder is incomplete or mixes two models: save or download it again."
            )
    if torch.cuda.is_available() and precision != "nf4":  # that one was loaded there
        model.to("cuda")
    return model.requires_grad_(False).eval()


def unscaled_positions(config: Any) -> int | None:
    """Positions for which a model rotates alike whatever else it computes; None if it does not say.

    Some rotations (longrope, dynamic) change for a whole batch once its longest row passes a length: a request would depend on
    those beside it. Below that length they do not.
    """
    most: int | None = getattr(config, "max_position_embeddings", None)
    told = getattr(config, "rope_parameters", None) or {}
    rotations = [told, *(value for value in told.values() if isinstance(value, dict))]
    for rotation in rotations:
        if rotation.get("rope_type") in ("longrope", "dynamic"):
            named = "original_max_position_embeddings"
            original = rotation.get(named) or getattr(config, named, None)
            most = min(most or original, original) if original else most
    return most


@contextmanager
def as_served(model: Any) -> Iterator[None]:
    """Without dropout and gradients, whatever training has set."""
    was_training = model.training
    if was_training:  # to say it again would visit every layer in every step
        model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        if was_training:
            model.train()


def _four_bits(source: str) -> dict[str, Any]:
    """How weights are loaded in NF4.

    Source:
        Dettmers et al. (2023), arXiv 2305.14314: normal floats of four bits, their scales quantised once more.
    """
    if find_spec("bitsandbytes") is None:
        raise ModelError(f"{source}: precision nf4 needs bitsandbytes, which is not installed. Run `pip install 'sadari[qlora]'`.")
    from transformers import BitsAndBytesConfig

    on_accelerator = torch.cuda.is_available()
    dtype = torch.bfloat16 if on_accelerator else torch.float32
    settings = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
    )
    return {"dtype": dtype, "quantization_config": settings, "device_map": {"": "cuda" if on_accelerator else "cpu"}}


def _cannot_load(source: str, what: str, e: Exception) -> ModelError:
    reason = str(e).strip().split("\n")[0]
    if Path(source).is_dir():
        return ModelError(f"{source}: the {what} cannot be read ({reason}). Save or download the folder again.")
    offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "TRUE", "YES", "ON")
    why = "HF_HUB_OFFLINE is set and it is not in the local cache" if offline else reason
    return ModelError(
        f"{source}: no such folder, and the {what} cannot be had from the Hugging Face hub: {why}. "
        f"Where there is a network, run `hf download {source} --local-dir DIR`, and write `model: DIR`; "
        "or write `model: mini`, which is bundled."
    )
