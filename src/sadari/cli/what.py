"""What a person may point a verb at: a bundle, a run, a task with a finished climb, or the name of a model."""

from pathlib import Path

from sadari.bundle import SYSTEM_FILE, load_bundle
from sadari.errors import RunError
from sadari.types import System


def system_of(what: str) -> System:
    """The System that `what` stands for.

    Args:
        what: A bundle folder; a run folder (its winner); a task folder (the winner of its newest finished climb); "mini",
            "openai:NAME", or a folder or name of a model, which then answers as it is.

    Raises:
        RunError: If the folder holds none of these.
    """
    from sadari.run import run_folders

    folder = Path(what)
    if (folder / SYSTEM_FILE).is_file():
        return load_bundle(folder)
    if (folder / "best" / SYSTEM_FILE).is_file():
        return load_bundle(folder / "best")
    finished = [run for run in run_folders(folder) if (run / "result.json").is_file()] if folder.is_dir() else []
    if finished:
        return load_bundle(finished[-1] / "best")
    if (folder / "steps").is_dir() or (folder.is_dir() and not (folder / "config.json").is_file()):
        raise RunError(f"{what} holds neither a bundle nor a finished climb. `sadari climb TASK` begins one, or finishes it.")
    return System(model=what)
