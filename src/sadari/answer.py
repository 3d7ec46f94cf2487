"""How a System answers: look up, compose, generate, read, cite. Training rows are prepared by the same code as served requests."""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain
from pathlib import Path

from sadari.errors import DataError, SadariError
from sadari.files import read_lines
from sadari.prompt import compose, final_answer, sentence_marks
from sadari.prompt.compose import language_of
from sadari.prompt.fields import Fields, read_fields, values_of
from sadari.retrieve import LexicalIndex
from sadari.retrieve.evidence import Evidence, holding, span_of, trace, with_marks
from sadari.retrieve.library import Library, open_library
from sadari.retrieve.passages import LOOKED_AT, Put, Scored, marked_sentences, put_as_data, through_last_mark, with_newer
from sadari.retrieve.tools import ToolSearch, questions_by_tool
from sadari.task.duplicates import DuplicateIndex
from sadari.types import (
    EVERYONE,
    Answer,
    Chunk,
    Constraint,
    Delta,
    Example,
    Generation,
    JsonSchema,
    Message,
    Model,
    OneOf,
    Reader,
    Request,
    StreamingModel,
    System,
    ToolSpec,
)

MARK_JOINT = ","

MODELS_KEPT = 2
"""Loaded models that an `Engine` keeps in memory."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """One request, and the passages its answer may cite.

    Args:
        marks: Where answers are quotes: a mark for each passage, which then is one sentence.
        settled: An answer that needs no model.
        names_sources: Whether the model is to write the numbers of the passages behind its sentences.
        fields: Where answers are JSON: what reads it from the sentences that are quoted.
    """

    request: Request
    passages: tuple[Chunk, ...] = ()
    marks: tuple[str, ...] = ()
    settled: str | None = None
    question: str = ""
    names_sources: bool = False
    fields: Fields | None = None

    def said(self, answer: str, abstention: str) -> str | None:
        """What the model has to say for `answer` to come out; None if it cannot."""
        if answer == abstention or not (self.marks or self.names_sources):
            return answer
        if self.names_sources:
            return with_marks(answer, self.passages, self.question)
        if self.fields is not None:
            return abstention if self.fields.is_nothing(answer) else self._mark_of_values(values_of(answer))
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

    def _mark_of_values(self, values: Sequence[str]) -> str | None:
        """The mark of the sentence that a JSON answer is read from: the first that holds its values."""
        if not values:
            return None
        held = (m for m, p in zip(self.marks, self.passages, strict=True) if all(v in f"{p.text}\n{p.title}" for v in values))
        return next(held, None)

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
        reader: Who asks: documents that the reader may not see are not searched.

    Raises:
        DataError: If the system's documents or examples cannot be read.
    """

    def __init__(self, system: System, model: Model, reader: Reader = EVERYONE) -> None:
        self.system = system
        self.model = model
        self._reader = reader
        self._library, self._examples = _library_of(system), None
        if system.prompt.shots or (system.retrieval is not None and system.retrieval.source == "examples"):
            if system.examples is None:
                raise DataError("the system shows similar examples but has none to draw from")
            self._examples = _example_index(system.examples)
        self._fields = _fields(system.decoding.schema, system.examples) if system.decoding.schema else None
        answered = _example_index(system.examples).examples if system.tools_shown and system.examples is not None else ()
        self._tools = ToolSearch(system.tools_shown, questions_by_tool(answered))

    def answer(self, examples: Sequence[Example]) -> list[Answer]:
        """One answer per example, in order. A request that fails gives an `Answer` with `error`; the others go on."""
        return [draft if evidence is None else self.settle(draft, evidence) for draft, evidence in self.drafts(examples)]

    def drafts(self, examples: Sequence[Example]) -> list[tuple[Answer, Evidence | None]]:
        """What the model says to each example, and the evidence by which it is still to be settled; None if by none."""
        prepared = [self.prepare(e) for e in examples]
        asked = [p for p in prepared if p.settled is None]
        generations = iter(self.model.generate([p.request for p in asked]) if asked else [])
        return [self._read(p, None if p.settled is not None else next(generations)) for p in prepared]

    def stream(self, example: Example, reader: Reader | None = None, *, may_call: bool = True) -> Iterator[Delta | Answer]:
        """The answer piece by piece, the whole of it last.

        Text is told while it is written only where nothing is done to it afterwards: quotes, labels, JSON and reasoning come whole.

        Args:
            reader: Who asks; None for the one that this answerer was made for.
            may_call: Whether tools are offered.
        """
        prepared = self.prepare(example, reader=reader)
        request = prepared.request
        if not may_call:
            request = replace(request, tools=())
        elif request.tools and isinstance(request.constraint, JsonSchema):  # which leaves no room for a call
            request = replace(request, constraint=None)
        generation = None
        if prepared.settled is None and isinstance(self.model, StreamingModel) and self._tells_as_written:
            for piece in self.model.stream(request):
                generation = piece.done or generation
                if piece.text:
                    yield Delta(piece.text)
        elif prepared.settled is None:
            (generation,) = self.model.generate([request])
        answer, evidence = self._read(prepared, generation)
        yield answer if evidence is None else self.settle(answer, evidence)

    @property
    def _tells_as_written(self) -> bool:
        system = self.system
        is_held = system.decoding.quote or system.decoding.choices or system.decoding.schema or system.prompt.chain_of_thought
        return not is_held and (system.retrieval is None or (system.retrieval.unsupported == "keep" and not self._names_sources))

    def ask(self, text: str) -> Answer:
        """Answer one question."""
        return self.answer([Example("question", (Message("user", text),))])[0]

    def prepare(self, example: Example, *, training: bool = False, reader: Reader | None = None) -> Prepared:
        """The request for one example.

        Args:
            reader: Who asks; None for the one that this answerer was made for.
            training: Leave the row itself, its group and its near-duplicates out of what is shown to the model, since they would
                give the answer away. Of a long catalogue, show the tools that the answer to learn calls, found or not: nobody can
                learn to call what is not shown.
        """
        system, question = self.system, example.question
        similar: list[Example] = []
        shots: list[Example] = []
        put, coverage = _looked_up(system, self._library, question, reader or self._reader)
        if self._examples is not None:
            listed = system.retrieval.k if system.retrieval is not None and system.retrieval.source == "examples" else 0
            found = self._examples.similar(example, max(system.prompt.shots, listed), training)
            shots, similar = found[: system.prompt.shots], found[:listed]
        marks = tuple(sentence_marks(len(put))) if system.decoding.quote else ()
        messages = compose(
            system.prompt,
            example.prompt,
            passages=[p.shown for p in put],
            marks=marks,
            similar=similar,
            shots=shots,
            place=system.retrieval.place if system.retrieval else "question",
        )
        request = Request(
            messages=messages,
            tools=self._tools_for(example, training),
            max_new_tokens=system.decoding.max_new_tokens,
            temperature=system.decoding.temperature,
            top_p=system.decoding.top_p,
            seed=system.decoding.seed,
            constraint=self._constraint(marks, len(put)),
        )
        below = system.retrieval is not None and coverage < system.retrieval.min_score
        settled = abstention_of(system).text if below else None
        passages = tuple(p.passage for p in put)
        return Prepared(request, passages, marks, settled, question, self._names_sources and bool(put), self._fields)

    @property
    def _names_sources(self) -> bool:
        system = self.system
        is_free = not (system.decoding.quote or system.decoding.choices or system.decoding.schema)
        return is_free and system.retrieval is not None and system.retrieval.cites != "traced"

    def _tools_for(self, example: Example, training: bool) -> tuple[ToolSpec, ...]:
        told = Message("system", self.system.prompt.instruction)
        learnt = (*example.target.tool_calls, *example.reference.calls) if training else ()
        return self._tools.shown(example.tools or self.system.tools, (told, *example.prompt), {call.name for call in learnt})

    def _constraint(self, marks: tuple[str, ...], number: int) -> Constraint | None:
        decoding, retrieval = self.system.decoding, self.system.retrieval
        if decoding.choices:
            return OneOf(decoding.choices)
        if decoding.quote:
            abstention = self.system.abstention
            return OneOf((*marks, abstention), decoding.quote, (abstention,), decoding.abstain_above, MARK_JOINT)
        if self._fields is not None:
            return JsonSchema(self._fields.schema)
        if number and retrieval is not None and retrieval.cites == "held":
            return marked_sentences(number, self.system.abstention)
        return None

    def _read(self, prepared: Prepared, generation: Generation | None) -> tuple[Answer, Evidence | None]:
        if generation is None:
            return Answer(prepared.settled or "", abstained=True), None
        if generation.finish == "error":
            failed = Answer("", usage=generation.usage, latency_s=generation.latency_s, error=generation.error or "no answer")
            return failed, None
        text = final_answer(generation.text, self.system.prompt)
        if self._fields is not None:
            return self._read_json(self._fields, prepared, text, generation), None
        if generation.finish == "truncated" and prepared.names_sources:
            text = through_last_mark(text)
        read = Answer(text, generation.tool_calls, usage=generation.usage, latency_s=generation.latency_s)
        if _squeeze(self.system.abstention) in _squeeze(text):
            return replace(read, abstained=True), None
        sentences = prepared.quoted(text)
        if sentences:
            quoted = replace(read, text=" ".join(s.text for s in sentences), citations=tuple(span_of(s) for s in sentences))
            return quoted, None
        return read, trace(text, prepared.passages, prepared.question) if prepared.passages else None

    def _read_json(self, fields: Fields, prepared: Prepared, said: str, generation: Generation) -> Answer:
        """An answer with a schema: its fields are read from the sentences that were quoted, or were written by the model."""
        read = Answer(said, generation.tool_calls, usage=generation.usage, latency_s=generation.latency_s)
        if generation.finish == "truncated":
            return replace(read, text="", error="the answer was cut before it satisfied its schema: raise max_new_tokens")
        if prepared.marks:
            sentences = prepared.quoted(said)
            text = fields.fill(sentences, prepared.question) if sentences else None
        else:
            text, sentences = said, holding(values_of(said), prepared.passages)
        if text is None or text == self.system.abstention or fields.is_nothing(text):
            return replace(read, text=abstention_of(self.system).text, abstained=True)
        return replace(read, text=text, citations=tuple(span_of(s) for s in sentences))

    def settle(self, answer: Answer, evidence: Evidence, least: float | None = None) -> Answer:
        """`answer` with its citations, its unsupported sentences kept, marked or removed.

        Args:
            least: In place of `Retrieval.least_support`.
        """
        retrieval, is_label = self.system.retrieval, bool(self.system.decoding.choices)
        assert retrieval is not None, "only passages support an answer"
        settled = evidence.settle(
            self.system.abstention,
            unsupported="keep" if is_label else retrieval.unsupported,
            least=retrieval.least_support if least is None else least,
            language=language_of(answer.text),
        )
        return replace(answer, text=settled.text, citations=settled.citations, abstained=settled.abstained)


