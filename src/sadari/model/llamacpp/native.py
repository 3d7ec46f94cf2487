"""A GGUF file loaded by llama.cpp: its vocabulary, and a memory of keys and values for several sequences of tokens.

Covered: a file that is none, is cut off, or holds a model that llama.cpp does not know is an error with its reason.
Not covered: a file from somebody who wants to harm. llama.cpp reads it in this process, and has had faults in that; take models
from those you trust.
"""

import ctypes
import os
import weakref
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sadari.errors import ModelError

STEP_TOKENS = 512
"""Tokens that are computed in one call at most."""

REMEDY = "If the file was downloaded or copied, do that again; else convert the model anew with a current llama.cpp."

_MAGIC = b"GGUF"
_ERROR = 4  # the level of llama.cpp's errors, above 3, its warnings


class Native:
    """One model and one context of llama.cpp.

    Args:
        path: A GGUF file; of a model in parts, the first.
        context: Most tokens of one sequence; None takes the model's own, at most `most_context`.
        sequences: How many there are.
        tokens: Keys and values that are held for all of them together; None holds four whole contexts.
        threads: Of the processor.

    Raises:
        ModelError: If llama-cpp-python is not installed, or the model cannot be loaded.
    """

    def __init__(
        self, path: Path, *, context: int | None, sequences: int, tokens: int | None, threads: int, most_context: int = 4096
    ) -> None:
        _check_file(path)
        self._api, self.path = _library(path), path
        log = _listen(self._api)
        self._api.llama_backend_init()
        settings = self._api.llama_model_default_params()
        if b"AMX_INT8 = 1" in self._api.llama_print_system_info():
            settings.use_extra_bufts = False  # builds with AMX crash on quantised weights in its buffers
        self._model = self._api.llama_model_load_from_file(os.fsencode(path), settings)
        if not self._model:
            raise ModelError(f"{path}: llama.cpp cannot load it ({_last(log)}). {REMEDY}")
        held = ExitStack()
        weakref.finalize(self, held.close)
        held.callback(self._api.llama_model_free, self._model)
        if not self._api.llama_model_has_decoder(self._model) or self._api.llama_model_has_encoder(self._model):
            raise ModelError(f"{path}: the model is no plain language model, so it cannot answer. Use one that generates text.")
        self.vocab = self._api.llama_model_get_vocab(self._model)
        self.vocabulary = int(self._api.llama_vocab_n_tokens(self.vocab))
        own = int(self._api.llama_model_n_ctx_train(self._model))
        self.length = min(own, context or most_context)
        self.tokens = max(self.length, tokens or 4 * self.length)
        self._context = self._make_context(sequences, threads)
        if not self._context:
            raise ModelError(
                f"{path}: llama.cpp has no room for the keys and values of {self.tokens} tokens ({_last(log)}). Lower `context` or "
                "`cache_tokens`."
            )
        held.callback(self._api.llama_free, self._context)
        self._memory = self._api.llama_get_memory(self._context)
        self._batch = self._api.llama_batch_init(STEP_TOKENS, 0, 1)
        held.callback(self._api.llama_batch_free, self._batch)
        self.can_cut = not (self._api.llama_model_is_recurrent(self._model) or self._api.llama_model_is_hybrid(self._model))
        """Whether the end of a sequence can be taken back, and its beginning shared."""

    # --- what is in the file -----------------------------------------------------------------------------------------

    @property
    def api(self) -> Any:
        """The module `llama_cpp`."""
        return self._api

    @property
    def template(self) -> str | None:
        """The chat template in the file; None if there is none."""
        found = self._api.llama_model_chat_template(self._model, None)
        return found.decode() if found else None

    def tokenize(self, text: str) -> list[int]:
        """Token ids of rendered text: special tokens that stand in it are read as such, and none are added."""
        data = text.encode()
        room = len(data) + 16
        ids = (ctypes.c_int32 * room)()
        count = self._api.llama_tokenize(self.vocab, data, len(data), ids, room, False, True)
        if count < 0:
            raise ModelError(f"{self.path}: its tokenizer makes {-count} tokens of {len(data)} bytes. Use another conversion.")
        return list(ids[:count])

    def piece(self, token: int) -> bytes:
        """The bytes of one token, special ones included."""
        buffer = ctypes.create_string_buffer(64)
        size = self._api.llama_token_to_piece(self.vocab, token, buffer, len(buffer), 0, True)
        if size < 0:
            buffer = ctypes.create_string_buffer(-size)
            size = self._api.llama_token_to_piece(self.vocab, token, buffer, len(buffer), 0, True)
        return buffer.raw[:size]

    # --- computing ---------------------------------------------------------------------------------------------------

    def compute(self, parts: Sequence[tuple[int, int, Sequence[int], int]]) -> Iterator[NDArray[np.float32]]:
        """Compute tokens of sequences together, in calls of at most `STEP_TOKENS`.

        Args:
            parts: For each: the sequence, the position of its first token, the tokens, and after how many of them, from the last
                on, scores are wanted.

        Yields:
            Scores of one call, shape (wanted, V), in the order of `parts`; they are overwritten by the next call.

        Raises:
            ModelError: If llama.cpp fails.
        """
        lines = [
            (token, start + i, sequence, i >= len(tokens) - wanted)
            for sequence, start, tokens, wanted in parts
            for i, token in enumerate(tokens)
        ]
        for first in range(0, len(lines), STEP_TOKENS):
            some = lines[first : first + STEP_TOKENS]
            batch = self._batch
            batch.n_tokens = len(some)
            for i, (token, position, sequence, is_wanted) in enumerate(some):
                batch.token[i], batch.pos[i], batch.logits[i] = token, position, is_wanted
                batch.n_seq_id[i], batch.seq_id[i][0] = 1, sequence
            status = self._api.llama_decode(self._context, batch)
            if status:
                raise ModelError(f"{self.path}: llama.cpp failed to compute {len(some)} tokens (status {status}).")
            count = sum(is_wanted for *_, is_wanted in some)
            if count:
                yield np.ctypeslib.as_array(self._api.llama_get_logits(self._context), shape=(count, self.vocabulary))

    def cut(self, sequence: int, length: int) -> bool:
        """Let a sequence end after `length` tokens; False if that cannot be."""
        return bool(self._api.llama_memory_seq_rm(self._memory, sequence, length, -1))

    def copy(self, source: int, target: int, length: int) -> None:
        """Let an empty sequence begin with the first `length` tokens of another, which are held once."""
        self._api.llama_memory_seq_cp(self._memory, source, target, 0, length)

    def _make_context(self, sequences: int, threads: int) -> Any:
        settings = self._api.llama_context_default_params()
        settings.n_ctx, settings.n_seq_max = self.tokens, sequences
        settings.n_batch = settings.n_ubatch = STEP_TOKENS
        settings.n_threads = settings.n_threads_batch = threads
        settings.kv_unified = True  # sequences share what they begin with
        return self._api.llama_init_from_model(self._model, settings)


