"""The models that are timed, as folders, so that every tool reads the same weights."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workloads import Source, random_source, text_source

from sadari.mini import MINI_PATH
from sadari.model.shape import ModelShape, shape_of

MALL = Path(__file__).resolve().parents[2] / "examples" / "mall" / "docs"


@dataclass(frozen=True, slots=True)
class Shape:
    """A model to time: Qwen2.5's layout with random weights, or the bundled one.

    Args:
        sizes: Of a `Qwen2Config`; None for the bundled model.
        is_large: Whether few requests take long.
    """

    told: str
    sizes: dict[str, int] | None
    is_large: bool = False


def _qwen(hidden: int, layers: int, intermediate: int, heads: int, vocabulary: int = 151_936) -> dict[str, int]:
    return {
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "intermediate_size": intermediate,
        "num_attention_heads": heads,
        "num_key_value_heads": 2,
        "vocab_size": vocabulary,
    }


SHAPES = {
    "mini": Shape("the bundled model (10 M), its own weights, passages of examples/mall", None),
    "qwen2.5-0.5b": Shape("Qwen2.5-0.5B, random weights and tokens", _qwen(896, 24, 4864, 14), is_large=True),
    "qwen2.5-0.5b-3": Shape(
        "Qwen2.5-0.5B cut to 3 of its 24 layers, random weights and tokens", _qwen(896, 3, 4864, 14), is_large=True
    ),
    "tiny": Shape("2 layers of width 64, to try this program", _qwen(64, 2, 128, 4, vocabulary=8192)),
}


def model_folder(name: str, root: Path, seed: int = 0) -> Path:
    """The folder of a shape; one with random weights is saved under `root` in bfloat16, which float16 and float32 hold exactly."""
    if SHAPES[name].sizes is None:
        return MINI_PATH
    folder = root / name
    if not folder.exists():
        import torch

        torch.manual_seed(seed)
        model = _random_model(name)
        for matrix in (module for module in model.model.layers.modules() if isinstance(module, torch.nn.Linear)):
            # Each gives out what is as large as what it takes in. With the usual, smaller weights a model that ties its embeddings
            # repeats its last token for ever, whatever a tool computes: equal answers would prove nothing.
            torch.nn.init.normal_(matrix.weight, std=matrix.in_features**-0.5)
        model.to(torch.bfloat16).save_pretrained(folder)
        _write_tokenizer(folder, model.config.vocab_size)
    return folder


def sizes_of(name: str) -> ModelShape:
    """The sizes of a shape, without its weights."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        if SHAPES[name].sizes is None:
            return shape_of(AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(MINI_PATH)))
        return shape_of(_random_model(name))


def source_of(name: str) -> Source:
    """Where the prompts of a shape come from."""
    sizes = SHAPES[name].sizes
    if sizes is not None:
        return random_source(sizes["vocab_size"])
    from tokenizers import Tokenizer

    text = "\n".join(page.read_text(encoding="utf-8") for page in sorted(MALL.glob("*.md")))
    return text_source(tuple(Tokenizer.from_file(str(MINI_PATH / "tokenizer.json")).encode(text).ids))


def device() -> str:
    """Where everything runs: an accelerator if there is one."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _random_model(name: str) -> Any:
    import torch
    from transformers import AutoModelForCausalLM, Qwen2Config

    sizes = SHAPES[name].sizes or {}
    config = Qwen2Config(tie_word_embeddings=True, max_position_embeddings=32_768, pad_token_id=0, eos_token_id=2, **sizes)
    return AutoModelForCausalLM.from_config(config, dtype=torch.float32)


def _write_tokenizer(folder: Path, vocabulary: int) -> None:
    """That of the bundled model, filled up with pairs of its tokens: a mask has as many tokens to weigh as it would."""
    told = json.loads((MINI_PATH / "tokenizer.json").read_text(encoding="utf-8"))
    words: dict[str, int] = told["model"]["vocab"]
    marks = {token["content"] for token in told["added_tokens"]}
    singles = [word for word in words if word not in marks]
    for word in (first + second for first in singles for second in singles):
        if len(words) == vocabulary:
            break
        words.setdefault(word, len(words))
    (folder / "tokenizer.json").write_text(json.dumps(told, ensure_ascii=False), encoding="utf-8")
    for name in ("tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(MINI_PATH / name, folder / name)
