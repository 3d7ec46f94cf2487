"""How much of a text is in another: ROUGE, token F1, corpus BLEU and chrF, always with the tokenizer named.

The usual default tokenizer of ROUGE keeps Latin letters and digits alone: two equal Hangul sentences score 0.0, and two unrelated
ones that share a number 1.0. Here ROUGE counts content morphemes, with each number in one spelling, or syllables. Equal texts score
1.0 in every metric. A shared number is one shared word: it weighs little between long sentences, more between short ones.

What follows the first `MOST_CHARS` characters of a text is not compared; `RougeScorer` says so in its reason.

Source:
    Lin (2004), ROUGE, W04-1013; Papineni et al. (2002), BLEU, P02-1040; Popović (2015), chrF, W15-3049; Post (2018), sacreBLEU and
    its signatures, arXiv 1804.08771.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from sadari.errors import ConfigError, DataError
from sadari.measure.korean import KoreanText, comparison_key, korean_text, syllables
from sadari.measure.scorers import accepted_texts
from sadari.text.forms import MOST_CHARS, compared
from sadari.types import Answer, Example, Score

SHORTEST_FOR_BLEU = 30
"""Characters of the median reference below which BLEU is refused: with few or no 4-grams it says nothing."""


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """Cuts a text into what is counted; `name` stands in the name of every metric that uses it."""

    name: str
    tokens: Callable[[str], tuple[str, ...]]


def morphemes(korean: KoreanText | None = None) -> Tokenizer:
    """Content morphemes of `korean`, by default Kiwi's; syllables, as the name says, where it is not installed."""
    korean = korean or korean_text()
    return Tokenizer(korean.tokens_name, korean.tokens)


SYLLABLES = Tokenizer("syllables", syllables)
CHARACTERS = Tokenizer("characters", lambda text: tuple("".join(compared(text).split())))


@dataclass(frozen=True, slots=True)
class Overlap:
    """Shares in [0, 1]: of the answer's tokens, of the reference's, and their harmonic mean."""

    precision: float
    recall: float

    @property
    def f1(self) -> float:
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


def rouge_n(said: Sequence[str], wanted: Sequence[str], n: int) -> Overlap:
    """ROUGE-n of two token sequences: their shared n-grams, counted as often as in both; 0 if either has none."""
    grams = [Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)) for tokens in (said, wanted)]
    shared = (grams[0] & grams[1]).total()
    return Overlap(shared / max(1, grams[0].total()), shared / max(1, grams[1].total()))


def rouge_l(said: Sequence[str], wanted: Sequence[str]) -> Overlap:
    """ROUGE-L of two token sequences: the longest common subsequence; 0 if either is empty."""
    shared = _common_length(said, wanted)
    return Overlap(shared / max(1, len(said)), shared / max(1, len(wanted)))


def rouge(answer: str, reference: str, tokenizer: Tokenizer) -> dict[str, Overlap]:
    """`rouge1`, `rouge2` and `rougeL` of two texts.

    All are 1 for texts of equal tokens, also for those too short for a pair of tokens, and for two empty texts.
    """
    said, wanted = tokenizer.tokens(answer), tokenizer.tokens(reference)
    if said == wanted:
        return dict.fromkeys(("rouge1", "rouge2", "rougeL"), Overlap(1.0, 1.0))
    return {"rouge1": rouge_n(said, wanted, 1), "rouge2": rouge_n(said, wanted, 2), "rougeL": rouge_l(said, wanted)}


def morpheme_f1(answer: str, reference: str, korean: KoreanText | None = None) -> float:
    """Harmonic mean of precision and recall over content morphemes, in [0, 1]; `korean.character_f1` is its twin over characters.

    Source:
        SQuAD's token F1 (Rajpurkar et al. 2016, arXiv 1606.05250); the same number as the F1 of ROUGE-1.
    """
    return rouge(answer, reference, morphemes(korean))["rouge1"].f1


