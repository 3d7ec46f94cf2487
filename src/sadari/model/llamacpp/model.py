"""A GGUF file as a model: llama.cpp computes; prompts, constraints, drawing and tool calls are those of every local model.

What is exact: tokens are drawn from llama.cpp's scores in the same way, and with the same seeds, as from any local model's; a
constraint is kept to token by token; the chat template is the one in the file, rendered as `transformers` renders it.

What is not: weights are as the file has them, most often quantised, and keys and values are kept in 16 bits, so answers differ
from those of the weights they were made of. Scores differ a little, by rounding, with what else is computed in the same step; where
two tokens are almost equally likely, so may the answer. Texts are split into tokens by llama.cpp, for some vocabularies not as by
the tokenizer that the model was trained with; with SentencePiece vocabularies an answer may begin with a space.
"""

import os
from pathlib import Path
from types import SimpleNamespace

from sadari.errors import ConfigError
from sadari.model.answering import AnsweringModel
from sadari.model.engine import Engine, Limits, Scheduler
from sadari.model.llamacpp.decoder import KEPT, LlamaDecoder
from sadari.model.llamacpp.native import Native
from sadari.model.llamacpp.tokenizer import GgufTokenizer
from sadari.model.speech import Speech

ROWS = Limits(rows=32)
"""On a processor, 64 rows together write 5 % more tokens a second than 32, and 16 write 7 % fewer (mini in float32)."""


class LlamaCppModel(AnsweringModel):
    """A GGUF file, run by llama.cpp.

    Args:
        path: The file; of a model in parts, the first.
        context: Most tokens of prompt and answer together; None takes the model's own, at most 4096.
        cache_tokens: Keys and values that are held for all requests together, allocated at once; None holds four whole contexts.
        threads: Of the processor; None follows OMP_NUM_THREADS, else takes all there are.
        limits: How many requests and tokens are computed together, and how many may wait.

    Raises:
        ModelError: If llama-cpp-python is not installed, or the file cannot be loaded.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        context: int | None = None,
        cache_tokens: int | None = None,
        threads: int | None = None,
        limits: Limits = ROWS,
    ) -> None:
        self._name = str(path)
        self._native = Native(
            Path(path),
            context=context,
            sequences=limits.rows + KEPT,
            tokens=cache_tokens,
            threads=threads or int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1),
        )
        tokenizer = GgufTokenizer(self._native)
        self.speech = Speech(tokenizer, (SimpleNamespace(eos_token_id=tokenizer.end_ids),))
        scheduler = Scheduler(LlamaDecoder(self._native, limits.rows + KEPT), self._native.vocabulary, limits)
        self._engine = Engine(lambda adapter: scheduler)

    @property
    def name(self) -> str:
        """How the model was asked for."""
        return self._name

    @property
    def context(self) -> int:
        """Most tokens of prompt and answer together."""
        return self._native.length

    @property
    def engine(self) -> Engine:
        """What computes."""
        return self._engine

    def require_adapter(self, name: str | None) -> None:
        """A GGUF file has no adapters: they are merged before it is written."""
        if name is not None:
            raise ConfigError(
                f"{self._name}: a GGUF file carries no adapters, so {name!r} is not known. Merge it before conversion."
            )
