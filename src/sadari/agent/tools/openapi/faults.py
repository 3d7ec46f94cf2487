"""What a model is told of a call that a service refused: what was wrong with which argument, and what to do."""

from collections.abc import Mapping
from typing import Any, Literal

from sadari.agent.tools.web.wording import say
from sadari.egress import EgressError

Language = Literal["ko", "en"]

_MOST = 400
_NAMES = ("detail", "message", "error_description", "error", "title", "msg", "reason")
_ADVICE = {
    400: ("값을 고쳐 다시 부르세요.", "Mend the arguments and call again."),
    401: ("다시 부르지 말고, 지금은 할 수 없다고 답하세요.", "Do not call again; say that it cannot be done now."),
    403: ("허용되지 않은 일입니다. 다시 부르지 마세요.", "It is not allowed. Do not call again."),
    404: ("그런 것이 없습니다. 번호나 이름을 확인하세요.", "There is no such thing. Check the number or name."),
    409: ("지금 상태에서는 할 수 없습니다. 먼저 상태를 확인하세요.", "It cannot be done in this state. Look at the state first."),
    422: ("값을 고쳐 다시 부르세요.", "Mend the arguments and call again."),
    429: ("너무 잦습니다. 잠시 뒤에 다시 부르세요.", "Too many calls. Wait, then call again."),
}


def explain(status: int, answer: Any, language: Language) -> str:
    """A refusal by status, in words of the service and with what to do.

    Args:
        answer: What the service said, as JSON or as text, without secrets.
    """
    if status >= 500 or status < 400:
        ko = f"서비스에 문제가 있습니다({status}). 나중에 다시 하거나, 지금은 할 수 없다고 답하세요."
        return say(language, ko, f"The service has a problem ({status}). Try later, or say that it cannot be done now.")
    advice = say(language, *_ADVICE.get(status, _ADVICE[400]))
    said = _said(answer)[:_MOST]
    return (
        say(language, f"서비스가 거절했습니다({status}): ", f"The service refused ({status}): ")
        + (f"{said} " if said else "")
        + advice
    )


def _said(answer: Any) -> str:
    """The part of an error that is written for somebody to read: field by field where it is so."""
    if isinstance(answer, str):
        return " ".join(answer.split()) if "<" not in answer[:200] else ""  # a page for a browser says nothing here
    if isinstance(answer, list):
        return "; ".join(text for item in answer[:8] if (text := _said(item)))
    if not isinstance(answer, Mapping):
        return ""
    listed = answer.get("errors")
    found = next((answer[name] for name in _NAMES if isinstance(answer.get(name), (str, list, Mapping)) and answer[name]), "")
    text = _said(found)
    place = answer.get("loc") or answer.get("field") or answer.get("pointer") or answer.get("param")
    if text and place:
        steps = [str(step) for step in place] if isinstance(place, list) else [str(place)]
        inner = steps[1:] if len(steps) > 1 and steps[0] in ("body", "query", "path", "header") else steps
        text = f"{'.'.join(inner)}: {text}"
    more = _errors(listed)
    return f"{text}; {more}" if text and more else text or more


def _errors(listed: Any) -> str:
    """`errors` as a list of objects, or as texts by field."""
    if isinstance(listed, Mapping):
        return "; ".join(f"{name}: {_said(said)}" for name, said in list(listed.items())[:8])
    return _said(listed)


def unreached(error: EgressError, language: Language) -> str:
    """What is told of a service that gave no answer; neither its address nor why."""
    if error.fault == "slow":
        return say(
            language, "서비스가 제때 답하지 않았습니다. 나중에 다시 하세요.", "The service did not answer in time. Try later."
        )
    if error.fault == "address":
        ko = "인자가 너무 길거나 보낼 수 없는 글자가 있습니다. 줄여서 다시 부르세요."
        return say(language, ko, "The arguments are too long, or hold what cannot be sent. Shorten them and call again.")
    if error.fault == "size":
        ko = "서비스의 답이 너무 큽니다. 더 좁은 조건으로 부르세요."
        return say(language, ko, "The answer of the service is too large. Ask for less.")
    ko = "서비스에 연결하지 못했습니다. 나중에 다시 하거나, 지금은 할 수 없다고 답하세요."
    return say(language, ko, "The service could not be reached. Try later, or say that it cannot be done now.")
