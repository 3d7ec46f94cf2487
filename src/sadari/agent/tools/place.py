"""Where tools are opened: what a task file says is meant from here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from sadari.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Place:
    """What the declarations of tools are read against.

    Args:
        folder: Relative paths are meant from here: the folder of the task.
        secrets: Keys and passwords by name, those of the environment; a declaration names a secret, it never holds one.
        language: Of the task, for the descriptions of tools.
    """

    folder: Path
    secrets: Mapping[str, str] = field(default_factory=dict)
    language: Literal["ko", "en"] = "ko"

    def secret(self, name: str, purpose: str) -> str:
        """The secret of that name.

        Raises:
            ConfigError: If there is none.
        """
        if not self.secrets.get(name):
            raise ConfigError(f"{purpose} needs the secret {name}: set the environment variable {name} before you start.")
        return self.secrets[name]

    def path(self, written: str) -> Path:
        """The file or folder that a declaration names."""
        return (self.folder / Path(written).expanduser()).resolve()