def _library(path: Path) -> Any:
    try:
        return import_module("llama_cpp")
    except ImportError as e:
        raise ModelError(
            f"{path}: a GGUF file needs llama-cpp-python, which is not installed. Run `pip install 'sadari[gguf]'` (it compiles "
            "for some minutes), or serve the file with llama-server and write `model: openai:NAME` with its base_url."
        ) from e


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise ModelError(f"{path}: is a folder. Name the .gguf file in it.")
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as e:
        raise ModelError(f"{path}: cannot be read ({e.strerror}). Correct the path of the GGUF file.") from e
    if magic != _MAGIC:
        raise ModelError(f"{path}: is no GGUF file: it begins with {magic!r}, not with {_MAGIC!r}. {REMEDY}")


_heard: dict[str, Any] = {}
"""The listener to llama.cpp's log, which the library calls from C for as long as the process lives; made on first use."""


def _listen(api: Any) -> deque[str]:
    """The last lines of llama.cpp's errors. Nothing is printed from then on."""
    if "lines" not in _heard:
        lines: deque[str] = deque(maxlen=8)

        def note(level: int, text: bytes, data: Any) -> None:
            if level == _ERROR:
                lines.append(text.decode(errors="replace").strip())

        _heard["lines"], _heard["listener"] = lines, api.llama_log_callback(note)
        api.llama_log_set(_heard["listener"], ctypes.c_void_p(0))
    heard: deque[str] = _heard["lines"]
    heard.clear()
    return heard


def _last(log: deque[str]) -> str:
    return log[0] if log else "it does not say why"
