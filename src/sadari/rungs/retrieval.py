"""Look it up: passages of the documents, or similar training examples, in every prompt."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel, Field, NonNegativeInt, PositiveInt

from sadari.answer import coverage_of
from sadari.files import write_lines
from sadari.prompt.instructions import grounded_instruction
from sadari.rungs.search import choose
from sadari.types import Built, Example, Retrieval, System, Workshop


class RetrievalConfig(BaseModel, frozen=True, extra="forbid"):
    """Settings of the retrieval rung."""

    k: tuple[PositiveInt, ...] = Field((2, 3), min_length=1, description="Numbers of passages to try.")
    examples_k: tuple[PositiveInt, ...] = Field(
        (4, 8), min_length=1, description="Numbers of similar training examples to try where there are no documents."
    )
    chunk_chars: int = Field(400, ge=80, description="Longest passage, in characters.")
    quote: tuple[NonNegativeInt, ...] = Field(
        (0, 1, 2), min_length=1, description="Try free answers (0) and answers of at most so many verbatim sentences."
    )


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
        candidates = self._document_candidates(incumbent.with_(documents=self._workshop.documents))
        best, notes = choose(candidates, validation, self._workshop)
        system, note = self._with_threshold(candidates[best], validation)
        return Built(system, notes=(f"chosen on validation: {best}", *note, *notes))

    def _document_candidates(self, incumbent: System) -> dict[str, System]:
        instruction = grounded_instruction(self._workshop.goal, self._workshop.language, incumbent.abstention)
        # Passages take the room of the few-shot examples, which were chosen for answering without them.
        prompt = replace(incumbent.prompt, instruction=instruction.text, shots=0, chain_of_thought=False)
        found = {}
        for k in self._config.k:
            for quote in self._config.quote:
                decoding = replace(incumbent.decoding, quote=quote, choices=self._workshop.labels)
                retrieval = Retrieval("documents", k, self._config.chunk_chars)
                name = f"{k} passages, {f'at most {quote} quoted sentences' if quote else 'free answer'}"
                found[name] = incumbent.with_(prompt=prompt, retrieval=retrieval, decoding=decoding)
        return found

    def _with_threshold(self, system: System, validation: Sequence[Example]) -> tuple[System, tuple[str, ...]]:
        """Let the system abstain unasked where the best passage covers too little of the question, if validation gains by it."""
        assert system.retrieval is not None
        card = self._workshop.evaluate(system, validation)
        covered = coverage_of(system, validation)

        def quality_at(threshold: float) -> float:
            rescored = [
                float(e.reference.abstain) if c < threshold else s for e, c, s in zip(validation, covered, card.scores, strict=True)
            ]
            return sum(rescored) / len(rescored)

        best = max([0.0, *sorted(covered)], key=quality_at)  # ties go to the lowest: abstain as little as possible
        # Two more right answers may be luck; three are asked for.
        if quality_at(best) * len(validation) < card.quality * len(validation) + 3:
            return system, ()
        retrieval = replace(system.retrieval, min_score=best)
        return system.with_(retrieval=retrieval), (
            f"abstains below coverage {best:.2f}: validation {card.quality:.3f} -> {quality_at(best):.3f}",
        )

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
