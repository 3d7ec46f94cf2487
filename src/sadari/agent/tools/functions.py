"""Plain Python functions as tools.

    from typing import Annotated
    from sadari import tool

    @tool(effect="write", needs_approval=True)
    def cancel_order(order: Annotated[str, "주문 번호, 예: A-1024"], reason: str = "") -> str:
        '''주문을 취소한다.'''

The schema is made from the type hints, the descriptions from the docstring (`Args:` in the style of Google) or from `Annotated`.
A parameter of type `Caller` is given by the host and never shown to the model.

A function that changes something says with a `ValueError` (or `ToolFailedError`) that it did nothing; after any other exception
nobody knows what it did, and a person is asked before it is called again.

Covered: arguments are converted strictly to the declared types, or refused with the field that is wrong; what an exception says to
the model is one line without stack trace, folders and addresses.

Not covered: what the function itself does. It runs in this process with all its rights; what it says in an exception, or returns,
may hold secrets. `effect` is what its author declares, and nobody checks it.
"""

import hashlib
import importlib.util
import inspect
import json
import re
import sys
import traceback
import typing
from collections.abc import Callable, Mapping
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Annotated, Any, Literal, cast, overload

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model, model_validator
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError
from pydantic_core import PydanticSerializationError, to_json

from sadari.agent.tools.place import Place
from sadari.errors import ConfigError, ToolFailedError, ToolRefusedError
from sadari.types import Caller, Effect, Outcome, Tool, ToolSpec, Traits

