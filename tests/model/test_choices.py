import pytest

from sadari.model.choices import BASE_MODELS, suggest_models

STATED = {  # billions of parameters, from the model cards; Gemma 3 4B without its vision part
    "Qwen/Qwen3-0.6B": 0.6,
    "Qwen/Qwen3-1.7B": 1.72,
    "Qwen/Qwen3-4B": 4.02,
    "Qwen/Qwen3-8B": 8.19,
    "kakaocorp/kanana-1.5-2.1b-instruct-2505": 2.09,
    "kakaocorp/kanana-1.5-8b-instruct-2505": 8.03,
    "naver-hyperclovax/HyperCLOVAX-SEED-Text-Instruct-1.5B": 1.59,
    "LGAI-EXAONE/EXAONE-4.0-1.2B": 1.28,
    "google/gemma-3-1b-it": 1.0,
    "google/gemma-3-4b-it": 3.88,
    "meta-llama/Llama-3.2-1B-Instruct": 1.24,
    "meta-llama/Llama-3.2-3B-Instruct": 3.21,
    "HuggingFaceTB/SmolLM3-3B": 3.08,
    "microsoft/Phi-4-mini-instruct": 3.84,
}


def names(*arguments: object) -> list[str]:
    return [m.name for m in suggest_models(*arguments)]  # type: ignore[arg-type]


def test_the_sizes_in_the_table_add_up_to_the_parameters_that_the_makers_state() -> None:
    assert {m.name for m in BASE_MODELS} == set(STATED)
    for model in BASE_MODELS:
        assert model.shape.parameters / 1e9 == pytest.approx(STATED[model.name], rel=0.01), model.name


def test_small_ones_come_first_and_large_ones_last() -> None:
    orders = [m.order for m in suggest_models(80)]
    assert orders == sorted(orders, key=("first", "small", "larger").index)
    assert all(1.4e9 <= m.shape.parameters <= 3.3e9 for m in suggest_models(80) if m.order == "first")


def test_for_korean_the_maker_must_list_it_and_those_made_for_it_lead() -> None:
    found = suggest_models(80, "ko")
    assert found[0].korean == "native"
    assert all(m.korean != "not listed" for m in found)
    assert "HuggingFaceTB/SmolLM3-3B" in names(80, "en")


def test_a_licence_for_research_is_no_licence_for_commerce() -> None:
    assert "LGAI-EXAONE/EXAONE-4.0-1.2B" in names(80, "ko", "any")
    assert "LGAI-EXAONE/EXAONE-4.0-1.2B" not in names(80, "ko", "commercial")
    assert {m.licence for m in suggest_models(80, "en", "open")} == {"Apache-2.0", "MIT"}


def test_what_does_not_fit_is_not_suggested() -> None:
    assert names(0.1) == []
    # 8.19 billion parameters: 6.95 in the layers at 4.5 bits, 1.24 of two embeddings at 16 bits, make 5.96 GiB.
    assert "Qwen/Qwen3-8B" not in names(5.9)
    assert "Qwen/Qwen3-8B" in names(6.0)
