"""Several adapters over one base: each request gets what its adapter alone gives."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

from sadari.errors import ModelError
from sadari.model.local import LocalModel

from .test_local import requests


@pytest.fixture(scope="module")
def adapters(checkpoint: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two adapters of other ranks, far enough from zero to change answers."""
    folders = {}
    for seed, (name, rank) in enumerate({"returns": 4, "delivery": 8}.items()):
        base = LocalModel(checkpoint("qwen3")).model
        torch.manual_seed(seed)
        wrapped = get_peft_model(base, LoraConfig(r=rank, target_modules="all-linear", init_lora_weights=False))
        folders[name] = tmp_path_factory.mktemp(name)
        wrapped.save_pretrained(str(folders[name]))
    return folders


def test_requests_of_different_adapters_in_one_call_get_what_each_adapter_gives(checkpoint, adapters):
    shared = LocalModel(checkpoint("qwen3"))
    before = [g.text for g in shared.generate(requests(shared=True))]
    for name, folder in adapters.items():
        shared.add_adapter(name, folder)
    names = [None, *adapters]
    asked = [replace(r, adapter=names[i % 3]) for i, r in enumerate(requests(shared=True))]

    together = [g.text for g in shared.generate(asked)]

    alone = {name: LocalModel(checkpoint("qwen3"), adapter=adapters.get(name)) for name in names if name} | {None: shared}
    assert together == [alone[r.adapter].generate([replace(r, adapter=None)])[0].text for r in asked]
    assert [g.text for g in shared.generate(requests(shared=True))] == before
    assert len(set(together)) > 3, "the adapters must matter"


def test_streams_of_different_adapters_take_turns(checkpoint, adapters):
    model = LocalModel(checkpoint("qwen3"))
    for name, folder in adapters.items():
        model.add_adapter(name, folder)
    asked = [replace(requests()[1], adapter=name, max_new_tokens=30) for name in (None, *adapters)]
    expected = [model.generate([r])[0].text for r in asked]
    streams, texts, rounds = [model.stream(r) for r in asked], ["", "", ""], 0
    while any(streams):
        rounds += 1
        for i, stream in enumerate(streams):
            if stream is not None and (piece := next(stream, None)) is not None:
                texts[i] += piece.text
            else:
                streams[i] = None
    assert texts == expected
    assert rounds > 3


def test_an_unknown_adapter_is_an_error_of_that_request(checkpoint, adapters):
    model = LocalModel(checkpoint("qwen3"))
    model.add_adapter("returns", adapters["returns"])

    unknown, known = model.generate([replace(requests()[0], adapter="retruns"), requests()[0]])

    assert unknown.finish == "error"
    assert "there is no adapter 'retruns'; there are: returns" in unknown.error
    assert known.finish != "error"


def test_a_name_that_is_taken_and_an_adapter_of_another_model_are_refused(checkpoint, adapters):
    model = LocalModel(checkpoint("qwen3"))
    model.add_adapter("returns", adapters["returns"])
    with pytest.raises(ModelError, match="'returns' is there already"):
        model.add_adapter("returns", adapters["delivery"])
    with pytest.raises(ModelError, match=r"trained on|does not fit"):
        LocalModel(checkpoint("llama")).add_adapter("returns", adapters["returns"])


def test_an_adapter_with_parts_missing_is_refused_and_leaves_the_base_as_it_was(checkpoint, adapters, tmp_path):
    model = LocalModel(checkpoint("qwen3"))
    before = [g.text for g in model.generate(requests())]
    shutil.copytree(adapters["returns"], tmp_path / "half")
    weights = load_file(tmp_path / "half" / "adapter_model.safetensors")
    save_file(dict(list(weights.items())[: len(weights) // 2]), tmp_path / "half" / "adapter_model.safetensors")
    for loaded in (False, True):
        with pytest.raises(ModelError, match="its weights are not those"):
            model.add_adapter("half", tmp_path / "half")
        assert [g.text for g in model.generate(requests())] == before
        if not loaded:
            model.add_adapter("delivery", adapters["delivery"])
    assert model.generate([replace(requests()[1], adapter="delivery")])[0].finish != "error"
