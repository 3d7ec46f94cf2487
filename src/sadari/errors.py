"""The error tree, named for who must act.

    SadariError
    ├── ConfigError        the task file or a flag is wrong: edit it
    ├── DataError          a row, a document or a folder is wrong: mend the data
    │   └── LeakError      the test set also stands in train: remove it from train, or set `leaks: drop_train`
    ├── ModelError         a model cannot be loaded, or did not answer
    │   ├── ContextError   the prompt does not fit the model's context
    │   └── BusyError      as many requests wait as may: try again later
    ├── TrainingError      training diverged, or its rows cannot be learnt from
    ├── BudgetError        the money or the time that was set is spent
    ├── RunError           a run folder is damaged, locked by another climb, or not writable
    ├── ToolFailedError    a tool call did not work: the message tells the model how to do better
    └── ToolRefusedError   a tool call that is not allowed, or that nobody approved

Messages say what happened, with which input, and what to do. The command line prints them and exits; the library never does.
"""

from collections.abc import Sequence

MOST_SHOWN = 20
"""How many problems one message lists before it says how many more there are."""


class SadariError(Exception):
    """Base of every error that sadari raises on purpose."""

    exit_code = 1


class ConfigError(SadariError):
    """The task file or a flag is wrong."""

    exit_code = 2


class DataError(SadariError):
    """A row, a document or a folder is wrong.

    Args:
        problems: One line each, `file line N: field: what. remedy`; all that were found. The message shows the first 20.
    """

    exit_code = 3

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems = (problems,) if isinstance(problems, str) else tuple(problems)
        shown = list(self.problems[:MOST_SHOWN])
        if len(self.problems) > MOST_SHOWN:
            shown.append(f"... and {len(self.problems) - MOST_SHOWN} more problems of this kind.")
        super().__init__("\n".join(shown))


class LeakError(DataError):
    """Test examples also stand in train."""


class ModelError(SadariError):
    """A model cannot be loaded, or did not answer."""

    exit_code = 4


class ContextError(ModelError):
    """The prompt does not fit the model's context."""


class BusyError(ModelError):
    """As many requests wait as may."""


class TrainingError(SadariError):
    """Training diverged, or its rows cannot be learnt from."""

    exit_code = 5


class BudgetError(SadariError):
    """The money or the time that was set is spent."""

    exit_code = 6


class RunError(SadariError):
    """A run folder is damaged, locked by another climb, or not writable."""

    exit_code = 7


class ToolFailedError(SadariError):
    """A tool call did not work. The message is for the model, in the language of the conversation."""

    exit_code = 10


class ToolRefusedError(SadariError):
    """A tool call that is not allowed, or that nobody approved."""

    exit_code = 8
