"""Do both trainers learn the same? The bundled model on rows of examples/mall: `python convergence.py '{"tool": "sadari", ...}'`.

The conversations of the shop's training rows, each behind the task's goal, rendered once by the model's own template. Both trainers
begin with the same LoRA weights and take the same rows in the same order, at the same learning rate and schedule. Afterwards the
same code, `transformers` alone, measures the loss on the validation rows.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from cell import peak_bytes
from ours import sadari_steps
from peer import Setting, labels, peer_steps
from recipe import Found, Learnt, Recipe
from shapes import attach_lora, build_model

from sadari.train.rows import Row

MALL = Path(__file__).parents[2] / "examples" / "mall"
ROWS = 8
"""Of one optimiser step."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """One training: by `trl` or `sadari`, for so many steps."""

    tool: str
    steps: int
    seed: int = 0
    setting: Setting = Setting("no checkpointing", checkpointing=False)  # noqa: RUF009 - frozen


def run_lesson(lesson: Lesson) -> Learnt:
    """Train on the shop's rows and measure."""
    train, validation = mall_rows()
    order = _order(len(train), lesson.steps * ROWS, lesson.seed)
    batches = [[train[i] for i in order[at : at + ROWS]] for at in range(0, len(order), ROWS)]
    model = attach_lora(build_model("mini", lesson.seed), lesson.seed)
    before = validation_loss(model, validation)
    recipe = Recipe(1e-3, warmup_steps=round(0.06 * lesson.steps), seed=lesson.seed)
    timed = sadari_steps(model, batches, recipe) if lesson.tool == "sadari" else peer_steps(model, batches, recipe, lesson.setting)
    return Learnt(before, validation_loss(model, validation), Found(timed.seconds, timed.losses, peak_bytes()))


def mall_rows() -> tuple[list[Row], list[Row]]:
    """Training and validation rows of the shop."""
    from transformers import AutoTokenizer

    from sadari.mini import MINI_PATH
    from sadari.model.chat import render_training
    from sadari.task import load_task
    from sadari.types import Example, Message

    task, tokenizer = load_task(MALL), AutoTokenizer.from_pretrained(MINI_PATH)

    def rows(examples: Sequence[Example]) -> list[Row]:
        rendered = [render_training(tokenizer, (Message("system", task.goal), *e.messages), row=e.id) for e in examples]
        return [Row(e.id, tuple(r.ids), tuple(r.weights)) for e, r in zip(examples, rendered, strict=True)]

    return rows(task.train), rows(task.validation)


def validation_loss(model: Any, rows: Sequence[Row]) -> float:
    """Mean cross-entropy of the supervised tokens, in nats, by the model's own forward pass, row by row."""
    import torch

    model.eval()
    total = count = 0.0
    with torch.no_grad():
        for row in rows:
            ids, wanted = (torch.tensor([values], device=model.device) for values in (row.ids, labels(row)))
            supervised = sum(weight > 0 for weight in row.weights[1:])
            total += float(model(input_ids=ids, labels=wanted).loss) * supervised
            count += supervised
    return total / count


def _order(rows: int, count: int, seed: int) -> list[int]:
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.permutation(rows) for _ in range(-(-count // rows))])[:count].tolist()


if __name__ == "__main__":
    print(json.dumps(asdict(run_lesson(Lesson(**json.loads(sys.argv[1]))))))
