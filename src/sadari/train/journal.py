"""The log of a run, `train.jsonl`: a line for the run, for each step, and for each look at validation. Lines are only added.

A resumed run goes through the steps after its checkpoint again; those that stand in the log already are not logged again.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Literal

from sadari.errors import RunError
from sadari.train.trackers import Tracker

Kind = Literal["step", "look"]

LONGEST = 2**16
"""Bytes of a line; what is longer is none of ours."""


class Journal:
    """The log, and the trackers that hear the same.

    Args:
        path: The file; made if it is absent. A last line that a crash left unfinished is taken away. None logs nothing.
        head: What the run is; a line of its own wherever another run begins. `run` names it.
        trackers: Told of every step from now on.

    Raises:
        RunError: If the file is damaged or cannot be written; names it.
    """

    def __init__(
        self, path: Path | None = None, head: Mapping[str, str | int | float] | None = None, trackers: Sequence[Tracker] = ()
    ) -> None:
        self._trackers = trackers
        self._logged: dict[str, int] = {}
        self.seconds = 0.0
        self._file: BinaryIO | None = None
        if path is None or head is None:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab+")
        except OSError as error:
            raise _cannot_write(path, error) from error
        if self._read(self._file) != head["run"]:
            self._logged, self.seconds = {}, 0.0
            self._append({"kind": "run", **head})

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._file is not None:
            self._file.close()
        for tracker in self._trackers:
            tracker.close(failed=kind is not None)

    def log(self, kind: Kind, step: int, values: Mapping[str, float]) -> None:
        """Log one step or look, unless it was logged before a crash.

        Raises:
            RunError: If the file cannot be written; names it.
        """
        if step > self._logged.get(kind, 0):
            self._logged[kind] = step
            self._append({"kind": kind, "step": step, **values})
        named = values if kind == "step" else {f"validation/{name}": value for name, value in values.items()}
        for tracker in self._trackers:
            tracker.log(step, named)

    def flush(self) -> None:
        """Trackers too hold what was logged; called before each checkpoint, behind which nothing is told again."""
        for tracker in self._trackers:
            tracker.flush()

    def _read(self, file: BinaryIO) -> str | None:
        """Take up where the log ends; returns the name of its last run."""
        run, whole = None, 0
        file.seek(0)
        for number, line in enumerate(iter(lambda: file.readline(LONGEST), b""), 1):
            if not line.endswith(b"\n") and len(line) < LONGEST:
                break
            whole += len(line)
            try:
                entry = json.loads(line)
                if entry["kind"] == "run":
                    run, self._logged, self.seconds = entry["run"], {}, 0.0
                else:
                    self._logged[entry["kind"]] = int(entry["step"])
                    self.seconds = float(entry.get("seconds", self.seconds))
            except (ValueError, KeyError, TypeError) as error:
                raise RunError(f"{file.name} line {number} is damaged ({error!r}). Move the file away and run again.") from error
        file.truncate(whole)
        return run

    def _append(self, entry: Mapping[str, str | int | float]) -> None:
        if self._file is None:
            return
        # JSON has no NaN.
        plain = {key: None if isinstance(v, float) and not math.isfinite(v) else v for key, v in entry.items()}
        try:
            self._file.write(json.dumps(plain, ensure_ascii=False).encode() + b"\n")
            self._file.flush()  # to the system, where a killed process cannot lose it
        except OSError as error:
            raise _cannot_write(Path(self._file.name), error) from error


def _cannot_write(path: Path, error: OSError) -> RunError:
    why = error.strerror or str(error)
    return RunError(f"{path} cannot be written: {why}. Free space or mend the folder, then run the same command again.")