def _looked_up(system: System, library: Library | None, question: str, reader: Reader = EVERYONE) -> tuple[tuple[Put, ...], float]:
    """The passages for a question as data, as sentences where answers are quotes, and what share of it the best one covers."""
    retrieval = system.retrieval
    if library is None or retrieval is None:
        return (), 1.0
    found = library.search(question, retrieval.k + (LOOKED_AT if retrieval.newest else 0), reader)
    if not found:
        return (), 0.0
    put: list[list[Scored]] = []
    for one in found:
        made = put_as_data([library.around(one.chunk, retrieval.context)], language_of(question), orders=retrieval.orders)
        units = [sentence for p in made for sentence in p.sentences()] if system.decoding.quote else made
        put.append([(unit, one.score) for unit in units])
    shown, beside = (list(chain.from_iterable(some)) for some in (put[: retrieval.k], put[retrieval.k :]))
    return with_newer(shown, beside, retrieval.newest * (found[0].score - found[-1].score)), found[0].coverage


def abstention_of(system: System) -> Answer:
    """What a system says when the documents do not hold the answer: with a schema, if it lets that be, JSON that says nothing."""
    schema = system.decoding.schema
    return Answer((_fields(schema, system.examples).nothing() if schema else None) or system.abstention, abstained=True)


