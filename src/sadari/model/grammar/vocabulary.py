"""The tokens of one model, as constrained decoding needs them: their bytes, and what they begin with."""

from functools import cached_property
from typing import Any

import numpy as np
from llguidance import LLTokenizer
from numpy.typing import NDArray

from sadari.errors import ModelError

_DIGITS = b"0123456789"


class Vocabulary:
    """The tokens of one tokenizer. Making it takes about a second for each 100,000 tokens.

    Args:
        tokenizer: A fast tokenizer of `transformers`.
        ends: Tokens that end an answer.

    Raises:
        ModelError: If the tokenizer is not a fast one, its tokens cannot be put as bytes, or nothing ends an answer.
    """

    def __init__(self, tokenizer: Any, ends: frozenset[int]) -> None:
        name = getattr(tokenizer, "name_or_path", "") or "this model"
        self.ends = np.array(sorted(e for e in ends if 0 <= e < len(tokenizer)), dtype=np.int64)
        if not len(self.ends):
            raise ModelError(
                f"{name}: no token ends an answer, so a constrained one could not end. Set eos_token_id in its config."
            )
        from llguidance.hf import from_tokenizer  # imports transformers

        make = getattr(tokenizer, "guidance", None)  # of tokenizers that are none of transformers
        try:
            self.tokens: LLTokenizer = make(self.ends.tolist()) if make else from_tokenizer(tokenizer, eos_token=self.ends.tolist())
        except ValueError as e:
            raise ModelError(
                f"{name}: its answers cannot be held to a schema: {e}. Use a model with a byte-level or SentencePiece tokenizer."
            ) from e
        self.size = int(self.tokens.vocab_size)
        self._holding: dict[bytes, list[int]] = {}
        ids = tokenizer("x", add_special_tokens=False)["input_ids"]
        self.writes_leading_space: bool = self.tokens.decode_bytes(ids) == b" x" and tokenizer.decode(ids) == "x"
        """Whether the first token of a text carries a space that decoding drops, as in Llama 2 and Mistral."""

    @cached_property
    def data(self) -> list[bytes]:
        """What each token stands for; of a special token, its name."""
        return [self.tokens.decode_bytes([i]) for i in range(self.size)]

    def bytes_of(self, token: int) -> bytes:
        """What one token stands for; nothing if the model scores it but the tokenizer does not have it."""
        return self.tokens.decode_bytes([token]) if 0 <= token < self.size else b""

    def holding(self, part: bytes) -> list[int]:
        """The tokens with `part` in them."""
        if part not in self._holding:
            self._holding[part] = [i for i, data in enumerate(self.data) if part in data]
        return self._holding[part]

    @cached_property
    def leading_digits(self) -> NDArray[np.uint8]:
        """How many digits each token begins with."""
        return np.array([min(255, len(b) - len(b.lstrip(_DIGITS))) if b[:1].isdigit() else 0 for b in self.data], dtype=np.uint8)

    @cached_property
    def most_digits(self) -> int:
        """Of all tokens."""
        return int(self.leading_digits.max())

    @cached_property
    def quotes(self) -> NDArray[np.bool_]:
        """Whether each token begins with a double quote."""
        return np.array([b.startswith(b'"') for b in self.data])

    def spelling(self, text: bytes) -> list[int] | None:
        """Tokens that together stand for `text`, or None if there are none."""
        ids = self.tokens.tokenize_bytes(text)
        return ids if self.tokens.decode_bytes(ids) == text else None

    def pieces(self, text: str) -> list[int | str]:
        """`text` cut at its special tokens: their ids, and the text between them."""
        out: list[int | str] = []
        plain: list[int] = []
        for token in [*self.tokens.tokenize_str(text, parse_special=True), None]:
            if token is not None and not self.tokens.is_special_token(token):
                plain.append(token)
                continue
            if plain:
                out.append(self.tokens.decode_str(plain))
                plain = []
            if token is not None:
                out.append(token)
        return out
