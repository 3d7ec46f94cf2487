"""Put found chunks into a better order, by a closer look at each than an index can take.

The learned reranker weighs nineteen signals of a question and a chunk: how much of the question stands in the title, in the
text, in one sentence, in one piece, and whether the kind of answer that is asked for (a date, a number, a reason) stands near. Its
weights were learnt from Korean questions to encyclopedia passages, and can be learnt from a task's own (`train_reranker`). A
cross-encoder is any folder of `transformers` with one score for a pair of texts.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.resources import files
from math import log
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from sadari.errors import ModelError, TrainingError
from sadari.files import write_text
from sadari.retrieve.terms import morpheme_terms
from sadari.text.sentences import sentence_spans
from sadari.types import Chunk

LEARNED = "learned"
"""The name of the reranker that comes with sadari."""

WEIGHTS = "reranker.json"
LEAST_QUESTIONS = 30
"""Fewer questions teach no weights that hold for others."""

STEPS = 120
"""Of training: more change nothing."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A found chunk, and what each ranking says of it.

    Args:
        terms: BM25; 0 if its words did not find it.
        cosine: Of its vector and the question's; the lowest found, if its vector did not find it; 0 without vectors.
        coverage: Share of the question's term weight that it holds.
        term_rank, vector_rank: From 1; None where it was not found.
    """

    chunk: Chunk
    terms: float
    cosine: float
    coverage: float
    term_rank: int | None
    vector_rank: int | None
    fused: float = 0.0

    def with_fused(self, score: float) -> "Candidate":
        """The same with a fused score."""
        return replace(self, fused=score)


@dataclass(frozen=True, slots=True)
class Judged:
    """What was found for a question, and which of it is right."""

    query: str
    candidates: tuple[Candidate, ...]
    right: tuple[bool, ...]


@runtime_checkable
class Reranker(Protocol):
    """Looks again at what was found."""

    @property
    def name(self) -> str:
        """How it was asked for."""
        ...

    def scores(self, query: str, candidates: Sequence[Candidate]) -> NDArray[np.float64]:
        """One score for each candidate, higher is better; they are given best first."""
        ...


def load_reranker(name: str) -> Reranker:
    """The reranker of this name.

    Args:
        name: "learned", a folder that `LearnedReranker.save` wrote, or the folder of a cross-encoder.

    Raises:
        ModelError: If there is no such folder, or it cannot be loaded.
    """
    if name == LEARNED:
        return _read_weights((files("sadari") / "retrieve" / "embed" / "weights" / WEIGHTS).read_text(encoding="utf-8"), LEARNED)
    folder = Path(name)
    if (folder / WEIGHTS).is_file():
        return _read_weights((folder / WEIGHTS).read_text(encoding="utf-8"), name)
    if not folder.is_dir():
        raise ModelError(f"reranker {name!r}: there is no such folder. Write {LEARNED}, or the folder of a cross-encoder.")
    return CrossEncoder(folder)


# --- the learned reranker ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LearnedReranker:
    """A weighted sum of signals, each in units of its spread.

    Args:
        means, spreads, weights: One for each of `SIGNALS`.
    """

    name: str
    means: tuple[float, ...]
    spreads: tuple[float, ...]
    weights: tuple[float, ...]

    def scores(self, query: str, candidates: Sequence[Candidate]) -> NDArray[np.float64]:
        """As `Reranker.scores`."""
        if not candidates:
            return np.zeros(0)
        seen = (signals(query, candidates) - np.array(self.means)) / np.array(self.spreads)
        return np.asarray(seen @ np.array(self.weights))

    def save(self, folder: Path) -> None:
        """Write the weights to a folder that `load_reranker` reads."""
        rows = {name: [m, s, w] for name, m, s, w in zip(SIGNALS, self.means, self.spreads, self.weights, strict=True)}
        write_text(folder / WEIGHTS, json.dumps(rows, indent=1))


def train_reranker(judged: Sequence[Judged], start: LearnedReranker | None = None, *, keep: float = 0.05) -> LearnedReranker:
    """Weights that put the right chunk of each question first.

    Args:
        judged: From `Searcher.judged`.
        start: Weights to begin with and to stay near: with few questions, a task should not unlearn what most have in common.
        keep: How strongly they are held there, or at 0 without `start`.

    Raises:
        TrainingError: If there are too few questions.

    Source:
        ListNet's softmax over the candidates of one question: Cao et al. (2007), doi 10.1145/1273496.1273513.
    """
    if len(judged) < LEAST_QUESTIONS:
        raise TrainingError(
            f"{len(judged)} questions with something right among what is found are too few. Give {LEAST_QUESTIONS} or more."
        )
    rows = [signals(row.query, row.candidates) for row in judged]
    everything = np.concatenate(rows)
    means = np.array(start.means) if start else everything.mean(axis=0)
    spreads = np.array(start.spreads) if start else _spreads(everything)
    centre = np.array(start.weights) if start else np.zeros(len(SIGNALS))
    longest = max(map(len, rows))
    x = np.zeros((len(rows), longest, len(SIGNALS)))
    right = np.zeros((len(rows), longest))
    absent = np.ones((len(rows), longest), dtype=bool)
    for i, (row, found) in enumerate(zip(judged, rows, strict=True)):
        x[i, : len(found)] = (found - means) / spreads
        right[i, : len(found)] = np.array(row.right) / sum(row.right)
        absent[i, : len(found)] = False
    weights = _listwise(x, right, absent, centre, keep)
    return LearnedReranker("trained", *(tuple(float(v) for v in values) for values in (means, spreads, weights)))


def _spreads(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    deviations = rows.std(axis=0)
    return np.where(deviations > 1e-9, deviations, 1.0)  # a signal that never changed may do so later


def _listwise(
    x: NDArray[np.float64], right: NDArray[np.float64], absent: NDArray[np.bool_], centre: NDArray[np.float64], keep: float
) -> NDArray[np.float64]:
    """Weights with the least cross-entropy, by Adam on all questions at once; `x` is of shape (questions, candidates, signals)."""
    weights, first, second = centre.copy(), np.zeros(len(centre)), np.zeros(len(centre))
    flat = x.reshape(-1, x.shape[-1])
    for step in range(1, STEPS + 1):
        scores = np.where(absent, -np.inf, (flat @ weights).reshape(absent.shape))
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        gradient = (shares - right).reshape(-1) @ flat / len(x) + keep * (weights - centre)
        first, second = 0.9 * first + 0.1 * gradient, 0.99 * second + 0.01 * gradient**2
        rate = 0.08 * (1 - 0.9 * step / STEPS)
        weights = weights - rate * first / (1 - 0.9**step) / (np.sqrt(second / (1 - 0.99**step)) + 1e-8)
    return weights


def _read_weights(text: str, name: str) -> LearnedReranker:
    try:
        rows = json.loads(text)
        columns = [tuple(float(rows[signal][i]) for signal in SIGNALS) for i in range(3)]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise ModelError(f"reranker {name!r}: its weights cannot be read ({error}). Train it again.") from error
    if not np.isfinite(columns).all() or min(columns[1]) <= 0:
        raise ModelError(f"reranker {name!r}: its weights are no finite numbers, or a spread is not above 0. Train it again.")
    return LearnedReranker(name, *columns)


# --- signals -----------------------------------------------------------------------------------------------------------

SIGNALS = (
    "terms", "coverage", "cosine", "text", "text_morphemes", "title_share", "title_in", "piece", "title_piece", "sentence_title",
    "sentence_morphemes", "sentence_title_morphemes", "numbers", "kind_nearby", "length", "date", "number", "reason", "person",
)  # fmt: skip
"""What is looked at, in the order of the columns of `signals`."""

_RUNS = re.compile(r"[a-z]+|[0-9]+|[가-힣]+|[぀-ヿ一-鿿]+")
_STEM = 5
_ASIDE = re.compile(r"\([^()]*\)")

_ASKED = {
    "date": re.compile(r"언제|몇\s?년|몇\s?월|며칠|몇\s?일|연도|년도|날짜|시기|\bwhen\b|wh(at|ich) (year|date|day)"),
    "number": re.compile(
        r"몇|얼마|얼만|갯수|개수|인구|면적|크기|높이|길이|넓이|나이|번호|비율|\bhow (many|much|long|old|far|big|high)\b"
    ),
    "reason": re.compile(r"왜|이유|원인|까닭|목적|\bwhy\b|\breason\b|\bcause"),
    "person": re.compile(r"누구|누가|인물|사람은|저자|작가|\bwho(se)?\b"),
    "place": re.compile(r"어디|어느\s?나라|수도|장소|위치|\bwhere\b"),
}
"""How a kind of answer is asked for."""

_SAID = {
    "date": re.compile(r"\d\s?년|\d\s?월|\d\s?세기|\b(19|20)\d\d\b"),
    "number": re.compile(r"\d"),
    "reason": re.compile(r"때문|위해|위하여|이유|원인|따라|목적|\bbecause\b|\bsince\b|\bdue to\b|\bso that\b"),
    "person": re.compile(r"\([一-鿿]|사람|태어|왕|인물|대통령|장군|감독|작가|\bborn\b"),
    "place": re.compile(r"에서|위치|지역|지방|나라|도시|수도|국가|\blocated\b"),
}
"""What stands where there is one."""

_ASKING = re.compile(
    r"언제|누구|누가|어디|무엇|얼마|몇|왜|어떤|어떻게|무슨|인가요?|있나요?|하나요?|되나요?|하는가|했나요?|했는가|였나요|이란|인지|나요$|"
    r"습니까|입니까"
)
"""Words that ask, and say nothing of what is asked about."""


_EMPTY = frozenset(("누구", "무엇", "어디", "언제", "얼마", "어떤", "어느", "무슨", "왜", "것", "때", "수", "하", "되", "있", "알"))
"""Morphemes that say nothing of what is asked about."""


def signals(query: str, candidates: Sequence[Candidate]) -> NDArray[np.float64]:
    """What is seen of each candidate, shape (candidates, signals). They are given best first.

    How telling a piece of the question is, is read off the candidates: what stands in all of them does not tell them apart.
    """
    question = _Question(query)
    texts = [_Text(c.chunk.text) for c in candidates]
    titles = [_Text(c.chunk.title) for c in candidates]
    both = [f"{title.searched}\n{text.searched}" for title, text in zip(titles, texts, strict=True)]
    asked = _Asked(question, _weigh(question.bigrams, both), _weigh(question.morphemes, both))
    top = max((c.terms for c in candidates), default=0.0) or 1.0
    return np.array(
        [
            [c.terms / top, c.coverage, c.cosine, *asked.of_chunk(title, text)]
            for c, title, text in zip(candidates, titles, texts, strict=True)
        ]
    )


class _Question:
    def __init__(self, text: str) -> None:
        text = text.lower()
        self.kinds = [kind for kind, pattern in _ASKED.items() if pattern.search(text)]
        self.words = _RUNS.findall(_ASKING.sub(" ", text))
        self.packed = "".join(self.words)
        self.searched = _searched(self.words)
        self.bigrams = [*dict.fromkeys(gram for word in self.words for gram in _grams(word))]
        self.morphemes = [*dict.fromkeys(_morpheme(form) for form in morpheme_terms(text) if form not in _EMPTY)]
        self.numbers = [f" {word} " for word in self.words if word[0] < "a"]


class _Text:
    """A text as it is searched: its words with spaces between them, and without, since spacing varies in Korean."""

    def __init__(self, text: str) -> None:
        self.text = text.lower()
        self.searched = _searched(_RUNS.findall(self.text))

    @cached_property
    def name(self) -> str:
        """A title without what stands in brackets, packed."""
        return "".join(_RUNS.findall(_ASIDE.sub(" ", self.text))) or "".join(_RUNS.findall(self.text))

    @cached_property
    def grams(self) -> list[str]:
        return [*dict.fromkeys(gram for word in _RUNS.findall(self.text) for gram in _grams(word))]


@dataclass(frozen=True, slots=True)
class _Weighed:
    """Pieces of a question, and how telling each is."""

    pieces: tuple[tuple[str, float], ...]
    total: float

    def share_in(self, text: str) -> float:
        """Share of the weight that stands in a text."""
        return sum([weight for piece, weight in self.pieces if piece in text]) / self.total if self.total else 0.0


def _weigh(pieces: Sequence[str], texts: Sequence[str]) -> _Weighed:
    """Each piece with its inverse frequency among the texts."""
    n, weighed = len(texts), []
    for piece in pieces:
        holding = sum(piece in text for text in texts)
        weighed.append((piece, log(1 + (n - holding + 0.5) / (holding + 0.5))))
    return _Weighed(tuple(weighed), sum(weight for _, weight in weighed))


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question, and how telling its bigrams and morphemes are."""

    question: _Question
    bigrams: _Weighed
    morphemes: _Weighed

    def of_chunk(self, title: _Text, text: _Text) -> Iterator[float]:
        """The signals after those that the rankings give."""
        q = self.question
        sentences = [text.text[start:end] for start, end in sentence_spans(text.text)] or [text.text]
        searched = [_searched(_RUNS.findall(sentence)) for sentence in sentences]
        titled = [f"{sentence}\n{title.searched}" for sentence in searched]
        best = max(range(len(searched)), key=lambda i: self.bigrams.share_in(searched[i]))
        nearby = " ".join(sentences[max(0, best - 1) : best + 2])
        yield self.bigrams.share_in(text.searched)
        yield self.morphemes.share_in(text.searched)
        yield sum(gram in q.searched for gram in title.grams) / max(1, len(title.grams))
        yield float(bool(title.name) and title.name in q.packed)
        yield _longest_piece(q.packed, text.searched) / max(1, len(q.packed))
        yield _longest_piece(q.packed, title.searched) / max(1, len(q.packed))
        yield max(map(self.bigrams.share_in, titled))
        yield max(map(self.morphemes.share_in, searched))
        yield max(map(self.morphemes.share_in, titled))
        yield sum(number in text.searched for number in q.numbers) / max(1, len(q.numbers))
        yield sum(_SAID[kind].search(nearby) is not None for kind in q.kinds) / len(q.kinds) if q.kinds else 0.5
        yield log(max(20, len(text.text)))
        for kind in ("date", "number", "reason", "person"):
            yield (0.5 if _SAID[kind].search(nearby) else -0.5) if kind in q.kinds else 0.0


