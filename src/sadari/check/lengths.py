"""How long the rows are in tokens of the chosen model, and which of them would be cut."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory

import numpy as np

from sadari.answer import Answerer
from sadari.check.remark import Remark, remark, split_name
from sadari.files import to_json, write_lines
from sadari.prompt.compose import compose
from sadari.prompt.instructions import grounded_instruction
from sadari.task import Task
from sadari.types import Decoding, Document, Example, Message, Model, Prompt, Retrieval, System

SPLITS = ("train", "validation", "test", "audit")
LONGEST_ANSWER = 512
"""Tokens that an answer may take when a climb asks for it."""

SAMPLE = 64
"""Rows by which it is learnt how many tokens a passage and the instruction add."""


@dataclass(frozen=True, slots=True)
class Lengths:
    """Tokens of every row, as a tuned system would be asked: the goal as instruction, one passage where there are documents.

    Args:
        prompts, answers: Tokens by split, one entry per example, in file order.
        context: Most tokens that the model takes; None if it does not say.
        plain: Mean prompt without a passage.
        shared: Tokens of the instruction, which all prompts have in common.
        labels: Tokens of the label list.
    """

    prompts: dict[str, tuple[int, ...]]
    answers: dict[str, tuple[int, ...]]
    context: int | None
    plain: float
    shared: int
    labels: int

    def totals(self, split: str) -> tuple[int, ...]:
        """Prompt and answer together."""
        return tuple(p + a for p, a in zip(self.prompts[split], self.answers[split], strict=True))

    @property
    def passage(self) -> float:
        """Tokens that one passage adds, in the mean."""
        grounded = self.prompts["test"]
        return max(0.0, (fmean(grounded) if grounded else 0.0) - self.plain)

    @property
    def answer(self) -> float:
        """Mean tokens of an answer of train."""
        return fmean(self.answers["train"]) if self.answers["train"] else 0.0


def measure_lengths(task: Task, model: Model) -> Lengths:
    """Count the tokens of every row; one passage is really looked up for each where the task has documents."""
    with TemporaryDirectory() as folder, _quiet_tokenizer():
        answerer = Answerer(_asked(task, Path(folder)), model)
        count = _AnswerCount(model)
        prompts, answers = {}, {}
        for name in SPLITS:
            examples = getattr(task, name)
            prompts[name] = tuple(_prompt_tokens(answerer, example) for example in examples)
            answers[name] = tuple(count(example) for example in examples)
    plain = [model.count_tokens(compose(Prompt(task.goal), e.prompt), e.tools) for e in task.test[:SAMPLE] if e.prompt]
    listed = Message("user", "\n".join(task.labels))
    return Lengths(
        prompts,
        answers,
        getattr(model, "context", None),
        fmean(plain) if plain else 0.0,
        model.count_tokens([Message("system", task.goal), Message("user", "")]),
        model.count_tokens([listed]) if task.labels else 0,
    )


@contextmanager
def _quiet_tokenizer() -> Iterator[None]:
    """Rows beyond the context are told as remarks, not by `transformers`."""
    log = logging.getLogger("transformers.tokenization_utils_base")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


def tuned_system(task: Task, documents: Path | None, new_tokens: int = 128) -> System:
    """How a tuned system would be asked: labels are held, other answers are free and at most `new_tokens` long."""
    decoding = Decoding(max_new_tokens=new_tokens, choices=task.labels)
    start = System(task.model, base_url=task.base_url, decoding=decoding)
    if documents is None:
        return start.with_(prompt=Prompt(task.goal))
    instruction = grounded_instruction(task.goal, task.language, start.abstention)
    return start.with_(prompt=Prompt(instruction.text), retrieval=Retrieval("documents", 1), documents=documents)


def _asked(task: Task, folder: Path) -> System:
    if not task.documents:
        return tuned_system(task, None)
    write_lines(folder / "documents.jsonl", task.documents, Document)
    return tuned_system(task, folder / "documents.jsonl")


def _prompt_tokens(answerer: Answerer, example: Example) -> int:
    if not example.prompt:
        return 0
    request = answerer.prepare(example, training=True).request
    return answerer.model.count_tokens(request.messages, request.tools)


class _AnswerCount:
    """Tokens of answers; labels repeat, so each text is counted once."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._empty = model.count_tokens([Message("user", "")])
        self._known: dict[str, int] = {}

    def __call__(self, example: Example) -> int:
        target = example.target
        text = target.content + ("\n".join(to_json(c) for c in target.tool_calls) if target.tool_calls else "")
        if text not in self._known:
            self._known[text] = self._model.count_tokens([Message("user", text)]) - self._empty
        return self._known[text]


