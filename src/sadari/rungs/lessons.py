"""What a task's own questions teach its search: an embedder, how much its vectors count, and a reranker.

The questions are the training examples that say where in the documents their answer stands. What they taught is kept in folders
that `load_embedder` and `load_reranker` read, beside a note on what it is worth for questions that it did not learn from.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from random import Random
from zlib import crc32

from sadari.files import read_json, read_lines, to_json, whole_folder, write_text
from sadari.measure.ranking import holds
from sadari.retrieve.chunk import chunk_documents
from sadari.retrieve.embed import BUNDLED
from sadari.retrieve.library import open_library
from sadari.retrieve.rerank import LEARNED, LEAST_QUESTIONS, Judged, LearnedReranker, Reranker, load_reranker, train_reranker
from sadari.retrieve.search import Fusion, Question, fused, learn_fusion
from sadari.retrieve.text import embedded_text
from sadari.types import Chunk, Document, Example, Retrieval, Span

TRAINED = "trained"
"""How an option asks for what the task's own questions teach."""

LEAST_LESSONS = 2 * LEAST_QUESTIONS
"""Fewer training questions teach nothing that holds for others; one half of them judges what the other half taught."""

MOST_LESSONS = 1000
"""Questions that are learnt from, drawn at random: more take longer and change no weight by much."""

WEIGHT, WORTH = "weight.json", "worth.txt"


@dataclass(frozen=True, slots=True)
class Lessons:
    """Questions to learn from, questions to measure with, and the folder of what was learnt.

    Args:
        documents: JSONL of `Document`s.
        train, validation: Examples without gold spans are passed over. Of validation nothing is learnt: it says what a lesson is
            worth.
        workdir: What stands there already is not learnt again.
    """

    documents: Path
    train: Sequence[Example]
    validation: Sequence[Example]
    workdir: Path
    seed: int = 0

    @property
    def are_enough(self) -> bool:
        """Whether there are questions enough to learn from."""
        return len(_placed(self.train)) >= LEAST_LESSONS

    @property
    def why_none(self) -> str:
        """Why nothing is learnt from them."""
        return f"search is not trained: {len(_placed(self.train))} training examples have gold spans, {LEAST_LESSONS} are needed"

    def taught(self, wanted: Retrieval, *, weighs: bool = False) -> Retrieval:
        """`wanted` with the folders of what was trained, where its embedder or reranker is to be "trained".

        Args:
            weighs: Whether the weight of the vectors is learnt, too.
        """
        taught = wanted
        if wanted.embedder == TRAINED:
            taught = replace(taught, embedder=str(self._embedder()))
        weighs = weighs and bool(wanted.embedder)
        if wanted.reranker == TRAINED or weighs:
            place = self._weights(wanted)
            taught = replace(taught, reranker=str(place)) if wanted.reranker == TRAINED else taught
            taught = replace(taught, vectors=read_json(place / WEIGHT, float)) if weighs else taught
        return taught

    def notes(self) -> tuple[str, ...]:
        """What each lesson is worth."""
        return tuple(line for file in sorted(self.workdir.glob(f"*/{WORTH}")) for line in file.read_text("utf-8").splitlines())

    def _questions(self) -> list[Example]:
        """Those to learn from, neighbours of one group, so that two halves share one group at most."""
        placed = _placed(self.train)
        drawn = Random(self.seed).sample(placed, min(MOST_LESSONS, len(placed)))
        return sorted(drawn, key=lambda e: e.group or e.id)

    # --- the embedder --------------------------------------------------------------------------------------------------

    def _embedder(self) -> Path:
        """The folder of the bundled embedder, trained on with all questions."""
        place = self._embedder_of(self._questions(), "embedder")

        def worth() -> str:
            cut = Retrieval(terms="none", embedder=BUNDLED)
            trained, usual = (self._right_first(replace(cut, embedder=name), _found_first) for name in (str(place), BUNDLED))
            what = f"embedder trained on {len(self._questions())} questions, vectors alone"
            return self._told(what, trained, usual, BUNDLED)

        return _noted(place, worth)

    def _embedder_of(self, questions: Sequence[Example], name: str) -> Path:
        place = self.workdir / name
        if not place.exists():
            from sadari.retrieve.embed.contrast import train_embedder

            trained = train_embedder(self._pairs(questions), seed=self.seed)
            with whole_folder(place) as draft:
                trained.save(draft)
        return place

    def _pairs(self, questions: Sequence[Example]) -> list[tuple[str, str]]:
        """Each question with the first passage that answers it."""
        wanted = {span.document for e in questions for span in e.reference.spans}
        documents = [d for d in read_lines(self.documents, Document) if d.id in wanted]
        passages = {d.id: chunk_documents([d], Retrieval().chunk_tokens) for d in documents}
        found = [
            (e.question, next((c for s in e.reference.spans for c in passages.get(s.document, ()) if holds(c, s)), None))
            for e in questions
        ]
        return [(question, embedded_text(chunk)) for question, chunk in found if chunk is not None]

    # --- the weight of the vectors, and the reranker -------------------------------------------------------------------

    def _weights(self, wanted: Retrieval) -> Path:
        """The folder of the weight of the vectors and of the reranker, learnt for this way to cut and to find."""
        place = self.workdir / _name(wanted)
        usual = load_reranker(LEARNED)
        assert isinstance(usual, LearnedReranker), "it comes with sadari"
        if not place.exists():
            judged = self._judged(wanted)
            reranker = train_reranker(judged, usual) if len(judged) >= LEAST_QUESTIONS else usual
            fusion = learn_fusion(judged) if wanted.embedder and judged else Fusion()
            with whole_folder(place) as draft:
                reranker.save(draft)
                write_text(draft / WEIGHT, to_json(fusion.vectors))

        def worth() -> str:
            return "\n".join(self._worth(wanted, usual, place))

        return _noted(place, worth)

    def _judged(self, wanted: Retrieval) -> list[Judged]:
        """What is found for the questions. Where the embedder is trained, each half of them is searched with the embedder that the
        other half taught: for the questions that it learnt from, it looks better than it is."""
        questions = self._questions()
        if wanted.embedder != TRAINED:
            return self._found(wanted, questions)
        middle = len(questions) // 2
        halves = questions[:middle], questions[middle:]
        taught = [str(self._embedder_of(half, f"embedder-{i}")) for i, half in enumerate(halves)]
        return [
            row
            for half, other in zip(halves, reversed(taught), strict=True)
            for row in self._found(replace(wanted, embedder=other), half)
        ]

    def _found(self, wanted: Retrieval, examples: Sequence[Example]) -> list[Judged]:
        cut = replace(wanted, reranker="")
        return open_library(self.documents, cut).judged([_asked(e) for e in examples])

    def _worth(self, wanted: Retrieval, usual: Reranker, place: Path) -> list[str]:
        """A line for the reranker, and one for the weight of the vectors if there are any."""
        cut = replace(wanted, embedder=str(self._embedder())) if wanted.embedder == TRAINED else wanted
        trained, weight = load_reranker(str(place)), read_json(place / WEIGHT, float)
        learnt, given = (self._right_first(cut, _by_reranker(reranker)) for reranker in (trained, usual))
        lines = [self._told(f"reranker trained for {_words(wanted)}", learnt, given, LEARNED)]
        if wanted.embedder:
            learnt, given = (self._right_first(cut, _by_fusion(Fusion(vectors=w))) for w in (weight, Fusion().vectors))
            lines.append(self._told(f"vectors weigh {weight:.2f} for {_words(wanted)}", learnt, given, f"{Fusion().vectors:.2f}"))
        return lines

    def _right_first(self, cut: Retrieval, best: Callable[[Judged], int]) -> int:
        """For how many validation questions the right passage comes first."""
        return sum(row.right[best(row)] for row in self._found(cut, _placed(self.validation)))

    def _told(self, what: str, learnt: int, given: int, usual: str) -> str:
        asked = len(_placed(self.validation))
        return f"{what}: the right passage first for {learnt} of {asked} validation questions, {given} with {usual}"