MOST_TOLD = 300
"""Characters of an exception's message that the model is told."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_Language = Literal["ko", "en"]


# --- the decorator -----------------------------------------------------------------------------------------------------


class FunctionTool:
    """A function as a tool. It can still be called as the function that it is.

    Raises:
        ConfigError: If name, types or signature cannot be told to a model; names the function and the parameter.
    """

    def __init__(self, function: Callable[..., Any], traits: Traits, name: str = "", description: str = "") -> None:
        self._function = function
        self._traits = traits
        self._where = _where(function)
        told, about = read_docstring(inspect.getdoc(function) or "")
        self._arguments, self._caller = _read_signature(function, self._where, about)
        self._spec = ToolSpec(name or function.__name__, description or told, _schema_of(self._arguments, self._where))
        self.__doc__, self.__name__ = function.__doc__, function.__name__
        if not _NAME.fullmatch(self._spec.name):
            raise ConfigError(
                f'{self._where}: no model accepts the tool name `{self._spec.name}`. Write `@tool(name="...")` with 1 to 64 '
                "letters (A-Z, a-z), digits, `_` or `-`."
            )

    @property
    def spec(self) -> ToolSpec:
        """What the model is told."""
        return self._spec

    @property
    def traits(self) -> Traits:
        """What its author declares."""
        return self._traits

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The function itself, for Python code."""
        return self._function(*args, **kwargs)

    def call(self, arguments: Mapping[str, Any], caller: Caller) -> Outcome:
        """Convert the arguments, call the function, and put what it returns as text; an `Outcome` is handed on as it is.

        Raises:
            ToolFailedError: If an argument does not fit, or the function raises something; if a call may not be repeated, only if
                it raises a `ValueError` or this.
            ToolRefusedError: If the function raises it.
            Exception: What else the function raises, if a call may not be repeated.
        """
        given = self._converted(arguments, caller)
        if self._caller:
            given[self._caller] = caller
        try:
            returned = self._function(**given)
        except (ToolFailedError, ToolRefusedError):
            raise
        except (Exception, SystemExit) as error:
            if not self._traits.may_repeat and type(error) is not ValueError:
                raise
            raise ToolFailedError(f"{self._spec.name}: {told_of(error)}") from error
        return self._outcome(returned, caller.language)

    def _converted(self, arguments: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        try:
            read = self._arguments.model_validate_json(json.dumps(dict(arguments)), strict=True)
        except ValidationError as error:
            names = [field.alias or name for name, field in self._arguments.model_fields.items()]
            raise ToolFailedError(_faults(self._spec.name, names, error, caller.language)) from error
        except (ValueError, TypeError, RecursionError) as error:
            raise ToolFailedError(f"{self._spec.name}: {_NO_JSON[caller.language]}") from error
        return {field.alias or name: getattr(read, name) for name, field in self._arguments.model_fields.items()}

    def _outcome(self, returned: Any, language: _Language) -> Outcome:
        if isinstance(returned, Outcome):
            return returned
        if isinstance(returned, str):
            return Outcome(returned)
        if returned is None:
            return Outcome(_DONE[language])
        try:
            data = json.loads(to_json(returned, inf_nan_mode="strings"))
        except (PydanticSerializationError, ValueError, RecursionError):
            return Outcome(_NO_TEXT[language])  # the call is made all the same
        return Outcome(json.dumps(data, ensure_ascii=False), data)


@overload
def tool(function: Callable[..., Any], /) -> FunctionTool: ...
@overload
def tool(
    *,
    name: str = "",
    description: str = "",
    effect: Effect = "read",
    idempotent: bool = False,
    needs_approval: bool | None = None,
    trusted: bool = False,
    timeout_s: float = 30.0,
    retries: int = 0,
    max_chars: int = 8_000,
) -> Callable[[Callable[..., Any]], FunctionTool]: ...
def tool(
    function: Callable[..., Any] | None = None, /, *, name: str = "", description: str = "", **declared: Any
) -> FunctionTool | Callable[[Callable[..., Any]], FunctionTool]:
    """Make a tool of a function: `@tool`, or `@tool(effect="write", ...)`.

    Args:
        name: What the model calls it; the function's name if not given.
        description: What the model is told; the docstring up to its first section if not given.
        effect: What a call changes: "read" is nothing, "write" can be put back, "irreversible" cannot.
        idempotent: Whether the same call made twice changes no more than made once.
        needs_approval: Whether a person approves every call; None asks for those that change something.
        trusted: Whether what it returns was written by the company or computed here.
        timeout_s, retries, max_chars: As in `Traits`.

    Raises:
        ConfigError: As in `FunctionTool`.
    """
    spelt = {"idempotent": "is_idempotent", "trusted": "is_trusted"}
    traits = Traits(**{spelt.get(key, key): value for key, value in declared.items()})
    if traits.effect not in typing.get_args(Effect):
        raise ConfigError(f'@tool: effect is {traits.effect!r}. Use "read", "write" or "irreversible".')

    def wrap(function: Callable[..., Any]) -> FunctionTool:
        return FunctionTool(function, traits, name, description)

    return wrap(function) if function is not None else wrap


_DONE = {"ko": "완료했습니다.", "en": "Done."}
_NO_JSON = {"ko": "인자를 JSON으로 읽을 수 없습니다.", "en": "the arguments are no JSON."}
_NO_TEXT = {
    "ko": "실행했지만, 결과를 글로 옮길 수 없습니다.",
    "en": "Done, but the result cannot be written as text.",
}


# --- what the model is told when a call fails ------------------------------------------------------------------------------


_FOLDERS = re.compile(r"(?:[A-Za-z]:)?(?:[\\/][^\\/\s:'\"()]+)*[\\/](?=[^\\/\s:'\"()]+\.?\w)")
_ADDRESS = re.compile(r"\b[a-z][a-z0-9+.-]*://\S+")


def told_of(error: BaseException) -> str:
    """One line of an exception: its message, behind its kind unless it is a `ValueError`; addresses and folders are left out."""
    lines = str(error).strip().splitlines()
    line = lines[0][: 4 * MOST_TOLD] if lines else ""
    message = _FOLDERS.sub("", _ADDRESS.sub("…", line))[:MOST_TOLD]
    kind = type(error).__name__
    return message if message and type(error) is ValueError else f"{kind}: {message}" if message else kind


def _faults(name: str, names: list[str], error: ValidationError, language: _Language) -> str:
    shown = [_fault(fault, names, language) for fault in error.errors(include_url=False)[:5]]
    return f"{name}: " + "; ".join(dict.fromkeys(shown))


def _fault(fault: Any, names: list[str], language: _Language) -> str:
    field, kind = ".".join(map(str, fault["loc"])), fault["type"]
    korean = language == "ko"
    if kind == "missing":
        return f"{field}: 꼭 있어야 합니다" if korean else f"{field} is missing"
    if kind == "extra_forbidden":
        known = ", ".join(names)
        return f"{field}: 없는 인자입니다. 있는 인자: {known}" if korean else f"{field} is no argument. Arguments: {known}"
    if kind in ("literal_error", "enum"):
        expected = fault["ctx"]["expected"].replace(" or ", ", ")
        return f"{field}: 다음 중 하나여야 합니다: {expected}" if korean else f"{field} must be one of {expected}"
    given = json.dumps(fault["input"], ensure_ascii=False, default=str)[:60]
    if korean:
        form = _FORMS.get(kind.partition("_")[0])
        return f"{field}: 맞지 않는 값입니다: {given} ({f'형식은 {form}' if form else fault['msg']})"
    return f"{field}: {fault['msg'][0].lower()}{fault['msg'][1:]}, but is {given}"


_FORMS = {
    "string": "문자열",
    "int": "정수",
    "float": "숫자",
    "bool": "참 또는 거짓",
    "list": "목록",
    "dict": "객체",
    "date": "날짜(YYYY-MM-DD)",
    "datetime": "시각(YYYY-MM-DDTHH:MM:SS)",
}


# --- signatures ------------------------------------------------------------------------------------------------------------


class _Arguments(BaseModel):
    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=False, protected_namespaces=())


