"""Every method on tiny random models: what it trains, how it begins, and that what is saved answers as what was trained.

The reference is PEFT: its own model, before saving and loaded from our folder.
"""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from sadari.errors import ConfigError, ModelError
from sadari.model.local import LocalModel
from sadari.train.config import AdapterConfig, FullConfig, LoraConfig, SoftPromptConfig, TuneConfig
from sadari.train.methods import Attached, Method, attach, is_identity

IDS = [5, 6, 7, 8, 40, 41, 42, 9, 10, 11, 12, 13, 77, 78, 5, 6, 90, 91, 92, 93, 94, 95]
"""Longer than the sliding window of the tiny Gemma 3."""

PROMPT = (30, 31, 32, 33, 34)

SETTINGS: dict[str, tuple[Method, TuneConfig]] = {
    "lora": ("lora", LoraConfig(rank=4)),
    "lora without rsLoRA": ("lora", LoraConfig(rank=4, rslora=False)),
    "dora": ("lora", LoraConfig(rank=4, dora=True)),
    "lora on two layers": ("lora", LoraConfig(rank=4, targets=("q_proj", "down_proj"))),
    "ia3": ("ia3", TuneConfig()),
    "pfeiffer": ("adapter", AdapterConfig(width=8)),
    "houlsby": ("adapter", AdapterConfig(width=8, style="houlsby")),
    "prompt tuning": ("prompt_tuning", SoftPromptConfig(tokens=7)),
    "prefix tuning": ("prefix", SoftPromptConfig(tokens=7)),
}
OF_PEFT = [name for name in SETTINGS if name not in ("pfeiffer", "houlsby")]
FAMILIES = ["llama", "qwen3", "gemma3"]


def logits(local: LocalModel, ids: list[int] = IDS) -> Tensor:
    """Scores at every place of one row, learnt vectors before it included."""
    with torch.no_grad():
        return local.model(input_ids=torch.tensor([ids]), use_cache=False, **local.before(1)).logits[0]  # type: ignore[no-any-return]


def attached_to(folder: Path, name: str, seed: int = 0) -> tuple[LocalModel, Attached]:
    local = LocalModel(folder)
    method, config = SETTINGS[name]
    attached = attach(method, local.model, config, seed=seed, prompt_ids=PROMPT)
    local.prefix = attached.prefix
    return local, attached


