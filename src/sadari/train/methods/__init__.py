"""Methods of tuning: each decides which parameters are trained and how they are saved; the loop knows nothing else of it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from sadari.train.config import TuneConfig
from sadari.train.methods.attached import Attached, Method, freeze, is_identity
from sadari.train.methods.bottleneck import attach_bottlenecks
from sadari.train.methods.full import attach_full
from sadari.train.methods.ia3 import attach_ia3
from sadari.train.methods.learning_rate import default_learning_rate
from sadari.train.methods.lora import attach_lora, attach_qlora
from sadari.train.methods.saving import save_model
from sadari.train.methods.soft_prompt import attach_prefix, attach_prompt

__all__ = ["Attached", "Method", "attach", "default_learning_rate", "is_identity", "save_model"]

_METHODS: Mapping[Method, Callable[[Any, TuneConfig, Sequence[int]], Attached]] = {
    "lora": attach_lora,
    "qlora": attach_qlora,
    "adapter": attach_bottlenecks,
    "prompt_tuning": attach_prompt,
    "prefix": attach_prefix,
    "ia3": attach_ia3,
    "full": attach_full,
}


def attach(method: Method, model: Any, config: TuneConfig, *, seed: int, prompt_ids: Sequence[int] = ()) -> Attached:
    """Freeze a model and put in, or set free, what the method trains.

    Args:
        model: A causal language model of `transformers`, as `LocalModel` loads it; it is changed. `qlora` needs one in nf4.
        config: The method's own: LoraConfig, AdapterConfig, SoftPromptConfig or FullConfig; for `ia3` any.
        seed: Of what is drawn; nothing else of torch's generator is touched.
        prompt_ids: Tokens that a learnt prompt begins as, cut or repeated to `config.tokens`; drawn at random if there are none.

    Raises:
        ModelError: If the method does not go with this model.
        ConfigError: If a setting does not go with this model.
    """
    freeze(model)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return _METHODS[method](model, config, prompt_ids)