@dataclass(frozen=True, slots=True)
class RougeScorer:
    """The best ROUGE-L F1 over the references."""

    tokenizer: Tokenizer = field(default_factory=morphemes)

    @property
    def name(self) -> str:
        return f"rouge (ROUGE-L F1, {self.tokenizer.name})"

    def score(self, example: Example, answer: Answer) -> Score:
        value = max(rouge(answer.text, text, self.tokenizer)["rougeL"].f1 for text in accepted_texts(example))
        cut = f"; only the first {MOST_CHARS:,} characters were read" if len(answer.text) > MOST_CHARS else ""
        return Score(value, f"ROUGE-L {value:.2f}{cut}")


@dataclass(frozen=True, slots=True)
class CorpusScore:
    """One number for many answers together, in [0, 1], and sacrebleu's signature of how it was counted."""

    name: str
    value: float
    signature: str


def corpus_bleu(answers: Sequence[str], references: Sequence[Sequence[str]]) -> CorpusScore:
    """BLEU of all answers together, over the morphemes of mecab-ko.

    Args:
        references: For each answer, its accepted texts.

    Raises:
        ConfigError: If sacrebleu or mecab-ko is not installed.
        DataError: If the answers are short ones, there are none, or their number is not that of the references.
    """
    _check_pairs(answers, references)
    length = median(len(comparison_key(texts[0])) for texts in references)
    if length < SHORTEST_FOR_BLEU:
        raise DataError(
            f"BLEU counts runs of four words, and half of the references have {length:g} characters or fewer. "
            f"Use chrF, ROUGE or exact match; BLEU needs {SHORTEST_FOR_BLEU} characters."
        )
    return _corpus_score("BLEU", {"tokenize": "ko-mecab"}, answers, references)


def corpus_chrf(answers: Sequence[str], references: Sequence[Sequence[str]]) -> CorpusScore:
    """chrF of all answers together: character 1- to 6-grams without spaces, recall weighted by 2.

    Args:
        references: For each answer, its accepted texts.

    Raises:
        ConfigError: If sacrebleu is not installed.
        DataError: If there are no answers, or their number is not that of the references.
    """
    _check_pairs(answers, references)
    return _corpus_score("CHRF", {}, answers, references)


def _check_pairs(answers: Sequence[str], references: Sequence[Sequence[str]]) -> None:
    if not answers or len(answers) != len(references) or not all(references):
        raise DataError(
            f"there are {len(answers)} answers and {sum(map(bool, references))} examples with a reference. "
            "Give one or more references for every answer."
        )


def _corpus_score(name: str, options: dict[str, str], answers: Sequence[str], references: Sequence[Sequence[str]]) -> CorpusScore:
    try:
        from sacrebleu import metrics

        metric: Any = getattr(metrics, name)(**options)
    except (ImportError, RuntimeError) as missing:  # sacrebleu raises RuntimeError where mecab-ko is absent
        raise ConfigError(f"{name} needs sacrebleu with its Korean tokenizer: pip install 'sadari[eval]'") from missing
    most = max(map(len, references))
    streams = [[_line(texts[i]) if i < len(texts) else None for texts in references] for i in range(most)]
    score = metric.corpus_score([_line(answer) for answer in answers], streams).score
    shown = {"CHRF": "chrF"}.get(name, name)
    return CorpusScore(shown, min(1.0, max(0.0, score / 100)), str(metric.get_signature()))


def _line(text: str) -> str:
    """`text` as one line that mecab and sacrebleu can read: no line ends, control characters or lone surrogates."""
    return " ".join("".join(c if c.isprintable() else " " for c in compared(text)).split())


def _common_length(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest common subsequence: one row of the usual table in the bits of one number.

    Source:
        Hyyrö (2004), Bit-parallel LCS-length computation revisited.
    """
    places: dict[str, int] = {}
    for index, token in enumerate(first):
        places[token] = places.get(token, 0) | 1 << index
    everywhere = (1 << len(first)) - 1
    row = everywhere
    for token in second:
        matched = row & places.get(token, 0)
        row = (row + matched | row - matched) & everywhere
    return len(first) - row.bit_count()
