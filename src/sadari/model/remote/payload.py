"""One request as it is sent: JSON in the shape of OpenAI's chat completions, with what the kind of server knows beyond it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sadari.errors import ConfigError
from sadari.model.chat import message_dict, tool_dict
from sadari.model.remote.constraints import Hold, hold_to
from sadari.model.remote.kinds import Dialect
from sadari.types import Message, Request, ToolSpec, Usage

NEUTRAL = {"top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0}
"""Values of sampling fields that change nothing."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request as it is sent, and how its answer is read.

    Args:
        worst: The dearest that it can become.
        likeliest: So many likeliest tokens are kept of each token's log-probabilities; None keeps none at all.
        is_single: Only one tool call is kept.
    """

    body: bytes
    hold: Hold
    worst: Usage
    streams: bool
    is_constrained: bool
    likeliest: int | None
    is_single: bool


def make_call(request: Request, model: str, dialect: Dialect, *, structured: bool | None, streams: bool) -> Call:
    """`request` as a server of this kind is asked.

    Raises:
        ConfigError: If it cannot do what is asked for; the message says what, and what to do.
    """
    hold = hold_to(request.constraint, dialect, structured)
    payload: dict[str, Any] = {
        "model": _model(request, model, dialect),
        **wire_messages(request.messages, request.tools),
        dialect.limit: request.max_new_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "seed": request.seed,
        **_sampling(request, dialect),
        **_tools(request, dialect),
        **hold.fields,
    }
    if request.stop:
        payload["stop"] = list(request.stop)
    if request.n > 1:
        payload["n"] = request.n
    if request.logprobs is not None:
        payload |= {"logprobs": True, "top_logprobs": max(request.logprobs, dialect.least_likeliest)}
    if streams:
        payload |= {"stream": True, "stream_options": {"include_usage": True}}
    body = _written(payload)
    return Call(
        body,
        hold,
        worst=Usage(len(body), request.n * request.max_new_tokens),  # a token is at least a byte of what is sent
        streams=streams,
        is_constrained=request.constraint is not None,
        likeliest=request.logprobs,
        is_single=not request.parallel_tool_calls,
    )


def wire_messages(messages: Sequence[Message], tools: Sequence[ToolSpec]) -> dict[str, Any]:
    """Messages and tools in the wire form: arguments as JSON text, every call with an id."""
    out: list[dict[str, Any]] = []
    last_id = ""
    for n, message in enumerate(messages):
        turn = message_dict(message)
        for i, call in enumerate(turn.get("tool_calls", ())):
            call["id"] = call["id"] or f"call_{n}_{i}"
            call["function"]["arguments"] = json.dumps(call["function"]["arguments"], ensure_ascii=False)
            last_id = call["id"]
        if message.role == "tool":
            turn["tool_call_id"] = message.tool_call_id or last_id
        out.append(turn)
    return {"messages": out} | ({"tools": [tool_dict(t) for t in tools]} if tools else {})


def _written(payload: dict[str, Any]) -> bytes:
    sent = {name: value for name, value in payload.items() if value is not None}
    try:
        return json.dumps(sent, ensure_ascii=False, default=dict).encode()
    except (ValueError, TypeError, RecursionError) as e:
        raise ConfigError(f"the request cannot be written as JSON ({e}). Look at its schemas and arguments.") from e


def _model(request: Request, model: str, dialect: Dialect) -> str:
    if request.adapter is None:
        return model
    if not dialect.adapter:
        raise ConfigError(
            f"the adapter {request.adapter!r} cannot be named to this kind of server. Ask for it as a model of its own "
            "(openai:NAME), or leave it out."
        )
    return dialect.adapter.format(model=model, adapter=request.adapter)


def _sampling(request: Request, dialect: Dialect) -> dict[str, Any]:
    asked = {name: getattr(request, name) for name in NEUTRAL}
    if not dialect.sampling:
        drawn = request.temperature > 0
        lost = [n for n, value in asked.items() if value != NEUTRAL[n] and (drawn or n == "repetition_penalty")]
        if lost:
            raise ConfigError(
                f"this kind of server is not known to take {', '.join(lost)}. Leave that out, or set `kind` of the endpoint if it "
                "is vllm, sglang or llama_server."
            )
        return {}
    asked["top_k"] = asked["top_k"] or dialect.every_token
    penalised = dialect.penalised if request.repetition_penalty != 1.0 else {}
    return {dialect.sampling[name]: value for name, value in asked.items()} | dict(penalised)


def _tools(request: Request, dialect: Dialect) -> dict[str, Any]:
    """The fields that say how tools may be called; `tools` again where fewer of them are shown."""
    choice = request.tool_choice
    if not request.tools:
        return {}
    serial = {"parallel_tool_calls": request.parallel_tool_calls}
    fields = serial if dialect.is_serial or not request.parallel_tool_calls else {}
    if choice == "auto":
        return fields
    if choice == "none" and not dialect.tool_choices:
        return {"tools": None}
    if not dialect.tool_choices:
        raise ConfigError(
            f"this kind of server does not know tool_choice, so {choice!r} cannot be asked of it. Use 'auto' or 'none'."
        )
    if choice in ("none", "required"):
        return fields | {"tool_choice": choice}
    named = [tool for tool in request.tools if tool.name == choice]
    if not named:
        known = ", ".join(tool.name for tool in request.tools)
        raise ConfigError(
            f"tool_choice {choice!r} is none of the tools of the request ({known}). Name one, or use auto, none, required."
        )
    if dialect.names_tool:
        return fields | {"tool_choice": {"type": "function", "function": {"name": choice}}}
    return fields | {"tool_choice": "required", "tools": [tool_dict(named[0])]}
