import pytest

from sadari.train.config import AdapterConfig, FullConfig, LoraConfig, SoftPromptConfig, TuneConfig
from sadari.train.methods import default_learning_rate


def test_rates_fall_with_size_and_rise_for_low_rank() -> None:
    assert default_learning_rate("full", 7_000_000, FullConfig()) == pytest.approx(1e-3)
    assert default_learning_rate("full", 7_000_000_000, FullConfig()) == pytest.approx(2e-5, rel=0.01)
    assert default_learning_rate("lora", 7_000_000_000, LoraConfig(rank=16)) == pytest.approx(2e-4, rel=0.01)
    assert default_learning_rate("qlora", 7_000_000_000, LoraConfig(rank=64)) == pytest.approx(1e-4, rel=0.01)


@pytest.mark.parametrize("rslora", [True, False])
@pytest.mark.parametrize("rank", [4, 16, 64, 256])
def test_no_rank_moves_the_output_further_than_rank_16_does(rank: int, rslora: bool) -> None:
    def reach(config: LoraConfig) -> float:
        scale = config.alpha / (config.rank**0.5 if config.rslora else config.rank)
        return default_learning_rate("lora", 500_000_000, config) * scale * config.rank

    assert reach(LoraConfig(rank=rank, rslora=rslora)) <= reach(LoraConfig(rank=16)) * (1 + 1e-9)


def test_a_larger_alpha_or_a_wider_bottleneck_is_answered_by_a_smaller_rate() -> None:
    usual = default_learning_rate("lora", 500_000_000, LoraConfig(rank=16))
    assert default_learning_rate("lora", 500_000_000, LoraConfig(rank=16, alpha=128.0)) == pytest.approx(usual / 4)
    narrow, wide = (default_learning_rate("adapter", 500_000_000, AdapterConfig(width=w)) for w in (64, 512))
    assert wide == pytest.approx(narrow / 4)


def test_rates_of_learnt_vectors_follow_their_size() -> None:
    for method in ("prompt_tuning", "prefix"):
        one, ten = (default_learning_rate(method, 10**9, SoftPromptConfig(), size=s) for s in (1.0, 10.0))  # type: ignore[arg-type]
        assert ten == pytest.approx(10 * one)
    assert default_learning_rate("ia3", 10**9, TuneConfig()) == pytest.approx(0.1)
