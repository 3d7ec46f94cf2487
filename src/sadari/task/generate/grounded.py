"""Questions about passages, answered word for word from one of them or not at all.

A row shows the passages it is answered from in its system turn, laid out as sadari shows what it retrieved: the one that holds the
answer among others that look alike. In some rows that one is missing, and the answer is the abstention, so that a model learns to
look before it speaks. Without shown passages a row is the question, the quote and its place: for a system that looks up by itself.

Source:
    Zhang et al. (2024), "RAFT: Adapting Language Model to Domain Specific RAG", arXiv 2403.10131.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from random import Random

from sadari.task.generate.collect import MOST_TRIES, TAG, Generated, Order, Refusal, Stream, collect
from sadari.task.generate.questions import questions_of
from sadari.task.generate.teacher import ask_all, lesson, texts_of
from sadari.task.text import fold, nfc
from sadari.types import Chunk, Example, Message, Model, Reference, Request, Span

SHOWN = 4
"""Passages that a row shows."""

WITHOUT_GOLD = 0.2
"""Share of rows whose passage is missing. Source: RAFT, which finds 0 to 40 % best, by data set."""

UNANSWERABLE = 0.15
"""Share of questions that a teacher is asked to make unanswerable."""

MOST_HOLDING = 3
"""A question whose subject stands in more passages than these is about no one of them."""

MOST_COMPARED = 2000
"""Passages in which the subject of a question is looked for."""

LEAST_CHARS = 15
"""A shorter passage says too little to be asked about."""

_HEADINGS = {"ko": "문서", "en": "Documents"}


@dataclass(frozen=True, slots=True)
class Asked:
    """A question about a passage; `quote` is the place of its answer, None if the passage must not hold one."""

    passage: Chunk
    question: str
    quote: Span | None


def generate_grounded_rows(
    passages: Sequence[Chunk],
    order: Order,
    sentences: Callable[[Chunk], Sequence[Chunk]],
    teacher: Model | None = None,
    *,
    shown: int = SHOWN,
) -> Generated:
    """Questions with the sentence that answers them, as many as the order asks for, in the language of each passage.

    Args:
        passages: What is asked about and shown; `start` and `end` are places in the document's NFC text.
        sentences: Cuts a passage into the sentences that answers may quote.
        teacher: Asks the questions; without one they are made from the sentences' own words.
        shown: Passages in each row; 0 leaves them to the system's own retrieval, and then no passage is ever missing.

    Raises:
        ValueError: If there are no passages.
        ModelError: If the teacher does not answer at all.
    """
    usable = [passage for passage in passages if len(fold(passage.text)) >= LEAST_CHARS]
    if not usable:
        raise ValueError("no passage of any length is given: questions are made from the text of documents.")
    rng = Random(f"{order.seed}:documents")
    layout = _Layout(usable, order, shown, "template" if teacher is None else "teacher")
    if teacher is None:
        asked: Iterable[Asked | Refusal] = _from_words(usable, sentences, rng, 6 * order.rows + 100)
    else:
        asked = _from_teacher(usable, sentences, order, teacher, rng)
    return collect(order, layout.rows(asked), _check(passages), tries=MOST_TRIES if teacher is None else 4)


# --- questions ----------------------------------------------------------------------------------------------------------


def _from_words(
    passages: Sequence[Chunk], sentences: Callable[[Chunk], Sequence[Chunk]], rng: Random, most: int
) -> Iterator[Asked | Refusal]:
    """Every question that the sentences and titles of up to `most` passages offer; none that two places may answer."""
    drawn = list(passages)
    rng.shuffle(drawn)
    found: list[tuple[str, Asked]] = []
    for passage in drawn[:most]:
        for quote, question, about in questions_of(passage, sentences(passage)):
            found.append((fold(about), Asked(passage, question, _span(quote))))
    asked_of = Counter(about for about, _ in found)
    compared = [fold(passage.text) for passage in drawn[:MOST_COMPARED]]
    rng.shuffle(found)
    for about, asked in found:
        is_clear = asked_of[about] == 1 and sum(about in text for text in compared) <= MOST_HOLDING
        yield asked if is_clear else Refusal("several passages may answer the question", asked.question)


_ASK = """You prepare training data for answering questions from documents. Given is one passage. Write one question that a reader
might ask in his own words, in the language of the passage, and the sentence of the passage that answers it, copied word for word.
The question must make sense without the passage and must name its subject.
Answer with one JSON object and nothing else: {"question": "...", "quote": "..."}."""

_ASK_BEYOND = """You prepare training data for answering questions from documents. Given is one passage. Write one question on the
same subject, in the language of the passage, that the passage does not answer.
Answer with one JSON object and nothing else: {"question": "..."}."""

_LOOK = """Given are a question and passages. If one sentence of the passages answers the question, copy it word for word.
Answer with one JSON object and nothing else: {"quote": "..."}, or {"quote": null} if they do not say."""


def _from_teacher(
    passages: Sequence[Chunk], sentences: Callable[[Chunk], Sequence[Chunk]], order: Order, teacher: Model, rng: Random
) -> Iterator[Asked | Refusal]:
    def questions() -> Iterator[tuple[tuple[Chunk, bool], Request]]:
        for number in count():
            passage = rng.choice(passages)
            beyond = rng.random() < UNANSWERABLE
            shown = f"{passage.title}\n{passage.text}"
            yield (passage, beyond), lesson(_ASK_BEYOND if beyond else _ASK, shown, seed=order.seed + number)

    for (passage, beyond), reply in ask_all(teacher, questions()):
        if isinstance(reply, Refusal):
            yield reply
        elif beyond:
            yield _beyond(passage, reply, passages, order, teacher)
        else:
            yield _quoted(passage, reply, sentences(passage))


def _quoted(passage: Chunk, reply: Mapping[str, object], sentences: Sequence[Chunk]) -> Asked | Refusal:
    """The question with the whole sentence that holds the teacher's quote."""
    texts = texts_of(reply, "question", "quote", most_chars=600)
    if isinstance(texts, Refusal):
        return texts
    question, quote = texts
    place = find_quote(passage, quote)
    if place is None:
        return Refusal("the answer does not stand in the passage", quote)
    whole = next((one for one in sentences if one.start <= place.start and place.end <= one.end), None)
    return Asked(passage, question, _span(whole) if whole is not None else place)


