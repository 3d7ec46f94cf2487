"""A whole agent as one tool of an MCP server: `ask`.

Covered: everything goes through the agent's own loop, for the one user whom the host names: its log, limits, policy and approvals.
A call that needs a person is not made for the client's asking; the answer says which request waits, and the client can come back.
Not covered: who the client is, as in `server`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from sadari.agent.approval import pending
from sadari.agent.log import MovedOnError
from sadari.agent.loop import Loop
from sadari.agent.tools.mcp.server import mcp_server
from sadari.errors import BudgetError, DataError, ToolFailedError
from sadari.types import Caller, Outcome, ToolSpec, Traits

if TYPE_CHECKING:
    from mcp.server import Server

_SAID: dict[str, dict[str, str]] = {
    "ask": {
        "ko": "담당 에이전트에게 묻거나 맡긴다. 사람의 승인이 필요한 일은 승인될 때까지 기다린다.",
        "en": "Ask the agent, or have it do something. What needs a person's approval waits until a person approved it.",
    },
    "question": {"ko": "질문이나 맡길 일", "en": "The question, or what is to be done"},
    "run": {
        "ko": "이어 갈 대화 (앞선 답의 [run-...]). question이 비어 있으면 기다리던 답을 가져온다.",
        "en": "The conversation to go on with ([run-...] of an earlier answer). An empty question fetches what had to wait.",
    },
    "waits": {
        "ko": "사람의 결정을 기다립니다: {requests}. 결정된 뒤 run={run}, 빈 question으로 다시 부르세요.",
        "en": "This waits for a person: {requests}. When it is decided, call again with run={run} and an empty question.",
    },
    "empty": {"ko": "question이 비어 있습니다.", "en": "question is empty."},
    "busy": {"ko": "{run}은 지금 처리 중입니다. 잠시 뒤 다시 부르세요.", "en": "{run} is being worked on. Call again in a moment."},
}


def agent_server(
    name: str, loop: Loop, user: str, language: Literal["ko", "en"] = "ko", clock: Callable[[], datetime] | None = None
) -> "Server[Any]":
    """An `mcp.server.Server` whose one tool asks the agent of `loop`, in the name of `user`.

    Args:
        name: What clients call the server.
        clock: What time it is.
    """
    tool = AskTool(loop, user, language, clock or _now)
    return mcp_server(name, [tool], lambda _, arguments: tool.call(arguments, tool.caller()))


@dataclass(frozen=True, slots=True)
class AskTool:
    """`ask(question, run)`: what the agent answers, or which requests wait for a person."""

    loop: Loop
    user: str
    language: Literal["ko", "en"]
    clock: Callable[[], datetime]

    @property
    def spec(self) -> ToolSpec:
        """A question, and the conversation that it belongs to."""
        fields = {key: {"type": "string", "description": _SAID[key][self.language]} for key in ("question", "run")}
        schema = {"type": "object", "properties": fields, "required": ["question"], "additionalProperties": False}
        return ToolSpec("ask", _SAID["ask"][self.language], schema)

    @property
    def traits(self) -> Traits:
        """The agent may do, once approved, the worst that one of its tools does."""
        order = ("read", "write", "irreversible")
        return Traits(max((tool.traits.effect for tool in self.loop.agent.tools), key=order.index, default="read"))

    def caller(self) -> Caller:
        """The user, now."""
        return Caller(self.user, now=self.clock(), language=self.language)

    def call(self, arguments: Mapping[str, Any], caller: Caller) -> Outcome:
        """Ask, and go on until there is an answer or a person is waited for.

        Raises:
            ToolFailedError: If it cannot be asked now; says why.
            ToolRefusedError: If the conversation is another user's.
        """
        question, run = arguments.get("question", ""), arguments.get("run", "")
        if not isinstance(question, str) or not isinstance(run, str) or not (question.strip() or run):
            raise ToolFailedError(_SAID["empty"][self.language])
        if question.strip():
            try:
                run = self.loop.ask(question, caller, run)
            except (DataError, BudgetError) as error:
                raise ToolFailedError(str(error)) from error
        elif self.loop.state(run).user != caller.user:
            raise ToolFailedError(f"{run[:64]}: there is no such run.")
        try:
            for _ in self.loop.advance(run):
                pass
        except MovedOnError as error:
            raise ToolFailedError(_SAID["busy"][self.language].format(run=run)) from error
        return self._told(run)

    def _told(self, run: str) -> Outcome:
        state = self.loop.state(run)
        if state.answer is not None:
            return Outcome(f"{state.answer.text}\n[{run}]", {"run": run, "waits": []}, state.answer.citations)
        asked = [f"{one.run}/{one.call} {one.tool}" for one in pending(self.loop.log, self.clock(), run=run)]
        text = _SAID["waits"][self.language].format(requests=", ".join(asked) or run, run=run)
        return Outcome(text, {"run": run, "waits": asked})


def _now() -> datetime:
    return datetime.now().astimezone()
