import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sadari.errors import ModelError
from sadari.retrieve.embed import load_embedder
from sadari.retrieve.embed.pretrained import PretrainedEmbedder


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT with random weights."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("encoder")
    words = ["[PAD]", "[UNK]", *"abcdefgh"]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(str(folder))
    config = BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=12,
    )  # fmt: skip
    BertModel(config).save_pretrained(str(folder))
    return folder


def with_modules(encoder: Path, folder: Path, pooling: dict[str, object], extra: tuple[str, ...] = ()) -> Path:
    for file in encoder.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    modules = [{"type": "sentence_transformers.models.Transformer", "path": ""}]
    modules += [{"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"}]
    modules += [{"type": f"sentence_transformers.models.{name}", "path": f"2_{name}"} for name in extra]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    return folder


def hidden_states(encoder: Path, text: str) -> np.ndarray:
    import torch
    from transformers import AutoModel, AutoTokenizer

    with torch.inference_mode():
        encoded = AutoTokenizer.from_pretrained(str(encoder))(text, return_tensors="pt")
        return AutoModel.from_pretrained(str(encoder)).eval()(**encoded).last_hidden_state[0].numpy()


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def test_without_modules_tokens_are_averaged_whatever_is_padded_beside_them(encoder: Path) -> None:
    embedder = load_embedder(str(encoder))
    vectors = embedder.embed(["a b c", "d"])
    assert (embedder.dimensions, vectors.shape) == (16, (2, 16))
    assert vectors[1] == pytest.approx(unit(hidden_states(encoder, "d").mean(axis=0)), abs=1e-5)


@pytest.mark.parametrize(
    ("mode", "pool"), [("cls_token", lambda h: h[0]), ("max_tokens", lambda h: h.max(axis=0)), ("lasttoken", lambda h: h[-1])]
)
def test_the_pooling_of_the_folder_is_kept(
    encoder: Path, tmp_path: Path, mode: str, pool: Callable[[np.ndarray], np.ndarray]
) -> None:
    folder = with_modules(encoder, tmp_path, {f"pooling_mode_{mode}": True}, extra=("Normalize",))
    assert load_embedder(str(folder)).embed(["a b", "c d e f"])[0] == pytest.approx(
        unit(pool(hidden_states(encoder, "a b"))), abs=1e-5
    )


def test_a_dense_layer_is_applied(encoder: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    folder = with_modules(encoder, tmp_path, {"pooling_mode_mean_tokens": True}, extra=("Dense",))
    (folder / "2_Dense").mkdir()
    (folder / "2_Dense" / "config.json").write_text(json.dumps({"activation_function": "torch.nn.modules.activation.Tanh"}))
    weight = torch.randn(4, 16)
    save_file({"linear.weight": weight, "linear.bias": torch.zeros(4)}, folder / "2_Dense" / "model.safetensors")
    embedder = load_embedder(str(folder))
    expected = np.tanh(weight.numpy() @ hidden_states(encoder, "a b").mean(axis=0))
    assert embedder.dimensions == 4
    assert embedder.embed(["a b"])[0] == pytest.approx(unit(expected), abs=1e-5)


def test_prompts_are_put_before_questions_and_passages(encoder: Path, tmp_path: Path) -> None:
    folder = with_modules(encoder, tmp_path, {"pooling_mode_mean_tokens": True})
    (folder / "config_sentence_transformers.json").write_text(json.dumps({"prompts": {"query": "a ", "document": "b "}}))
    plain, prompted = PretrainedEmbedder(str(encoder)), PretrainedEmbedder(str(folder))
    assert prompted.embed(["c"], is_query=True) == pytest.approx(plain.embed(["a c"]), abs=1e-5)
    assert prompted.embed(["c"]) == pytest.approx(plain.embed(["b c"]), abs=1e-5)


def test_a_long_text_is_cut_to_what_the_model_reads(encoder: Path) -> None:
    embedder = load_embedder(str(encoder))
    assert embedder.embed(["a " * 100]) == pytest.approx(embedder.embed(["a " * 12]), abs=1e-5)


def test_unknown_parts_and_absent_folders_say_what_to_do(encoder: Path, tmp_path: Path) -> None:
    folder = with_modules(encoder, tmp_path, {"pooling_mode_mean_tokens": True}, extra=("LSTM",))
    with pytest.raises(ModelError, match=r"'LSTM' is not known\. Serve the model"):
        load_embedder(str(folder))
    with pytest.raises(ModelError, match="no such folder"):
        load_embedder(str(tmp_path / "nowhere"))
