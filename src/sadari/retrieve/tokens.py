"""How long a text is, in tokens of the bundled tokenizer: whatever the model, so that an index outlives a change of model."""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from tokenizers import Tokenizer


def token_counts(texts: Sequence[str]) -> list[int]:
    """Tokens of each text."""
    return [len(encoding.ids) for encoding in _tokenizer().encode_batch_fast(list(texts), add_special_tokens=False)]


@cache
def _tokenizer() -> Tokenizer:
    return Tokenizer.from_str((files("sadari") / "mini" / "weights" / "tokenizer.json").read_text(encoding="utf-8"))
