"""Which piece of a sentence is the value of a field: a number, what a pattern matches, or a run of whole words, verbatim.

The pieces come from the sentence alone, so nothing can be invented. Which of them is meant depends on the question and on what the
company's rows took before: a conditional logit over what is seen of each piece, learnt from those rows and close to a few
expectations of ours where there are none.

Source:
    Conditional logit: McFadden (1974), Conditional Logit Analysis of Qualitative Choice Behavior.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sadari.text.forms import compared
from sadari.text.morphemes import kiwi
from sadari.text.quantities import Quantity, quantities_in

LONGEST = 14
"""Morphemes of a piece that is a run of words."""

MOST_CHARS = 400
"""Characters of a sentence in which runs of words are looked for; their number grows with it."""

EXPECTED = {
    "cuts a number": -4.0,
    "holds a bracket": -3.0,
    "is asked": -3.0,
    "number asked, held": 1.5,
    "number not asked, held": -0.5,
    "before a particle": 1.0,
    "ends in a particle": -1.0,
    "morphemes": -0.1,
}
"""What is expected of the right piece before any row was seen; a weight for what `signals` calls it."""

HELD_BACK = 1.0
"""How strongly learnt weights are drawn to `EXPECTED`. On contracts left out of `examples/legal` in training, 0.3 to 3 are alike
(0.56 to 0.57 of the values right; 0.13 without any row)."""

_STEPS, _RATE = 200, 0.1


@dataclass(frozen=True, slots=True)
class Piece:
    """Characters `[start, end)` of a sentence as it is compared (`text.forms.compared`), and the JSON value they stand for."""

    sentence: str
    start: int
    end: int
    value: Any


Weights = Mapping[str, float]
"""How much each signal speaks for a piece."""


# --- pieces ------------------------------------------------------------------------------------------------------------


def runs_of_words(sentence: str) -> list[Piece]:
    """Every run of whole words, with and without the particles and endings of its last word."""
    read = _read(compared(sentence[: 4 * MOST_CHARS])[:MOST_CHARS])
    return [Piece(read.text, start, end, read.text[start:end]) for start, end in _runs(read)]


def numbers_of(sentence: str, *, is_whole: bool) -> list[Piece]:
    """Every number, whatever its spelling: 십만 원 is 100000."""
    text = compared(sentence)
    found = [q for q in quantities_in(text) if q.value is not None]
    values = [(q, int(q.value) if q.value == q.value.to_integral_value() else float(q.value)) for q in found if q.value is not None]
    return [Piece(text, q.start, q.end, value) for q, value in values if isinstance(value, int) or not is_whole]


def days_of(sentence: str) -> list[Piece]:
    """Every full date, as YYYY-MM-DD."""
    text = compared(sentence)
    return [Piece(text, q.start, q.end, q.spelling) for q in quantities_in(text) if re.fullmatch(r"\d{4}-\d\d-\d\d", q.spelling)]


def named_in(sentence: str, values: Sequence[Any]) -> list[Piece]:
    """Those of some texts that stand in the sentence, longer ones first."""
    text = compared(sentence)
    told = sorted((value for value in values if isinstance(value, str) and value), key=len, reverse=True)
    places = [(value, text.find(compared(value))) for value in told]
    return [Piece(text, at, at + len(compared(value)), value) for value, at in places if at >= 0]


def matches_of(sentence: str, matching: Callable[[str], Iterator[tuple[int, int]]]) -> list[Piece]:
    """What a pattern matches."""
    text = compared(sentence)
    return [Piece(text, start, end, text[start:end]) for start, end in matching(text)]


# --- the choice --------------------------------------------------------------------------------------------------------


def likeliest_first(pieces: Sequence[Piece], question: str, weights: Weights = EXPECTED) -> list[Piece]:
    """The pieces, the likeliest value first; equals stay in their order."""

    def speaks(piece: Piece) -> float:
        return sum(weights.get(name, 0.0) * seen for name, seen in signals(piece, question).items())

    return sorted(pieces, key=speaks, reverse=True) if len(pieces) > 1 else list(pieces)


def learn_weights(rows: Sequence[tuple[Sequence[Piece], str, Sequence[bool]]]) -> Weights:
    """The weights under which the right pieces of rows are likeliest, drawn to `EXPECTED`.

    Args:
        rows: The pieces of a sentence, the question, and which pieces are right; a row without a right one teaches nothing.
    """
    rows = [row for row in rows if any(row[2])]
    if not rows:
        return EXPECTED
    seen = [signals(piece, question) for pieces, question, _ in rows for piece in pieces]
    names = sorted({*EXPECTED, *(name for one in seen for name in one)})
    column = {name: i for i, name in enumerate(names)}
    table = np.zeros((len(seen), len(names)), np.float32)
    for at, one in enumerate(seen):
        for name, value in one.items():
            table[at, column[name]] = value
    right = np.array([is_right for _, _, rights in rows for is_right in rights])
    expected = np.array([EXPECTED.get(name, 0.0) for name in names], np.float32)
    found = _fitted(table, right, np.cumsum([0, *(len(pieces) for pieces, _, _ in rows)])[:-1], expected)
    return dict(zip(names, found.tolist(), strict=True))


def _fitted(table: NDArray[np.float32], right: NDArray[Any], firsts: NDArray[Any], expected: NDArray[np.float32]) -> NDArray[Any]:
    """Weights of most likelihood less `HELD_BACK` / 2 times their squared distance from `expected`, by Adam.

    Args:
        firsts: Where the pieces of each row begin in `table`.
    """
    row_of = np.repeat(np.arange(len(firsts)), np.diff([*firsts, len(table)]))
    weights, mean, spread = expected.copy(), np.zeros_like(expected), np.zeros_like(expected)
    for step in range(1, _STEPS + 1):
        scores = table @ weights
        likely = np.exp(scores - np.maximum.reduceat(scores, firsts)[row_of])
        share = likely / np.add.reduceat(likely, firsts)[row_of]
        among = np.where(right, likely, 0.0)
        share_right = among / np.maximum(np.add.reduceat(among, firsts)[row_of], np.float32(1e-12))
        slope = table.T @ (share - share_right) + HELD_BACK * (weights - expected)
        mean, spread = 0.9 * mean + 0.1 * slope, 0.99 * spread + 0.01 * slope**2
        weights = weights - _RATE * (mean / (1 - 0.9**step)) / (np.sqrt(spread / (1 - 0.99**step)) + 1e-8)
    return weights


def signals(piece: Piece, question: str) -> dict[str, float]:
    """What is seen of a piece, of what stands around it, and of the question; each with its size."""
    read, asked = _read(piece.sentence), _asked(question)
    inside = [t for t in read.tokens if piece.start <= t.start and t.end <= piece.end]
    before = next((t for t in reversed(read.tokens) if t.end <= piece.start), None)
    after = next((t for t in read.tokens if t.start >= piece.end), None)
    words = [t.form for t in inside if t.says_something]
    held = [q for q in read.quantities if piece.start <= q.start and q.end <= piece.end]
    cut = [q for q in read.quantities if q.start < piece.end and piece.start < q.end and q not in held]
    seen = {
        "morphemes": float(len(inside)),
        "is asked": sum(word in asked.words for word in words) / max(1, len(words)),
        "cuts a number": float(bool(cut)),
        "holds a bracket": float(any(t.tag in ("SSO", "SSC") for t in inside)),
        f"number {'asked' if asked.is_number else 'not asked'}, {'held' if held else 'none'}": 1.0,
        "begins with a number": float(any(q.start == piece.start for q in held)),
        "ends with a number": float(any(q.end == piece.end for q in held)),
        "further numbers": float(max(0, len(held) - 1)),
        "all of it": float(piece.end >= len(read.text.rstrip(" ."))),
        "place": piece.start / max(1, len(read.text)),
        f"after {before.kind if before else 'nothing'}": 1.0,
        f"before {after.kind if after else 'nothing'}": 1.0,
        "before a particle": float(after is not None and after.is_particle),
        "before what is asked": float(after is not None and after.form in asked.words),
        "behind what is asked": float(before is not None and before.form in asked.words),
    }
    if inside:
        first, last = inside[0], inside[-1]
        seen |= {f"first {first.tag}": 1.0, f"last {last.kind}": 1.0, "ends in a particle": float(last.is_particle)}
        seen |= {f"holds {t.kind}": 1.0 for t in inside[:-1] if t.is_particle or t.tag[0] == "E"}
        follows = next((t for t in read.tokens if after is not None and t.start >= after.end), None)
        if after is not None and follows is not None and not after.is_particle:
            seen[f"before {after.form}"] = 1.0
    return {name: value for name, value in seen.items() if value}


# --- reading -----------------------------------------------------------------------------------------------------------

_NUMBER_ASKED = re.compile(
    r"몇|얼마|언제|며칠|기한|기간|금액|비율|요금|시각|시간|주기|횟수|how (?:many|much|long|often)|\bwhen\b|\brate\b", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class _Token:
    form: str
    tag: str
    start: int
    end: int

    @property
    def is_particle(self) -> bool:
        return self.tag[0] == "J" or self.tag == "VCP"

    @property
    def says_something(self) -> bool:
        return self.tag.startswith(("N", "V", "XR", "SL", "SH", "SN", "MA")) and not self.tag.startswith(("VC", "VX"))

    @property
    def kind(self) -> str:
        """A particle by itself, anything else by its part of speech."""
        return f"{self.form}/{self.tag}" if self.is_particle else self.tag


@dataclass(frozen=True, slots=True)
class _Sentence:
    text: str
    tokens: tuple[_Token, ...]
    quantities: tuple[Quantity, ...]


@dataclass(frozen=True, slots=True)
class _Question:
    words: frozenset[str]
    is_number: bool


@lru_cache(2048)
def _read(text: str) -> _Sentence:
    read = kiwi().tokenize(text[:MOST_CHARS])
    # Kiwi leaves the full stop at the last word of an English sentence.
    placed = ((t, t.start + max(1, len(text[t.start : t.end].rstrip(".,!?;:")))) for t in read if t.end > t.start)
    return _Sentence(text, tuple(_Token(t.form, t.tag, t.start, end) for t, end in placed), tuple(quantities_in(text)))


@lru_cache(2048)
def _asked(question: str) -> _Question:
    tokens = _read(compared(question)[:MOST_CHARS]).tokens
    return _Question(frozenset(t.form for t in tokens if t.says_something), _NUMBER_ASKED.search(question) is not None)


def _runs(read: _Sentence) -> Iterator[tuple[int, int]]:
    text, tokens = read.text, read.tokens
    for at, first in enumerate(tokens):
        is_opening = first.start == 0 or not text[first.start - 1].isalnum()
        if not is_opening or first.tag[0] in "JE" or first.tag in _SIGNS:
            continue
        done = first.start
        for last, behind in zip(tokens[at : at + LONGEST], [*tokens[at + 1 :], None], strict=False):
            if last.tag == "SF" and last.end >= len(text.rstrip()):
                break
            is_loose = behind is None or behind.tag[0] in "JEX" or behind.tag == "VCP"
            is_whole = is_loose or not text[last.end : last.end + 1].isalnum()
            if is_whole and last.tag not in _SIGNS and last.end > done:
                done = last.end
                yield first.start, last.end


_SIGNS = ("SF", "SP", "SSO", "SSC", "SE", "SO")
"""Marks of punctuation and brackets, among the tags of the Sejong corpus."""
