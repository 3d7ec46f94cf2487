"""A JSON Schema that answers are held to, from a file of the task.

Covered and not covered: as for `sadari.schema`. Nor is a file from somebody who wants to harm covered: it is read as part of the
task.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sadari.errors import ConfigError
from sadari.schema import check_schema, worst_fault


@dataclass(frozen=True, slots=True)
class AnswerSchema:
    """A JSON Schema (draft 2020-12) from a file."""

    schema: Any

    @staticmethod
    def read(path: Path) -> "AnswerSchema":
        """The schema in `path`.

        Raises:
            ConfigError: If the file cannot be read, is no JSON Schema, or refers to an address outside itself.
        """
        shown = f"score.json_schema: {path}"
        try:
            schema = json.loads(path.read_text(encoding="utf-8-sig"))
        except OSError as error:
            raise ConfigError(
                f"{shown} cannot be read ({error.strerror}). A path is relative to the folder of sadari.yaml."
            ) from error
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{shown} is no JSON ({error}). Mend the file.") from error
        check_schema(schema, shown)
        return AnswerSchema(schema)

    def fault(self, value: Any) -> str:
        """How `value` breaks the schema, in a few words; "" if it does not."""
        worst = worst_fault(self.schema, value)
        return "" if worst is None else f"{worst.path}: {worst.message}"