def _beyond(
    passage: Chunk, reply: Mapping[str, object], passages: Sequence[Chunk], order: Order, teacher: Model
) -> Asked | Refusal:
    """A question that no passage answers, as the teacher finds when it is shown those that look most like it."""
    texts = texts_of(reply, "question", most_chars=600)
    if isinstance(texts, Refusal):
        return texts
    near = [passage, *_most_alike(texts[0], [one for one in passages if one != passage], 5)]
    shown = f"{texts[0]}\n\n" + "\n\n".join(f"{one.title}\n{one.text}" for one in near)
    ((_, looked),) = ask_all(teacher, [(None, lesson(_LOOK, shown, seed=order.seed))])
    if isinstance(looked, Refusal):
        return looked
    if "quote" not in looked or looked["quote"] is not None:
        return Refusal("a question meant to be unanswerable has an answer", texts[0])
    return Asked(passage, texts[0], None)


def find_quote(passage: Chunk, quote: str) -> Span | None:
    """Where `quote` stands in the passage, whatever its spacing and its Unicode form; None if it does not."""
    wanted = "".join(nfc(quote).split())
    kept = [at for at, char in enumerate(passage.text) if not char.isspace()]
    found = "".join(passage.text[at] for at in kept).find(wanted) if wanted else -1
    if found < 0:
        return None
    first, last = kept[found], kept[found + len(wanted) - 1] + 1
    return Span(passage.document, passage.start + first, passage.start + last, passage.text[first:last])


def _span(quote: Chunk) -> Span:
    return Span(quote.document, quote.start, quote.end, quote.text)


# --- rows ---------------------------------------------------------------------------------------------------------------


