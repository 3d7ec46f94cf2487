"""One cell of the table in a process of its own: `python cell.py '{"tool": ...}'` prints one line of JSON.

A process of its own, since the peak of its memory is then that of one tool, and nothing that one tool patched or allocated is left
for the next.
"""

import json
import resource
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from ours import sadari_steps
from peer import DEFAULT, Setting, peer_steps
from recipe import Found, Recipe, Timed
from shapes import attach_lora, build_model, device
from workloads import WORKLOADS, rows_of


@dataclass(frozen=True, slots=True)
class Cell:
    """What is timed.

    Args:
        tool: `trl` or `sadari`.
        rows: Of one optimiser step.
        steps: At most so many are timed, after the warm-up.
        budget_s: No step is begun after so many seconds of timed steps.
    """

    tool: str
    shape: str
    workload: str
    rows: int
    steps: int
    budget_s: float
    setting: Setting = DEFAULT
    seed: int = 0


def run_cell(cell: Cell) -> Found:
    """Warm up, then train on the cell's rows.

    The warm-up computes the shapes that are timed (for TRL one micro-batch, which is what it computes at once; for sadari a step)
    at a learning rate of 0, so that every tool starts its timed steps from the same weights.
    """
    model = attach_lora(build_model(cell.shape, cell.seed), cell.seed)
    rows = rows_of(WORKLOADS[cell.workload], cell.rows * cell.steps, model.config.vocab_size, cell.seed)
    batches = [rows[at : at + cell.rows] for at in range(0, len(rows), cell.rows)]
    warm, recipe = Recipe(0.0), Recipe(2e-4, "constant", budget_s=cell.budget_s)
    if cell.tool == "trl":
        peer_steps(model, [batches[0][: cell.setting.micro_rows]], warm, cell.setting)
        timed = peer_steps(model, batches, recipe, cell.setting)
    else:
        sadari_steps(model, batches[:1], warm)
        timed = sadari_steps(model, batches, recipe)
    return _found(timed)


def _found(timed: Timed) -> Found:
    return Found(timed.seconds, timed.losses, peak_bytes())


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
    return Cell(**{**told, "setting": Setting(**told["setting"])})


if __name__ == "__main__":
    print(json.dumps(asdict(run_cell(read_cell(sys.argv[1])))))
