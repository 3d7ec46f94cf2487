"""From the names in `ladder:` to rungs."""

import difflib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from sadari.errors import ConfigError
from sadari.rungs.prompt import PromptConfig, PromptRung
from sadari.rungs.retrieval import RetrievalConfig, RetrievalRung
from sadari.types import Rung, Workshop

if TYPE_CHECKING:
    from sadari.train.methods import Method

_Maker = tuple[type[BaseModel], Callable[[Any, Workshop], Rung]]


def _tuning(method: "Method") -> _Maker:
    from sadari.rungs.tune import TuneRung  # torch: a ladder without tuning does without it
    from sadari.train.config import AdapterConfig, FullConfig, LoraConfig, SoftPromptConfig, TuneConfig

    configs: dict[str, type[TuneConfig]] = {
        "lora": LoraConfig,
        "qlora": LoraConfig,
        "adapter": AdapterConfig,
        "prompt_tuning": SoftPromptConfig,
        "prefix": SoftPromptConfig,
        "ia3": TuneConfig,
        "full": FullConfig,
    }
    return configs[method], lambda config, workshop: TuneRung(method, config, workshop)


def _pretrain() -> _Maker:
    from sadari.rungs.pretrain import PretrainConfig, PretrainRung

    return PretrainConfig, PretrainRung


def _dpo() -> _Maker:
    from sadari.rungs.dpo import DpoRung
    from sadari.train.config import PreferenceConfig

    return PreferenceConfig, DpoRung


def _distil() -> _Maker:
    from sadari.rungs.distil import DistilConfig, DistilRung

    return DistilConfig, DistilRung


def _remote_finetune() -> _Maker:
    from sadari.rungs.remote_finetune import RemoteFinetuneConfig, RemoteFinetuneRung

    return RemoteFinetuneConfig, lambda config, workshop: RemoteFinetuneRung(config, workshop, find_personal=workshop.find_personal)


_MAKERS: dict[str, Callable[[], _Maker]] = {
    "prompt": lambda: (PromptConfig, PromptRung),
    "retrieval": lambda: (RetrievalConfig, RetrievalRung),
    "prompt_tuning": lambda: _tuning("prompt_tuning"),
    "prefix": lambda: _tuning("prefix"),
    "ia3": lambda: _tuning("ia3"),
    "adapter": lambda: _tuning("adapter"),
    "lora": lambda: _tuning("lora"),
    "qlora": lambda: _tuning("qlora"),
    "full": lambda: _tuning("full"),
    "pretrain": _pretrain,
    "dpo": _dpo,
    "distil": _distil,
    "remote_finetune": _remote_finetune,
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


def options_of(name: str) -> type[BaseModel]:
    """The config class of the rung called `name`.

    Raises:
        ConfigError: If there is no such rung.
    """
    if name not in _MAKERS:
        raise ConfigError(f"there is no rung {name!r}. This version has: {', '.join(IMPLEMENTED)}.")
    return _MAKERS[name]()[0]


def check_options(name: str, options: Mapping[str, Any]) -> BaseModel:
    """The options of the rung called `name`, checked; nothing is built.

    Raises:
        ConfigError: As `make_rung`.
    """
    kind = options_of(name)
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
