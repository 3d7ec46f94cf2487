"""sadari, by the engine that `LocalModel` generates with; only end tokens are taken for tokens like others."""

from collections.abc import Sequence
from pathlib import Path

from asked import Asked, Queue, Written
from peer import Setting
from shapes import device


class Sadari:
    """The engine as `LocalModel` sets it up. It is told nothing of what prompts share, nor of the requests to come."""

    def __init__(self, folder: Path, setting: Setting) -> None:
        from sadari.model.local import LocalModel

        self._model = LocalModel(folder, precision="bfloat16" if device() == "cuda" else "float32")

    @property
    def told(self) -> str:
        """How many tokens were guessed ahead."""
        counts = self._model.engine.counts()
        return f"{counts.steps} steps, {counts.guessed} tokens guessed ahead, {counts.right} of them rightly"

    def serve(self, asked: Sequence[Asked]) -> list[Written]:
        """Answer everything: at once as `generate` does, or a step at a time as streams do, each handed in when it comes.

        Raises:
            RuntimeError: If a request fails.
        """
        from sadari.model.engine import Row

        engine, queue = self._model.engine, Queue(asked)
        rows = [Row(one.prompt, limit=one.new_tokens) for one in asked]
        running: list[Row] = []
        if not any(one.at_s for one in asked):
            queue.take(len(asked))
            engine.run(rows)
        while queue or running:
            if not running:
                queue.wait()
            for place in queue.take(len(asked)):
                engine.submit(rows[place])
                running.append(rows[place])
            if running:
                engine.advance(running[0])
            running = [row for row in running if not row.is_done]
        faults = [row.error for row in rows if row.error]
        if faults:
            raise RuntimeError(f"{len(faults)} of {len(rows)} requests failed; the first: {faults[0]}")
        return [queue.written(place, row.out, row.times["first"], row.times["ended"]) for place, row in enumerate(rows)]
