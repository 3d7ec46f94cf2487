"""What a model is told when a call did not go: the mistake, and what would be right, in the language of the conversation."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Literal

from sadari.schema import Fault, faults
from sadari.types import ToolSpec

Language = Literal["ko", "en"]

MOST_FAULTS = 5

_SAID: dict[str, dict[Language, str]] = {
    "unknown": {
        "ko": "{name}이라는 도구는 없습니다. 쓸 수 있는 도구: {tools}.{close}",
        "en": "There is no tool {name}. Tools you can use: {tools}.{close}",
    },
    "close": {"ko": " 혹시 {name}?", "en": " Did you mean {name}?"},
    "invalid": {
        "ko": "{tool}의 인자가 틀렸습니다: {faults}. 고쳐서 다시 부르세요.",
        "en": "{tool} got wrong arguments: {faults}. Mend them and call again.",
    },
    "required": {"ko": "{path}에 {name}이(가) 빠졌습니다", "en": "{path} lacks {name}"},
    "type": {"ko": "{path}은(는) {expected}이어야 합니다", "en": "{path} has to be {expected}"},
    "enum": {"ko": "{path}은(는) {expected} 중 하나여야 합니다", "en": "{path} has to be one of {expected}"},
    "extra": {"ko": "{message}; 쓸 수 있는 인자: {expected}", "en": "{message}; arguments there are: {expected}"},
    "repeated": {
        "ko": "방금 똑같이 부른 도구입니다. 결과는 같습니다:\n{text}",
        "en": "You have just made this very call. Its result is the same:\n{text}",
    },
    "done": {"ko": "이미 실행한 호출이라 다시 하지 않았습니다.", "en": "This call was already made and is not made again."},
    "refused": {"ko": "허용되지 않는 호출입니다: {reason}", "en": "This call is not allowed: {reason}"},
    "denied": {"ko": "담당자가 승인하지 않았습니다.{reason}", "en": "A person did not approve this.{reason}"},
    "expired": {"ko": "승인 기한이 지나 실행하지 않았습니다.", "en": "The request for approval expired; nothing was done."},
    "edited": {"ko": "담당자가 인자를 고쳐 다시 요청했습니다.", "en": "A person changed the arguments and asked anew."},
    "timeout": {"ko": "{seconds:g}초 안에 끝나지 않았습니다.", "en": "It did not end within {seconds:g} s."},
    "broken": {"ko": "도구가 고장 나 실행하지 못했습니다 ({kind}).", "en": "The tool is broken and did not run ({kind})."},
    "withheld": {
        "ko": "결과를 믿을 수 없어 보여 주지 않습니다: {reason}",
        "en": "The result is withheld, it cannot be trusted: {reason}",
    },
    "cut": {"ko": "\n... ({cut:,}자 생략)", "en": "\n... ({cut:,} characters left out)"},
    "limit": {
        "ko": "호출 수의 한도에 이르렀습니다. 지금까지의 결과로 답하세요.",
        "en": "No more calls may be made. Answer with what you have.",
    },
    "stopped": {"ko": "한도({limit})에 이르러 멈췄습니다.", "en": "Stopped: the limit of {limit} is reached."},
    "failed": {"ko": "답을 만들지 못했습니다.", "en": "No answer could be made."},
    "cancelled": {"ko": "취소되었습니다.", "en": "Cancelled."},
    "today": {"ko": "오늘의 한도({limit})에 이르렀습니다.", "en": "Today's limit ({limit}) is reached."},
}


def say(what: str, language: Language, **values: Any) -> str:
    """One of the sentences above."""
    return _SAID[what][language].format(**values)


def teach_name(name: str, known: Sequence[str], language: Language) -> str:
    """That there is no such tool, which there are, and which is meant."""
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    close = say("close", language, name=near[0]) if near else ""
    return say("unknown", language, name=name[:64], tools=", ".join(known) or "-", close=close)


def teach_arguments(spec: ToolSpec, arguments: Mapping[str, Any], language: Language) -> str:
    """What is wrong with the arguments, field by field; "" if nothing."""
    found = faults(spec.parameters, dict(arguments))
    if not found:
        return ""
    told = "; ".join(dict.fromkeys(_fault(f, spec, language) for f in found[:MOST_FAULTS]))
    return say("invalid", language, tool=spec.name, faults=told)


def cut_to(text: str, most: int, language: Language) -> str:
    """At most so many characters, and how many were left out."""
    return text if len(text) <= most else text[:most] + say("cut", language, cut=len(text) - most)


def _fault(fault: Fault, spec: ToolSpec, language: Language) -> str:
    expected = fault.expected
    if fault.keyword == "required":
        missing = [name for name in expected if repr(name) in fault.message]
        return say("required", language, path=_place(fault, spec), name=", ".join(missing) or fault.message)
    if fault.keyword == "type":
        shown = ", ".join(expected) if isinstance(expected, list) else expected
        return say("type", language, path=fault.path, expected=shown)
    if fault.keyword == "enum":
        return say("enum", language, path=fault.path, expected=", ".join(map(str, expected))[:300])
    if fault.keyword == "additionalProperties" and fault.path == "value":
        return say("extra", language, message=fault.message, expected=", ".join(spec.parameters.get("properties", {})) or "-")
    return f"{fault.path}: {fault.message}"


def _place(fault: Fault, spec: ToolSpec) -> str:
    return spec.name if fault.path == "value" else fault.path
