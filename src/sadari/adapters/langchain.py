"""A sadari `Model` as a chat model of LangChain: calls of tools and schemas are held to by the engine, not only asked for."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field, SkipValidation

from sadari.adapters.answers import answer_to, pieces_of, unique_id
from sadari.errors import ConfigError, DataError
from sadari.types import Delta, Generation, Message, Model, Request, Role, ToolCall, ToolSpec

_ROLES: Mapping[str, Role] = {"human": "user", "ai": "assistant", "system": "system", "tool": "tool"}
_SETTINGS = {"temperature", "top_p", "seed", "max_tokens"}


class ChatSadari(BaseChatModel):
    """A chat model over a sadari `Model`: `ChatSadari(model=load_model("mini"))`.

    `bind_tools` and `with_structured_output` work as with any other; `temperature`, `top_p`, `seed` and `max_tokens` can also be
    given with a call. Text only: a picture in a message is refused.
    """

    model: SkipValidation[Model] = Field(description="What generates.")
    temperature: float = Field(default=0.0, ge=0, description="0 is greedy.")
    top_p: float = Field(default=1.0, gt=0, le=1, description="Share of probability that is drawn from.")
    seed: int = Field(default=0, description="Of what is drawn.")
    max_tokens: int = Field(default=512, ge=1, description="Longest answer, in tokens.")

    @property
    def _llm_type(self) -> str:
        return "sadari"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model": self.model.name} | {name: getattr(self, name) for name in sorted(_SETTINGS)}

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | Any],
        *,
        tool_choice: str | bool | Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> Runnable[Any, AIMessage]:
        """This model with tools it may call.

        Args:
            tool_choice: "auto", "none", "any" or "required" (at least one call), or the name of the tool that is called.
        """
        given = {name: value for name, value in kwargs.items() if value is not None}
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], tool_choice=_choice(tool_choice), **given)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        made = answer_to(self.model, self._request(messages, stop, kwargs))
        calls = [{"name": c.name, "args": dict(c.arguments), "id": unique_id(), "type": "tool_call"} for c in made.tool_calls]
        said = AIMessage(made.text, tool_calls=calls, **_about(made, self.model.name))
        return ChatResult(generations=[ChatGeneration(message=said)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        for number, piece in enumerate(pieces_of(self.model, self._request(messages, stop, kwargs))):
            chunk = ChatGenerationChunk(message=_chunk(piece, number, self.model.name))
            if run_manager is not None and piece.text:
                run_manager.on_llm_new_token(piece.text, chunk=chunk)
            yield chunk

    def _request(self, messages: Sequence[BaseMessage], stop: Sequence[str] | None, given: Mapping[str, Any]) -> Request:
        unknown = sorted(given.keys() - _SETTINGS - {"tools", "tool_choice", "parallel_tool_calls"})
        if unknown:
            known = ", ".join(sorted(_SETTINGS))
            raise ConfigError(
                f"ChatSadari takes no {', '.join(unknown)}. It takes {known}, tools and tool_choice; leave the rest out."
            )
        settings = {name: given.get(name, getattr(self, name)) for name in _SETTINGS}
        return Request(
            tuple(map(_message, messages)),
            tools=tuple(_spec(tool["function"]) for tool in given.get("tools", ())),
            max_new_tokens=settings.pop("max_tokens"),
            stop=tuple(stop or ()),
            tool_choice=given.get("tool_choice") or "auto",
            parallel_tool_calls=given.get("parallel_tool_calls", True),
            **settings,
        )


def _chunk(piece: Delta, number: int, name: str) -> AIMessageChunk:
    if piece.done is not None:
        return AIMessageChunk(content="", chunk_position="last", **_about(piece.done, name))
    call = piece.tool_call
    if call is None:
        return AIMessageChunk(content=piece.text)
    arguments = json.dumps(dict(call.arguments), ensure_ascii=False)
    begun = tool_call_chunk(name=call.name, args=arguments, id=unique_id(), index=number)
    return AIMessageChunk(content=piece.text, tool_call_chunks=[begun])


def _message(message: BaseMessage) -> Message:
    role = _ROLES.get(message.type.removesuffix("MessageChunk").lower())
    if role is None:
        raise DataError(f"a {message.type} message: sadari knows human, ai, system and tool messages.")
    if role == "assistant":
        calls = [ToolCall(c["name"], c["args"], c["id"] or "") for c in getattr(message, "tool_calls", ())]
        return Message(role, message.text, tool_calls=tuple(calls))
    return Message(role, text_of(message), tool_call_id=getattr(message, "tool_call_id", None))


def text_of(message: BaseMessage) -> str:
    """The words of a message.

    Raises:
        DataError: If it holds anything else.
    """
    blocks = [message.content] if isinstance(message.content, str) else message.content
    others = sorted({str(b.get("type")) for b in blocks if isinstance(b, dict) and b.get("type") != "text"})
    if others:
        raise DataError(f"a {message.type} message holds {', '.join(others)}: the model reads text only. Put it into words.")
    return "\n".join(b if isinstance(b, str) else str(b["text"]) for b in blocks)


def _spec(function: Mapping[str, Any]) -> ToolSpec:
    parameters = function.get("parameters") or {"type": "object", "properties": {}}
    return ToolSpec(function["name"], function.get("description", ""), parameters)


def _choice(wanted: str | bool | Mapping[str, Any] | None) -> str:
    if isinstance(wanted, Mapping):
        return str(wanted["function"]["name"])
    return "required" if wanted is True or wanted == "any" else wanted or "auto"


def _about(made: Generation, name: str) -> dict[str, Any]:
    read, written = made.usage.prompt_tokens, made.usage.completion_tokens
    finish = "tool_calls" if made.tool_calls else "stop" if made.finish == "stop" else "length"
    return {
        "usage_metadata": {"input_tokens": read, "output_tokens": written, "total_tokens": read + written},
        "response_metadata": {"finish_reason": finish, "model_name": name},
    }
