"""Ask better: a role, an answer template, reasoning, and a few similar examples."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field

from sadari.files import write_lines
from sadari.prompt.instructions import Kind, candidate_instructions
from sadari.rungs.search import choose
from sadari.types import Built, Example, Prompt, System, Workshop

LONG_CATALOGUE = 8
"""Small models find a tool among more than these far less often than they know how to call it."""


class PromptConfig(BaseModel, frozen=True, extra="forbid"):
    """Settings of the prompt rung."""

    shots: tuple[Annotated[int, Field(ge=0, le=5)], ...] = Field(
        (0, 2, 5), min_length=1, description="Numbers of similar training examples to try, each 0 to 5."
    )
    chain_of_thought: tuple[bool, ...] = Field((False, True), description="Try answers with and without reasoning first.")
    tools_shown: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (2, 8), description="Of a catalogue of more than 8 tools, try showing so many of them, found for each question."
    )


class PromptRung:
    """Searches instructions, numbers of few-shot examples and chain of thought on validation.

    Source:
        Few-shot examples chosen by similarity: Liu et al. (2021), arXiv 2101.06804. Chain of thought: Wei et al. (2022),
        arXiv 2201.11903.
    """

    name = "prompt"

    def __init__(self, config: PromptConfig, workshop: Workshop) -> None:
        self._config, self._workshop = config, workshop

    def build(self, incumbent: System, train: Sequence[Example], validation: Sequence[Example], workdir: Path) -> Built:
        """The incumbent with the best prompt found."""
        pool = workdir / "examples.jsonl"
        write_lines(pool, [e for e in train if e.kind == "chat"], Example)
        incumbent = incumbent.with_(examples=pool)
        candidates = self._candidates(incumbent, _longest_catalogue(incumbent, train))
        best, notes = choose(candidates, validation, self._workshop)
        return Built(candidates[best], notes=(f"chosen on validation: {best}", *notes))

    def _candidates(self, incumbent: System, tools: int) -> dict[str, System]:
        workshop, config = self._workshop, self._config
        kind: Kind = "label" if workshop.labels else "grounded" if workshop.documents else "free"
        found: dict[str, System] = {}
        texts = candidate_instructions(workshop.goal, workshop.language, kind)
        few = max(config.shots, default=0)
        for instruction in texts:
            # Shots are searched with the plainest and the fullest instruction, not with every one.
            for shots in config.shots if instruction in (texts[0], texts[-1]) else (few,):
                prompt = Prompt(instruction.text, incumbent.prompt.labels, shots)
                found[f"{instruction.name}, {shots} examples"] = incumbent.with_(prompt=prompt)
        if any(config.chain_of_thought):
            # What is reasoned first cannot be held to a label list while it is written; the answer is read from its last line.
            prompt = Prompt(texts[-1].text, incumbent.prompt.labels, few, chain_of_thought=True)
            free = incumbent.with_(prompt=prompt, decoding=replace(incumbent.decoding, choices=()))
            found[f"{texts[-1].name}, {few} examples, reasoning first"] = free
        if tools > LONG_CATALOGUE:
            whole = found[f"{texts[-1].name}, {few} examples"]
            for shown in config.tools_shown:
                found[f"{texts[-1].name}, {few} examples, {shown} of {tools} tools"] = whole.with_(tools_shown=shown)
        return found


def _longest_catalogue(incumbent: System, examples: Sequence[Example]) -> int:
    """How many tools a question is shown at most."""
    return max((len(example.tools or incumbent.tools) for example in examples), default=len(incumbent.tools))
