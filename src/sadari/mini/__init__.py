"""The bundled base model: weights, tokenizer, model card, and the programs that made them.

`MINI_PATH` is a stock `transformers` folder: `AutoModelForCausalLM.from_pretrained(MINI_PATH)` loads it offline.
"""

from __future__ import annotations

from pathlib import Path

MINI_PATH = Path(__file__).parent / "weights"

__all__ = ["MINI_PATH"]
