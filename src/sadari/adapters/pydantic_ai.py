"""A sadari `Model` as a model of pydantic-ai: calls of tools and outputs with a schema are held to it by the engine."""

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from anyio import to_thread
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, DeltaToolCalls, FunctionModel
from pydantic_ai.usage import RequestUsage

from sadari.adapters.answers import answer_to, pieces_of, unique_id
from sadari.errors import ConfigError, DataError
from sadari.types import Generation, JsonSchema, Message, Model, Request, ToolCall, ToolSpec


def model_for(model: Model, *, max_tokens: int = 512) -> FunctionModel:
    """A model of pydantic-ai: `Agent(model_for(load_model("mini")), tools=[...])`.

    Tools that need approval, deferred ones and all else of pydantic-ai's agent work as with any other model. `NativeOutput` is
    written under the grammar of its schema. Text only: a picture in a message is refused.

    Args:
        max_tokens: Longest answer, where the settings of the agent name none.
    """

    def generate(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        return _response(answer_to(model, _request(messages, info, max_tokens)))

    async def stream(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str | DeltaToolCalls]:
        pieces = pieces_of(model, _request(messages, info, max_tokens))
        number = 0
        while (piece := await to_thread.run_sync(next, pieces, None)) is not None:
            if piece.tool_call is not None:
                yield {number: DeltaToolCall(piece.tool_call.name, _json(piece.tool_call), tool_call_id=unique_id())}
                number += 1
            elif piece.text:
                yield piece.text

    return FunctionModel(generate, stream_function=stream, model_name=model.name)


def _request(messages: Sequence[ModelMessage], info: AgentInfo, max_tokens: int) -> Request:
    parameters, settings = info.model_request_parameters, info.model_settings or {}
    told = [Message("system", info.instructions)] if info.instructions else []
    tools = [ToolSpec(t.name, t.description or "", t.parameters_json_schema) for t in (*info.function_tools, *info.output_tools)]
    held = parameters.output_object if parameters.output_mode == "native" else None
    return Request(
        (*told, *(said for message in messages for said in _messages(message))),
        tools=tuple(tools),
        max_new_tokens=settings.get("max_tokens") or max_tokens,
        temperature=settings.get("temperature") or 0.0,
        top_p=settings.get("top_p") or 1.0,
        seed=settings.get("seed") or 0,
        stop=tuple(settings.get("stop_sequences") or ()),
        constraint=JsonSchema(held.json_schema) if held is not None else None,
        tool_choice=_choice(settings.get("tool_choice"), info),
        parallel_tool_calls=settings.get("parallel_tool_calls", True),
    )


def _choice(wanted: Any, info: AgentInfo) -> str:
    """pydantic-ai asks for a call where text is no answer."""
    names = [*wanted] if isinstance(wanted, list | tuple) else None
    if names is not None and len(names) == 1:
        return str(names[0])
    if names or wanted not in (None, "auto", "none", "required", []):
        raise ConfigError(f"tool_choice {wanted!r}: sadari takes auto, none, required, or one name.")
    if wanted in (None, "auto") and not info.allow_text_output:
        return "required"
    return "auto" if wanted is None else str(wanted or "none")


def _messages(message: ModelMessage) -> Iterator[Message]:
    """The turns of one message: a request of pydantic-ai may hold several."""
    if isinstance(message, ModelResponse):
        texts = [part.content for part in message.parts if isinstance(part, TextPart)]
        calls = [part for part in message.parts if isinstance(part, ToolCallPart)]
        made = tuple(ToolCall(c.tool_name, c.args_as_dict(), c.tool_call_id) for c in calls)
        yield Message("assistant", "".join(texts), tool_calls=made)
        return
    for part in message.parts:
        if part.part_kind == "system-prompt":
            yield Message("system", part.content)
        elif part.part_kind == "user-prompt":
            yield Message("user", _text(part.content))
        elif part.part_kind == "tool-return":
            yield Message("tool", part.model_response_str(), tool_call_id=part.tool_call_id)
        else:
            raise DataError(f"a part of kind {part.part_kind}: sadari reads system prompts, user prompts and results of tools.")


def _text(content: Any) -> str:
    parts = [content] if isinstance(content, str) else [getattr(part, "content", part) for part in content]
    others = sorted({type(part).__name__ for part in parts if not isinstance(part, str)})
    if others:
        raise DataError(f"a user prompt holds {', '.join(others)}: the model reads text only. Put it into words.")
    return "\n".join(parts)


def _response(made: Generation) -> ModelResponse:
    calls = [ToolCallPart(c.name, dict(c.arguments), unique_id()) for c in made.tool_calls]
    texts = [TextPart(made.text)] if made.text or not calls else []
    usage = RequestUsage(input_tokens=made.usage.prompt_tokens, output_tokens=made.usage.completion_tokens)
    finish: Any = "tool_call" if calls else "stop" if made.finish == "stop" else "length"
    return ModelResponse([*texts, *calls], usage=usage, finish_reason=finish)


def _json(call: ToolCall) -> str:
    return str(ToolCallPart(call.name, dict(call.arguments)).args_as_json_str())
