"""What an agent can do: one module for each kind of tool, and the opening of the tools that a task declares."""

import importlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from sadari.agent.tools.place import Place
from sadari.errors import ConfigError
from sadari.types import Retriever, Tool

__all__ = ["KINDS", "Place", "close_tools", "open_tools"]

_MODULES = {
    "calculator": "calculator:CalculatorOptions:open_calculator",
    "clock": "clock:ClockOptions:open_clock",
    "code": "code:CodeOptions:open_code",
    "files": "files:FilesOptions:open_files",
    "search": "documents:SearchOptions:open_search",
    "web": "web:WebOptions:open_web",
    "sql": "sql:SqlOptions:open_sql",
    "table": "sql:TableOptions:open_table",
    "openapi": "openapi:OpenApiOptions:open_openapi",
    "python": "functions:PythonOptions:open_functions",
    "mcp": "mcp:McpOptions:open_mcp",
}
"""For each kind, its module in this folder, the class of its options, and the function that opens it."""

KINDS: tuple[str, ...] = tuple(_MODULES)
"""Kinds of tools that a task can declare."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MOST_SHOWN = 80

Declaration = tuple[str, Any]
"""A kind, and what stands behind it in the task file."""


def open_tools(declarations: Sequence[Declaration], place: Place, documents: Retriever | None = None) -> list[Tool]:
    """The tools that a task declares, in their order.

    Args:
        declarations: Kind and options: `("calculator", None)`, `("sql", "data/shop.db")`.
        place: What paths, secrets and language are meant by.
        documents: What the kind `search` looks in.

    Raises:
        ConfigError: If a kind or an option is not known or does not fit, two tools have one name, or a name is none that models
            accept; the message names the declaration. What was opened before is closed.
    """
    opened: list[Tool] = []
    owners: dict[str, str] = {}
    try:
        for kind, options in declarations:
            shown = _shown(kind, options)
            for tool in _opened(kind, options, place, documents):
                opened.append(tool)
                _check_name(tool.spec.name, shown, owners)
    except BaseException:
        close_tools(opened)
        raise
    return opened


def close_tools(tools: Sequence[Tool]) -> None:
    """End the processes and connections that tools hold; what was closed is closed again without harm."""
    for tool in tools:
        close = getattr(tool, "close", None)
        if callable(close):
            with suppress(Exception):  # one that cannot be closed keeps no other one open
                close()


def _opened(kind: str, options: Any, place: Place, documents: Retriever | None) -> list[Tool]:
    if kind not in _MODULES:
        raise ConfigError(f"tools: `{kind}` is no kind of tool.{_did_you_mean(kind, KINDS)} Kinds: {', '.join(KINDS)}.")
    module_name, class_name, function_name = _MODULES[kind].split(":")
    module = importlib.import_module(f"sadari.agent.tools.{module_name}")
    read = _read_options(getattr(module, class_name), {} if options is None else options, f"tools: {kind}")
    open_kind = getattr(module, function_name)
    tools: list[Tool] = open_kind(read, place, documents) if kind == "search" else open_kind(read, place)
    return tools


def _check_name(name: str, shown: str, owners: dict[str, str]) -> None:
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"tools: {shown}: no model accepts the tool name `{name}`. Names have 1 to 64 letters (A-Z, a-z), digits, `_` and `-`."
        )
    if name in owners:
        raise ConfigError(f"tools: two tools are called `{name}`: {owners[name]} and {shown}. Rename one, or leave it out.")
    owners[name] = shown


def _shown(kind: str, options: Any) -> str:
    """A declaration as it stands in the task file, shortened."""
    if options is None:
        return f"`{kind}`"
    text = options if isinstance(options, str) else json.dumps(options, ensure_ascii=False, default=str)
    return f"`{kind}: {text[:_MOST_SHOWN]}{'…' if len(text) > _MOST_SHOWN else ''}`"


# --- options -----------------------------------------------------------------------------------------------------------


def _read_options(model: type[BaseModel], options: Any, where: str) -> BaseModel:
    try:
        return model.model_validate(options)
    except ValidationError as error:
        faults = dict.fromkeys(f"{_named(where, fault['loc'])}: {_fault(model, fault)}" for fault in error.errors())
        raise ConfigError("\n".join(faults)) from error


def _named(where: str, path: Sequence[int | str]) -> str:
    return ".".join((where, *map(str, path)))


def _fault(model: type[BaseModel], fault: Mapping[str, Any]) -> str:
    """What is wrong with one option, and what to write instead."""
    kind, path, value = fault["type"], fault["loc"], fault["input"]
    if kind == "extra_forbidden":
        known = list(dict.fromkeys(_option_names(model)))
        return "is no known option." + (_did_you_mean(str(path[-1]), known) or f" Known: {', '.join(known)}.")
    if kind == "missing":
        return "is missing. Add it."
    if kind == "value_error":
        return f"{fault['ctx']['error']}."
    if kind == "literal_error":
        expected = fault["ctx"]["expected"]
        return f"is {value!r}. Use one of {expected}." + _did_you_mean(str(value), re.findall("'([^']+)'", expected))
    return f"{fault['msg'][0].lower()}{fault['msg'][1:]}, but is {str(value)[:_MOST_SHOWN]!r}."


def _option_names(model: type[BaseModel]) -> Iterator[str]:
    """Names of the options, those of nested ones behind."""
    inner: list[type[BaseModel]] = []
    for name, field in model.model_fields.items():
        yield field.alias or name
        inner += _models(field.annotation)
    for nested in inner:
        yield from _option_names(nested)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


def _did_you_mean(word: str, known: Sequence[str]) -> str:
    close = get_close_matches(word.lower(), known, n=1, cutoff=0.5)
    return f" Did you mean `{close[0]}`?" if close else ""
