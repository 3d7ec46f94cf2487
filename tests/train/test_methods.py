from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from sadari.model.local import LocalModel
from sadari.train import Row, TuneConfig, attach_adapter, default_learning_rate, save_adapter, save_model, weighted_loss
from sadari.types import Message, Request

ROW = Row("r", (5, 6, 7, 8, 9, 10), (0.0, 0.0, 0.0, 1.0, 1.0, 1.0))
REQUESTS = [Request((Message("user", text),), max_new_tokens=12) for text in ("환불 되나요", "How long?", "배송")]


@pytest.fixture
def folder(checkpoint: Callable[[str], Path]) -> Path:
    return checkpoint("llama")


def texts(model: LocalModel) -> list[str]:
    return [g.text for g in model.generate(REQUESTS)]


def step(model: Any, rate: float) -> None:
    """One large step of plain descent, so that answers change."""
    weighted_loss(model, [ROW], 0).backward()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter -= rate * parameter.grad


def with_adapter(folder: Path, seed: int = 0) -> tuple[LocalModel, Any]:
    local = LocalModel(folder)
    for parameter in local.model.parameters():
        parameter.requires_grad_(False)
    return local, attach_adapter(local.model, TuneConfig(rank=4), seed)


def test_a_saved_adapter_answers_as_the_model_that_was_trained(folder: Path, tmp_path: Path) -> None:
    local, peft_model = with_adapter(folder)
    before = texts(local)
    for _ in range(3):
        step(local.model, 3.0)
    trained = texts(local)
    save_adapter(peft_model, tmp_path / "adapter")
    assert trained != before
    assert texts(LocalModel(folder, adapter=tmp_path / "adapter")) == trained


def test_a_fresh_adapter_changes_nothing(folder: Path) -> None:
    assert texts(with_adapter(folder)[0]) == texts(LocalModel(folder))


def test_the_same_seed_gives_the_same_adapter(folder: Path) -> None:
    first, second, other = (
        {n: p for n, p in with_adapter(folder, seed)[0].model.named_parameters() if p.requires_grad} for seed in (1, 1, 2)
    )
    assert first
    assert all(torch.equal(first[n], second[n]) for n in first)
    assert any(not torch.equal(first[n], other[n]) for n in first)


def test_an_adapter_trains_every_linear_layer_and_nothing_else(folder: Path) -> None:
    local, _ = with_adapter(folder)
    trained = {n for n, p in local.model.named_parameters() if p.requires_grad}
    assert all("lora_" in n for n in trained)
    per_layer = [n for n in trained if "layers.0." in n and "lora_A" in n]
    assert len(per_layer) == 7  # q, k, v, o, gate, up, down


def test_an_adapter_folder_is_one_that_peft_reads(folder: Path, tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    local, peft_model = with_adapter(folder)
    step(local.model, 3.0)
    save_adapter(peft_model, tmp_path / "adapter")
    assert {p.name for p in (tmp_path / "adapter").iterdir()} >= {"adapter_config.json", "adapter_model.safetensors"}
    plain = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(folder), str(tmp_path / "adapter"))
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        assert torch.allclose(plain(ids).logits, local.model(ids).logits, rtol=1e-5, atol=1e-5)


def test_a_saved_model_answers_as_the_model_that_was_trained(folder: Path, tmp_path: Path) -> None:
    local = LocalModel(folder)
    before = texts(local)
    step(local.model, 0.3)
    save_model(local.model, local.tokenizer, tmp_path / "model")
    assert texts(local) != before
    assert texts(LocalModel(tmp_path / "model")) == texts(local)
    assert (tmp_path / "model" / "chat_template.jinja").is_file()


def test_learning_rates_fall_with_size_and_rise_for_low_rank() -> None:
    assert default_learning_rate(7_000_000, low_rank=False, rank=16) == pytest.approx(1e-3)
    assert default_learning_rate(7_000_000_000, low_rank=False, rank=16) == pytest.approx(2e-5, rel=0.01)
    assert default_learning_rate(7_000_000_000, low_rank=True, rank=16) == pytest.approx(2e-4, rel=0.01)
    assert default_learning_rate(7_000_000_000, low_rank=True, rank=64) == pytest.approx(1e-4, rel=0.01)
