"""One cell of the tables in a process of its own: `python cell.py '{"tool": ...}'` prints one line of JSON.

A process of its own, since the peak of its memory is then that of one tool, and nothing that one tool patched or allocated is left
for the next.
"""

import json
import resource
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from asked import Asked, Engine, Found
from peer import AS_IT_IS, Continuous, Generate, Setting
from shapes import device, source_of
from workloads import WORKLOADS, arriving, asked_of

WARM_SEED, WARM_TOKENS = 10_007, 64
"""Another seed, so that nothing of what is timed is held already; on a CPU so many tokens of a prompt are enough to warm up."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What is timed.

    Args:
        tool: `transformers`, `continuous`, `llama` or `sadari`; `alone` gives the answers each request gets by itself.
        model: A folder; for llama.cpp a GGUF file.
        parts: Requests of each part that is timed, one after the other in the same process.
        rates: For each part, the requests that come in a second; 0 where all are there at the start.
    """

    tool: str
    shape: str
    model: str
    workload: str
    parts: tuple[int, ...]
    rates: tuple[float, ...]
    setting: Setting = AS_IT_IS
    seed: int = 0


def run_cell(cell: Cell) -> list[dict[str, Any]]:
    """A `Found` for each part, as JSON; of `alone` the answers, each an `Alone`."""
    source = source_of(cell.shape)
    workload = WORKLOADS[cell.workload]
    if cell.tool == "alone":
        from alone import answer_alone

        return [asdict(one) for one in answer_alone(Path(cell.model), asked_of(workload, cell.parts[0], source, cell.seed))]
    engine = _engine(cell)
    warm = asked_of(workload, 2 if device() == "cpu" else cell.parts[0], source, WARM_SEED)
    engine.serve([_shortened(one) for one in warm])
    found = []
    for part, (count, rate) in enumerate(zip(cell.parts, cell.rates, strict=True)):
        # A seed of its own for each part: what an earlier part left in a cache is of no use.
        asked = asked_of(workload, count, source, cell.seed + part)
        found.append(_time(engine, arriving(asked, rate, cell.seed + part) if rate else asked))
    return [asdict(one) for one in found]


def peak_bytes() -> int:
    """The most memory this process has held, in bytes."""
    if device() == "cuda":
        import torch

        return int(torch.cuda.max_memory_allocated())
    status = Path("/proc/self/status")
    # getrusage also counts what the process held before it became this program.
    lines = status.read_text().splitlines() if status.exists() else []
    peak = next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), None)
    return 1024 * (peak if peak is not None else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def read_cell(text: str) -> Cell:
    """A cell from its JSON."""
    told = json.loads(text)
    return Cell(**{**told, "setting": Setting(**told["setting"]), "parts": tuple(told["parts"]), "rates": tuple(told["rates"])})


def _engine(cell: Cell) -> Engine:
    if cell.tool == "llama":
        from llama import LlamaCpp

        return LlamaCpp(Path(cell.model), cell.setting)
    if cell.tool == "sadari":
        from ours import Sadari

        return Sadari(Path(cell.model), cell.setting)
    if cell.tool == "continuous":
        return Continuous(Path(cell.model), cell.setting)
    return Generate(Path(cell.model), cell.setting)


def _shortened(one: Asked) -> Asked:
    return replace(one, prompt=one.prompt[-WARM_TOKENS:], new_tokens=3) if device() == "cpu" else replace(one, new_tokens=3)


def _time(engine: Engine, asked: Sequence[Asked]) -> Found:
    written = engine.serve(asked)
    seconds = max(one.at_s + answer.last_s for one, answer in zip(asked, written, strict=True))
    return Found(seconds, tuple(written), peak_bytes(), engine.told)


if __name__ == "__main__":
    print(json.dumps(run_cell(read_cell(sys.argv[1]))))
