"""The messages a System sends for one conversation.

Training renders rows through the same function, so what is trained is served.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count, islice, product
from string import ascii_letters
from typing import Literal

from sadari.types import Chunk, Example, Message, Prompt

ANSWER_MARKS = {"ko": "답:", "en": "Answer:"}
"""What stands before the final answer when reasoning was asked for."""

_HEADINGS = {"ko": ("질문", "문서", "비슷한 예"), "en": ("Question", "Documents", "Similar examples")}
_LABELS = {"ko": "다음 가운데 하나로만 답하세요:", "en": "Answer with exactly one of:"}
_REASON = {
    "ko": '먼저 생각을 짧게 쓰고, 마지막 줄에 "답:"을 쓴 뒤 답하세요.',
    "en": 'Think briefly first, then write "Answer:" and the answer on the last line.',
}


def compose(
    prompt: Prompt,
    conversation: Sequence[Message],
    *,
    passages: Sequence[Chunk] = (),
    marks: Sequence[str] = (),
    similar: Sequence[Example] = (),
    shots: Sequence[Example] = (),
    place: Literal["question", "system"] = "question",
) -> tuple[Message, ...]:
    """The messages for one conversation.

    Args:
        prompt: Instruction, label list and reasoning switch.
        conversation: What was said, ending in what is to be answered: a question, or the results of calls that were made for it.
        passages: Retrieved chunks, best first, numbered from 1.
        marks: Where answers name sentences: a mark for each passage, which then is one sentence, on one line with its title.
        similar: Retrieved training examples, best first; written as a list, the best one nearest the question.
        shots: Few-shot examples, best first; shown as earlier turns, the best one last.
        place: Whether passages stand above the question, or at the end of the system text.
    """
    at = max((i for i, m in enumerate(conversation) if m.role == "user"), default=len(conversation) - 1)
    asked = conversation[at].content if conversation else ""
    language = language_of(asked)
    documents = _documents(passages, marks, language)
    above = documents if place == "question" else ""
    messages = [m for m in (_system_message(prompt, conversation, documents if place == "system" else ""),) if m.content]
    for number, shot in reversed(list(enumerate(shots, 1))):
        messages += _shown(shot, number)
    for i, turn in enumerate(conversation):
        if i == at:
            messages.append(replace(turn, content=_framed(asked, above, similar, language)))
        elif turn.role != "system":
            messages.append(turn)
    return tuple(messages)


def _shown(shot: Example, number: int) -> list[Message]:
    """The last question of an example, the calls that were made for it with their results, and its answer; nothing is learnt of it.

    Ids of calls are made its own: endpoints match a result to its call by them.
    """
    turns = (*shot.prompt, shot.target)
    at = max((i for i, m in enumerate(turns) if m.role == "user"), default=0)
    return [
        replace(
            turn,
            weight=0.0,
            tool_calls=tuple(replace(call, id=f"shot{number}-{call.id}" if call.id else "") for call in turn.tool_calls),
            tool_call_id=f"shot{number}-{turn.tool_call_id}" if turn.tool_call_id else None,
        )
        for turn in turns[at:]
    ]


def sentence_marks(number: int) -> list[str]:
    """Names for `number` sentences that an answer may point to: A to Z, a to z, then AA, AB..."""

    def names() -> Iterator[str]:
        for length in count(1):
            yield from map("".join, product(ascii_letters.swapcase(), repeat=length))

    return list(islice(names(), number))


def final_answer(text: str, prompt: Prompt) -> str:
    """The answer in a model's text: what follows the last answer mark when reasoning was asked for, else all of it."""
    text = re.sub(r"<think>.*?(</think>|\Z)", "", text, flags=re.DOTALL)
    if prompt.chain_of_thought:
        for mark in ANSWER_MARKS.values():
            if mark in text:
                text = text.rsplit(mark, 1)[1]
    return text.strip()


def language_of(text: str) -> Literal["ko", "en"]:
    """ "ko" if the text holds any Hangul, else "en"."""
    return "ko" if re.search("[가-힣]", text) else "en"


def _system_message(prompt: Prompt, conversation: Sequence[Message], documents: str) -> Message:
    language = language_of(prompt.instruction)
    own = [m.content for m in conversation if m.role == "system"]
    parts = [prompt.instruction, *own]
    if prompt.labels:
        parts.append(_LABELS[language] + "\n" + "\n".join(prompt.labels))
    if prompt.chain_of_thought:
        parts.append(_REASON[language])
    parts.append(documents)
    return Message("system", "\n\n".join(p for p in parts if p), weight=0.0)


def _documents(passages: Sequence[Chunk], marks: Sequence[str], language: str) -> str:
    """The passages under their heading; where answers name sentences, a line for each."""
    if not passages:
        return ""
    if marks:
        lines = [f"{mark}. {p.title}: {p.text}" for mark, p in zip(marks, passages, strict=True)]
        return f"{_HEADINGS[language][1]}:\n" + "\n".join(lines)
    return f"{_HEADINGS[language][1]}:\n" + "\n\n".join(f"[{i}] {p.title}\n{p.text}" for i, p in enumerate(passages, 1))


def _framed(asked: str, documents: str, similar: Sequence[Example], language: str) -> str:
    question, _, examples = _HEADINGS[language]
    if not documents and not similar:
        return asked
    parts = []
    if similar:
        parts.append(f"{examples}:\n" + "\n".join(f"{e.question} -> {e.target.content}" for e in reversed(similar)))
    if documents:
        parts.append(documents)
    parts.append(f"{question}: {asked}")
    return "\n\n".join(parts)
