"""A `transformers` folder of the Qwen3 layout as a GGUF file, its tokenizer and template included."""

import json
from pathlib import Path
from typing import Any

NORMAL, CONTROL = 1, 3
"""Kinds of tokens, as llama.cpp numbers them."""


def write_gguf(folder: Path, file: Path, pre: str = "gpt-2") -> Path:
    """Write `folder` to `file`, everything in float32.

    Args:
        pre: How texts are split before their tokens are merged, by llama.cpp's name for it.
    """
    import gguf
    from safetensors.torch import load_file

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    writer = gguf.GGUFWriter(file, "qwen3")
    _write_sizes(writer, config)
    _write_tokenizer(writer, folder, config, pre)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.QWEN3, config["num_hidden_layers"])
    for name, weight in load_file(folder / "model.safetensors").items():
        if name != "lm_head.weight" or not config["tie_word_embeddings"]:
            writer.add_tensor(names.get_name(name, try_suffixes=(".weight", ".bias")), weight.float().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def _write_sizes(writer: Any, config: dict[str, Any]) -> None:
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(config["head_dim"])
    writer.add_value_length(config["head_dim"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_vocab_size(config["vocab_size"])


def _write_tokenizer(writer: Any, folder: Path, config: dict[str, Any], pre: str) -> None:
    held = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    tokens = {id: token for token, id in held["model"]["vocab"].items()}
    marks = {token["id"]: token["content"] for token in held["added_tokens"]}
    size = config["vocab_size"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list([marks.get(i) or tokens.get(i, f"[unused{i}]") for i in range(size)])
    writer.add_token_types([CONTROL if i in marks else NORMAL for i in range(size)])
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in held["model"]["merges"]])
    writer.add_eos_token_id(config["eos_token_id"])
    writer.add_add_bos_token(False)
    writer.add_chat_template((folder / "chat_template.jinja").read_text(encoding="utf-8"))
