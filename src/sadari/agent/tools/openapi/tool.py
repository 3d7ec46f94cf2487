"""One operation of an API as a tool.

Covered: requests go to the one service and nowhere else; what the host adds (secrets, who asks, the key against repetition) is no
argument, and secrets are taken out of whatever comes back; a call that may have changed something and whose end nobody saw says
so; results are marked where orders to a model are found, unless the service is trusted.

Not covered: a service that gives a secret back in a spelling of its own; one that ignores the key against repetition.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from sadari.agent.tools.openapi.answers import Paths, Secrets, fitted, kept
from sadari.agent.tools.openapi.endpoint import ArgumentError, Endpoint, Filled, fill
from sadari.agent.tools.openapi.faults import explain, unreached
from sadari.agent.tools.web.wording import orders_note, say
from sadari.egress import Ask, Caps, Egress, EgressError, Reply, parse_address, send
from sadari.errors import SadariError, ToolFailedError, ToolRefusedError
from sadari.types import Caller, Outcome, ToolSpec, Traits

DEEPEST = 64
"""Levels of an answer that is read as JSON; a deeper one is text."""

NOT_DONE = (501, 503)
"""Of the statuses from 500 on, those that say that nothing was done."""


class UnknownEndError(SadariError):
    """A call that may have had its effect: the request was sent, and nobody saw how it ended.

    It is no `ToolFailedError`: to the loop the call is then unknown, or made again with the same key where that does no harm.
    """

    exit_code = 10


@dataclass(frozen=True, slots=True)
class Service:
    """The service behind the operations.

    Args:
        base_url: Without a slash at its end.
        headers, query: What the host adds to every request; they hold secrets.
        secrets: What is taken out of answers.
        user: The parameter that is filled with who asks; "" for none.
        key_header: The header that carries the key against repetition.
    """

    base_url: str
    egress: Egress
    caps: Caps
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: Secrets = field(default_factory=Secrets)
    user: str = ""
    key_header: str = "Idempotency-Key"

    def send(self, endpoint: Endpoint, filled: Filled, caller: Caller) -> Reply:
        """What it answers.

        Raises:
            EgressError: If it gives no answer.
        """
        joint = "&" if "?" in filled.target else "?"
        address = self.base_url + filled.target + (f"{joint}{urlencode(self.query)}" if self.query else "")
        if parse_address(address).origin != parse_address(self.base_url).origin:
            raise EgressError("host", "the address of the call leaves the service.")
        headers = {"Accept": "application/json", **filled.headers}
        if caller.key and endpoint.operation.method not in ("get", "head"):
            headers[self.key_header] = caller.key
        if self.user and not any(slot.key.lower() == self.user.lower() for slot in endpoint.slots):
            headers[self.user] = caller.user
        ask = Ask(address, endpoint.operation.method.upper(), {**headers, **self.headers}, filled.body)
        return send(ask, self.egress, self.caps)


class ApiTool:
    """The tool of one operation.

    Args:
        paths: The parts of a response that are shown; {} shows all.
    """

    def __init__(self, endpoint: Endpoint, service: Service, spec: ToolSpec, traits: Traits, paths: Paths) -> None:
        self._endpoint, self._service, self._paths = endpoint, service, paths
        self.spec, self.traits = spec, traits

    def call(self, arguments: Mapping[str, Any], caller: Caller) -> Outcome:
        """Make the request.

        Raises:
            ToolFailedError: If the service refuses or cannot be reached.
            UnknownEndError: If it may have acted.
            ToolRefusedError: If nobody knows for whom the call is.
        """
        filled = self._filled(arguments, caller)
        try:
            reply = self._service.send(self._endpoint, filled, caller)
        except EgressError as error:
            # Its message may hold the whole address, and that a secret: it goes no further.
            raise self._unanswered(error, caller) from None
        if 200 <= reply.status < 300:
            return self._outcome(reply, caller)
        if reply.status >= 500 and reply.status not in NOT_DONE and self.traits.effect != "read":
            raise UnknownEndError(_unseen(caller))
        raise ToolFailedError(explain(reply.status, self._service.secrets.without(_value(reply)), caller.language))

    def _filled(self, arguments: Mapping[str, Any], caller: Caller) -> Filled:
        user = self._service.user
        if user and not caller.user:
            korean = "누구를 위한 요청인지 몰라 부를 수 없습니다. 로그인이 필요하다고 답하세요."
            raise ToolRefusedError(say(caller.language, korean, "Nobody knows for whom this is. Say that signing in is needed."))
        try:
            return fill(self._endpoint, arguments, {user: caller.user} if user else {})
        except ArgumentError as error:
            korean = f"`{error.name}`: 여기에 쓸 수 없는 값입니다. 번호나 이름만 쓰세요(빗금, `..`, 줄바꿈 없이)."
            english = (
                f"`{error.name}`: this value cannot be used here. Write only a number or name, without slashes, `..` or line ends."
            )
            raise ToolFailedError(say(caller.language, korean, english)) from error
        except UnicodeError:  # half a character, which a model can write in JSON
            korean = "인자에 보낼 수 없는 글자가 있습니다. 지우고 다시 부르세요."
            english = "The arguments hold a character that cannot be sent. Remove it and call again."
            raise ToolFailedError(say(caller.language, korean, english)) from None

    def _unanswered(self, error: EgressError, caller: Caller) -> SadariError:
        if error.was_sent and self.traits.effect != "read":
            return UnknownEndError(_unseen(caller))
        if error.fault in ("host", "private"):
            korean = "이 서비스의 주소가 허용된 곳이 아닙니다. 다시 부르지 마세요."
            return ToolRefusedError(say(caller.language, korean, "The address of the service is not allowed. Do not call again."))
        return ToolFailedError(unreached(error, caller.language))

    def _outcome(self, reply: Reply, caller: Caller) -> Outcome:
        value = kept(self._service.secrets.without(_value(reply)), self._paths)
        if value is None or value == "":
            return Outcome(say(caller.language, "처리되었습니다. 답에 내용은 없습니다.", "Done. The answer holds nothing."), value)
        text, is_whole = fitted(value, self.traits.max_chars - 200)
        data = value if is_whole else None
        if self.traits.is_trusted:
            return Outcome(text, data)
        from sadari.text.injection import find_injections

        kinds = tuple(dict.fromkeys(found.kind for found in find_injections(text)))
        return Outcome(orders_note(kinds, caller.language) + text, data)


def _unseen(caller: Caller) -> str:
    korean = "요청은 보냈지만 끝을 보지 못했습니다. 처리되었을 수도 있으니 다시 부르지 말고, 상태를 먼저 조회하세요."
    english = "The request was sent, but nobody saw how it ended. It may be done: do not call again, look at the state first."
    return say(caller.language, korean, english)


def _value(reply: Reply) -> Any:
    """The answer as JSON, else as text; None if there is none."""
    if not reply.body:
        return None
    text = reply.body.decode("utf-8", "replace")
    if "json" in reply.type or not reply.type:
        try:
            value = json.loads(text)
            return value if _is_shallow(value) else text
        except (ValueError, RecursionError):
            return text
    is_text = reply.type.startswith("text/") or "xml" in reply.type
    return text if is_text else f"({reply.type[:60]}, {len(reply.body):,} bytes)"


def _is_shallow(value: Any) -> bool:
    """Whether lists and objects lie at most so deep that they can be gone through one within the other."""
    level = [value]
    for _ in range(DEEPEST):
        level = [inner for item in level for inner in _inside(item)]
        if not level:
            return True
    return False


def _inside(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
