"""Look it up: passages of the documents, or similar training examples, in every prompt."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from math import prod
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, NonNegativeInt, PositiveInt, ValidationInfo, field_validator

from sadari.files import read_lines, write_lines
from sadari.prompt.instructions import grounded_instruction
from sadari.retrieve.chunk import SENTENCE
from sadari.retrieve.embed import BUNDLED
from sadari.retrieve.rerank import LEARNED
from sadari.retrieve.search import Fusion
from sadari.rungs.lessons import TRAINED, Lessons
from sadari.rungs.search import Part, Search, choose, choose_jointly, with_support, with_threshold
from sadari.types import Built, Document, Example, Retrieval, System, Workshop


class RetrievalConfig(BaseModel, frozen=True, extra="forbid"):
    """Settings of the retrieval rung."""

    k: tuple[PositiveInt, ...] = Field((1, 2, 3), min_length=1, description="Numbers of passages to try.")
    chunk_tokens: tuple[Annotated[int, Field(ge=40)], ...] = Field(
        (200, 100), min_length=1, description="Longest passages to try, in tokens of the bundled tokenizer."
    )
    sentences: tuple[PositiveInt, ...] = Field(
        (1, 4), description="Numbers of single sentences to try in place of passages; [] for none."
    )
    overlap: tuple[NonNegativeInt, ...] = Field((0,), min_length=1, description="Tokens to try that a passage repeats of the last.")
    context: tuple[NonNegativeInt, ...] = Field(
        (0,), min_length=1, description="Tokens of its section to try to show around each passage; 0 shows it alone."
    )
    terms: tuple[Literal["bigrams", "morphemes", "both", "none"], ...] = Field(
        ("bigrams",), min_length=1, description="Words to try to search by: character bigrams, morphemes, both, none."
    )
    embedder: tuple[str, ...] = Field(
        ("",),
        min_length=1,
        description='Embedders to try: "" for none, `bundled`, `trained` (that one on the task\'s own questions), name or folder, '
        "`openai:NAME`.",
    )
    vectors: tuple[Annotated[float, Field(ge=0, le=1)] | Literal["trained"], ...] = Field(
        (Fusion().vectors,),
        min_length=1,
        description="Weights of vectors beside words to try, from 0 to 1; `trained` is learnt from the task's own questions.",
    )
    reranker: tuple[str, ...] = Field(
        ("", "learned"),
        min_length=1,
        description='Rerankers to try: "" for none, `learned`, `trained` (that one on the task\'s own questions), the folder of a '
        "cross-encoder.",
    )
    place: tuple[Literal["question", "system"], ...] = Field(
        ("question",), min_length=1, description="Where passages may stand: above the question, or in the system text."
    )
    quote: tuple[NonNegativeInt, ...] = Field(
        (1, 0, 2), min_length=1, description="Try free answers (0) and answers of at most so many verbatim sentences."
    )
    cites: tuple[Literal["traced", "asked", "held"], ...] = Field(
        ("traced",),
        min_length=1,
        description="How free answers name sources, to try: found afterwards, asked for, or held to.",
    )
    newest: tuple[Annotated[float, Field(ge=0, le=1)], ...] = Field(
        (0.0, 0.3),
        min_length=1,
        description="How near in score, as a share of their span, what is newer has to be to overrule what is older; 0: never.",
    )
    unsupported: Literal["keep", "mark", "remove"] = Field("keep", description="What becomes of sentences without a source.")
    orders: Literal["tell", "leave_out"] = Field("tell", description="What becomes of passages with orders to the model.")
    trials: PositiveInt = Field(27, description="Combinations of all these to try.")
    examples_k: tuple[PositiveInt, ...] = Field(
        (4, 8), min_length=1, description="Numbers of similar training examples to try where there are no documents."
    )

    @field_validator("*", mode="before")
    @classmethod
    def _one_of_a_list(cls, value: Any, info: ValidationInfo) -> Any:
        """One value is a list of one."""
        is_list = isinstance(cls.model_fields[info.field_name or ""].default, tuple)
        return (value,) if is_list and not isinstance(value, list | tuple) else value

    def combinations(self, has_labels: bool) -> int:
        """How many there are of all these."""
        searched = (self.overlap, self.context, self.terms, self.embedder, self.vectors, self.reranker, self.place, self.newest)
        lists = searched if has_labels else (*searched, [*self.quote, *self.cites[1:]])
        return (len(self.k) * len(self.chunk_tokens) + len(self.sentences)) * prod(len(options) for options in lists)

    def untrained(self) -> "RetrievalConfig":
        """The same with what comes with sadari in place of what is trained, for a task that has too few questions for it."""
        usual: dict[str, Any] = {"embedder": BUNDLED, "vectors": Fusion().vectors, "reranker": LEARNED}
        options = {name: dict.fromkeys(usual[name] if o == TRAINED else o for o in getattr(self, name)) for name in usual}
        return self.model_copy(update={name: tuple(kept) for name, kept in options.items()})


def grounded(incumbent: System, workshop: Workshop, quote: int, *, cites: bool = False) -> System:
    """`incumbent` told to answer from the task's documents alone, by at most `quote` verbatim sentences (0: freely).

    A task with labels answers with one of them and quotes nothing.

    Args:
        cites: It is told to name its sources behind each sentence.
    """
    quote = 0 if workshop.labels else quote
    by_mark, cites = quote > 0, cites and not quote and not workshop.labels
    instruction = grounded_instruction(workshop.goal, workshop.language, incumbent.abstention, by_mark=by_mark, cites=cites)
    # Passages take the room of the few-shot examples, which were chosen for answering without them.
    prompt = replace(incumbent.prompt, instruction=instruction.text, shots=0, chain_of_thought=False)
    decoding = replace(incumbent.decoding, quote=quote, choices=workshop.labels)
    return incumbent.with_(prompt=prompt, decoding=decoding, documents=workshop.documents)


class RetrievalRung:
    """Retrieval-augmented answers with citations; "not in the documents" is one of them.

    Source:
        Lewis et al. (2020), arXiv 2005.11401.
    """

    name = "retrieval"

    def __init__(self, config: RetrievalConfig, workshop: Workshop) -> None:
        self._config, self._workshop = config, workshop

    def build(self, incumbent: System, train: Sequence[Example], validation: Sequence[Example], workdir: Path) -> Built:
        """The incumbent with retrieval added; all its parts are chosen together, on validation."""
        if self._workshop.documents is None:
            return self._with_examples(incumbent, train, validation, workdir)
        lessons = Lessons(self._workshop.documents, train, validation, workdir / "lessons", self._workshop.seed)
        config = self._config
        untaught: tuple[str, ...] = ()
        if not lessons.are_enough and config != config.untrained():
            config, untaught = config.untrained(), (lessons.why_none,)
        if len({document.date for document in read_lines(self._workshop.documents, Document)} - {""}) < 2:
            config = config.model_copy(update={"newest": (0.0,)})  # nothing is newer than anything
        if incumbent.decoding.schema:  # what its fields look like is read off the rows
            pool = workdir / "examples.jsonl"
            write_lines(pool, [e for e in train if e.kind == "chat"], Example)
            incumbent = incumbent.with_(examples=pool)
        make = partial(self._system, incumbent, lessons)
        search = Search(_parts(config, self._workshop), make, self._workshop, config.trials, workdir)
        system, notes = choose_jointly(search, validation)
        system, threshold = with_threshold(system, validation, self._workshop)
        system, support = with_support(system, validation, self._workshop)
        return Built(system, notes=(*threshold, *support, *notes, *lessons.notes(), *untaught))

    def _system(self, incumbent: System, lessons: Lessons, values: Sequence[Any]) -> System:
        (k, chunk_tokens), overlap, context, terms, embedder, reranker, place, (quote, cites), newest, vectors = values
        if terms == "none" and not embedder:
            terms = "bigrams"  # something has to be searched by
        retrieval = Retrieval(
            *("documents", k, chunk_tokens, overlap),
            context=context,
            terms=terms,
            embedder=embedder,
            reranker=reranker,
            place=place,
            cites=cites,
            unsupported=self._config.unsupported,
            orders=self._config.orders,
            newest=newest,
        )
        if embedder and vectors != TRAINED:  # without vectors every weight is the same system
            retrieval = replace(retrieval, vectors=vectors)
        retrieval = lessons.taught(retrieval, weighs=vectors == TRAINED)
        return grounded(incumbent, self._workshop, quote, cites=cites != "traced").with_(retrieval=retrieval)

    def _with_examples(self, incumbent: System, train: Sequence[Example], validation: Sequence[Example], workdir: Path) -> Built:
        pool = workdir / "examples.jsonl"
        write_lines(pool, [e for e in train if e.kind == "chat"], Example)
        # The list of similar examples says what the labels look like: the label list would only be long.
        prompt = replace(incumbent.prompt, shots=0, labels=(), chain_of_thought=False)
        decoding = replace(incumbent.decoding, choices=self._workshop.labels)
        candidates = {
            f"{k} similar examples": incumbent.with_(
                prompt=prompt, decoding=decoding, retrieval=Retrieval("examples", k), examples=pool
            )
            for k in self._config.examples_k
        }
        best, notes = choose(candidates, validation, self._workshop)
        return Built(candidates[best], notes=(f"chosen on validation: {best}", *notes))


def _parts(config: RetrievalConfig, workshop: Workshop) -> tuple[Part, ...]:
    shown = {f"{k} passages of {n} tokens": (k, n) for n in config.chunk_tokens for k in config.k}
    shown |= {f"{k} sentences": (k, SENTENCE) for k in config.sentences}
    answers: dict[str, tuple[int, str]] = {
        f"at most {q} quoted sentences" if q else f"free, sources {config.cites[0]}": (q, config.cites[0]) for q in config.quote
    }
    answers |= {f"free, sources {cites}": (0, cites) for cites in config.cites[1:]}
    return (
        Part("shown", shown),
        Part("overlap", {str(n): n for n in config.overlap}),
        Part("context", {str(n): n for n in config.context}),
        Part("terms", {name: name for name in config.terms}),
        Part("embedder", {name or "none": name for name in config.embedder}),
        Part("reranker", {name or "none": name for name in config.reranker}),
        Part("place", {name: name for name in config.place}),
        Part("answer", {"label": (0, "traced")} if workshop.labels else answers),
        Part("newest", {str(near): near for near in config.newest}),
        Part("vectors", {str(weight): weight for weight in config.vectors}),
    )
