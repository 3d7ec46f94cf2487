"""From rows to batches: rendering, token ids, loss weights, and rows of one length side by side."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor

from sadari.mini.skills.rows import Row

# An answer is chosen at its first tokens; the rest is copying, which is soon known. So the first ones weigh more.
OPENING_WEIGHTS = (6.0, 4.0, 2.0)
HELD_SHARE = 0.7
ABSTENTIONS = ("문서에서 확인할 수 없습니다.", "The documents do not say.")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")
START, END = "<|im_start|>", "<|im_end|>"


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids of a row and, for each, the weight of its loss as a target (0 for what is only read)."""

    skill: str
    ids: list[int]
    weights: list[float]
    among: dict[int, list[int]] = field(default_factory=dict)  # place of a target: the only ids it is predicted among


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of nearly one length: ids (B, T), and the flattened places, targets and weights of the loss, each (N,)."""

    ids: Tensor
    positions: Tensor
    targets: Tensor
    weights: Tensor
    skills: tuple[str, ...]
    row_of: Tensor  # index of the row of each place
    among: tuple[tuple[int, list[int]], ...] = ()  # index into the places, and the ids that its target is predicted among


def segments(row: Row) -> list[tuple[str, bool]]:
    """The chat template of `mini` as pieces of text, each with whether its tokens are the assistant's."""
    parts: list[tuple[str, bool]] = []
    messages = list(row.messages)
    system = ""
    has_system = bool(messages) and messages[0]["role"] == "system"
    if has_system:
        system = messages.pop(0)["content"] or ""
    if row.tools:
        system += (
            ("\n\n" if system else "") + "# Tools" + "".join("\n" + json.dumps(tool, ensure_ascii=False) for tool in row.tools)
        )
    if has_system or row.tools:
        parts.append((f"{START}system\n{system}{END}\n", False))
    for message in messages:
        text = message.get("content") or ""
        for call in message.get("tool_calls") or ():
            function: dict[str, Any] = call.get("function") or call
            arguments = (
                function["arguments"]
                if isinstance(function["arguments"], str)
                else json.dumps(function["arguments"], ensure_ascii=False)
            )
            text += (
                ("\n" if text else "")
                + f'<tool_call>\n{{"name": {json.dumps(function["name"], ensure_ascii=False)}, '
                + f'"arguments": {arguments}}}\n</tool_call>'
            )
        if message["role"] == "assistant":
            parts += [(f"{START}assistant\n", False), (f"{text}{END}", message.get("weight", 1) > 0), ("\n", False)]
        else:
            parts.append((f"{START}{message['role']}\n{text}{END}\n", False))
    return parts


def encode_row(
    row: Row, tokenizer: Tokenizer, r: Random, *, prompt_share: float, prompt_weight: float, max_tokens: int
) -> Encoded | None:
    """Token ids and loss weights; None if the row is longer than `max_tokens`.

    Of the prompt's tokens a random `prompt_share` carries `prompt_weight`: reading is learnt from them too, and the
    output layer need not be computed everywhere.
    """
    parts = [(row.text, True)] if row.text else segments(row)
    ids: list[int] = []
    weights: list[float] = []
    starts: list[int] = []
    for encoding, (_, learnt) in zip(
        tokenizer.encode_batch([text for text, _ in parts], add_special_tokens=False), parts, strict=True
    ):
        if learnt and encoding.ids:
            starts.append(len(ids))
        ids += encoding.ids
        if learnt:
            opening = OPENING_WEIGHTS if row.messages else ()
            weights += [*opening, *([1.0] * len(encoding.ids))][: len(encoding.ids)]
        else:
            weights += [prompt_weight if r.random() < prompt_share else 0.0 for _ in encoding.ids]
    if not 2 <= len(ids) <= max_tokens:
        return None
    # Served answers are held to sentences of the documents: which of them begins is learnt among their first tokens.
    held = openings(row, tokenizer) if r.random() < HELD_SHARE else frozenset()
    among = {place: sorted(held) for place in starts if ids[place] in held} if len(held) > 1 else {}
    return Encoded(row.skill, ids, weights, among)


def openings(row: Row, tokenizer: Tokenizer) -> frozenset[int]:
    """First tokens of all answers a reading row may have, its abstention included; empty for other rows."""
    passages = row.facts.get("passages", ())
    sentences = list(row.facts.get("marks", ()))
    if not sentences:
        lines = (line for text in passages for line in _SENTENCE_END.split(text))
        sentences = [line.lstrip("-*•·# ") for line in lines if line.strip("-*•·# ")]
    if not sentences:
        return frozenset()
    encodings = tokenizer.encode_batch([*sentences, *ABSTENTIONS], add_special_tokens=False)
    return frozenset(encoding.ids[0] for encoding in encodings if encoding.ids)


def collate(rows: Sequence[Encoded]) -> Batch:
    """Pad on the right and flatten the loss places; weights are scaled to sum to 1."""
    length = max(len(row.ids) for row in rows) - 1
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    positions: list[int] = []
    targets: list[int] = []
    weights: list[float] = []
    row_of: list[int] = []
    among: list[tuple[int, list[int]]] = []
    for i, row in enumerate(rows):
        ids[i, : len(row.ids) - 1] = torch.tensor(row.ids[:-1])
        for t, weight in enumerate(row.weights[1:]):
            if weight > 0:
                if t + 1 in row.among:
                    among.append((len(positions), row.among[t + 1]))
                positions.append(i * length + t)
                targets.append(row.ids[t + 1])
                weights.append(weight)
                row_of.append(i)
    w = torch.tensor(weights)
    return Batch(
        ids,
        torch.tensor(positions),
        torch.tensor(targets),
        w / w.sum(),
        tuple(row.skill for row in rows),
        torch.tensor(row_of),
        tuple(among),
    )


def stream(draw: Callable[[Random], Encoded | None], r: Random, *, pool: int, tokens_per_step: int) -> Iterator[Batch]:
    """Endless batches: draw a pool of rows, put rows of like length together, serve the batches in random order."""
    while True:
        rows: list[Encoded] = []
        total = 0
        while total < pool:
            row = draw(r)
            if row is not None:
                rows.append(row)
                total += len(row.ids)
        rows.sort(key=lambda row: len(row.ids) + 8 * r.random())
        batches: list[list[Encoded]] = [[]]
        for row in rows:
            if batches[-1] and (len(batches[-1]) + 1) * len(row.ids) > tokens_per_step:
                batches.append([])
            batches[-1].append(row)
        r.shuffle(batches)
        for batch in batches:
            yield collate(batch)
