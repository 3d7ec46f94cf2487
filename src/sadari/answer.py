"""How a System answers: look up, compose, generate, read, cite. Training rows are prepared by the same code as served requests."""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from sadari.errors import DataError, SadariError
from sadari.files import read_lines
from sadari.prompt import compose, final_answer, sentence_marks
from sadari.retrieve import LexicalIndex, cite, sentences_of
from sadari.retrieve.library import open_library
from sadari.retrieve.tools import ToolSearch, questions_by_tool
from sadari.task.duplicates import DuplicateIndex
from sadari.types import Answer, Chunk, Example, Generation, Message, Model, OneOf, Request, Span, System, ToolSpec

MARK_JOINT = ","

MODELS_KEPT = 2
"""Loaded models that an `Engine` keeps in memory."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """One request, and the passages its answer may cite.

    Args:
        marks: Where answers are quotes: a mark for each passage, which then is one sentence.
        settled: An answer that needs no model.
    """

    request: Request
    passages: tuple[Chunk, ...] = ()
    marks: tuple[str, ...] = ()
    settled: str | None = None

    def said(self, answer: str, abstention: str) -> str | None:
        """What the model has to say for `answer` to come out; None if it cannot."""
        if not self.marks or answer == abstention:
            return answer
        named: list[str] = []
        rest = answer
        while rest:
            left = [(m, p.text) for m, p in zip(self.marks, self.passages, strict=True) if m not in named]
            mark, text = max(((m, t) for m, t in left if rest.startswith(t)), key=lambda f: len(f[1]), default=("", ""))
            if not text:
                return None
            named.append(mark)
            rest = rest[len(text) :].lstrip()
        return MARK_JOINT.join(named)

    def quoted(self, said: str) -> list[Chunk]:
        """The sentences that the model named."""
        if not self.marks:
            return []
        by_mark = dict(zip(self.marks, self.passages, strict=True))
        return [by_mark[m] for m in dict.fromkeys(re.findall(r"[A-Za-z]+", said)) if m in by_mark]


class Answerer:
    """Answers conversations as one System describes.

    Args:
        system: What answers.
        model: Its model, loaded.

    Raises:
        DataError: If the system's documents or examples cannot be read.
    """

    def __init__(self, system: System, model: Model) -> None:
        self.system = system
        self.model = model
        self._library = self._examples = None
        if system.retrieval is not None and system.retrieval.source == "documents":
            if system.documents is None:
                raise DataError("the system retrieves from documents but has none: give `documents:` a folder in the task file")
            self._library = open_library(system.documents, system.retrieval)
        if system.prompt.shots or (system.retrieval is not None and system.retrieval.source == "examples"):
            if system.examples is None:
                raise DataError("the system shows similar examples but has none to draw from")
            self._examples = _example_index(system.examples)
        answered = _example_index(system.examples).examples if system.tools_shown and system.examples is not None else ()
        self._tools = ToolSearch(system.tools_shown, questions_by_tool(answered))

    def answer(self, examples: Sequence[Example]) -> list[Answer]:
        """One answer per example, in order. A request that fails gives an `Answer` with `error`; the others go on."""
        prepared = [self.prepare(e) for e in examples]
        asked = [p for p in prepared if p.settled is None]
        generations = iter(self.model.generate([p.request for p in asked]) if asked else [])
        return [self._read(p, None if p.settled is not None else next(generations)) for p in prepared]

    def ask(self, text: str) -> Answer:
        """Answer one question."""
        return self.answer([Example("question", (Message("user", text),))])[0]

    def prepare(self, example: Example, *, training: bool = False) -> Prepared:
        """The request for one example.

        Args:
            training: Leave the row itself, its group and its near-duplicates out of what is shown to the model, since they would
                give the answer away. Of a long catalogue, show the tools that the answer to learn calls, found or not: nobody can
                learn to call what is not shown.
        """
        system, question = self.system, example.question
        passages: tuple[Chunk, ...] = ()
        similar: list[Example] = []
        shots: list[Example] = []
        coverage = 1.0
        if self._library is not None and system.retrieval is not None:
            found = self._library.search(question, system.retrieval.k)
            passages = tuple(self._library.around(f.chunk, system.retrieval.context) for f in found)
            coverage = found[0].coverage if found else 0.0
        if self._examples is not None:
            listed = system.retrieval.k if system.retrieval is not None and system.retrieval.source == "examples" else 0
            found = self._examples.similar(example, max(system.prompt.shots, listed), training)
            shots, similar = found[: system.prompt.shots], found[:listed]
        marks: tuple[str, ...] = ()
        if system.decoding.quote:
            passages = tuple(sentence for p in passages for sentence in sentences_of(p))
            marks = tuple(sentence_marks(len(passages)))
        shown = passages if marks else [_line_by_line(p) for p in passages]
        messages = compose(system.prompt, example.prompt, passages=shown, marks=marks, similar=similar, shots=shots)
        request = Request(
            messages=messages,
            tools=self._tools_for(example, training),
            max_new_tokens=system.decoding.max_new_tokens,
            temperature=system.decoding.temperature,
            top_p=system.decoding.top_p,
            seed=system.decoding.seed,
            constraint=self._constraint(marks),
        )
        below = system.retrieval is not None and coverage < system.retrieval.min_score
        return Prepared(request, passages, marks, system.abstention if below else None)

    def _tools_for(self, example: Example, training: bool) -> tuple[ToolSpec, ...]:
        told = Message("system", self.system.prompt.instruction)
        learnt = (*example.target.tool_calls, *example.reference.calls) if training else ()
        return self._tools.shown(example.tools or self.system.tools, (told, *example.prompt), {call.name for call in learnt})

    def _constraint(self, marks: tuple[str, ...]) -> OneOf | None:
        decoding = self.system.decoding
        if decoding.choices:
            return OneOf(decoding.choices)
        if decoding.quote:
            abstention = self.system.abstention
            return OneOf((*marks, abstention), decoding.quote, (abstention,), decoding.abstain_above, MARK_JOINT)
        return None

    def _read(self, prepared: Prepared, generation: Generation | None) -> Answer:
        if generation is None:
            return Answer(prepared.settled or "", abstained=True)
        if generation.finish == "error":
            return Answer("", usage=generation.usage, latency_s=generation.latency_s, error=generation.error or "no answer")
        text = final_answer(generation.text, self.system.prompt)
        abstained = _squeeze(self.system.abstention) in _squeeze(text)
        sentences = [] if abstained else prepared.quoted(text)
        if sentences:
            citations = tuple(Span(s.document, s.start, s.end, s.text) for s in sentences)
            text = " ".join(s.text for s in sentences)
        else:
            citations = () if abstained else cite(text, prepared.passages)
        return Answer(text, generation.tool_calls, citations, abstained, generation.usage, generation.latency_s)


def coverage_of(system: System, examples: Sequence[Example]) -> list[float]:
    """For each example, the share of its question's term weight that the best passage holds, in [0, 1]."""
    assert system.retrieval is not None
    assert system.documents is not None
    library = open_library(system.documents, system.retrieval)
    found = [library.search(e.question, 1) for e in examples]
    return [f[0].coverage if f else 0.0 for f in found]


