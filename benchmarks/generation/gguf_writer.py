"""The same weights for llama.cpp: `python gguf_writer.py '{"folder": ..., "file": ..., "kind": "f16"}'`, for Qwen2 and Qwen3.

Token ids are fed as they are, so the file holds no tokenizer: the size of the vocabulary is all that llama.cpp is told. Norms and
biases stay in float32, as in the files of llama.cpp's own converter.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

ARCHITECTURES = {"qwen2": "QWEN2", "qwen3": "QWEN3"}
KINDS = {"f32": ("F32", "ALL_F32"), "f16": ("F16", "MOSTLY_F16"), "q8_0": ("Q8_0", "MOSTLY_Q8_0")}
"""What matrices become, and what the file is called by, as `gguf` names them."""


def write_gguf(folder: Path, file: Path, kind: str) -> None:
    """Write the model of a `transformers` folder.

    Args:
        kind: Of the matrices: one of `KINDS`.

    Raises:
        SystemExit: If the model has another layout, or a weight that the layout does not know.
    """
    import gguf
    from safetensors import safe_open

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if config["model_type"] not in ARCHITECTURES:
        raise SystemExit(f"{folder}: layout {config['model_type']!r} cannot be written; only {', '.join(ARCHITECTURES)} can.")
    architecture = gguf.MODEL_ARCH[ARCHITECTURES[config["model_type"]]]
    matrix, file_type = (gguf.GGMLQuantizationType[KINDS[kind][0]], gguf.LlamaFileType[KINDS[kind][1]])
    writer = gguf.GGUFWriter(file, gguf.MODEL_ARCH_NAMES[architecture])
    _write_sizes(writer, config)
    writer.add_file_type(file_type)
    names = gguf.get_tensor_name_map(architecture, config["num_hidden_layers"])
    with safe_open(folder / "model.safetensors", "pt") as weights:
        for name in weights.keys():  # noqa: SIM118 - it is no mapping
            if name == "lm_head.weight" and config["tie_word_embeddings"]:
                continue
            known = names.get_name(name, try_suffixes=(".weight", ".bias"))
            if known is None:
                raise SystemExit(f"{folder}: the layout {config['model_type']} knows no weight {name!r}.")
            _write_weight(writer, known, weights.get_tensor(name).float().numpy(), matrix)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _write_sizes(writer: Any, config: dict[str, Any]) -> None:
    heads = config["num_attention_heads"]
    width = config.get("head_dim") or config["hidden_size"] // heads
    rope = config.get("rope_parameters") or config
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(width)
    writer.add_value_length(width)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(rope["rope_theta"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("none")


def _write_weight(writer: Any, name: str, weight: np.ndarray, matrix: Any) -> None:
    import gguf

    if weight.ndim == 1 or matrix == gguf.GGMLQuantizationType.F32:
        writer.add_tensor(name, weight)
    elif matrix == gguf.GGMLQuantizationType.F16:
        writer.add_tensor(name, weight.astype(np.float16))
    else:
        writer.add_tensor(name, gguf.quants.quantize(weight, matrix), raw_dtype=matrix)


if __name__ == "__main__":
    told = json.loads(sys.argv[1])
    write_gguf(Path(told["folder"]), Path(told["file"]), told["kind"])
    print(json.dumps(told["file"]))