def remark_lengths(task: Task, lengths: Lengths, max_cut_share: float | None) -> list[Remark]:
    """Rows that training would leave out, prompts that could not be asked, answers that would not be finished.

    Args:
        max_cut_share: Share of train that a tuning rung may leave out; None if the ladder has no tuning rung.
    """
    found = []
    context, language = lengths.context, task.language
    if context is not None:
        cut = _where(task, "train", np.array(lengths.totals("train")) > context)
        if cut:
            share = len(cut) / len(task.train)
            stops = max_cut_share is not None and share > max_cut_share
            found.append(
                remark(
                    *("lengths", "error" if stops else "warning", _STOPS if stops else _CUT, language, cut),
                    count=len(cut),
                    context=context,
                    share=share,
                    allowed=max_cut_share or 0.0,
                )
            )
        for split in ("validation", "test", "audit"):
            unasked = _where(task, split, np.array(lengths.prompts[split]) >= context)
            if unasked:
                name = split_name(split, language)
                found.append(
                    remark("lengths", "warning", _UNASKED, language, unasked, count=len(unasked), split=name, context=context)
                )
    long = _where(task, "test", np.array(lengths.answers["test"]) > LONGEST_ANSWER)
    if long:
        found.append(remark("lengths", "warning", _UNFINISHED, language, long, count=len(long), most=LONGEST_ANSWER))
    empty = _where(task, "train", np.array([not e.target.content.strip() and not e.target.tool_calls for e in task.train]))
    if empty:
        found.append(remark("lengths", "warning", _EMPTY, language, empty, count=len(empty)))
    return found


def _where(task: Task, split: str, chosen: np.ndarray) -> list[str]:
    examples = getattr(task, split)
    return [where(task, examples[i]) for i in np.flatnonzero(chosen)]


def where(task: Task, example: Example) -> str:
    """Where an example stands, as messages name it."""
    return task.sources.get(example.id, example.id)


_CUT = {
    "en": (
        "Train rows longer than the model's context of {context} tokens, which tuning leaves out: {count} ({share:.1%}).",
        "Shorten them, or split them into several rows.",
    ),
    "ko": (
        "학습 행 {count}개({share:.1%})가 모델의 문맥 {context}토큰보다 길어 튜닝에서 빠집니다.",
        "행을 줄이거나 여러 행으로 나누세요.",
    ),
}
_STOPS = {
    "en": (
        "Train rows longer than the model's context of {context} tokens: {count} ({share:.1%}). Tuning stops, since at most "
        "{allowed:.1%} may be left out.",
        "Shorten or split them, take a model with a longer context, or raise `max_cut_share` of the rung.",
    ),
    "ko": (
        "학습 행 {count}개({share:.1%})가 모델의 문맥 {context}토큰보다 깁니다. "
        "{allowed:.1%}까지만 뺄 수 있으므로 튜닝이 멈춥니다.",
        "행을 줄이거나 나누고, 아니면 문맥이 더 긴 모델을 쓰거나 단계의 `max_cut_share`를 올리세요.",
    ),
}
_UNASKED = {
    "en": (
        "Questions of {split} that do not fit the model's context of {context} tokens, so that every system scores 0: {count}.",
        "Shorten them, or take a model with a longer context.",
    ),
    "ko": (
        "{split} 질문 {count}개가 모델의 문맥 {context}토큰에 들어가지 않아 어떤 시스템도 0점을 받습니다.",
        "질문을 줄이거나 문맥이 더 긴 모델을 쓰세요.",
    ),
}
_UNFINISHED = {
    "en": (
        "Test answers longer than the {most} tokens that an answer may take: {count}.",
        "Ask for shorter answers, or score the facts in them (`score: {{by: facts}}`).",
    ),
    "ko": (
        "테스트 정답 {count}개가 답변 한도 {most}토큰보다 깁니다.",
        "더 짧은 답을 정답으로 두거나, 답 속의 사실로 채점하세요(`score: {{by: facts}}`).",
    ),
}
_EMPTY = {
    "en": ("Train rows without an answer to learn: {count}.", "Fill in the answers, or delete the rows."),
    "ko": ("학습 행 {count}개에 배울 답이 없습니다.", "답을 채우거나 행을 지우세요."),
}
