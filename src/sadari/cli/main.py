"""The `sadari` command: its verbs, and what every verb shares (errors, exit codes, Ctrl-C)."""

import os
import sys
import warnings
from typing import NoReturn

import typer

from sadari.cli import ask, chat, check, climb, compare, doctor, evaluate, gate, index, init, promote, report, tune
from sadari.cli.approvals import approvals
from sadari.cli.backup import backup, restore
from sadari.cli.data import data
from sadari.cli.log import log
from sadari.cli.serve import serve
from sadari.cli.show import errors
from sadari.cli.tools import tools
from sadari.errors import SadariError

INTERRUPTED = 130

app = typer.Typer(
    name="sadari",
    help=(
        "Adapt a small language model to your work and prove that it paid.\n\n"
        "Start with `sadari init mall --template support`, then `sadari check mall` and `sadari climb mall`. "
        "Everything runs on this machine; nothing is sent anywhere unless the task names a remote model.\n\n"
        "Exit codes: 0 done; 1 other errors; 2 the task file or a flag; 3 the data; 4 the model; 5 training; 6 the budget; "
        "7 the run folder or the log; 8 a call that is not allowed; 9 a regression that the gate found; 130 stopped by Ctrl-C."
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="markdown",
)

app.command("init")(init.init)
app.command("check")(check.check)
app.command("climb")(climb.climb)
app.command("tune")(tune.tune)
app.command("index")(index.index)
app.command("ask")(ask.ask)
app.command("chat")(chat.chat)
app.command("eval")(evaluate.evaluate)
app.command("compare")(compare.compare)
app.command("gate")(gate.gate)
app.command("report")(report.report)
app.command("promote")(promote.promote)
app.command("rollback")(promote.rollback)
app.command("doctor")(doctor.doctor)
app.command("backup")(backup)
app.command("restore")(restore)
app.add_typer(data, name="data")
app.add_typer(approvals, name="approvals")
app.add_typer(log, name="log")
app.add_typer(tools, name="tools")
app.add_typer(serve, name="serve")


def main() -> NoReturn:
    """Run the command line; prints errors for people and exits with their code."""
    # Nothing is fetched behind the user's back: a hub name is looked for on this machine unless HF_HUB_OFFLINE=0 is set.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")  # for developers, not for users
    try:
        code = app(standalone_mode=False)  # typer returns the code of an exit, that of Ctrl-C included, instead of raising it
        if code == INTERRUPTED:
            raise KeyboardInterrupt
        sys.exit(code if isinstance(code, int) else 0)
    except typer.Exit as done:
        sys.exit(done.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        errors.print("\nStopped. What is finished is kept: the same command goes on from there.")
        sys.exit(INTERRUPTED)
    except SadariError as error:
        errors.print(f"[bold red]{type(error).__name__}[/]", highlight=False)
        errors.print(str(error), markup=False, highlight=False, soft_wrap=True)
        sys.exit(error.exit_code)
    except Exception as error:
        if hasattr(error, "format_message") and hasattr(error, "exit_code"):  # a misused flag, told by Click
            if told := error.format_message().strip():  # without a verb the help was printed already
                errors.print(told, markup=False, highlight=False)
                errors.print("Say `sadari --help`, or `sadari VERB --help`.", markup=False, highlight=False)
            sys.exit(2)
        raise
