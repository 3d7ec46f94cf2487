"""The tool `python`: the model's code goes into a sandbox, and what it printed, or a short account of its error, comes back.

Covered: see the sandboxes, `monty` and `bubblewrap`. One of them is chosen in the options, tried when the tool is opened, and never
replaced by another.

Not covered: whether the code computes what was asked.
"""

import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, Field, model_validator

from sadari.agent.tools.code.bubblewrap import open_bubblewrap
from sadari.agent.tools.code.monty import open_monty
from sadari.agent.tools.code.sandbox import Failure, Limits, Sandbox
from sadari.agent.tools.place import Place
from sadari.errors import ConfigError, ToolFailedError
from sadari.types import Caller, Outcome, Tool, ToolSpec, Traits

MOST_CODE = 20_000
_SHOWN_BEFORE_ERROR = 1_000
_SLACK_S = 5.0


class CodeOptions(BaseModel, frozen=True, extra="forbid"):
    """Settings of the tool `python`, as written under `tools:`."""

    sandbox: Literal["monty", "bubblewrap"] = Field(
        "monty",
        description="Sandbox: `monty` starts at once and knows a part of Python; `bubblewrap` has numpy and pandas (Linux).",
    )
    timeout_s: float | None = Field(
        None, gt=0, le=300, description="Seconds that one run may take; 5 for monty and 20 for bubblewrap unless given."
    )
    memory_mb: int | None = Field(
        None, ge=16, le=64_000, description="Memory of one run, in MB; 128 for monty and 1500 for bubblewrap unless given."
    )
    output_chars: int = Field(20_000, ge=100, le=1_000_000, description="Most characters that one run may print.")
    disk_mb: int = Field(32, ge=1, le=10_000, description="Most that one run may write to its work folder in bubblewrap, in MB.")

    @model_validator(mode="before")
    @classmethod
    def _from_short_form(cls, value: Any) -> Any:
        return {"sandbox": value} if isinstance(value, str) else value


_DESCRIPTION = {
    "ko": "파이썬 코드를 격리된 곳에서 실행합니다. print로 출력한 것과 마지막 식의 값이 결과입니다. "
    "파일, 네트워크, 이전 실행의 변수는 없습니다. {modules}",
    "en": "Runs Python code in a sandbox. The result is what it prints and the value of its last expression. "
    "There are no files, no network and no variables of earlier runs. {modules}",
}
_MODULES = {
    "monty": {
        "ko": "쓸 수 있는 모듈: math, re, json, datetime, collections, itertools, random, decimal.",
        "en": "Modules: math, re, json, datetime, collections, itertools, random, decimal.",
    },
    "bubblewrap": {
        "ko": "표준 라이브러리, numpy, pandas를 쓸 수 있습니다.",
        "en": "The standard library, numpy and pandas are there.",
    },
}
_ARGUMENT = {"ko": "실행할 파이썬 코드. 결과는 print로 출력", "en": "Python code; print what you want to see"}

_LIMITS: Mapping[str, Mapping[str, str]] = {
    "time": {
        "ko": "{seconds:g}초 안에 끝나지 않아 중단했습니다. 반복을 줄이거나 더 빠른 방법을 쓰세요.",
        "en": "Stopped: it did not end within {seconds:g} seconds. Loop less, or find a faster way.",
    },
    "memory": {
        "ko": "메모리 {memory} MB를 넘어 중단했습니다. 더 작은 수나 목록을 쓰세요.",
        "en": "Stopped: it needed more than {memory} MB. Use smaller numbers or lists.",
    },
    "output": {
        "ko": "출력이 {output:,}자를 넘어 중단했습니다. 필요한 것만 출력하세요.",
        "en": "Stopped: it printed more than {output:,} characters. Print only what is needed.",
    },
    "died": {
        "ko": "실행기가 도중에 끝났습니다. 코드를 더 단순하게 쓰세요.",
        "en": "The interpreter died under this code. Write it more simply.",
    },
}
_HINTS: Mapping[str, Mapping[str, str]] = {
    "ModuleNotFoundError": {"ko": "{modules}", "en": "{modules}"},
    "ImportError": {"ko": "{modules}", "en": "{modules}"},
    "SyntaxError": {"ko": "이 줄의 문법을 고치세요.", "en": "Mend the syntax of this line."},
    "IndentationError": {"ko": "이 줄의 들여쓰기를 고치세요.", "en": "Mend the indentation of this line."},
    "NotImplementedError": {
        "ko": "이 파이썬에 없는 문법입니다. 상속, yield 없이 함수와 목록으로 쓰세요.",
        "en": "This Python lacks that: write it with functions and lists, without inheritance or yield.",
    },
    "RecursionError": {"ko": "재귀 대신 반복문을 쓰세요.", "en": "Use a loop instead of recursion."},
    "NameError": {
        "ko": "이전 실행의 변수는 남지 않습니다. 필요한 값을 이 코드에 모두 쓰세요.",
        "en": "Nothing is kept from earlier runs: write all values into this code.",
    },
    "PermissionError": {
        "ko": "파일, 네트워크, 다른 프로그램은 쓸 수 없습니다.",
        "en": "Files, the network and other programs are out of reach.",
    },
    "FileNotFoundError": {
        "ko": "사용자의 파일은 여기 없습니다. 값을 코드에 쓰세요.",
        "en": "The user's files are not here: write the values into the code.",
    },
}
_NOTHING = {
    "ko": "(출력 없음: 결과를 보려면 print를 쓰세요.)",
    "en": "(No output: print what you want to see.)",
}


