"""How many answers stay the same in bfloat16, whatever the batch: `python halved.py '{"count": 32}'` prints JSON.

In bfloat16 a sum of products depends on its order, and so on the batch: answers of one request by itself differ from those in a
batch wherever the best two tokens are near each other. Told for sadari, and for `transformers` with all prompts in one batch.
"""

import json
import sys
from collections.abc import Sequence
from typing import Any

from alone import first_difference
from asked import Asked, Tokens
from peer import generation_settings
from shapes import source_of
from workloads import WORKLOADS, asked_of

from sadari.mini import MINI_PATH


def main() -> None:
    """Print shares of answers and of tokens before the first difference, for sadari and for a batch of `transformers`."""
    import torch
    from transformers import AutoModelForCausalLM

    told = json.loads(sys.argv[1])
    folder = MINI_PATH
    asked = asked_of(WORKLOADS["a"], told["count"], source_of("mini"), seed=7)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()
    model.generation_config.eos_token_id = None
    alone = [_answers(model, [one])[0] for one in asked]
    found = {"sadari": _ours(folder, asked), "transformers": _answers(model, asked)}
    print(json.dumps({"count": len(asked)} | {tool: _shares(answers, alone) for tool, answers in found.items()}))


def _answers(model: Any, asked: Sequence[Asked]) -> list[Tokens]:
    import torch

    ids = torch.tensor([one.prompt for one in asked])
    out = model.generate(ids, attention_mask=torch.ones_like(ids), generation_config=generation_settings(asked[0].new_tokens))
    return [tuple(row) for row in out[:, ids.shape[1] :].tolist()]


def _ours(folder: Any, asked: Sequence[Asked]) -> list[Tokens]:
    from sadari.model.engine import Row
    from sadari.model.local import LocalModel

    rows = [Row(one.prompt, limit=one.new_tokens) for one in asked]
    LocalModel(folder, precision="bfloat16").engine.run(rows)
    return [tuple(row.out) for row in rows]


def _shares(answers: Sequence[Tokens], alone: Sequence[Tokens]) -> dict[str, float]:
    same = sum(a == b for a, b in zip(answers, alone, strict=True))
    before = sum(first_difference(a, b) for a, b in zip(answers, alone, strict=True))
    return {"same": same / len(alone), "tokens": before / sum(map(len, alone))}


if __name__ == "__main__":
    main()
