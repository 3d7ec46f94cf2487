"""The `sadari` command, run in the process of the test: what it printed, and its exit code."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple


class Said(NamedTuple):
    """What a command left."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Sadari = Callable[..., Said]
