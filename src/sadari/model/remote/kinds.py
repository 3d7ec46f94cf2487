"""What each kind of OpenAI-compatible server knows beyond the fields that all of them know: one table.

A server is asked once which kind it is, by the list of its models that every one of them serves; of one that does not say, nothing
beyond the standard is expected. What a kind does not know is refused before it is sent, with the remedy: most servers pass over a
field they do not know without a word.

Source:
    OpenAI: platform.openai.com/docs/api-reference/chat. vLLM: docs.vllm.ai, "OpenAI-Compatible Server" and "Structured Outputs"
    (0.12 and later), and its `ChatCompletionRequest`. SGLang: docs.sglang.io, "Structured Outputs" and "Sampling Parameters", and
    its `ChatCompletionRequest`. llama-server: tools/server/README.md of llama.cpp, and `oaicompat_chat_params_parse`. Ollama:
    docs.ollama.com/api/openai-compatibility (0.12.11 and later).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["openai", "vllm", "sglang", "llama_server", "ollama", "other"]

KINDS: tuple[Kind, ...] = ("openai", "vllm", "sglang", "llama_server", "ollama", "other")

Choosing = Literal["object", "choice", "regex", "gbnf", ""]
"""How a server is held to one of several texts: an object with the text in it (by its JSON Schema), a list of choices, a pattern, a
grammar of llama.cpp; "" where it cannot be held."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """What one kind of server knows.

    Args:
        limit: The field of the token limit.
        sampling: The field of `top_k`, `min_p` and `repetition_penalty`. They are always sent, since the server's own defaults, or
            those of the model it serves, are others.
        every_token: `top_k` that takes all.
        penalised: Sent with a repetition penalty, if there is one.
        choosing: How it is held to a `OneOf`.
        patterns: Whether it takes a `Regex`.
        grammars: Whether it takes a `Grammar`.
        tool_choices: Whether it knows `tool_choice`.
        names_tool: Whether `tool_choice` may name a tool; where it may not, that tool alone is sent, and required.
        is_serial: Whether it makes one call at a time unless told otherwise.
        many: Whether it gives several answers to one request; one that does not is asked several times, with the next seeds.
        least_likeliest: Fewest likeliest tokens that it gives log-probabilities with.
        adapter: The model's name with an adapter; "" where adapters have no names.
    """

    limit: str = "max_tokens"
    sampling: Mapping[str, str] = field(default_factory=dict)
    every_token: int = 0
    penalised: Mapping[str, Any] = field(default_factory=dict)
    choosing: Choosing = ""
    patterns: bool = False
    grammars: bool = False
    tool_choices: bool = True
    names_tool: bool = True
    is_serial: bool = False
    many: bool = True
    least_likeliest: int = 0
    adapter: str = ""


_HUGGING = {"top_k": "top_k", "min_p": "min_p", "repetition_penalty": "repetition_penalty"}

DIALECTS: Mapping[Kind, Dialect] = {
    "openai": Dialect(limit="max_completion_tokens", choosing="object"),
    "vllm": Dialect(sampling=_HUGGING, choosing="choice", patterns=True, grammars=True, adapter="{adapter}"),
    "sglang": Dialect(sampling=_HUGGING, every_token=-1, choosing="regex", patterns=True, adapter="{model}:{adapter}"),
    "llama_server": Dialect(
        sampling={"top_k": "top_k", "min_p": "min_p", "repetition_penalty": "repeat_penalty"},
        penalised={"repeat_last_n": 65536},  # of the whole context, as good as, and not of the last 64 tokens
        choosing="gbnf",
        names_tool=False,
        is_serial=True,
        many=False,  # older ones give one answer without a word
        least_likeliest=1,
    ),
    "ollama": Dialect(choosing="object", tool_choices=False, many=False),
    "other": Dialect(many=False),
}

_OWNERS: Mapping[str, Kind] = {"vllm": "vllm", "sglang": "sglang", "llamacpp": "llama_server", "library": "ollama"}


def kind_of(models: Any) -> Kind:
    """The kind of server that answers `GET /models` like this: by whom it names as the owner of its models."""
    listed = models.get("data") if isinstance(models, dict) else None
    owners = {str(model.get("owned_by")) for model in listed if isinstance(model, dict)} if isinstance(listed, list) else set()
    return next((kind for owner, kind in _OWNERS.items() if owner in owners), "other")
