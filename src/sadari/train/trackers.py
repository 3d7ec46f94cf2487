"""Trackers that are told what the journal holds: TensorBoard, MLflow, Weights & Biases. Each is imported when it is asked for.

All write into the work folder. Nothing leaves the machine but what the environment asks for, by `MLFLOW_TRACKING_URI` or
`WANDB_MODE`; their reports to their makers are turned off.
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from sadari.errors import ConfigError

EXPERIMENT = "sadari"


class Tracker(Protocol):
    """Where values are sent."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Values of one step, by name."""
        ...

    def flush(self) -> None:
        """What was logged is safe from now on."""
        ...

    def close(self, failed: bool) -> None:
        """The run has ended."""
        ...


def open_trackers(names: Sequence[str], workdir: Path, run: str, after: int) -> list[Tracker]:
    """Open what `report_to` names.

    Args:
        run: Name of the run; a tracker goes on with what it has under the same name.
        after: The step from which the run is continued. What a tracker has of later ones is told again or left out, never twice.

    Raises:
        ConfigError: If the package of one is not installed.
    """
    return [_OPEN[name](workdir, run, after) for name in dict.fromkeys(names)]


class _TensorBoard:
    def __init__(self, workdir: Path, run: str, after: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as missing:
            raise _not_installed("tensorboard", "tensorboard") from missing
        # What a killed process wrote beyond `after` is hidden by the purge.
        self._writer: Any = SummaryWriter(workdir / "tensorboard", purge_step=after + 1 if after else None)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def flush(self) -> None:
        self._writer.flush()

    def close(self, failed: bool) -> None:
        self._writer.close()


class _MLflow:
    MOST = 1000  # metrics that one call takes

    def __init__(self, workdir: Path, run: str, after: int) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        try:
            from mlflow.entities import Metric
            from mlflow.tracking import MlflowClient

            uri = os.environ.get("MLFLOW_TRACKING_URI")
            if uri is None:
                import sqlalchemy  # type: ignore[import-not-found, unused-ignore]  # noqa: F401

                uri = f"sqlite:///{workdir.resolve() / 'mlflow.db'}"
        except ImportError as missing:
            raise _not_installed("mlflow", "mlflow-skinny sqlalchemy alembic") from missing
        self._metric, self._client = Metric, MlflowClient(tracking_uri=uri)
        self._run = self._find(run) or self._begin(workdir, run)
        history = self._client.get_metric_history
        self._known = {name: max((m.step for m in history(self._run, name)), default=0) for name in ("loss", "validation/loss")}
        self._waiting: list[Any] = []

    def _find(self, run: str) -> str | None:
        experiment = self._client.get_experiment_by_name(EXPERIMENT)
        if experiment is None:
            return None
        found = self._client.search_runs([experiment.experiment_id], f"attributes.run_name = '{run}'", max_results=1)
        return found[0].info.run_id if found else None

    def _begin(self, workdir: Path, run: str) -> str:
        experiment = self._client.get_experiment_by_name(EXPERIMENT)
        place = (workdir.resolve() / "mlflow").as_uri()
        number = experiment.experiment_id if experiment else self._client.create_experiment(EXPERIMENT, artifact_location=place)
        begun: str = self._client.create_run(number, run_name=run).info.run_id
        return begun

    def log(self, step: int, values: Mapping[str, float]) -> None:
        kind = "validation/loss" if "validation/loss" in values else "loss"
        if step > self._known[kind]:
            now = int(time.time() * 1000)
            self._waiting += [self._metric(name, value, now, step) for name, value in values.items()]

    def flush(self) -> None:
        while self._waiting:
            self._client.log_batch(self._run, metrics=self._waiting[: self.MOST])
            del self._waiting[: self.MOST]

    def close(self, failed: bool) -> None:
        self.flush()
        self._client.set_terminated(self._run, status="FAILED" if failed else "FINISHED")


class _WandB:
    def __init__(self, workdir: Path, run: str, after: int) -> None:
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        try:
            import wandb  # type: ignore[import-not-found, unused-ignore]
        except ImportError as missing:
            raise _not_installed("wandb", "wandb") from missing
        mode = os.environ.get("WANDB_MODE", "offline")
        # Steps that are told twice are dropped there: they have to rise.
        self._run: Any = wandb.init(project=EXPERIMENT, id=run, name=run, resume="allow", dir=str(workdir), mode=mode)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=step)

    def flush(self) -> None:
        """It writes by itself."""

    def close(self, failed: bool) -> None:
        self._run.finish(exit_code=int(failed))


_OPEN: dict[str, Callable[[Path, str, int], Tracker]] = {"tensorboard": _TensorBoard, "mlflow": _MLflow, "wandb": _WandB}


def _not_installed(name: str, packages: str) -> ConfigError:
    return ConfigError(
        f"report_to: {name} needs packages that are not installed. Run `pip install {packages}`, or take it out: train.jsonl holds "
        "the same values."
    )
