"""Trackers, where their packages are installed; and what is said where they are not."""

import builtins
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sadari.errors import ConfigError
from sadari.train.trackers import open_trackers


def has(*packages: str) -> bool:
    return all(importlib.util.find_spec(package) is not None for package in packages)


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Take a package away."""

    def take(package: str) -> None:
        real = builtins.__import__

        def load(name: str, *args: Any, **kwargs: Any) -> Any:
            if name.split(".")[0] == package or (name == "torch.utils.tensorboard" and package == "tensorboard"):
                raise ImportError(f"No module named {package!r}")
            return real(name, *args, **kwargs)

        monkeypatch.setattr(builtins, "__import__", load)

    return take


@pytest.mark.parametrize(("name", "package"), [("tensorboard", "tensorboard"), ("mlflow", "mlflow-skinny"), ("wandb", "wandb")])
def test_a_tracker_that_is_not_installed_is_named_with_its_package(
    name: str, package: str, without: Callable[[str], None], tmp_path: Path
) -> None:
    without(name)
    with pytest.raises(ConfigError, match=rf"report_to: {name} needs .* Run `pip install {package}.*or take it out: train\.jsonl"):
        open_trackers([name], tmp_path, "run", 0)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_opened_where_nothing_is_asked_for(tmp_path: Path) -> None:
    assert open_trackers([], tmp_path, "run", 0) == []


@pytest.mark.slow  # its import takes seconds
@pytest.mark.skipif(not has("tensorboard"), reason="tensorboard is not installed")
def test_tensorboard_shows_each_step_once_after_a_crash(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (first,) = open_trackers(["tensorboard"], tmp_path, "run", 0)
    for step in (1, 2, 3):
        first.log(step, {"loss": 1.0 * step})
    first.flush()  # and then it is killed; its checkpoint was at step 2
    (second,) = open_trackers(["tensorboard"], tmp_path, "run", 2)
    for step in (3, 4):
        second.log(step, {"loss": 1.0 * step, "validation/score": 0.5})
    second.close(failed=False)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0)]
    assert [event.step for event in events.Scalars("validation/score")] == [3, 4]


@pytest.mark.slow
@pytest.mark.parametrize("store", ["sqlite", "file"])
@pytest.mark.skipif(not has("mlflow"), reason="mlflow is not installed")
def test_mlflow_holds_each_step_once_after_a_crash_and_under_one_run(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if store == "sqlite" and not has("sqlalchemy", "alembic"):
        pytest.skip("sqlalchemy and alembic are not installed")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    if store == "file":  # as a server would be, by the environment
        uri = (tmp_path / "store").as_uri()
        monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    (first,) = open_trackers(["mlflow"], tmp_path, "one", 0)
    for step in (1, 2, 3):
        first.log(step, {"loss": 1.0 * step})
    first.log(2, {"validation/score": 0.25, "validation/loss": 2.0})
    first.flush()
    (second,) = open_trackers(["mlflow"], tmp_path, "one", 2)
    for step in (3, 4):
        second.log(step, {"loss": 1.0 * step})
    second.log(4, {"validation/score": 0.5, "validation/loss": 1.0})
    second.close(failed=False)

    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("sadari")
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.info.status) == ("one", "FINISHED")
    history = {name: client.get_metric_history(run.info.run_id, name) for name in ("loss", "validation/score")}
    assert sorted((m.step, m.value) for m in history["loss"]) == [(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0)]
    assert sorted((m.step, m.value) for m in history["validation/score"]) == [(2, 0.25), (4, 0.5)]


@pytest.mark.parametrize(("asked", "mode"), [(None, "offline"), ("online", "online"), ("disabled", "disabled")])
def test_wandb_stays_offline_unless_the_environment_says_otherwise(
    asked: str | None, mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for the package keeps what it is told."""
    told: list[Any] = []
    run = SimpleNamespace(log=lambda values, step: told.append((step, values)), finish=lambda exit_code: told.append(exit_code))
    stand_in = SimpleNamespace(init=lambda **settings: (told.append(settings), run)[1])
    monkeypatch.setitem(sys.modules, "wandb", stand_in)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    if asked is not None:
        monkeypatch.setenv("WANDB_MODE", asked)
    (tracker,) = open_trackers(["wandb"], tmp_path, "run", 0)
    tracker.log(1, {"loss": 2.0})
    tracker.close(failed=True)
    assert (told[0]["mode"], told[0]["dir"], told[0]["id"], told[0]["resume"]) == (mode, str(tmp_path), "run", "allow")
    assert told[1:] == [(1, {"loss": 2.0}), 1]