@dataclass(frozen=True, slots=True)
class _Python:
    spec: ToolSpec
    traits: Traits
    sandbox: Sandbox
    limits: Limits
    modules: Mapping[str, str]

    def call(self, arguments: Mapping[str, Any], caller: Caller) -> Outcome:
        code = _bare(str(arguments["code"]))
        try:
            ran = self.sandbox.run(code, caller.now)
        except ConfigError as error:
            raise ToolFailedError(str(error)) from error
        if ran.failure is not None:
            raise ToolFailedError(self._told(ran.failure, code, ran.printed, caller.language))
        return Outcome(ran.printed.rstrip() or _NOTHING[caller.language])

    def _told(self, failure: Failure, code: str, printed: str, language: Literal["ko", "en"]) -> str:
        """The printed text before the error, the error and its line, and what to do."""
        if failure.trouble != "error":
            limits = self.limits
            return _LIMITS[failure.trouble][language].format(
                seconds=limits.seconds, memory=limits.memory // 10**6, output=limits.output
            )
        pieces = [printed.rstrip()[-_SHOWN_BEFORE_ERROR:]] if printed.strip() else []
        pieces.append(f"{failure.kind}: {failure.message[:500]}".removesuffix(": "))
        lines = code.split("\n")
        if 0 < failure.line <= len(lines):
            place = f"{failure.line}번째 줄" if language == "ko" else f"Line {failure.line}"
            pieces.append(f"{place}: {lines[failure.line - 1].strip()[:200]}")
        if hint := _HINTS.get(failure.kind, {}).get(language):
            pieces.append(hint.format(modules=self.modules[language]))
        return "\n".join(pieces)


def _bare(code: str) -> str:
    """The code without the Markdown block or the indentation that models like to put around it."""
    lines = code.strip("\n").split("\n")
    if len(lines) > 2 and lines[0].strip() in ("```", "```python", "```py") and lines[-1].strip() == "```":
        code = "\n".join(lines[1:-1])
    return textwrap.dedent(code)


def open_code(options: CodeOptions, place: Place) -> list[Tool]:
    """The tool `python`, after its sandbox has run a line.

    Its results count as trusted, for they say nothing that the conversation did not say before: what is untrusted there stays so.

    Raises:
        ConfigError: If the sandbox is missing or does not work.
    """
    seconds, memory = _USUAL[options.sandbox]
    seconds, memory = options.timeout_s or seconds, options.memory_mb or memory
    limits = Limits(seconds, memory * 10**6, options.output_chars, options.disk_mb * 10**6)
    sandbox = _OPENED[options.sandbox](limits)
    modules = _MODULES[options.sandbox]
    parameters = {
        "type": "object",
        "properties": {"code": {"type": "string", "description": _ARGUMENT[place.language], "maxLength": MOST_CODE}},
        "required": ["code"],
        "additionalProperties": False,
    }
    description = _DESCRIPTION[place.language].format(modules=modules[place.language])
    traits = Traits(is_idempotent=True, is_trusted=True, timeout_s=seconds + _SLACK_S)
    return [_Python(ToolSpec("python", description, parameters), traits, sandbox, limits, modules)]


_USUAL: Mapping[str, tuple[float, int]] = {"monty": (5.0, 128), "bubblewrap": (20.0, 1_500)}
"""Seconds and MB of one run: importing pandas takes two seconds, and numpy reserves much that it never uses."""

_OPENED: Mapping[str, Callable[[Limits], Sandbox]] = {"monty": open_monty, "bubblewrap": open_bubblewrap}
