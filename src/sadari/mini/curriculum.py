"""What is learnt when: the mixture of skills, and how long rows are, as functions of the tokens seen."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from random import Random

from tokenizers import Tokenizer

from sadari.mini.batches import Encoded, encode_row
from sadari.mini.corpus import load_corpus
from sadari.mini.skills.copying import repeated_tokens
from sadari.mini.skills.labels import check_limit, classify, follow_pattern, look_up, nearest_label
from sadari.mini.skills.reading import read_corpus, read_facts, read_many
from sadari.mini.skills.rows import Row
from sadari.mini.skills.talk import reply_politely
from sadari.mini.skills.tools import calculate, call_tool, extract_json, write_sql


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of training: shares are of rows' tokens, roughly; it lasts until `until` tokens have been seen."""

    until: int
    shares: dict[str, float]
    passages: tuple[int, int]
    sentences: tuple[int, int]
    max_tokens: int
    copy_length: int


_OTHERS = {
    "classify": 0.035,
    "nearest_label": 0.05,
    "pattern": 0.025,
    "look_up": 0.04,
    "check_limit": 0.01,
    "call_tool": 0.04,
    "extract_json": 0.015,
    "calculate": 0.015,
    "write_sql": 0.025,
    "reply": 0.005,
}
PHASES = (
    Phase(
        2_000_000,
        {"copy": 0.03, "prose": 0.03, "look_up": 0.08, "nearest_label": 0.05, "read": 0.2, "read_many": 0.31, "read_corpus": 0.3},
        (1, 3),
        (1, 3),
        384,
        96,
    ),
    Phase(
        5_000_000,
        {"copy": 0.02, "prose": 0.06, "read": 0.21, "read_many": 0.33, "read_corpus": 0.12, **_OTHERS},
        (1, 4),
        (2, 3),
        448,
        96,
    ),
    Phase(
        7_600_000,
        {"copy": 0.02, "prose": 0.06, "read": 0.22, "read_many": 0.33, "read_corpus": 0.11, **_OTHERS},
        (1, 5),
        (2, 4),
        768,
        128,
    ),
    Phase(
        100_000_000,
        {"copy": 0.02, "prose": 0.06, "read": 0.14, "read_many": 0.2, "read_corpus": 0.06, "read_long": 0.4, **_OTHERS},
        (1, 5),
        (2, 4),
        2048,
        256,
    ),
)
SEARCHED_SHARE = 0.5
"""Share of reading rows that show single sentences, as a search for sentences finds them."""
# mean tokens of a row, to turn shares of tokens into chances of drawing
_TYPICAL = {
    "copy": 80,
    "prose": 200,
    "read": 240,
    "read_many": 340,
    "read_corpus": 360,
    "read_long": 1400,
    "classify": 110,
    "nearest_label": 200,
    "pattern": 110,
    "look_up": 130,
    "check_limit": 70,
    "call_tool": 300,
    "extract_json": 90,
    "calculate": 170,
    "write_sql": 110,
    "reply": 45,
}
_MAKERS = {
    "classify": classify,
    "nearest_label": nearest_label,
    "pattern": follow_pattern,
    "look_up": look_up,
    "check_limit": check_limit,
    "call_tool": call_tool,
    "extract_json": extract_json,
    "calculate": calculate,
    "write_sql": write_sql,
    "reply": reply_politely,
}
PROMPT_SHARE, PROMPT_WEIGHT = 0.15, 0.1
PROSE_WEIGHT = 0.3  # beside answers, so that prose does not drown the few tokens at which an answer is chosen


class Curriculum:
    """Draws encoded rows; early ones copy, later ones read ever more."""

    def __init__(self, tokenizer: Tokenizer, corpus: Path | None = None) -> None:
        self._tokenizer = tokenizer
        self._vocabulary = tokenizer.get_vocab_size()
        self._corpus = load_corpus(corpus)
        self._manuals = {"ko": [t for t in load_corpus(corpus, review_share=0.03)["ko"]], "en": self._corpus["en"]}

    def draw(self, r: Random, tokens: int) -> Encoded | None:
        """One row for the phase that `tokens` falls in; None where the draw came to nothing."""
        phase = next(p for p in PHASES if tokens < p.until)
        skills = list(phase.shares)
        skill = r.choices(skills, [phase.shares[s] / _TYPICAL.get(s, 200) for s in skills])[0]
        if skill == "copy":
            ids, weights = repeated_tokens(r, self._vocabulary, 6, phase.copy_length)
            return Encoded("copy", ids, weights)
        if skill == "prose":
            return self._prose(r, phase)
        row = self._row(skill, r, phase)
        if row is None:
            return None
        return encode_row(
            row, self._tokenizer, r, prompt_share=PROMPT_SHARE, prompt_weight=PROMPT_WEIGHT, max_tokens=phase.max_tokens
        )

    def _row(self, skill: str, r: Random, phase: Phase) -> Row | None:
        passages, sentences = r.randint(*phase.passages), r.randint(*phase.sentences)
        if skill == "read_long":
            passages, skill = r.randint(10, 28), r.choice(("read", "read_many", "read_corpus"))
        elif r.random() < SEARCHED_SHARE:
            passages, sentences = r.randint(2, 8), 1
        match skill:
            case "read":
                return read_facts(r, passages=passages, size=sentences)
            case "read_many":
                return read_many(r, passages=passages, size=sentences)
            case "read_corpus":
                language = "ko" if r.random() < 0.65 else "en"
                return read_corpus(r, self._manuals[language], language == "ko", passages=passages, size=sentences)
        return _MAKERS[skill](r)

    def _prose(self, r: Random, phase: Phase) -> Encoded:
        """A piece of the corpus; the loss lies on every token."""
        text = r.choice(self._corpus["ko" if r.random() < 0.65 else "en"])
        length = r.randint(64, min(phase.max_tokens, 512))
        a = r.randrange(0, max(1, len(text) - 2 * length))
        ids = self._tokenizer.encode(text[a : a + 6 * length], add_special_tokens=False).ids[:length]
        return Encoded("prose", ids, [PROSE_WEIGHT] * len(ids))
