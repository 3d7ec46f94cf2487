"""`sadari tune`: one tuning technique by itself, on a task or on a file of rows, with the same measuring as in a climb."""

from pathlib import Path
from typing import Annotated

import typer
import yaml

from sadari.cli.climb import climb_and_show
from sadari.cli.show import errors
from sadari.errors import ConfigError
from sadari.files import write_text

GOAL = "Answer as the examples do."


def tune(
    what: Annotated[Path, typer.Argument(help="Task folder, its sadari.yaml, or a file of rows (.jsonl, .csv, ...).")] = Path("."),
    method: Annotated[
        str, typer.Option(help="A rung that trains: lora, qlora, adapter, prompt_tuning, prefix, ia3, full, ...")
    ] = "lora",
    option: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="An option of the method: rank=8. May be repeated."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Model to tune instead of the task's: mini, a folder, or a name.")] = None,
    goal: Annotated[str, typer.Option(help="For a file of rows: what the system should do, in words.")] = GOAL,
    output: Annotated[
        Path | None, typer.Option(help="For a file of rows: folder of the task that is made of it; by default beside the file.")
    ] = None,
    quick: Annotated[bool, typer.Option(help="A rough run in under two minutes, on few examples.")] = False,
    again: Annotated[bool, typer.Option(help="Tune anew although this very run is finished.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON document.")] = False,
) -> None:
    """Tune by one method, measure before and after on the test set, and say whether it is better.

    It is a climb with one rung: same options, estimate, progress, checkpoints, report and bundle, and the same command goes on
    after a crash. A file of rows becomes a task folder that can be climbed, served and edited later.
    """
    from sadari.run import ClimbOptions
    from sadari.task import load_task

    folder = what if what.is_dir() or what.suffix in (".yaml", ".yml") else _task_of_rows(what, goal, output)
    overrides = {"ladder": [{method: _options(option or [])}], **({} if model is None else {"model": model})}
    climb_and_show(load_task(folder, overrides), ClimbOptions(quick, again, to_the_top=True), json=json)


def _options(given: list[str]) -> dict[str, object]:
    """`rank=8` as YAML would read it.

    Raises:
        ConfigError: If one is no `NAME=VALUE`.
    """
    options: dict[str, object] = {}
    for text in given:
        name, equals, value = text.partition("=")
        try:
            options[name.strip()] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ConfigError(f"--set {text}: the value cannot be read ({str(error).splitlines()[0]}).") from error
        if not equals or not name.strip():
            raise ConfigError(f"--set {text}: write NAME=VALUE, as in --set rank=8.")
    return options


def _task_of_rows(rows: Path, goal: str, output: Path | None) -> Path:
    """A task folder around a file of rows, made if it is not there yet.

    Raises:
        ConfigError: If there is no such file, or the folder holds another task.
    """
    from sadari.task.config import TASK_FILE

    if not rows.is_file():
        raise ConfigError(f"{rows}: there is no such task folder or file of rows.")
    folder = output or rows.with_name(rows.name.split(".")[0] + "-task")
    wanted = {"goal": goal, "examples": {"all": str(rows.resolve())}}
    text = "# Made by `sadari tune`: edit it, then `sadari check` and `sadari climb`.\n"
    text += yaml.safe_dump(wanted, allow_unicode=True, sort_keys=False)
    path = folder / TASK_FILE
    if not path.exists():
        write_text(path, text)
        errors.print(f"task folder: {folder}", markup=False, highlight=False, soft_wrap=True)
    elif yaml.safe_load(path.read_text(encoding="utf-8")).get("examples") != wanted["examples"]:
        raise ConfigError(f"{folder} holds a task of other rows. Tune that folder, or name another: --output FOLDER.")
    return folder
