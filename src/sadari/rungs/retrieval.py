"""Look it up: passages of the documents, or similar training examples, in every prompt."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel, Field, NonNegativeInt, PositiveInt

from sadari.files import write_lines
from sadari.prompt.instructions import grounded_instruction
from sadari.rungs.search import choose, with_threshold
from sadari.types import Built, Example, Retrieval, System, Workshop

SENTENCE = 1
"""A `chunk_chars` so small that every chunk is one sentence."""


class RetrievalConfig(BaseModel, frozen=True, extra="forbid"):
    """Settings of the retrieval rung."""

    k: tuple[PositiveInt, ...] = Field((1, 2, 3), min_length=1, description="Numbers of passages to try.")
    chunk_chars: int = Field(400, ge=80, description="Longest passage, in characters.")
    sentences: tuple[PositiveInt, ...] = Field(
        (1, 4), description="Numbers of single sentences to try in place of passages; [] for none."
    )
    quote: tuple[NonNegativeInt, ...] = Field(
        (1, 0, 2), min_length=1, description="Try free answers (0) and answers of at most so many verbatim sentences."
    )
    examples_k: tuple[PositiveInt, ...] = Field(
        (4, 8), min_length=1, description="Numbers of similar training examples to try where there are no documents."
    )


def grounded(incumbent: System, workshop: Workshop, quote: int) -> System:
    """`incumbent` told to answer from the task's documents alone, by at most `quote` verbatim sentences (0: freely).

    A task with labels answers with one of them and quotes nothing.
    """
    quote = 0 if workshop.labels else quote
    instruction = grounded_instruction(workshop.goal, workshop.language, incumbent.abstention, by_mark=quote > 0)
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
        """The incumbent with retrieval added; how much is retrieved and how it is quoted is chosen on validation."""
        if self._workshop.documents is None:
            return self._with_examples(incumbent, train, validation, workdir)
        start = grounded(incumbent, self._workshop, self._config.quote[0])
        shape, shapes = choose(self._shapes(start), validation, self._workshop)
        quoting, quotings = choose(self._quotings(self._shapes(start)[shape]), validation, self._workshop)
        system = self._quotings(self._shapes(start)[shape])[quoting]
        system, threshold = with_threshold(system, validation, self._workshop)
        return Built(system, notes=(f"chosen on validation: {shape}, {quoting}", *threshold, *shapes, *quotings))

    def _shapes(self, start: System) -> dict[str, System]:
        config = self._config
        shapes = {f"{k} passages": Retrieval("documents", k, config.chunk_chars) for k in config.k}
        shapes |= {f"{k} sentences": Retrieval("documents", k, SENTENCE) for k in config.sentences}
        return {name: start.with_(retrieval=retrieval) for name, retrieval in shapes.items()}

    def _quotings(self, start: System) -> dict[str, System]:
        if self._workshop.labels:
            return {"labels": start}
        told = {q: f"at most {q} quoted sentences" if q else "free answer" for q in self._config.quote}
        return {name: grounded(start, self._workshop, q) for q, name in told.items()}

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
