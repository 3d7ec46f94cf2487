"""Checkpoints of a run: whole or absent, told apart from damaged ones, and refused where they belong to another run.

A folder `checkpoint-<step>` holds the trained weights and the moments of the optimiser as safetensors, where the run stands and
whose it is as JSON, and `complete.json`, written last: size and SHA-256 of the others. `last` and `best` point to two of them.
Since every look at validation is followed by a checkpoint, the weights of the best look stand in one.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from sadari.errors import RunError
from sadari.files import read_json, to_json, whole_folder, write_text

KEPT = 2
"""The newest so many stay, besides the best: if the last is damaged, the one before it serves."""

MARK = "complete.json"
WEIGHTS, MOMENTS, POSITION, RUN = "weights.safetensors", "moments.safetensors", "position.json", "run.json"
FILES = (WEIGHTS, MOMENTS, POSITION, RUN)

MOST_DIFFERENCES = 5
"""How many differences between two runs a message lists."""

ScoredLook = tuple[int, float, float]
"""Step, score (higher is better), loss in nats."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a run stands after a step, but for its tensors.

    Args:
        step: Steps done; also the position in the data, whose order follows from the seed.
        losses: Of each step.
        looks: All looks at validation so far.
        tokens_before, tokens_computed: Of the rows in full, and after sharing.
        seconds: Spent so far.
        packed_tokens: The budget, where it was halved because memory ran out.
        random: Where the random numbers stand.
    """

    step: int
    losses: tuple[float, ...]
    looks: tuple[ScoredLook, ...]
    tokens_before: int
    tokens_computed: int
    seconds: float
    packed_tokens: int | None
    random: dict[str, Any]


def best_look(looks: Sequence[ScoredLook]) -> ScoredLook:
    """The look of the highest score; of equal ones that of the lowest loss, of equal ones the later."""
    return max(looks, key=lambda look: (look[1], -look[2], look[0]))


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: Where they stand.
        identity: What the run is: its plan, settings, rows and trained parameters, as JSON values. One of another is refused.
        tell: Hears which are skipped.
    """

    folder: Path
    identity: Mapping[str, Any]
    tell: Callable[[str], None] = field(default=lambda line: None)

    def newest(self) -> int | None:
        """The step of the newest complete checkpoint; None if there is none. Others are named and skipped.

        Raises:
            RunError: If it belongs to another run; says what differs.
        """
        self._sweep()
        for step in reversed(self._steps()):
            fault = _fault(self._path(step)) or self._fault_of_position(step)
            if fault:
                self.tell(f"{self._path(step)} is skipped: {fault}")
                continue
            self._check_identity(step)
            self._link(self.position(step))
            return step
        return None

    def position(self, step: int) -> Position:
        """Where the run stood after this step."""
        return read_json(self._path(step) / POSITION, Position)

    def weights(self, step: int) -> dict[str, Tensor]:
        """The trained weights after this step, by name, on the CPU."""
        return _load(self._path(step) / WEIGHTS)

    def moments(self, step: int) -> dict[str, Tensor]:
        """What the optimiser held after this step."""
        return _load(self._path(step) / MOMENTS)

    def write(self, position: Position, weights: Mapping[str, Tensor], moments: Mapping[str, Tensor]) -> None:
        """Write one, point `last` and `best`, and remove those that are no longer needed.

        Raises:
            RunError: If the disk is full or the folder cannot be written; names the path.
        """
        from safetensors.torch import save_file

        with whole_folder(self._path(position.step)) as draft:
            for name, tensors in ((WEIGHTS, weights), (MOMENTS, moments)):
                save_file({key: tensor.detach().contiguous() for key, tensor in tensors.items()}, draft / name)
            write_text(draft / POSITION, to_json(position))
            write_text(draft / RUN, json.dumps(self.identity))
            write_text(draft / MARK, json.dumps({name: _seal(draft / name) for name in FILES}))
        self._link(position)
        self._prune(position)

    # --- which there are ---------------------------------------------------------------------------------------------

    def _path(self, step: int) -> Path:
        return self.folder / f"checkpoint-{step}"

    def _steps(self) -> list[int]:
        numbers = (path.name.removeprefix("checkpoint-") for path in self.folder.glob("checkpoint-*") if path.is_dir())
        return sorted(int(number) for number in numbers if number.isdecimal())

    def _fault_of_position(self, step: int) -> str:
        """Why a run cannot go on from it, though its files are whole: the weights of its best look cannot be had."""
        try:
            position = self.position(step)
        except RunError as error:
            return str(error)
        if position.step != step:
            return f"it holds step {position.step}"
        best = best_look(position.looks)[0] if position.looks else step
        fault = "" if best == step else _fault(self._path(best))
        return fault and f"its best look is {self._path(best).name}, and there {fault}"

    def _check_identity(self, step: int) -> None:
        path = self._path(step)
        found = differences(read_json(path / RUN, dict[str, Any]), self.identity)
        if found:
            more = f", and {len(found) - MOST_DIFFERENCES} more" if len(found) > MOST_DIFFERENCES else ""
            raise RunError(
                f"{path} belongs to another run: {'; '.join(found[:MOST_DIFFERENCES])}{more}. To go on with it, train as it was "
                f"begun; to begin anew, delete the checkpoints in {self.folder}."
            )

    # --- what stands beside ------------------------------------------------------------------------------------------

    def _link(self, position: Position) -> None:
        targets = {"last": position.step}
        if position.looks:
            targets["best"] = best_look(position.looks)[0]
        for name, step in targets.items():
            draft = self.folder / f".{name}.{os.getpid()}.link"
            try:
                draft.unlink(missing_ok=True)
                draft.symlink_to(self._path(step).name, target_is_directory=True)
                draft.replace(self.folder / name)
            except OSError as error:  # some file systems have none; nothing here reads them
                self.tell(f"{self.folder / name} cannot point to {self._path(step).name}: {error.strerror}")

    def _prune(self, position: Position) -> None:
        done = [step for step in self._steps() if step <= position.step]
        kept = {*done[-KEPT:], best_look(position.looks)[0] if position.looks else position.step}
        for step in set(self._steps()) - kept:  # those of later steps are damaged: an earlier one was taken
            draft = self.folder / f".checkpoint-{step}.{os.getpid()}.tmp"
            with suppress(OSError):
                self._path(step).rename(draft)
            shutil.rmtree(draft, ignore_errors=True)

    def _sweep(self) -> None:
        """Remove what a killed process left half done."""
        for draft in self.folder.glob(".checkpoint-*.tmp"):
            shutil.rmtree(draft, ignore_errors=True)
        for link in self.folder.glob(".*.link"):
            link.unlink(missing_ok=True)


def differences(was: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between two runs, one phrase for each value."""
    before, after = _flat(was), _flat(now)
    return [
        f"{key} was {before.get(key, 'absent')} and is {after.get(key, 'absent')}"
        for key in sorted({*before, *after})
        if before.get(key) != after.get(key)
    ]


def _flat(values: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{above}{key} ") if isinstance(value, Mapping) else {above + key: value}
    return flat


def _fault(path: Path) -> str:
    """Why a checkpoint is not complete; "" if it is."""
    try:
        sealed = read_json(path / MARK, dict[str, tuple[int, str]])
    except RunError as error:
        return str(error) if (path / MARK).exists() else f"it has no {MARK}"
    for name in FILES:
        if not (path / name).is_file():
            return f"it has no {name}"
        if name not in sealed or _seal(path / name) != sealed[name]:
            return f"{name} is not as it was written"
    return ""


def _seal(path: Path) -> tuple[int, str]:
    """Size in bytes, and SHA-256."""
    with path.open("rb") as file:
        return path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()


def _load(path: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    tensors: dict[str, Tensor] = load_file(path)
    return tensors