class _Layout:
    """Makes rows of questions: which passages are shown, and what the answer is then."""

    def __init__(self, passages: Sequence[Chunk], order: Order, shown: int, by: str) -> None:
        self._passages, self._order, self._shown, self._by = passages, order, shown, by
        self._rng = Random(f"{order.seed}:layout")
        self._groups = [(span, row.group) for row in order.beside if row.group for span in row.reference.spans]

    def _group_of(self, passage: Chunk) -> str:
        """The group of the rows that ask about the passage already, so that no split comes between them and the new ones."""
        return next(
            (
                group
                for span, group in self._groups
                if span.document == passage.document and passage.start <= span.start < passage.end
            ),
            f"{passage.document}#{passage.start}",
        )

    def rows(self, asked: Iterable[Asked | Refusal]) -> Stream:
        for one in asked:
            yield one if isinstance(one, Refusal) else self._row(one)

    def _row(self, asked: Asked) -> Example | Refusal:
        is_left_out = asked.quote is not None and self._shown > 0 and self._rng.random() < WITHOUT_GOLD
        answer = asked.quote if not is_left_out else None
        kind = "unanswerable" if asked.quote is None else "without_passage" if is_left_out else "grounded"
        messages = [Message("user", asked.question)]
        if self._shown:
            shown = self._chosen(asked, is_left_out)
            if isinstance(shown, Refusal):
                return shown
            messages.insert(0, Message("system", show(shown, language_of(asked.passage.text))))
        text = answer.quote if answer is not None else self._order.abstention
        reference = Reference((text,), spans=(answer,) if answer is not None else (), abstain=answer is None)
        return Example(
            f"generated-{kind}-{self._by}-",
            (*messages, Message("assistant", text)),
            reference,
            group=self._group_of(asked.passage),
            tags=(self._by, kind, TAG),
        )

    def _chosen(self, asked: Asked, is_left_out: bool) -> list[Chunk] | Refusal:
        """The passage among others, half of them the most alike, in any order; or others alone, none of which may answer."""
        others = [one for one in self._passages if one != asked.passage and not _tells(one, asked)]
        number = self._shown if is_left_out else self._shown - 1
        near = _most_alike(asked.question, others, (number + 1) // 2)
        far = [one for one in others if one not in near]
        chosen = near + self._rng.sample(far, min(len(far), number - len(near)))
        if is_left_out and not chosen:
            return Refusal("there is no other passage to show", asked.question)
        chosen += [] if is_left_out else [asked.passage]
        self._rng.shuffle(chosen)
        return chosen


def show(passages: Sequence[Chunk], language: str) -> str:
    """Passages as they stand in a system turn, numbered from 1."""
    return f"{_HEADINGS[language]}:\n" + "\n\n".join(f"[{at}] {one.title}\n{one.text}" for at, one in enumerate(passages, 1))


def language_of(text: str) -> str:
    """ "ko" if the text holds any Hangul, else "en"."""
    return "ko" if re.search("[가-힣]", text) else "en"


def _tells(passage: Chunk, asked: Asked) -> bool:
    """Whether a passage overlaps the one that is asked about, or says the same sentence."""
    own, quote = asked.passage, asked.quote
    overlaps = passage.document == own.document and passage.start < own.end and own.start < passage.end
    return overlaps or (quote is not None and fold(quote.quote) in fold(passage.text))


def _most_alike(question: str, passages: Sequence[Chunk], number: int) -> list[Chunk]:
    """The passages that share the most character pairs with the question, by share of their own."""
    wanted = _pairs(question)
    ranked = sorted(passages, key=lambda one: (-len(wanted & _pairs(f"{one.title} {one.text}")), one.document, one.start))
    return ranked[:number]


@lru_cache(maxsize=20_000)
def _pairs(text: str) -> frozenset[str]:
    folded = fold(text)
    return frozenset(folded[at : at + 2] for at in range(len(folded) - 1))


def _check(passages: Sequence[Chunk]) -> Callable[[Example], Refusal | None]:
    """What every grounded row must satisfy: the answer is its span, the span is the document's, and it is shown if anything is."""
    texts: dict[str, list[Chunk]] = {}
    for passage in passages:
        texts.setdefault(passage.document, []).append(passage)

    def check(example: Example) -> Refusal | None:
        reference, question = example.reference, example.question
        shown = next((m.content for m in example.messages if m.role == "system"), None)
        if not 4 <= len(fold(question)) <= 300:
            return Refusal("the question is too short or too long", question)
        if reference.abstain:
            return None
        answer, span = example.target.content, reference.spans[0]
        if fold(question) == fold(answer):
            return Refusal("the question is the answer", question)
        holds = any(one.text[span.start - one.start : span.end - one.start] == span.quote
                    for one in texts.get(span.document, ()) if one.start <= span.start and span.end <= one.end)  # fmt: skip
        if not holds or answer != span.quote or (shown is not None and span.quote not in shown):
            return Refusal("the answer does not stand in the passage", answer)
        return None

    return check