def _read_signature(function: Callable[..., Any], where: str, about: Mapping[str, str]) -> tuple[type[BaseModel], str]:
    """The arguments as a pydantic model, and the name of the parameter that takes the `Caller`, or ""."""
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        raise ConfigError(f"{where}: a tool is a plain function that returns. Write `def` without `async` and `yield`.")
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except Exception as error:
        raise ConfigError(f"{where}: its types cannot be read ({told_of(error)}). Import what they name.") from error
    fields: dict[str, Any] = {}
    caller = ""
    for number, parameter in enumerate(inspect.signature(function).parameters.values()):
        hint = hints.get(parameter.name)
        if hint is Caller:
            caller = parameter.name
        else:
            _check_parameter(parameter, hint, where)
            default = ... if parameter.default is parameter.empty else parameter.default
            description = _described(hint) or about.get(parameter.name)
            # Under names of our own: a parameter may be called `json`, `copy` or `_x`, which a model cannot have as a field.
            fields[f"argument_{number}"] = (hint, Field(default, alias=parameter.name, description=description))
    try:
        return create_model("Arguments", __base__=_Arguments, **fields), caller
    except (PydanticSchemaGenerationError, PydanticUserError, TypeError) as error:
        raise ConfigError(f"{where}: {_untold(fields, error)}") from error


def _check_parameter(parameter: inspect.Parameter, hint: Any, where: str) -> None:
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
        raise ConfigError(f"{where}: `{parameter}` cannot be told to a model. Name every parameter, with its type.")
    if hint is None:
        raise ConfigError(f"{where}: parameter `{parameter.name}` has no type. Write one, such as `{parameter.name}: str`.")


def _untold(fields: Mapping[str, Any], error: Exception) -> str:
    for hint, field in fields.values():
        try:
            create_model("Argument", __base__=_Arguments, value=(hint, ...))
        except (PydanticSchemaGenerationError, PydanticUserError, TypeError):
            return (
                f"a model cannot give `{field.alias}`, a {getattr(hint, '__name__', hint)}. Use str, int, float, bool, Literal, an "
                "Enum, date, list, dict, a dataclass or a pydantic model."
            )
    return f"{str(error).splitlines()[0]}."


def _described(hint: Any) -> str | None:
    """The first text in `Annotated[type, "text"]`."""
    if typing.get_origin(hint) is not Annotated:
        return None
    return next((note for note in hint.__metadata__ if isinstance(note, str)), None) or next(
        (note.description for note in hint.__metadata__ if getattr(note, "description", None)), None
    )


def _schema_of(arguments: type[BaseModel], where: str) -> dict[str, Any]:
    """What small models need of the schema: no titles, no references where they can be written out, no null where an argument can
    be left out."""
    try:
        schema = arguments.model_json_schema(by_alias=True)
    except (PydanticUserError, ValueError) as error:
        raise ConfigError(f"{where}: {str(error).splitlines()[0]}. Use types that JSON has.") from error
    definitions = schema.pop("$defs", {})
    compact = cast(dict[str, Any], _compact(schema, definitions))
    compact.setdefault("properties", {})
    if '"$ref"' in json.dumps(compact):  # a type that holds itself
        compact["$defs"] = {name: _compact(one, definitions, tuple(definitions)) for name, one in definitions.items()}
    return compact


def _compact(node: Any, definitions: Mapping[str, Any], inside: tuple[str, ...] = ()) -> Any:
    if isinstance(node, list):
        return [_compact(one, definitions, inside) for one in node]
    if not isinstance(node, dict):
        return node
    name = str(node.get("$ref", "")).removeprefix("#/$defs/")
    if name in definitions and name not in inside:
        rest = {key: value for key, value in node.items() if key != "$ref"}
        return _compact({**definitions[name], **rest}, definitions, (*inside, name))
    made = {}
    for key, value in node.items():
        if key == "properties":
            made[key] = {name: _compact(inner, definitions, inside) for name, inner in value.items()}
        elif key in ("default", "const", "enum", "examples"):
            made[key] = value
        elif key not in ("title", "discriminator"):
            made[key] = _compact(value, definitions, inside)
    return _without_null(made)