def trained(attached: Attached, seed: int = 1) -> None:
    """As if trained: every parameter moved a little, and none left at its start."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in attached.parameters.values():
            p += 0.05 * torch.randn(p.shape, generator=generator)


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_saved_answers_as_what_was_trained(
    checkpoint: Callable[[str], Path], tmp_path: Path, family: str, name: str
) -> None:
    folder = checkpoint(family)
    local, attached = attached_to(folder, name)
    trained(attached)
    attached.save(tmp_path / "adapter")

    served = logits(LocalModel(folder, adapter=tmp_path / "adapter"))

    assert torch.allclose(served, logits(local), rtol=1e-5, atol=1e-5)
    assert not torch.allclose(served, logits(LocalModel(folder)), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("name", OF_PEFT)
@pytest.mark.parametrize("family", FAMILIES)
def test_peft_reads_the_folder_and_gives_the_same_scores(
    checkpoint: Callable[[str], Path], tmp_path: Path, family: str, name: str
) -> None:
    from peft import PeftModel

    folder = checkpoint(family)
    local, attached = attached_to(folder, name)
    trained(attached)
    attached.save(tmp_path / "adapter")
    peft = PeftModel.from_pretrained(LocalModel(folder).model, str(tmp_path / "adapter")).eval()

    with torch.no_grad():
        theirs = peft(torch.tensor([IDS]), attention_mask=torch.ones(1, len(IDS), dtype=torch.long)).logits[0]

    assert torch.allclose(theirs[-len(IDS) :], logits(local), rtol=1e-5, atol=1e-5)


# --- what is trained -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SETTINGS)
def test_a_fresh_method_gives_the_base_or_its_prompt(checkpoint: Callable[[str], Path], name: str) -> None:
    folder = checkpoint("gemma3")
    fresh, attached = attached_to(folder, name)
    before = [*PROMPT, *PROMPT[:2]] if attached.prefix else []  # five tokens repeated to seven

    expected = logits(LocalModel(folder), [*before, *IDS])[len(before) :]

    assert torch.allclose(logits(fresh), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # 3 layers, 48 wide, 4 heads and 2 of keys and values, each 12 wide: q, o 48 x 48; k, v 48 x 24; gate, up, down 48 x 96
        ("lora", 3 * 4 * (2 * (48 + 48) + 2 * (48 + 24) + 3 * (48 + 96))),
        ("dora", 3 * (4 * (2 * (48 + 48) + 2 * (48 + 24) + 3 * (48 + 96)) + (48 + 24 + 24 + 48 + 96 + 96 + 48))),
        ("lora on two layers", 3 * 4 * ((48 + 48) + (96 + 48))),
        ("ia3", 3 * (24 + 24 + 96)),
        ("pfeiffer", 3 * (48 * 8 + 8 + 8 * 48 + 48)),
        ("houlsby", 3 * 2 * (48 * 8 + 8 + 8 * 48 + 48)),
        ("prompt tuning", 7 * 48),
        ("prefix tuning", 7 * 3 * 2 * 24),
    ],
)
def test_as_many_weights_are_trained_as_the_method_adds_and_no_other(
    checkpoint: Callable[[str], Path], name: str, expected: int
) -> None:
    folder = checkpoint("llama")
    base = sum(p.numel() for p in LocalModel(folder).model.parameters())
    _, attached = attached_to(folder, name)

    named = dict(attached.model.named_parameters())
    free = {n for n, p in named.items() if p.requires_grad}

    assert attached.trainable == expected
    assert attached.total == base + expected
    assert attached.share == expected / (base + expected)
    assert free == (set() if attached.prefix else set(attached.parameters))


def test_every_parameter_of_a_method_gets_a_gradient_and_the_base_none(checkpoint: Callable[[str], Path]) -> None:
    for name in SETTINGS:
        local, attached = attached_to(checkpoint("qwen3"), name)
        trained(attached)
        prefix = attached.prefix
        fed: dict[str, Any] = {"input_ids": torch.tensor([IDS])}
        if prefix is not None and prefix.embeddings is not None:
            embedded = local.model.get_input_embeddings()(torch.tensor([IDS]))
            fed = {"inputs_embeds": torch.cat([prefix.embeddings()[None], embedded], dim=1)}
        elif prefix is not None and prefix.key_values is not None:
            fed["past_key_values"] = transformers.DynamicCache(prefix.key_values())

        local.model(**fed).logits[0, -1, 7].backward()

        assert all(p.grad is not None and bool(p.grad.any()) for p in attached.parameters.values()), name
        own = {id(p) for p in attached.parameters.values()}
        assert all(p.grad is None for p in local.model.parameters() if id(p) not in own), name


@pytest.mark.parametrize("family", ["llama", "gemma3", "exaone4"])
def test_the_last_layers_and_the_norm_after_them_are_trained(checkpoint: Callable[[str], Path], family: str) -> None:
    attached = attach("full", LocalModel(checkpoint(family)).model, FullConfig(last_layers=2), seed=0)

    layers = {name.split(".")[2] for name in attached.parameters if ".layers." in name}
    others = {name for name in attached.parameters if ".layers." not in name}

    assert layers == {"1", "2"}
    assert others == {"model.norm.weight"}
    assert {n for n, p in attached.model.named_parameters() if p.requires_grad} == set(attached.parameters)


def test_a_tuned_model_is_saved_whole(checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    local = LocalModel(checkpoint("llama"))
    attached = attach("full", local.model, FullConfig(), seed=0)
    trained(attached)
    attached.save(tmp_path / "model", local.tokenizer)

    assert attached.trainable == attached.total
    assert not attached.is_adapter
    assert torch.equal(logits(LocalModel(tmp_path / "model")), logits(local))
    assert (tmp_path / "model" / "chat_template.jinja").is_file()


def test_the_same_seed_gives_the_same_start_and_leaves_the_generator_alone(checkpoint: Callable[[str], Path]) -> None:
    for name in ("lora", "pfeiffer"):
        torch.manual_seed(5)
        first, second, other = (attached_to(checkpoint("llama"), name, seed)[1].parameters for seed in (1, 1, 2))
        drawn = torch.rand(1)
        torch.manual_seed(5)

        assert all(torch.equal(first[n], second[n]) for n in first)
        assert any(not torch.equal(first[n], other[n]) for n in first)
        assert torch.equal(drawn, torch.rand(1))


def test_a_learnt_prompt_without_a_prompt_begins_as_tokens_of_the_vocabulary(checkpoint: Callable[[str], Path]) -> None:
    local = LocalModel(checkpoint("llama"))
    attached = attach("prompt_tuning", local.model, SoftPromptConfig(tokens=3), seed=0)
    table = local.model.get_input_embeddings().weight

    begun = attached.parameters["prompt_embeddings"]

    assert all(bool((row == table).all(dim=1).any()) for row in begun)


# --- whether it changed anything, and switching it off -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["lora", "ia3", "pfeiffer", "houlsby"])
def test_a_fresh_adapter_is_the_identity_and_a_trained_one_is_not(checkpoint: Callable[[str], Path], name: str) -> None:
    _, attached = attached_to(checkpoint("llama"), name)
    fresh = is_identity(attached)
    trained(attached)

    assert (fresh, is_identity(attached)) == (True, False)


def test_a_model_that_training_left_alone_is_known(checkpoint: Callable[[str], Path]) -> None:
    attached = attach("full", LocalModel(checkpoint("llama")).model, FullConfig(last_layers=1), seed=0)
    fresh = is_identity(attached)
    with torch.no_grad():
        next(iter(attached.parameters.values()))[0, 0] += 1e-4

    assert (fresh, is_identity(attached)) == (True, False)


@pytest.mark.parametrize("name", ["lora", "dora", "ia3", "houlsby"])
def test_a_trained_adapter_switched_off_is_the_base_and_comes_back(checkpoint: Callable[[str], Path], name: str) -> None:
    local, attached = attached_to(checkpoint("llama"), name)
    base = logits(LocalModel(checkpoint("llama")))
    trained(attached)
    on = logits(local)
    assert attached.off is not None

    with attached.off():
        off = logits(local)

    assert torch.allclose(off, base, rtol=1e-6, atol=1e-6)
    assert torch.equal(logits(local), on)
    assert all(p.requires_grad for p in attached.parameters.values())


# --- settings and models that do not go together ---------------------------------------------------------------------------


def test_a_layer_that_the_model_has_not_is_named_with_those_it_has(checkpoint: Callable[[str], Path]) -> None:
    with pytest.raises(ConfigError, match=r"no linear layer 'query'. It has down_proj, .*q_proj"):
        attach("lora", LocalModel(checkpoint("llama")).model, LoraConfig(targets=("query",)), seed=0)


def test_more_last_layers_than_there_are_is_refused(checkpoint: Callable[[str], Path]) -> None:
    with pytest.raises(ConfigError, match=r"last_layers: 4 .* the model has 3"):
        attach("full", LocalModel(checkpoint("llama")).model, FullConfig(last_layers=4), seed=0)


def test_learnt_vectors_that_fill_the_context_are_refused(checkpoint: Callable[[str], Path]) -> None:
    with pytest.raises(ConfigError, match=r"tokens: 768 .* no room in the context of 768"):
        attach("prompt_tuning", LocalModel(checkpoint("llama")).model, SoftPromptConfig(tokens=768), seed=0)


def test_a_recurrent_model_takes_no_learnt_prompt() -> None:
    config = transformers.MambaConfig(vocab_size=50, hidden_size=16, num_hidden_layers=2, state_size=4)
    methods: tuple[Method, ...] = ("prompt_tuning", "prefix")
    for method in methods:
        with pytest.raises(ModelError, match=r"needs plain attention in every layer.*Use lora"):
            attach(method, transformers.MambaForCausalLM(config), SoftPromptConfig(), seed=0)


def test_qlora_over_a_base_that_is_not_in_four_bits_is_refused(checkpoint: Callable[[str], Path]) -> None:
    with pytest.raises(ModelError, match=r"Load the model with precision nf4, or use lora"):
        attach("qlora", LocalModel(checkpoint("llama")).model, LoraConfig(), seed=0)


def test_four_bits_without_bitsandbytes_name_the_extra(checkpoint: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sadari.model.weights.find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"needs bitsandbytes.*pip install 'sadari\[qlora\]'"):
        LocalModel(checkpoint("llama"), precision="nf4")


# --- four bits ---------------------------------------------------------------------------------------------------------------

needs_bitsandbytes = pytest.mark.skipif(find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed")


@needs_bitsandbytes
@pytest.mark.parametrize("name", ["lora", "dora", "ia3", "pfeiffer", "prompt tuning", "prefix tuning"])
def test_over_four_bits_what_is_saved_answers_as_what_was_trained(
    checkpoint: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    folder = checkpoint("qwen3")
    local = LocalModel(folder, precision="nf4")
    method, config = SETTINGS[name]
    attached = attach("qlora" if method == "lora" else method, local.model, config, seed=0, prompt_ids=PROMPT)
    local.prefix = attached.prefix
    trained(attached)
    attached.save(tmp_path / "adapter")

    served = LocalModel(folder, adapter=tmp_path / "adapter", precision="nf4")

    assert torch.allclose(logits(served), logits(local), rtol=1e-5, atol=1e-5)
    assert any(type(p).__name__ == "Params4bit" for p in served.model.parameters())
    assert attached.total == sum(p.numel() for p in LocalModel(folder).model.parameters()) + attached.trainable


@needs_bitsandbytes
def test_weights_in_four_bits_cannot_be_trained_themselves(checkpoint: Callable[[str], Path]) -> None:
    with pytest.raises(ModelError, match=r"weights in four bits cannot be trained\. Use qlora"):
        attach("full", LocalModel(checkpoint("llama"), precision="nf4").model, FullConfig(), seed=0)


@needs_bitsandbytes
def test_qlora_learns_a_row(checkpoint: Callable[[str], Path]) -> None:
    local = LocalModel(checkpoint("llama"), precision="nf4")
    attached = attach("qlora", local.model, LoraConfig(rank=4), seed=0)
    optimizer = torch.optim.AdamW(attached.parameters.values(), lr=attached.learning_rate)
    ids = torch.tensor([IDS])
    losses = []
    for _ in range(12):
        loss = local.model(input_ids=ids, labels=ids).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss))
    assert losses[-1] < 0.7 * losses[0]
