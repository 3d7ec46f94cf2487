"""`transformers`: `generate` on one batch after the other, and its continuous batching."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asked import Asked, Queue, Written
from shapes import device

LIMIT_S = 150.0
"""After so long continuous batching is given up."""


@dataclass(frozen=True, slots=True)
class Setting:
    """How a tool is set up.

    Args:
        rows: Most answers written at once; 0 leaves it to the tool.
        kind: Of the cache: "dynamic" or "static" for `generate`, "unified" or "split" for llama.cpp.
    """

    rows: int = 0
    kind: str = ""

    def __str__(self) -> str:
        return ", ".join([*([f"{self.rows} at once"] if self.rows else []), *([f"{self.kind} cache"] if self.kind else [])])


AS_IT_IS = Setting()


class Generate:
    """A server that hands `generate` what has come since its last batch, padded on the left; each token counts when written."""

    def __init__(self, folder: Path, setting: Setting) -> None:
        self.told = ""
        self._model, self._setting = load(folder), setting

    def serve(self, asked: Sequence[Asked]) -> list[Written]:
        """Answer everything in batches of at most `setting.rows`; a batch is over when its longest answer is."""
        written: list[Written | None] = [None] * len(asked)
        queue = Queue(asked)
        while queue:
            queue.wait()
            places = queue.take(self._setting.rows)
            answers, moments = self._write([asked[place].prompt for place in places], max(asked[p].new_tokens for p in places))
            for place, ids in zip(places, answers, strict=True):
                wanted = asked[place].new_tokens
                written[place] = queue.written(place, ids[:wanted], moments[0], moments[wanted - 1])
        return [one for one in written if one is not None]

    def _write(self, prompts: list[tuple[int, ...]], new_tokens: int) -> tuple[list[list[int]], list[float]]:
        import torch

        width, clock = max(map(len, prompts)), Clock()
        ids = torch.tensor([[0] * (width - len(prompt)) + list(prompt) for prompt in prompts], device=self._model.device)
        seen = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=self._model.device)
        settings = generation_settings(new_tokens, static=self._setting.kind == "static")
        out = self._model.generate(ids, attention_mask=seen, generation_config=settings, streamer=clock)
        return out[:, width:].tolist(), clock.moments


class Clock:
    """A streamer that notes when each token was there."""

    def __init__(self) -> None:
        self.moments: list[float] = []
        self._saw_prompt = False

    def put(self, value: Any) -> None:
        """One more token of every row; the first call brings the prompts."""
        if self._saw_prompt:
            self.moments.append(time.perf_counter())
        self._saw_prompt = True

    def end(self) -> None:
        """Nothing is left to do."""


class Continuous:
    """The continuous batching of `transformers`: pages of the cache shared, finished places refilled."""

    page = 32

    def __init__(self, folder: Path, setting: Setting) -> None:
        self.told = ""
        self._model, self._setting = load(folder), setting

    def serve(self, asked: Sequence[Asked]) -> list[Written]:
        """Answer everything.

        Raises:
            RuntimeError: If it fails, or takes longer than `LIMIT_S`.
        """
        from transformers import ContinuousBatchingConfig

        longest = max(len(one.prompt) + one.new_tokens for one in asked)
        settings = ContinuousBatchingConfig(
            page_size=self.page,
            num_blocks=self._setting.rows * (longest // self.page + 2),
            max_batch_tokens=512,
            max_requests_per_batch=self._setting.rows,
        )
        with self._model.continuous_batching_context_manager(
            generation_config=generation_settings(None), continuous_batching_config=settings, warmup=False, timeout=5
        ) as manager:
            return self._converse(manager, asked)

    def _converse(self, manager: Any, asked: Sequence[Asked]) -> list[Written]:
        queue, began = Queue(asked), time.perf_counter()
        written: dict[int, Written] = {}
        while len(written) < len(asked):
            for place in queue.take(len(asked)):
                one = asked[place]
                manager.add_request(
                    list(one.prompt), request_id=str(place), max_new_tokens=one.new_tokens, record_timestamps=True, eos_token_id=-1
                )
            if len(written) + len(queue) == len(asked):
                queue.wait()  # all that came is answered
                continue
            answer = manager.get_result(timeout=0.002 if queue else 1.0)
            if answer is not None and answer.error:
                raise RuntimeError(f"request {answer.request_id}: {answer.error}")
            if answer is not None and answer.is_finished():
                moments = answer.timestamps
                place = int(answer.request_id)
                written[place] = queue.written(place, answer.generated_tokens, moments[0], moments[-1])
            elif not manager.is_running():
                raise RuntimeError("its thread ended before the answers were written")
            if time.perf_counter() - began > LIMIT_S:
                manager.stop(timeout=5, hard_stop=True)  # otherwise it would answer the rest first
                raise RuntimeError(f"{len(written)} of {len(asked)} answers after {LIMIT_S:.0f} s")
        return [written[place] for place in range(len(asked))]


def load(folder: Path) -> Any:
    """The model in float32 on a CPU, in bfloat16 on an accelerator; end tokens are tokens like others."""
    import torch
    from transformers import AutoModelForCausalLM

    on_accelerator = device() == "cuda"
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16 if on_accelerator else torch.float32)
    model.generation_config.eos_token_id = None
    return model.to(device()).eval()


def generation_settings(new_tokens: int | None, *, static: bool = False, **more: Any) -> Any:
    """Greedy, exactly `new_tokens` long."""
    from transformers import GenerationConfig

    how = {"cache_implementation": "static", "disable_compile": True} if static else {}
    return GenerationConfig(max_new_tokens=new_tokens, do_sample=False, eos_token_id=None, pad_token_id=0, **how, **more)