def contexts_of(system: System, examples: Sequence[Example]) -> list[tuple[Chunk, ...]]:
    """For each example the passages that are put to the model, best first; none where the system looks up no documents."""
    library = _library_of(system) if system.documents or system.index else None
    put = [_looked_up(system, library, e.question)[0] for e in examples]
    return [tuple({(p.document, p.start, p.end): p for p in (one.within or one.passage for one in some)}.values()) for some in put]


def _library_of(system: System) -> Library | None:
    """What a system looks up in: its index as it is by now, else its documents; None if it looks up none."""
    if system.retrieval is None or system.retrieval.source != "documents":
        return None
    return open_library(system.documents, system.retrieval, system.index)


def coverage_of(system: System, examples: Sequence[Example]) -> list[float]:
    """For each example, the share of its question's term weight that the best passage holds, in [0, 1]."""
    library = _library_of(system)
    assert library is not None, "only what looks up documents finds passages"
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
def _fields(schema: str, examples: Path | None) -> Fields:
    return read_fields(schema, read_lines(examples, Example) if examples is not None else ())


@lru_cache(maxsize=4)
def _example_index(examples: Path) -> _ExamplePool:
    return _ExamplePool(read_lines(examples, Example))


def _squeeze(text: str) -> str:
    return "".join(ch for ch in text if ch.isalnum())
