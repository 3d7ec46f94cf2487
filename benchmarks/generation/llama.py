"""llama.cpp: many sequences in one context, what all prompts begin with computed once and given to each of them.

A loop over the C interface that `llama-cpp-python` lays open, as `llama-server` has one: sequences that write come first, then
pieces of prompts; a sequence that ends makes room for the next request. Unlike sadari it is told beforehand what is shared.
"""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from asked import Asked, Queue, Tokens, Written, shared_beginning
from peer import Setting

STEP_TOKENS = 2048
"""Most of one call; llama.cpp cuts them into pieces of 512 itself, its default."""

BEGINNING = 0
"""The sequence that holds what is shared."""


@dataclass(slots=True)
class _Sequence:
    """One answer under way."""

    place: int
    limit: int
    length: int  # tokens held
    pending: list[int]  # not fed yet
    ids: list[int] = field(default_factory=list)
    first: float = 0.0


class LlamaCpp:
    """A model of llama.cpp; every `serve` makes a context as large as its requests need, before the clock starts.

    Args:
        file: GGUF.
        setting: `rows` sequences; a "unified" cache is shared by all, a "split" one is copied for each.
    """

    def __init__(self, file: Path, setting: Setting) -> None:
        import llama_cpp

        self._lib, self._setting = llama_cpp, setting
        self._quiet = llama_cpp.llama_log_callback(lambda level, text, data: None)
        llama_cpp.llama_log_set(self._quiet, None)
        llama_cpp.llama_backend_init()
        settings = llama_cpp.llama_model_default_params()
        settings.n_gpu_layers = 999  # a build without an accelerator leaves them where they are
        self._model = llama_cpp.llama_model_load_from_file(str(file).encode(), settings)
        if not self._model:
            raise RuntimeError(f"llama.cpp cannot read {file}")
        self._vocabulary = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self._model))
        self.told = " ".join(f"llama-cpp-python {llama_cpp.__version__}: {llama_cpp.llama_print_system_info().decode()}".split())

    def serve(self, asked: Sequence[Asked]) -> list[Written]:
        """Answer everything."""
        shared = shared_beginning(asked)
        context, batch = self._context(asked, len(shared)), self._lib.llama_batch_init(STEP_TOKENS, 0, 1)
        memory = self._lib.llama_get_memory(context)
        queue, running = Queue(asked), dict[int, _Sequence]()
        written: dict[int, Written] = {}
        try:
            self._feed_beginning(context, batch, shared)
            while queue or running:
                if not running:
                    queue.wait()
                free = [number for number in range(1, self._setting.rows + 1) if number not in running]
                for number, place in zip(free, queue.take(len(free)), strict=False):
                    self._lib.llama_memory_seq_rm(memory, number, -1, -1)
                    if shared:
                        self._lib.llama_memory_seq_cp(memory, BEGINNING, number, -1, -1)
                    one = asked[place]
                    running[number] = _Sequence(place, one.new_tokens, len(shared), list(one.prompt[len(shared) :]))
                if running:
                    self._step(context, batch, running)
                for number in [number for number, sequence in running.items() if len(sequence.ids) == sequence.limit]:
                    done = running.pop(number)
                    written[done.place] = queue.written(done.place, done.ids, done.first, time.perf_counter())
        finally:
            self._lib.llama_batch_free(batch)
            self._lib.llama_free(context)
        return [written[place] for place in range(len(asked))]

    def _context(self, asked: Sequence[Asked], shared: int) -> Any:
        rows, settings = self._setting.rows, self._lib.llama_context_default_params()
        longest = max(len(one.prompt) + one.new_tokens for one in asked)
        is_unified = self._setting.kind == "unified"
        settings.n_ctx = shared + rows * (longest - shared) + 256 if is_unified else (rows + 1) * (-(-longest // 256) * 256)
        settings.n_seq_max, settings.kv_unified = rows + 1, is_unified
        settings.n_batch = STEP_TOKENS
        settings.n_threads = settings.n_threads_batch = int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)
        context = self._lib.llama_init_from_model(self._model, settings)
        if not context:
            raise RuntimeError(f"llama.cpp cannot make a context of {settings.n_ctx} tokens")
        return context

    def _feed_beginning(self, context: Any, batch: Any, shared: Tokens) -> None:
        for start in range(0, len(shared), STEP_TOKENS):
            batch.n_tokens = 0
            for at, token in enumerate(shared[start : start + STEP_TOKENS], start):
                _add(batch, token, at, BEGINNING, wanted=False)
            self._decode(context, batch)

    def _step(self, context: Any, batch: Any, running: dict[int, _Sequence]) -> None:
        """Feed what fits, those with least to feed first, and take a token for each sequence that has been fed all."""
        batch.n_tokens = 0
        wanted: dict[int, _Sequence] = {}
        for number, sequence in sorted(running.items(), key=lambda item: len(item[1].pending)):
            fed = sequence.pending[: STEP_TOKENS - batch.n_tokens]
            sequence.pending = sequence.pending[len(fed) :]
            for at, token in enumerate(fed, 1):
                is_last = at == len(fed) and not sequence.pending
                if is_last:
                    wanted[batch.n_tokens] = sequence
                _add(batch, token, sequence.length, number, wanted=is_last)
                sequence.length += 1
        self._decode(context, batch)
        for line, sequence in wanted.items():
            scores = np.ctypeslib.as_array(self._lib.llama_get_logits_ith(context, line), (self._vocabulary,))
            token = int(scores.argmax())
            sequence.first = sequence.first or time.perf_counter()
            sequence.ids.append(token)
            sequence.pending.append(token)

    def _decode(self, context: Any, batch: Any) -> None:
        code = self._lib.llama_decode(context, batch)
        if code:
            raise RuntimeError(f"llama_decode returned {code} for {batch.n_tokens} tokens")


def _add(batch: Any, token: int, position: int, sequence: int, *, wanted: bool) -> None:
    at = batch.n_tokens
    batch.token[at], batch.pos[at], batch.n_seq_id[at] = token, position, 1
    batch.seq_id[at][0] = sequence
    batch.logits[at] = wanted
    batch.n_tokens += 1
