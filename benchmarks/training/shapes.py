"""The models that are timed, built from a seed in every process, so that all tools start from the same weights."""

from dataclasses import dataclass
from typing import Any

from sadari.mini import MINI_PATH
from sadari.model.shape import ModelShape, shape_of

PAD_ID = 0
RANK = 16


@dataclass(frozen=True, slots=True)
class Shape:
    """A model to time: Qwen2.5's layout with random weights, or a folder."""

    told: str
    sizes: dict[str, int] | None  # of a Qwen2Config; None for the bundled model


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
    "qwen2.5-0.5b-6": Shape("Qwen2.5-0.5B cut to 6 of its 24 layers, random weights", _qwen(896, 6, 4864, 14)),
    "qwen2.5-0.5b": Shape("Qwen2.5-0.5B, random weights", _qwen(896, 24, 4864, 14)),
    "qwen2.5-3b": Shape("Qwen2.5-3B, random weights", _qwen(2048, 36, 11_008, 16)),
    "mini": Shape("the bundled model", None),
    "tiny": Shape("2 layers of width 64, to try this program", _qwen(64, 2, 128, 4, vocabulary=512)),
}


def build_model(name: str, seed: int) -> Any:
    """A `transformers` model in float32 on the CPU, or in bfloat16 on an accelerator."""
    import torch
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    is_random = SHAPES[name].sizes is not None
    model = _model_of(name) if is_random else AutoModelForCausalLM.from_pretrained(MINI_PATH, dtype=torch.float32)
    return model.to(device(), torch.bfloat16 if device() == "cuda" else torch.float32)


def _model_of(name: str) -> Any:
    """With random weights."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, Qwen2Config

    sizes = SHAPES[name].sizes
    if sizes is None:
        return AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(MINI_PATH), dtype=torch.float32)
    config = Qwen2Config(tie_word_embeddings=True, max_position_embeddings=32_768, pad_token_id=PAD_ID, **sizes)
    return AutoModelForCausalLM.from_config(config, dtype=torch.float32)


def attach_lora(model: Any, seed: int) -> Any:
    """The PEFT model that both trainers are handed: rank 16 on all linear layers, scaled by rsLoRA, the same first values."""
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    settings = LoraConfig(r=RANK, lora_alpha=32.0, target_modules="all-linear", use_rslora=True, task_type="CAUSAL_LM")
    return get_peft_model(model, settings)


def device() -> str:
    """Where everything runs: an accelerator if there is one."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def sizes_of(name: str) -> ModelShape:
    """The sizes of a shape, without its weights."""
    import torch

    with torch.device("meta"):
        return shape_of(_model_of(name))