def _morpheme(form: str) -> str:
    return _grams(form)[0] if form[0] <= "z" else form


def _searched(words: Sequence[str]) -> str:
    return f" {' '.join(words)} \n{''.join(words)}"


def _grams(word: str) -> list[str]:
    """What stands for a word of one script among words: of Latin ones the beginning, of numbers the whole, else bigrams."""
    if word[0] <= "z":
        return [f" {word} " if word[0] < "a" else f" {word[:_STEM]}"]
    return [word[i : i + 2] for i in range(len(word) - 1)] or [word]


def _longest_piece(question: str, text: str) -> int:
    """Length of the longest part of the question that stands in the text."""
    best = start = 0
    while start + best < len(question):
        if question[start : start + best + 1] in text:
            best += 1
        else:
            start += 1
    return best


# --- a cross-encoder ---------------------------------------------------------------------------------------------------


class CrossEncoder:
    """A `transformers` model that scores a question and a passage together. Only safetensors are read, and no code is run.

    Args:
        reads: Candidates it reads, the first ones; the others stay behind them in their order.

    Raises:
        ModelError: If the folder holds no such model.
    """

    def __init__(self, folder: Path, reads: int = 20) -> None:
        self.name = str(folder)
        self._reads = reads
        try:
            from transformers import AutoModelForSequenceClassification, AutoTokenizer

            self._tokenizer: Any = AutoTokenizer.from_pretrained(str(folder))
            self._model: Any = AutoModelForSequenceClassification.from_pretrained(str(folder), use_safetensors=True).eval()
        except (OSError, ValueError, KeyError, ImportError) as error:
            raise ModelError(f"reranker {folder}: it cannot be loaded as a cross-encoder: {error}") from error
        if self._model.config.num_labels > 2:
            labels = self._model.config.num_labels
            raise ModelError(f"reranker {folder}: it gives {labels} labels, where a cross-encoder gives one score, or yes and no.")

    def scores(self, query: str, candidates: Sequence[Candidate]) -> NDArray[np.float64]:
        """As `Reranker.scores`."""
        import torch

        read = candidates[: self._reads]
        scores = np.full(len(candidates), -np.inf)
        scores[len(read) :] = -1e9 - np.arange(len(candidates) - len(read))
        if not read:
            return scores
        passages = [f"{c.chunk.title}\n{c.chunk.text}" for c in read]
        longest = min(512, int(self._tokenizer.model_max_length))
        encoded = self._tokenizer(
            [query] * len(read), passages, padding=True, truncation="longest_first", max_length=longest, return_tensors="pt"
        )
        with torch.inference_mode():
            logits = self._model(**encoded).logits.float()
        scores[: len(read)] = (logits[:, -1] if logits.shape[1] == 1 else logits[:, 1] - logits[:, 0]).numpy()
        return scores
