"""Conversations to token ids, through the tokenizer's own chat template.

What is learnt and what is served are rendered by the same call. Loss weights come from rendering growing prefixes of the
conversation and seeing where the new text begins; the end-of-turn marker is read off the template, never guessed.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sadari.errors import DataError, ModelError
from sadari.types import Message, ToolSpec

_PROBE = "sadariprobe"

SHORT_IDS = "|length != 9"
"""Stands in templates that refuse ids of tool calls of another length."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """One training row as the model sees it.

    Args:
        ids: Token ids.
        weights: Share of each token in the loss, same length; the loss of predicting `ids[i]` counts `weights[i]`.
    """

    ids: tuple[int, ...]
    weights: tuple[float, ...]


def render_prompt(tokenizer: Any, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> list[int]:
    """Token ids of the conversation with the header of the answer that is asked for.

    Raises:
        DataError: If the template refuses the conversation.
        ModelError: If the tokenizer has no chat template.
    """
    return encode(tokenizer, render_text(tokenizer, messages, tools, opens_answer=True))


def render_training(
    tokenizer: Any, messages: Sequence[Message], tools: Sequence[ToolSpec] = (), *, row: str = "this row"
) -> Rendered:
    """Token ids of a whole conversation and the loss weight of each token.

    An assistant turn's own tokens (content, tool calls, end of turn) carry its weight, 1 by default; its header carries 0, as do
    other turns unless they ask for a weight. Templates that render a past turn differently once more turns follow (Qwen3 drops
    its thinking) are handled as far as the end of each turn can still be found.

    Args:
        row: How to name the row in an error.

    Raises:
        DataError: If the template refuses the row, if a turn cannot be located in it, or if no token or every token is in the
            loss.
        ModelError: If the tokenizer has no chat template, or cannot say which characters a token came from.
    """
    whole = render_text(tokenizer, messages, tools, row=row)
    end_of_turn = find_end_of_turn(tokenizer)
    pieces: list[tuple[int, int, float]] = []
    for k, message in enumerate(messages):
        weight = message.weight if message.weight is not None else float(message.role == "assistant")
        if weight > 0:
            start, end = _locate(tokenizer, messages, tools, k, whole, end_of_turn, row)
            pieces.append((start, end, weight))
    ids, starts = _encode_with_starts(tokenizer, whole)
    weights = [0.0] * len(ids)
    for start, end, weight in pieces:
        for i, at in enumerate(starts):
            if start <= at < end:
                weights[i] = weight
    counted = sum(w > 0 for w in weights)
    if counted == 0 or counted == len(ids):
        share = "no token" if counted == 0 else "every token"
        raise DataError(
            f"{row}: {share} of {len(ids)} is in the loss. A row to learn from needs a prompt, and an assistant turn with "
            "content or tool calls and a weight above 0."
        )
    return Rendered(tuple(ids), tuple(weights))


def render_plain(tokenizer: Any, text: str) -> Rendered:
    """Raw text for continued pretraining: every token and the end of the text are in the loss."""
    ids = encode(tokenizer, text)
    if tokenizer.bos_token_id is not None:
        ids = [tokenizer.bos_token_id, *ids]
    if tokenizer.eos_token_id is not None:
        ids = [*ids, tokenizer.eos_token_id]
    return Rendered(tuple(ids), (1.0,) * len(ids))


def render_text(
    tokenizer: Any,
    messages: Sequence[Message],
    tools: Sequence[ToolSpec] = (),
    *,
    opens_answer: bool = False,
    thinks: bool = False,
    row: str = "the conversation",
) -> str:
    """The conversation as the text that the template makes of it.

    Args:
        opens_answer: End with the header of an assistant turn.
        thinks: For templates that know `enable_thinking`; sadari asks for answers without it.
    """
    if not getattr(tokenizer, "chat_template", None):
        raise ModelError(
            f"{tokenizer.name_or_path}: the tokenizer has no chat template, so a conversation cannot be put to this model. "
            "Use an instruction-tuned model, or save a chat_template.jinja beside its tokenizer."
        )
    try:
        text = tokenizer.apply_chat_template(
            [message_dict(m) for m in (_with_short_ids(messages) if SHORT_IDS in str(tokenizer.chat_template) else messages)],
            tools=[tool_dict(t) for t in tools] or None,
            tokenize=False,
            add_generation_prompt=opens_answer,
            enable_thinking=thinks,
        )
    except Exception as e:  # a template raises what it likes
        raise DataError(
            f"{row}: the model's chat template refuses it: {e}. Roles in order: {', '.join(m.role for m in messages)}."
        ) from e
    return str(text)


def encode(tokenizer: Any, text: str) -> list[int]:
    """Token ids of rendered text; the template has already written the special tokens."""
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def message_dict(message: Message) -> dict[str, Any]:
    """A turn as chat templates expect it: arguments of tool calls as objects."""
    out: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        out["tool_calls"] = [
            {"type": "function", "id": c.id, "function": {"name": c.name, "arguments": _plain(c.arguments)}}
            for c in message.tool_calls
        ]
    if message.tool_call_id is not None:
        out["tool_call_id"] = message.tool_call_id
    return out


def tool_dict(tool: ToolSpec) -> dict[str, Any]:
    """A tool as chat templates and OpenAI-compatible endpoints expect it."""
    return {
        "type": "function",
        "function": {"name": tool.name, "description": tool.description, "parameters": _plain(tool.parameters)},
    }


def find_end_of_turn(tokenizer: Any) -> str | None:
    """The special token that the template writes after an assistant's content, as text; None if it writes none."""
    cached: dict[str, str | None] = tokenizer.__dict__.setdefault("_sadari_end_of_turn", {})
    key = str(getattr(tokenizer, "chat_template", ""))
    if key not in cached:
        text = render_text(tokenizer, (Message("user", "x"), Message("assistant", _PROBE)))
        tail = text[text.rindex(_PROBE) + len(_PROBE) :] if _PROBE in text else ""
        special = set(tokenizer.all_special_ids) | set(getattr(tokenizer, "added_tokens_decoder", {}))
        cached[key] = next((str(tokenizer.convert_ids_to_tokens(i)) for i in encode(tokenizer, tail) if i in special), None)
    return cached[key]