def _without_null(node: dict[str, Any]) -> dict[str, Any]:
    kept = [one for one in node.get("anyOf", ()) if one != {"type": "null"}]
    if "default" not in node or node["default"] is not None or len(kept) == len(node.get("anyOf", ())):
        return node
    rest = {key: value for key, value in node.items() if key not in ("anyOf", "default")}
    return {**kept[0], **rest} if len(kept) == 1 else {"anyOf": kept, **rest}


_SECTION = re.compile(
    r"(Args|Arguments|Parameters|Returns?|Yields?|Raises|Examples?|Notes?|Attributes|Source|See Also|"
    r"인자|매개변수|반환|예외|예시?)\s*:\s*"
)
_ARGUMENTS = ("Args", "Arguments", "Parameters", "인자", "매개변수")
_ENTRY = re.compile(r"(\*{0,2}[^\W\d]\w*)\s*(?:\([^)]*\))?\s*:\s*(.*)")


def read_docstring(text: str) -> tuple[str, dict[str, str]]:
    """What stands before the first section of a docstring, and the description of each argument."""
    told: list[str] = []
    about: dict[str, str] = {}
    section = name = ""
    indent = 0
    for line in inspect.cleandoc(text).splitlines():
        depth = len(line) - len(line.lstrip())
        if depth == 0 and (heading := _SECTION.fullmatch(line)):
            section, name, indent = heading[1], "", 0
        elif not section:
            told.append(line)
        elif section in _ARGUMENTS and line.strip():
            indent = indent or depth
            entry = _ENTRY.fullmatch(line.strip()) if depth == indent else None
            if entry:
                name = entry[1].lstrip("*")
                about[name] = entry[2]
            elif name:
                about[name] = f"{about[name]} {line.strip()}".strip()
    return "\n".join(told).strip(), about


def _where(function: Callable[..., Any]) -> str:
    code = getattr(function, "__code__", None)
    name = getattr(function, "__name__", repr(function))
    if code is None:
        raise ConfigError(f"@tool: {name} is no function written in Python. Write one that calls it.")
    return f"{Path(code.co_filename).name} line {code.co_firstlineno}: {name}"


# --- loading a file of functions ---------------------------------------------------------------------------------------------


class PythonOptions(BaseModel, frozen=True, extra="forbid"):
    """The kind `python`: `{python: tools.py}`, or a mapping."""

    file: str = Field(min_length=1, description="Python file with functions under `@tool`; relative to the task's folder.")
    only: tuple[str, ...] = Field(default=(), description="Names of the tools that are offered; all of the file if not given.")

    @model_validator(mode="before")
    @classmethod
    def _file(cls, value: Any) -> Any:
        return {"file": value} if isinstance(value, str) else value


def open_functions(options: PythonOptions, place: Place) -> list[Tool]:
    """The tools of a file, in the order in which they stand there. The file is run: it is code of the task's own.

    Raises:
        ConfigError: If the file is missing, fails when it is run (with its line), or has no such tool.
    """
    module = load_module(place.path(options.file), options.file)
    found = {id(value): value for value in vars(module).values() if isinstance(value, FunctionTool)}
    tools = {one.spec.name: one for one in found.values()}
    if not tools:
        raise ConfigError(
            f"{options.file}: no function has `@tool` above it. Write `from sadari import tool`, and `@tool` above one."
        )
    if len(tools) < len(found):
        raise ConfigError(f"{options.file}: two tools have one name. Give one another, with `@tool(name=...)`.")
    missing = [name for name in options.only if name not in tools]
    if missing:
        raise ConfigError(f"{options.file}: no tool is called {', '.join(missing)}. Its tools: {', '.join(tools)}.")
    return [one for name, one in tools.items() if name in (options.only or tools)]


def load_module(path: Path, shown: str) -> ModuleType:
    """Run a Python file under a private name, once as long as it stays as it is.

    Raises:
        ConfigError: If it cannot be read or run; names the file as `shown`, and the line.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{shown}: cannot be read ({error.strerror}). Paths are meant from the task's folder.") from error
    name = f"_sadari_tools_{hashlib.sha256(str(path).encode() + content).hexdigest()[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path, loader=_SourceOnly(name, str(path)))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and postponed annotations look their module up there
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{shown}{_line_in(path, error)}: {type(error).__name__}: {error}. Mend the file.") from error
    return module


class _SourceOnly(SourceFileLoader):
    """Reads no compiled file and leaves none in the task's folder: one of the same second would hide an edit."""

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


def _line_in(path: Path, error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return f" line {error.lineno}" if error.lineno else ""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f" line {lines[-1]}" if lines else ""
