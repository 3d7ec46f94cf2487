"""From the names in `ladder:` to rungs."""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from sadari.errors import ConfigError
from sadari.rungs.prompt import PromptConfig, PromptRung
from sadari.rungs.retrieval import RetrievalConfig, RetrievalRung
from sadari.rungs.tune import TuneRung
from sadari.train import TuneConfig
from sadari.types import Rung, Workshop

_MAKERS: dict[str, tuple[type[BaseModel], Callable[[Any, Workshop], Rung]]] = {
    "prompt": (PromptConfig, PromptRung),
    "retrieval": (RetrievalConfig, RetrievalRung),
    "lora": (TuneConfig, lambda config, workshop: TuneRung("lora", config, workshop)),
    "full": (TuneConfig, lambda config, workshop: TuneRung("full", config, workshop)),
}

IMPLEMENTED: tuple[str, ...] = tuple(_MAKERS)
"""The rung names that `ladder:` takes."""


def make_rung(name: str, options: Mapping[str, Any], workshop: Workshop) -> Rung:
    """The rung called `name`, with its options checked.

    Raises:
        ConfigError: If there is no such rung, or an option is misspelt or out of range.
    """
    if name not in _MAKERS:
        raise ConfigError(f"there is no rung {name!r}. This version has: {', '.join(IMPLEMENTED)}.")
    kind, make = _MAKERS[name]
    try:
        return make(kind.model_validate(dict(options)), workshop)
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ConfigError(f"ladder: {name}: {told}. Its options are: {', '.join(kind.model_fields)}.") from error