def _locate(
    tokenizer: Any,
    messages: Sequence[Message],
    tools: Sequence[ToolSpec],
    k: int,
    whole: str,
    end_of_turn: str | None,
    row: str,
) -> tuple[int, int]:
    """Characters `[start, end)` of turn `k` in `whole`, by rendering the conversation up to it."""
    start = _start_of_turn(tokenizer, messages, tools, k, whole, row)
    through = render_text(tokenizer, messages[: k + 1], tools, row=row)
    is_stable = whole.startswith(through)
    turn = whole[start : len(through)] if is_stable else whole[start:]
    if messages[k].role != "assistant":
        if not is_stable:
            raise DataError(
                f"{row}: turn {k + 1} ({messages[k].role}) has a weight, but the template rewrites it once turns follow."
            )
        return start, start + len(turn)
    if end_of_turn and end_of_turn in turn:
        if end_of_turn in messages[k].content:
            raise DataError(f"{row}: turn {k + 1} contains the model's end-of-turn token {end_of_turn!r} as text. Remove it.")
        return start, start + turn.index(end_of_turn) + len(end_of_turn)
    if not is_stable:
        raise DataError(
            f"{row}: turn {k + 1} has no end to be found: the template rewrites it once turns follow, and marks no end of turn. "
            "Cut the row after its first assistant turn, or use a template that only appends."
        )
    return start, start + len(turn.rstrip())


def _start_of_turn(tokenizer: Any, messages: Sequence[Message], tools: Sequence[ToolSpec], k: int, whole: str, row: str) -> int:
    before = messages[:k]
    if messages[k].role != "assistant":
        text = render_text(tokenizer, before, tools, row=row) if before else ""
        if whole.startswith(text):
            return len(text)
    elif not before:  # an assistant turn that nobody asked for: its header cannot be told from its content
        return 0
    else:
        for thinks in (False, True):  # a past turn may stand without the empty thinking block that opens a new one
            text = render_text(tokenizer, before, tools, opens_answer=True, thinks=thinks, row=row)
            if whole.startswith(text):
                return len(text)
    shared = _common_prefix(text, whole)
    raise DataError(
        f"{row}: turn {k + 1} ({messages[k].role}) cannot be located: the template writes {text[shared : shared + 40]!r} before it "
        f"when it comes next, but {whole[shared : shared + 40]!r} in the whole conversation."
    )


def _encode_with_starts(tokenizer: Any, text: str) -> tuple[list[int], list[int]]:
    """Token ids, and the first character of each."""
    if not getattr(tokenizer, "is_fast", False):
        raise ModelError(
            f"{tokenizer.name_or_path}: this tokenizer cannot say which characters a token came from, so loss weights cannot be "
            "set. Save it with a tokenizer.json (the `tokenizers` format) and use that folder."
        )
    out = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    return out["input_ids"], [start for start, _ in out["offset_mapping"]]


def _common_prefix(a: str, b: str) -> int:
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def _with_short_ids(messages: Sequence[Message]) -> list[Message]:
    """The messages with ids of tool calls that are nine letters and digits, as Mistral's templates want them."""

    def short(id: str) -> str:
        return id if len(id) == 9 and id.isalnum() else hashlib.sha256(id.encode()).hexdigest()[:9]

    return [
        replace(
            message,
            tool_calls=tuple(replace(call, id=short(call.id)) for call in message.tool_calls),
            tool_call_id=None if message.tool_call_id is None else short(message.tool_call_id),
        )
        for message in messages
    ]


def _plain(value: Any) -> Any:
    """Mappings and sequences as dict and list: templates turn them into JSON."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value
