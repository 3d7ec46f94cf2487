"""One dry run and then the real loop, in a process of its own: `python measured_run.py '{"shape": ...}'` prints one line of JSON.

Memory is that of the whole process, with the C library keeping what is freed, as in training. Seconds are those of the processor,
so that other processes count less.
"""

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
import transformers

from sadari.train.config import AdapterConfig, FullConfig, LoraConfig, SoftPromptConfig, TuneConfig
from sadari.train.dry_run import dry_run
from sadari.train.execution import execution_of
from sadari.train.job import Job, Plan
from sadari.train.learner import Learner
from sadari.train.loop import fit
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
    """What is run: steps of about `rows` rows, of `shared` tokens in common, up to `asked` of their own and `said` to learn."""

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
    rows = rows_of(combination, model.config.vocab_size)
    own = sum(len(row.ids) - combination.shared for row in rows)
    tokens = combination.shared + own // 2 + combination.asked + combination.said  # two steps an epoch
    settings = {"batch_tokens": tokens, "epochs": combination.steps / 2, "looks": 2, **dict(combination.config)}
    config = CONFIGS[combination.method].model_validate(settings)
    attached = attach(combination.method, model, config, seed=0)
    give_back()
    learner = Learner(model, prefix=attached.prefix, packed_tokens=combination.packed_tokens)
    with TemporaryDirectory() as folder:
        job = Job(learner, attached.parameters, [(row,) for row in rows], config, Path(folder), seed=0)
        began = time.process_time()
        said = dry_run(learner, attached.parameters, job.steps(), running=execution_of(learner, config), clock=time.process_time)
        dry_s = time.process_time() - began
        with Peak(torch.device("cpu")) as peak:
            fit(job, Plan(combination.steps, 1e-4, config.epochs, "max_steps"), lambda: (0.0, 0.0))
        steps = [json.loads(line) for line in (Path(folder) / "train.jsonl").read_text().splitlines()]
    seconds = [step["step_seconds"] for step in steps if "step_seconds" in step]
    return {
        "said_bytes": said.peak_bytes - before,
        "found_bytes": peak.most - before,
        "said_s": said.seconds_per_step,
        "found_s": fmean(seconds[1:]),
        "dry_s": dry_s,
    }


if __name__ == "__main__":
    time.perf_counter = time.process_time  # by which the loop times its steps
    told = json.loads(sys.argv[1])
    print(json.dumps(run(Combination(**{**told, "config": tuple(map(tuple, told.get("config", ())))}))))
