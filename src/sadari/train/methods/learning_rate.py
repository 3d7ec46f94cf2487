"""Peak learning rates for AdamW where the user sets none: they know the method, the number of weights and the rank."""

from sadari.train.config import AdapterConfig, LoraConfig, TuneConfig
from sadari.train.methods.attached import Method

REACH = 128.0
"""Scale times rank of rank 16 at alpha 32 with rsLoRA: the update for which the low-rank rate below was found."""

SHARE_OF_SIZE = {"prompt_tuning": 0.3, "prefix": 0.3, "ia3": 0.1}
"""Of their own size, how far the few learnt vectors move at each step; the best of those tried on the bundled model in 40 steps
(for IA3 three times as much learnt faster still, but leaves vectors of one soon)."""


def default_learning_rate(method: Method, weights: int, config: TuneConfig, *, size: float = 1.0) -> float:
    """Peak learning rate.

    Full tuning: 1e-3 at 7 M weights, 2e-5 at 7 B, straight in the logarithms between. Low-rank updates: ten times that at rank 16.
    AdamW moves every weight of the up-projection by about the rate at each step, whatever the scale of its gradient; the model's
    output then moves by rate * scale * rank, and the default keeps this the same for all ranks, so that none diverges.

    Args:
        weights: Of the model.
        size: Root mean square at their start of the vectors that prompt or prefix tuning learns; the rate is a share of it.

    Source:
        Ten times the rate of full tuning, whatever the rank, at a scale of alpha / rank: Schulman et al. (2025), "LoRA without
        regret". Scale of alpha / sqrt(rank): Kalajdzievski (2023), arXiv 2312.03732.
    """
    full: float = min(1e-3, max(1e-5, 1e-3 * (7e6 / weights) ** 0.566))
    low_rank = min(5e-3, 10 * full)
    if isinstance(config, LoraConfig):
        return low_rank * min(1.0, REACH / (low_rank_scale(config) * config.rank))
    if isinstance(config, AdapterConfig):
        return low_rank * min(1.0, REACH / config.width)
    return SHARE_OF_SIZE[method] * size if method in SHARE_OF_SIZE else full


def low_rank_scale(config: LoraConfig) -> float:
    """What the low-rank update is multiplied by."""
    return config.alpha / (config.rank**0.5 if config.rslora else config.rank)
