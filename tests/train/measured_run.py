"""One dry run and then the real steps, in a process of its own: `python measured_run.py '{"shape": ...}'` prints one line of JSON.

Memory is that of the whole process, with the C library keeping what is freed, as in training. Seconds are those of the processor,
so that other processes count less.
"""

import json
import sys
import time
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
import torch
import transformers

from sadari.train.config import AdapterConfig, FullConfig, LoraConfig, SoftPromptConfig, TuneConfig
from sadari.train.dry_run import dry_run
from sadari.train.learner import Learner
from sadari.train.methods import attach
from sadari.train.resident import Peak, give_back, resident_bytes
from sadari.train.rows import Row

SHAPES: dict[str, dict[str, Any]] = {
    "qwen3 5M": dict(vocab_size=8192, hidden_size=256, intermediate_size=768, num_hidden_layers=4, num_attention_heads=4),
    "qwen3 16M": dict(vocab_size=8192, hidden_size=384, intermediate_size=1024, num_hidden_layers=8, num_attention_heads=6),
    "llama 38M": dict(vocab_size=128_256, hidden_size=256, intermediate_size=768, num_hidden_layers=6, num_attention_heads=4),
}
CONFIGS: dict[str, type[TuneConfig]] = {
    "lora": LoraConfig,
    "full": FullConfig,
    "adapter": AdapterConfig,
    "prefix": SoftPromptConfig,
}


@dataclass(frozen=True)
class Combination:
    """What is run: `rows` rows a step, of `shared` tokens in common, up to `asked` of their own and `said` to learn."""

    shape: str
    method: Any
    rows: int
    shared: int = 0
    asked: int = 80
    said: int = 80
    packed_tokens: int = 8192
    steps: int = 6
    config: tuple[tuple[str, Any], ...] = ()


def rows_of(combination: Combination, vocabulary: int) -> list[Row]:
    """Random rows of two steps; half the greatest length at least."""
    rng = np.random.default_rng(0)
    shared = tuple(rng.integers(8, vocabulary, combination.shared).tolist())
    rows = []
    for i in range(2 * combination.rows):
        asked, said = (int(rng.integers(n // 2, n + 1)) for n in (combination.asked, combination.said))
        own = tuple(rng.integers(8, vocabulary, asked + said).tolist())
        rows.append(Row(str(i), shared + own, (0.0,) * (len(shared) + asked) + (1.0,) * said))
    return rows


def build(shape: str) -> Any:
    """A random model."""
    torch.manual_seed(0)
    kind = "Qwen3" if shape.startswith("qwen3") else "Llama"
    sizes = {"num_key_value_heads": 2, "head_dim": 64, "tie_word_embeddings": True, **SHAPES[shape]}
    return getattr(transformers, f"{kind}ForCausalLM")(getattr(transformers, f"{kind}Config")(**sizes))


def run(combination: Combination) -> dict[str, float]:
    """What was said and what was found: bytes above those of the process before the model was made, and seconds of a step."""
    before = resident_bytes()
    model = build(combination.shape)
    config = CONFIGS[combination.method].model_validate(dict(combination.config))
    attached = attach(combination.method, model, config, seed=0)
    if config.checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model.train()
    give_back()
    learner = Learner(model, prefix=attached.prefix, packed_tokens=combination.packed_tokens)
    rows = rows_of(combination, model.config.vocab_size)
    steps = [[(row,) for row in rows[at : at + combination.rows]] for at in (0, combination.rows)]
    began = time.process_time()
    said = dry_run(learner, attached.parameters, steps, clock=time.process_time)
    dry_s = time.process_time() - began
    peak, seconds = _train(learner, list(attached.parameters.values()), [steps[i % 2] for i in range(combination.steps)])
    return {
        "said_bytes": said.peak_bytes - before,
        "found_bytes": peak - before,
        "said_s": said.seconds_per_step,
        "found_s": fmean(seconds[1:]),
        "dry_s": dry_s,
    }


def _train(learner: Learner, parameters: list[torch.nn.Parameter], steps: list[Any]) -> tuple[int, list[float]]:
    optimizer = torch.optim.AdamW(parameters)
    best, seconds = [], []
    with Peak(torch.device("cpu")) as peak:
        for items in steps:
            began = time.process_time()
            learner.step(items)
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            seconds.append(time.process_time() - began)
            best = best or [p.detach().clone() for p in parameters]
    return peak.most, seconds


if __name__ == "__main__":
    told = json.loads(sys.argv[1])
    print(json.dumps(run(Combination(**{**told, "config": tuple(map(tuple, told.get("config", ())))}))))
