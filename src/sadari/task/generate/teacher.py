"""Asking a teacher model. What it says is untrusted: bounded, one JSON object and nothing else, or refused.

Covered: no answer, an answer that was cut off, text around the JSON (a code fence is taken off), another shape than was asked for,
NaN, numbers and nesting without end, half characters, decomposed Hangul.

Not covered: whether what it says is true. Each kind of row checks that by itself.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

from sadari.errors import ModelError
from sadari.task.generate.collect import Refusal
from sadari.task.text import nfc_deep
from sadari.types import Message, Model, Request

MOST_TOKENS = 1024
"""Longest reply that is waited for, in tokens."""

MOST_CHARS = 20_000
"""Longest reply that is read, in characters."""

BATCH = 16
"""Requests that go to the teacher at once."""

TEMPERATURE = 0.7

_FENCE = re.compile(r"\A```(?:json)?[ \t]*\n(.*)\n```\Z", re.DOTALL)
_THOUGHT = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)

Asked = TypeVar("Asked")
Reply = Mapping[str, Any]


def ask_all(teacher: Model, questions: Iterable[tuple[Asked, Request]]) -> Iterator[tuple[Asked, Reply | Refusal]]:
    """Each question's own mark with the JSON object that the teacher answers, or why there is none; asked in batches.

    Raises:
        ModelError: If the teacher answers nothing in a whole batch, or not once for each request.
    """
    questions = iter(questions)
    while batch := list(islice(questions, BATCH)):
        said = teacher.generate([request for _, request in batch])
        if len(said) != len(batch):
            raise ModelError(f"{teacher.name} answered {len(said)} of {len(batch)} requests. Use another teacher.")
        if all(one.finish == "error" for one in said):
            raise ModelError(f"{teacher.name} cannot teach: {said[0].error}. Mend it, or leave the teacher out.")
        for (mark, _), one in zip(batch, said, strict=True):
            if one.finish == "error":
                yield mark, Refusal("the teacher did not answer", one.error or "")
            elif one.finish == "length":
                yield mark, Refusal("the teacher's answer was cut off", one.text[-80:])
            else:
                yield mark, read_reply(one.text)


def lesson(instruction: str, material: Any, *, seed: int, most_tokens: int = MOST_TOKENS) -> Request:
    """A request for one JSON object: what to do, and what to do it with."""
    asked = material if isinstance(material, str) else json.dumps(material, ensure_ascii=False)
    return Request(
        (Message("system", instruction), Message("user", asked)), max_new_tokens=most_tokens, temperature=TEMPERATURE, seed=seed
    )


def read_reply(text: str) -> Reply | Refusal:
    """The JSON object that the reply is, in NFC."""
    if len(text) > MOST_CHARS:
        return Refusal("the teacher's answer is too long", f"{len(text)} characters")
    bare = _THOUGHT.sub("", text).strip()
    fenced = _FENCE.match(bare)
    try:
        value = json.loads(fenced[1] if fenced else bare, parse_constant=_refuse_constant)
        json.dumps(value, ensure_ascii=False).encode("utf-8")
        value = nfc_deep(value)
    except (ValueError, RecursionError):
        return Refusal("the teacher's answer is no JSON", text)
    if not isinstance(value, dict):
        return Refusal("the teacher's answer has another shape", text)
    return value


def texts_of(reply: Reply, *names: str, most_chars: int = 2000) -> list[str] | Refusal:
    """The texts under `names`, none empty and none longer than `most_chars`."""
    found: list[str] = []
    for name in names:
        text = reply.get(name)
        if not isinstance(text, str) or not text.strip() or len(text) > most_chars:
            return Refusal("the teacher's answer has another shape", f"`{name}` must be a text of up to {most_chars} characters")
        found.append(text.strip())
    return found


def list_of_texts(reply: Reply, name: str, *, most: int, most_chars: int = 1000) -> list[str] | Refusal:
    """The list of texts under `name`, up to `most` of them."""
    value = reply.get(name)
    fits = isinstance(value, Sequence) and not isinstance(value, str) and 0 < len(value) <= most
    if not fits or not all(isinstance(text, str) and text.strip() and len(text) <= most_chars for text in value or ()):
        return Refusal("the teacher's answer has another shape", f"`{name}` must be a list of 1 to {most} texts")
    return [text.strip() for text in value or ()]


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")
