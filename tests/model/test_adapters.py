"""Adapter folders in the local engine: learnt prompts against PEFT's own generation, and folders that do not fit."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from sadari.errors import ModelError
from sadari.model.chat import render_prompt
from sadari.model.likelihood import answer_log_probabilities, text_log_probabilities
from sadari.model.local import LocalModel
from sadari.types import Message, OneOf, Request

from .conftest import RecordingModel

SYSTEM = Message("system", "안녕하세요, 고객님. The refund policy: returns are accepted within seven days of delivery. " * 3)
TEXTS = ("환불", "교환 신청은 어디에서 하나요? " * 4, "order 12345", "쿠폰 " * 25, "a")
TOKENS = 20
"""More than the sliding window of the tiny Gemma 3 holds."""


def requests(*, shared: bool) -> list[Request]:
    head = (SYSTEM,) if shared else ()
    return [Request((*head, Message("user", t)), max_new_tokens=6 + 3 * i) for i, t in enumerate(TEXTS)]


def soft_prompt(folder: Path, base: Path, kind: str) -> Path:
    """A folder written by PEFT alone, its vectors drawn at random."""
    from peft import PrefixTuningConfig, PromptTuningConfig, get_peft_model

    settings = {"prompt_tuning": PromptTuningConfig, "prefix": PrefixTuningConfig}[kind]
    wrapped: Any = get_peft_model(LocalModel(base).model, settings(num_virtual_tokens=TOKENS, task_type="CAUSAL_LM"))
    torch.manual_seed(3)
    wrapped.prompt_encoder["default"].embedding.weight.data.normal_(std=0.4)
    wrapped.save_pretrained(str(folder))
    return folder


def bottlenecks(folder: Path, base: Path, style: str = "pfeiffer") -> Path:
    """A folder in the documented form, written by hand."""
    blocks = [f"model.layers.{i}" for i in range(3)]
    places = blocks if style == "pfeiffer" else [p for b in blocks for p in (f"{b}.self_attn", b)]
    shapes = {"down.weight": (8, 48), "down.bias": (8,), "up.weight": (48, 8), "up.bias": (48,)}
    torch.manual_seed(4)
    weights = {f"{p}.bottleneck.{part}": torch.randn(shape) * 0.2 for p in places for part, shape in shapes.items()}
    folder.mkdir()
    save_file(weights, folder / "adapter_model.safetensors")
    config = {"peft_type": "BOTTLENECK", "base_model_name_or_path": str(base), "width": 8, "style": style}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


# --- learnt prompts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shared", [False, True], ids=["no shared prefix", "shared prefix"])
@pytest.mark.parametrize("kind", ["prompt_tuning", "prefix"])
@pytest.mark.parametrize("name", ["llama", "qwen3", "gemma3", "mistral", "exaone4"])
def test_a_batch_behind_a_learnt_prompt_gives_the_tokens_of_peft(
    checkpoint: Callable[[str], Path], tmp_path: Path, name: str, kind: str, shared: bool
) -> None:
    from peft import PeftModel

    adapter = soft_prompt(tmp_path / "adapter", checkpoint(name), kind)
    ours = RecordingModel(checkpoint(name), adapter=adapter)
    theirs = PeftModel.from_pretrained(LocalModel(checkpoint(name)).model, str(adapter)).eval()
    ends = sorted(ours.speech.ends)
    asked = requests(shared=shared)

    ours.generate(asked)

    for i, request in enumerate(asked):
        ids = torch.tensor([render_prompt(ours.tokenizer, request.messages)])
        with torch.no_grad():
            out = theirs.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                do_sample=False,
                max_new_tokens=request.max_new_tokens,
                eos_token_id=ends,
                pad_token_id=0,
            )
        new = out[0, ids.shape[1] :].tolist()
        assert ours.tokens[i] == (new[:-1] if new[-1] in ends else new)
    assert len({tuple(t) for t in ours.tokens.values()}) > 2, "the prompts must matter"


@pytest.mark.parametrize("kind", ["prompt_tuning", "prefix"])
@pytest.mark.parametrize("name", ["llama", "gemma3"])
def test_likelihoods_stand_behind_the_learnt_prompt(
    checkpoint: Callable[[str], Path], tmp_path: Path, name: str, kind: str
) -> None:
    from peft import PeftModel

    adapter = soft_prompt(tmp_path / "adapter", checkpoint(name), kind)
    ours = LocalModel(checkpoint(name), adapter=adapter)
    theirs = PeftModel.from_pretrained(LocalModel(checkpoint(name)).model, str(adapter)).eval()
    bos = ours.tokenizer.bos_token_id

    for text, found in zip(TEXTS, text_log_probabilities(ours, TEXTS), strict=True):
        ids = [bos, *ours.tokenizer(text, add_special_tokens=False).input_ids]
        with torch.no_grad():
            scores = theirs(torch.tensor([ids])).logits[0, -len(ids) :].double().log_softmax(-1)
        assert found == pytest.approx([float(scores[i, token]) for i, token in enumerate(ids[1:])], abs=1e-4)


def test_options_are_ranked_behind_the_learnt_prompt(checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    asked = Message("user", "쿠폰을 쓸 수 있나요?")
    request = Request((asked,), constraint=OneOf(("네", "아니요")))
    tuned = LocalModel(checkpoint("qwen2"), adapter=soft_prompt(tmp_path / "adapter", checkpoint("qwen2"), "prefix"))

    ranked = dict(tuned.rank_options(request))

    assert answer_log_probabilities(tuned, [(asked, Message("assistant", t)) for t in ranked]) == pytest.approx(
        list(ranked.values()), abs=1e-3
    )
    assert ranked != pytest.approx(dict(LocalModel(checkpoint("qwen2")).rank_options(request)), abs=1e-2)


def test_answers_follow_a_learnt_prompt_under_training(checkpoint: Callable[[str], Path]) -> None:
    from sadari.model.prefix import VirtualPrefix

    model = LocalModel(checkpoint("llama"))
    vectors = torch.nn.Parameter(model.model.get_input_embeddings().weight[:TOKENS].detach().clone())
    model.prefix = VirtualPrefix(TOKENS, embeddings=lambda: vectors)
    before = [g.text for g in model.generate(requests(shared=False))]
    with torch.no_grad():
        vectors.mul_(-2.0)

    assert [g.text for g in model.generate(requests(shared=False))] != before
    assert vectors.requires_grad


def test_a_learnt_prompt_takes_its_room_from_the_context(checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    base = LocalModel(checkpoint("llama"))
    tuned = LocalModel(checkpoint("llama"), adapter=soft_prompt(tmp_path / "adapter", checkpoint("llama"), "prefix"))
    assert base.context is not None
    room = base.context - base.count_tokens((Message("user", ""),))
    fitting = next(t for n in range(room, 0, -1) if base.count_tokens((Message("user", t := "!" * n),)) < base.context)

    assert tuned.context == base.context - TOKENS
    request = Request((Message("user", fitting),), max_new_tokens=1)
    assert base.generate([request])[0].finish != "error"
    assert f"context of {checkpoint('llama')} is {tuned.context} tokens" in (tuned.generate([request])[0].error or "")


# --- bottleneck adapters -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("style", ["pfeiffer", "houlsby"])
def test_bottleneck_adapters_compute_what_their_paper_says(checkpoint: Callable[[str], Path], tmp_path: Path, style: str) -> None:
    base, folder = checkpoint("llama"), bottlenecks(tmp_path / "adapter", checkpoint("llama"), style)
    weights = load_file(folder / "adapter_model.safetensors")
    served, plain = LocalModel(base, adapter=folder), LocalModel(base)
    ids = torch.tensor([[5, 6, 7, 8, 9]])

    def adapted(x: torch.Tensor, place: str) -> torch.Tensor:
        down, up = (weights[f"{place}.bottleneck.{part}.weight"] for part in ("down", "up"))
        normed = x / x.square().mean(-1, keepdim=True).sqrt()
        inner = (normed @ down.T + weights[f"{place}.bottleneck.down.bias"]).clamp(min=0)
        return x + inner @ up.T + weights[f"{place}.bottleneck.up.bias"]

    with torch.no_grad():  # the blocks of Llama, written out
        decoder = plain.model.model
        x = decoder.embed_tokens(ids)
        rotation = decoder.rotary_emb(x, position_ids=torch.arange(5)[None])
        mask = torch.full((5, 5), float("-inf")).triu(1)[None, None]
        for i, block in enumerate(decoder.layers):
            heard = block.self_attn(block.input_layernorm(x), position_embeddings=rotation, attention_mask=mask)[0]
            x = x + (adapted(heard, f"model.layers.{i}.self_attn") if style == "houlsby" else heard)
            x = adapted(x + block.mlp(block.post_attention_layernorm(x)), f"model.layers.{i}")
        expected = plain.model.lm_head(decoder.norm(x))
        found = served.model(ids).logits

    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["qwen3", "gemma3", "phi3", "exaone4"])
def test_bottleneck_adapters_go_into_any_family_and_batches_agree_with_single_rows(
    checkpoint: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    model = RecordingModel(checkpoint(name), adapter=bottlenecks(tmp_path / "adapter", checkpoint(name), "houlsby"))
    asked = requests(shared=True)

    model.generate(asked)
    batch = dict(model.tokens)

    for i, request in enumerate(asked):
        model.generate([request])
        assert model.tokens[0] == batch[i]


# --- folders that do not fit -----------------------------------------------------------------------------------------------


def test_an_adapter_knows_its_base_after_both_were_moved(checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    from sadari.train.config import LoraConfig
    from sadari.train.methods import attach

    base, moved, other = (tmp_path / n for n in ("base", "moved", "other"))
    shutil.copytree(checkpoint("llama"), base)
    attach("lora", LocalModel(base).model, LoraConfig(rank=2), seed=0).save(tmp_path / "adapter")
    base.rename(moved)
    shutil.copytree(moved, other)
    weights = load_file(other / "model.safetensors")
    weights["model.norm.weight"] *= 1.01
    save_file(weights, other / "model.safetensors", metadata={"format": "pt"})

    LocalModel(moved, adapter=tmp_path / "adapter")
    with pytest.raises(ModelError, match=r"adapter: this adapter was trained on .*base, not on .*other\. Load it over"):
        LocalModel(other, adapter=tmp_path / "adapter")


def changed(folder: Path, **settings: Any) -> Path:
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(config | settings))
    return folder


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"width": 16}, "width 16, which its weights do not bear out"),
        ({"width": "8"}, "width '8', which its weights do not bear out"),
        ({"style": "houlsby"}, r"12 weights are missing.*model\.layers\.0\.self_attn\.bottleneck"),
        ({"style": "parallel"}, "style 'parallel'"),
    ],
)
def test_settings_that_the_weights_do_not_bear_out_are_refused(
    checkpoint: Callable[[str], Path], tmp_path: Path, settings: dict[str, Any], why: str
) -> None:
    folder = changed(bottlenecks(tmp_path / "adapter", checkpoint("llama")), **settings)
    with pytest.raises(ModelError, match=rf"adapter: the adapter does not fit the model \(.*{why}.*train the adapter again"):
        LocalModel(checkpoint("llama"), adapter=folder)


def test_missing_weights_of_a_bottleneck_adapter_are_an_error(checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    folder = bottlenecks(tmp_path / "adapter", checkpoint("llama"))
    weights = load_file(folder / "adapter_model.safetensors")
    del weights["model.layers.2.bottleneck.up.bias"]
    save_file(weights, folder / "adapter_model.safetensors")
    with pytest.raises(ModelError, match=r"1 weights are missing.*model\.layers\.2\.bottleneck\.up\.bias"):
        LocalModel(checkpoint("llama"), adapter=folder)


@pytest.mark.parametrize(
    ("kind", "settings", "why"),
    [
        ("prompt_tuning", {"num_virtual_tokens": 10**9}, r"says 1000000000 virtual tokens, its weights have the shape \(20, 48\)"),
        ("prefix", {"peft_type": "PROMPT_TUNING"}, "vectors have the width 144, the model has 48"),
        ("prefix", {"num_attention_heads": 4}, "another shape than 3 layers of 2 x 12"),
        ("prompt_tuning", {"peft_type": "PREFIX_TUNING"}, "another shape than 3 layers of 2 x 12"),
    ],
)
def test_a_learnt_prompt_of_another_shape_is_refused(
    checkpoint: Callable[[str], Path], tmp_path: Path, kind: str, settings: dict[str, Any], why: str
) -> None:
    folder = changed(soft_prompt(tmp_path / "adapter", checkpoint("llama"), kind), **settings)
    with pytest.raises(ModelError, match=rf"adapter: the adapter does not fit the model \(.*{why}"):
        LocalModel(checkpoint("llama"), adapter=folder)


def test_a_rank_that_no_weight_has_is_refused_before_memory_is_taken(checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    settings = LoraConfig(r=4, target_modules=["q_proj"], task_type="CAUSAL_LM")
    get_peft_model(LocalModel(checkpoint("llama")).model, settings).save_pretrained(str(tmp_path / "adapter"))
    with pytest.raises(ModelError, match="says rank 1000000000000, but no weight has that size"):
        LocalModel(checkpoint("llama"), adapter=changed(tmp_path / "adapter", r=10**12))


def test_a_kind_of_learnt_prompt_that_cannot_be_served_is_refused(checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    folder = changed(soft_prompt(tmp_path / "adapter", checkpoint("llama"), "prompt_tuning"), peft_type="P_TUNING")
    with pytest.raises(ModelError, match=r"adapter: P_TUNING adapters cannot be served\. Train prompt_tuning"):
        LocalModel(checkpoint("llama"), adapter=folder)


@pytest.mark.parametrize("make", [bottlenecks, lambda f, b: soft_prompt(f, b, "prefix")], ids=["bottleneck", "prefix"])
@pytest.mark.parametrize("keep", [0.0, 0.5])
def test_a_folder_that_was_cut_off_is_an_error(
    checkpoint: Callable[[str], Path], tmp_path: Path, make: Callable[[Path, Path], Path], keep: float
) -> None:
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        folder = make(tmp_path / name, checkpoint("llama"))
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[: int(keep * len(whole))])
        with pytest.raises(ModelError, match=rf"{name}: the adapter cannot be read \(.*train the adapter again"):
            LocalModel(checkpoint("llama"), adapter=folder)


def test_a_damaged_record_of_the_base_is_an_error(checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    folder = bottlenecks(tmp_path / "adapter", checkpoint("llama"))
    (folder / "base_model.json").write_text("[]")
    with pytest.raises(ModelError, match=r"base_model\.json is damaged"):
        LocalModel(checkpoint("llama"), adapter=folder)
