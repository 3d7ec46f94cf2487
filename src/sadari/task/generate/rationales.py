"""The reasoning that leads to an answer that is already known, from a teacher who is not told the answer.

Kept is only reasoning that ends in the reference: what a teacher gets wrong is asked again with another seed, and then left out.

Source:
    Rejection sampling of reasoning: Zelikman et al. (2022), "STaR: Bootstrapping Reasoning With Reasoning", arXiv 2203.14465;
    Yuan et al. (2023), arXiv 2308.01825.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from random import Random

from sadari.task.generate.collect import TAG, Generated, Order, Refusal, Stream, collect
from sadari.task.generate.teacher import ask_all, lesson, texts_of
from sadari.task.text import fold
from sadari.types import Example, Message, Model, Request

ROUNDS = 4
"""Times that a row is put to the teacher before it is given up."""

LEAST_REASONING = 10
MOST_REASONING = 2000
"""Characters of reasoning that are kept."""

_THINK = """Answer the last question of the conversation. Think step by step, briefly, in the language of the question, then give
the final answer alone, as short as it can be. Answer with one JSON object and nothing else:
{"reasoning": "...", "answer": "..."}."""


def generate_rationales(examples: Sequence[Example], order: Order, teacher: Model, *, marks: Mapping[str, str]) -> Generated:
    """The rows of `examples` with reasoning before their answer, as many as the order asks for; one for each row at most.

    The answer that stands after the mark is the row's own reference, not the teacher's spelling of it.

    Args:
        examples: Rows to think about; those without a reference text, with tool calls or with an abstention are left out.
        marks: What stands before the final answer, by language, as prompts ask for it: `{"ko": "답:", "en": "Answer:"}`.

    Raises:
        ModelError: If the teacher does not answer at all.
    """
    fit = [example for example in examples if _can_be_reasoned(example)]
    left_out = len(examples) - len(fit)
    notes = [f"{left_out} rows have no short answer to reason towards."] if left_out else []
    Random(f"{order.seed}:rationales").shuffle(fit)
    own = _without(order, examples)
    return collect(
        own, _thought(fit, order, teacher, marks), lambda example: None, repeats_beside=True, notes=notes, tries=ROUNDS * 2
    )


def _without(order: Order, examples: Sequence[Example]) -> Order:
    """The order without the rows that are being rewritten, in case they judge too: that is told as a leak otherwise."""
    ids = {example.id for example in examples}
    return replace(order, beside=tuple(example for example in order.beside if example.id not in ids))


def _can_be_reasoned(example: Example) -> bool:
    reference = example.reference
    is_plain = example.kind == "chat" and not reference.calls and not reference.abstain and example.question != ""
    return is_plain and bool(reference.texts) and len(reference.texts[0]) <= 200 and example.prompt[-1].role == "user"


def _thought(examples: Sequence[Example], order: Order, teacher: Model, marks: Mapping[str, str]) -> Stream:
    """Each row once, then again those whose answers were wrong, with other seeds."""
    open_rows = list(examples)
    for turn in range(ROUNDS):
        wrong: list[Example] = []

        def questions(rows: Sequence[Example] = tuple(open_rows), turn: int = turn) -> Iterator[tuple[Example, Request]]:
            for number, example in enumerate(rows):
                yield example, _request(example, order.seed + turn * len(examples) + number)

        for example, reply in ask_all(teacher, questions()):
            made = reply if isinstance(reply, Refusal) else _reasoned(example, reply, marks)
            if isinstance(made, Refusal):
                wrong.append(example)
            yield made
        open_rows = wrong


def _request(example: Example, seed: int) -> Request:
    asked = lesson(_THINK, "", seed=seed)
    return replace(asked, messages=(asked.messages[0], *(replace(turn, weight=None) for turn in example.prompt)))


def _reasoned(example: Example, reply: Mapping[str, object], marks: Mapping[str, str]) -> Example | Refusal:
    texts = texts_of(reply, "reasoning", "answer", most_chars=MOST_REASONING)
    if isinstance(texts, Refusal):
        return texts
    reasoning, answer = texts
    if len(reasoning) < LEAST_REASONING or any(mark in reasoning for mark in marks.values()):
        return Refusal("the reasoning is none", reasoning)
    if not any(is_same_answer(answer, text) for text in example.reference.texts):
        return Refusal("the teacher's answer is not the reference", f"{answer} for {example.reference.texts[0]}")
    language = "ko" if re.search("[가-힣]", example.question) else "en"
    told = Message("assistant", f"{reasoning}\n{marks[language]} {example.reference.texts[0]}")
    return Example(
        f"generated-rationale-teacher-{example.id}",
        (*example.prompt, told),
        example.reference,
        example.tools,
        example.group or example.id,
        (*(tag for tag in example.tags if tag != TAG), "rationale", TAG),
    )


def is_same_answer(one: str, other: str) -> bool:
    """Whether two answers say the same: equal after folding, or equal as numbers (18 and 18.0)."""
    if fold(one) == fold(other):
        return True
    try:
        return float(one.replace(",", "")) == float(other.replace(",", ""))
    except (ValueError, OverflowError):
        return False