def _placed(examples: Sequence[Example]) -> list[Example]:
    """Those that say where their answer stands."""
    return [e for e in examples if e.reference.spans and e.question]


def _asked(example: Example) -> Question:
    return example.question, partial(_answers, spans=example.reference.spans)


def _answers(chunk: Chunk, spans: Sequence[Span]) -> bool:
    return any(holds(chunk, span) for span in spans)


def _found_first(row: Judged) -> int:
    return 0


def _by_reranker(reranker: Reranker) -> Callable[[Judged], int]:
    return lambda row: int(reranker.scores(row.query, row.candidates).argmax())


def _by_fusion(fusion: Fusion) -> Callable[[Judged], int]:
    def best(row: Judged) -> int:
        first = fused(row.candidates, fusion)[0].chunk
        return next(i for i, candidate in enumerate(row.candidates) if candidate.chunk == first)

    return best


def _noted(place: Path, worth: Callable[[], str]) -> Path:
    """`place` with its note."""
    if not (place / WORTH).exists():
        write_text(place / WORTH, worth())
    return place


def _name(wanted: Retrieval) -> str:
    embedder = f"-{crc32(wanted.embedder.encode()):08x}" if wanted.embedder else ""
    return f"weights-{wanted.chunk_tokens}-{wanted.overlap}-{wanted.terms}{embedder}"


def _words(wanted: Retrieval) -> str:
    overlap = f", overlap {wanted.overlap}" if wanted.overlap else ""
    vectors = f", embedder {wanted.embedder}" if wanted.embedder else ""
    return f"{wanted.chunk_tokens} tokens{overlap}, terms {wanted.terms}{vectors}"