class Engine:
    """Loads models once and answers for any System. Keeps the `MODELS_KEPT` models used last."""

    def __init__(self, load: Callable[[System], Model]) -> None:
        self._load = load
        self._models: dict[tuple[str, Path | None, str, str | None], Model] = {}

    def model(self, system: System) -> Model:
        """The model of `system`, loaded."""
        key = (system.model, system.adapter, system.precision, system.base_url)
        model = self._models.pop(key, None) or self._load(system)
        self._models[key] = model  # last used, last dropped
        while len(self._models) > MODELS_KEPT:
            del self._models[next(iter(self._models))]
        return model

    def answerer(self, system: System) -> Answerer:
        """An `Answerer` for `system`."""
        return Answerer(system, self.model(system))

    def answer(self, system: System, examples: Sequence[Example]) -> tuple[list[Answer], float]:
        """Answers, and the wall seconds they took, the loading of the model not counted."""
        answerer = self.answerer(system)
        started = time.perf_counter()
        answers = _answer_despite_crashes(answerer, examples)
        return answers, time.perf_counter() - started


def _answer_despite_crashes(answerer: Answerer, examples: Sequence[Example]) -> list[Answer]:
    """A crash of the model is a wrong answer, counted, not the end of the climb; after one, each example is asked alone."""
    try:
        return answerer.answer(examples)
    except SadariError:
        raise
    except Exception as error:
        if len(examples) == 1:
            return [Answer("", error=f"{type(error).__name__}: {error}")]
        return [answer for example in examples for answer in _answer_despite_crashes(answerer, [example])]


class _ExamplePool:
    """Training examples, found by likeness of their questions."""

    def __init__(self, examples: Sequence[Example]) -> None:
        self.examples = examples
        self._index = LexicalIndex([e.question for e in examples])
        self._duplicates: DuplicateIndex | None = None
        self._positions = {e.id: i for i, e in enumerate(examples)}

    def similar(self, example: Example, k: int, training: bool) -> list[Example]:
        left_out = self._alike(example) if training else frozenset({example.id})
        exclude = [self._positions[i] for i in left_out if i in self._positions]
        return [self.examples[h.position] for h in self._index.search(example.question, k, exclude)]

    def _alike(self, example: Example) -> frozenset[str]:
        if self._duplicates is None:
            self._duplicates = DuplicateIndex(self.examples)
        return self._duplicates.alike(example) | {example.id}


@lru_cache(maxsize=4)
def _example_index(examples: Path) -> _ExamplePool:
    return _ExamplePool(read_lines(examples, Example))


def _line_by_line(passage: Chunk) -> Chunk:
    """A passage with a line for each sentence, as it is shown."""
    return replace(passage, text="\n".join(s.text for s in sentences_of(passage)))


def _squeeze(text: str) -> str:
    return "".join(ch for ch in text if ch.isalnum())
