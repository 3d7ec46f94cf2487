"""Peak learning rates for AdamW where the user sets none: they know the method, the number of weights and the rank."""

from sadari.train.config import AdapterConfig, LoraConfig, TuneConfig
from sadari.train.methods.attached import Method

REACH = 128.0
"""Scale times rank of rank 16 at alpha 32 with rsLoRA: the update for which the low-rank rate below was found."""

SHARE_OF_SIZE = 0.02
"""Of their own size, how far learnt vectors move at each step."""


def default_learning_rate(method: Method, weights: int, config: TuneConfig, *, size: float = 1.0) -> float:
    """Peak learning rate.

    Full tuning: 1e-3 at 7 M weights, 2e-5 at 7 B, straight in the logarithms between. Low-rank updates: ten times that, for rank 16.
    AdamW moves every weight of the up-projection by about the rate at each step, whatever the scale of its gradient; the model's
    output then moves by rate * scale * rank, and the default keeps this the same for all ranks, so that none diverges.

    Args:
        weights: Of the model.
        size: Root mean square of learnt vectors at their start (prompt and prefix tuning): the rate is a share of it.

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
    if method in ("prompt_tuning", "prefix"):
        return SHARE_OF_SIZE * size
    return low_rank if method == "ia3" else full


def low_rank_scale(config: LoraConfig) -> float:
    """What the low-rank update is multiplied by."""
    return config.alpha / (config.rank**0.5 if config.rslora else config.rank)
