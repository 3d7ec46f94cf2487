"""From the names in `ladder:` to rungs."""

import difflib
from collections.abc import Callable, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from sadari.errors import ConfigError
from sadari.rungs.prompt import PromptConfig, PromptRung
from sadari.rungs.retrieval import RetrievalConfig, RetrievalRung
from sadari.types import Rung, Workshop

_Maker = tuple[type[BaseModel], Callable[[Any, Workshop], Rung]]


def _tuning(method: Literal["lora", "full"]) -> _Maker:
    from sadari.rungs.tune import TuneRung  # torch: a ladder without tuning does without it
    from sadari.train import TuneConfig

    return TuneConfig, lambda config, workshop: TuneRung(method, config, workshop)


_MAKERS: dict[str, Callable[[], _Maker]] = {
    "prompt": lambda: (PromptConfig, PromptRung),
    "retrieval": lambda: (RetrievalConfig, RetrievalRung),
    "lora": lambda: _tuning("lora"),
    "full": lambda: _tuning("full"),
}

IMPLEMENTED: tuple[str, ...] = tuple(_MAKERS)
"""The rung names that `ladder:` takes."""


def make_rung(name: str, options: Mapping[str, Any], workshop: Workshop) -> Rung:
    """The rung called `name`, with its options checked.

    Raises:
        ConfigError: If there is no such rung, or an option is misspelt or out of range.
    """
    config = check_options(name, options)
    return _MAKERS[name]()[1](config, workshop)


def check_options(name: str, options: Mapping[str, Any]) -> BaseModel:
    """The options of the rung called `name`, checked; nothing is built.

    Raises:
        ConfigError: As `make_rung`.
    """
    if name not in _MAKERS:
        raise ConfigError(f"there is no rung {name!r}. This version has: {', '.join(IMPLEMENTED)}.")
    kind = _MAKERS[name]()[0]
    try:
        return kind.model_validate(dict(options))
    except ValidationError as error:
        told = "; ".join(_fault(detail, kind) for detail in error.errors())
        raise ConfigError(f"ladder: {name}: {told} Its options are: {', '.join(kind.model_fields)}.") from error


def _fault(detail: Any, kind: type[BaseModel]) -> str:
    where = ".".join(map(str, detail["loc"]))
    if detail["type"] == "extra_forbidden":
        close = difflib.get_close_matches(where, kind.model_fields, n=1)
        return f"{where}: is no known option." + (f" Did you mean `{close[0]}`?" if close else "")
    return f"{where}: {detail['msg'][0].lower()}{detail['msg'][1:]}, but is {detail['input']!r}."
