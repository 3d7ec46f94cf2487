"""A sadari agent as a graph of LangGraph: what waits for a person interrupts the graph, and a decision resumes it.

    graph = agent_graph(loop).compile(checkpointer=...)
    config = {"configurable": {"thread_id": "t-1", "user": "minji"}}
    graph.invoke({"messages": [("user", "A-1024 주문을 취소해 주세요.")]}, config)
    # the result's "__interrupt__" holds {"run": ..., "requests": [{"tool": ..., "fingerprint": ..., ...}], "told": ""}
    decision = {"fingerprint": ..., "decision": "approve", "by": "soyeon"}
    graph.invoke(Command(resume=decision), config)

The log of the loop stays the truth; the checkpoint holds the name of the run and the messages.

Covered: a decision names the request that the person saw, by its fingerprint: one that was changed, decided or expired meanwhile
is not approved by an old answer, and the graph asks again, saying why; a node that runs twice asks nothing twice and repeats no
call; a thread of one user takes no question of another; what other nodes have said counts as text from outside, after which no
call changes anything without a person.
Not covered: who resumes the graph. The host fills in `user` and `by`, and has checked them.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal, TypedDict

from langchain_core.messages import AIMessage, AnyMessage
from langchain_core.runnables import RunnableConfig
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import interrupt
from pydantic import BaseModel, Field, ValidationError

from sadari.adapters.langchain import text_of
from sadari.agent import approval
from sadari.agent.approval import Pending
from sadari.agent.loop import Loop
from sadari.agent.state import RunState
from sadari.errors import ConfigError, DataError, SadariError, ToolRefusedError
from sadari.types import Caller, Delta

CallerOf = Callable[[RunnableConfig, str], Caller]
"""Who asks, from the configuration of an invocation and the text of the question."""


class Turns(TypedDict, total=False):
    """The state of the graph: what was said, the run in the log, and why the last decision did not count."""

    messages: Annotated[list[AnyMessage], add_messages]
    run: str
    told: str


class Decision(BaseModel, frozen=True, extra="forbid"):
    """What a graph is resumed with, for one request; a list of these decides several."""

    fingerprint: str = Field(description="Of the request that the person saw.")
    decision: Literal["approve", "deny", "edit", "happened", "not_happened"] = Field(
        description="The last two say of a call whose end nobody saw whether it took effect."
    )
    by: str = Field(min_length=1, description="Who decides.")
    reason: str = Field("", description="Told to the model, with `deny`.")
    arguments: dict[str, Any] = Field(default_factory=dict, description="Those in place of the model's, with `edit`.")


def caller_of(config: RunnableConfig, text: str) -> Caller:
    """The caller whom `configurable: {user: ...}` names, now, in the language of the question.

    Raises:
        ConfigError: If nobody is named.
    """
    user = config.get("configurable", {}).get("user")
    if not user:
        raise ConfigError('who asks? Invoke the graph with {"configurable": {"user": NAME, "thread_id": ...}}.')
    return Caller(str(user), now=_now(), language="ko" if any("가" <= ch <= "힣" for ch in text) else "en")


def agent_graph(loop: Loop, who: CallerOf = caller_of) -> StateGraph[Turns]:
    """A graph that answers the last message of its state; compile it with a checkpointer, or put it into another graph.

    While the model writes, pieces of its text come as `{"text": ...}` in the stream mode "custom".

    Args:
        who: Says who asks.
    """
    nodes = _Nodes(loop, who)
    graph = StateGraph(Turns)
    graph.add_node("ask", nodes.ask)
    graph.add_node("act", nodes.act)
    graph.add_node("decide", nodes.decide)
    graph.add_edge(START, "ask")
    graph.add_edge("ask", "act")
    graph.add_conditional_edges("act", nodes.after, ["decide", END])
    graph.add_edge("decide", "act")
    return graph


class _Nodes:
    """LangGraph runs a node from its beginning when it resumes: each finds in the log what it did already."""

    def __init__(self, loop: Loop, who: CallerOf) -> None:
        self._loop, self._who = loop, who

    def ask(self, state: Turns, config: RunnableConfig) -> Turns:
        messages = state.get("messages", [])
        if not messages or messages[-1].type != "human":
            raise DataError("there is no question: the last message of the state has to be the user's.")
        text, run = text_of(messages[-1]), state.get("run", "")
        caller = self._who(config, text)
        if not (run and self._is_asked(self._loop.state(run), text, caller)):
            run = self._loop.ask(text, caller, run, attached=_of_others(messages, run))
        return {"run": run, "told": ""}

    def _is_asked(self, run: RunState, text: str, caller: Caller) -> bool:
        """Whether this question is in the log already, and not answered."""
        asked = next((m.content for m in reversed(run.messages) if m.role == "user"), None)
        is_same = asked is not None and (asked == text or asked.startswith(f"{text}\n\n"))
        return run.user == caller.user and run.status in ("running", "waiting") and is_same

    def act(self, state: Turns) -> Turns:
        write = get_stream_writer()
        for piece in self._loop.advance(state["run"]):
            if isinstance(piece, Delta) and piece.text:
                write({"text": piece.text})
        run = self._loop.state(state["run"])
        return {} if run.answer is None else {"messages": [_answer(run)]}

    def after(self, state: Turns) -> str:
        return "decide" if self._waiting(state) else END

    def decide(self, state: Turns) -> Turns:
        waiting = self._waiting(state)
        if not waiting:  # decided elsewhere, or expired
            return {"told": ""}
        requests = [asdict(one) | {"arguments": dict(one.arguments)} for one in waiting]
        said = interrupt({"run": state["run"], "requests": requests, "told": state.get("told", "")})
        return {"told": "\n".join(self._refusals(waiting, said if isinstance(said, list) else [said]))}

    def _waiting(self, state: Turns) -> list[Pending]:
        """What waits for a person in the run, and in those of its specialists."""
        return approval.pending(self._loop.log, _now(), run=state["run"])

    def _refusals(self, waiting: list[Pending], said: list[Any]) -> Iterable[str]:
        """Take the decisions; why some did not count."""
        for one in said:
            try:
                self._take(waiting, Decision.model_validate(one))
            except ValidationError as error:
                faults = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
                yield f"this is no decision ({'; '.join(faults)})."
            except SadariError as error:
                yield str(error)

    def _take(self, waiting: list[Pending], said: Decision) -> None:
        asked = next((one for one in waiting if one.fingerprint == said.fingerprint), None)
        if asked is None:
            raise ToolRefusedError(f"{said.fingerprint[:16]}...: no such request waits here. Look again at those that do.")
        log, now = self._loop.log, _now()
        told = (log, asked.run, asked.call, said.fingerprint, said.by)
        if said.decision == "approve":
            approval.approve(*told, now=now)
        elif said.decision == "deny":
            approval.deny(*told, now=now, reason=said.reason)
        elif said.decision == "edit":
            approval.edit(*told, said.arguments, now=now)
        else:
            approval.settle(log, asked.run, asked.call, said.by, happened=said.decision == "happened")


def _of_others(messages: Sequence[AnyMessage], run: str) -> list[str]:
    """What other nodes have said since the last answer of the run: nobody knows where they have it from."""
    own = [i for i, message in enumerate(messages) if run and (message.id or "").startswith(f"{run}-")]
    since = messages[own[-1] + 1 if own else 0 : -1]
    return [f"{message.type}: {message.text}" for message in since if message.text]


def _answer(run: RunState) -> AIMessage:
    """The answer of a run; its id is the same each time, so that it stands in the state once."""
    assert run.answer is not None
    read, written = run.usage.prompt_tokens, run.usage.completion_tokens
    about = {"run": run.run, "citations": [asdict(span) for span in run.answer.citations], "error": run.answer.error}
    usage = {"input_tokens": read, "output_tokens": written, "total_tokens": read + written}
    return AIMessage(run.answer.text, id=f"{run.run}-{run.seq}", response_metadata=about, usage_metadata=usage)


def _now() -> datetime:
    return datetime.now().astimezone()
