"""A short answer, such as a span of a document: exact apart from grammar, or by shared characters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sadari.measure.korean import KoreanText, character_f1, is_exact, korean_text, with_aliases
from sadari.measure.scorers.scoring import accepted_texts, shorten
from sadari.types import Answer, Example, Score


@dataclass(frozen=True, slots=True)
class ShortAnswerScorer:
    """1 if the answer is one of the references, apart from spelling, spaces, punctuation and final particles and endings.

    Args:
        aliases: Other spellings of one thing, by its main name; each stands for the others.
    """

    korean: KoreanText = field(default_factory=korean_text)
    aliases: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"short_answer (exact; {self.korean.name}{_told(self.aliases)})"

    def score(self, example: Example, answer: Answer) -> Score:
        accepted = with_aliases(accepted_texts(example), self.aliases)
        if is_exact(answer.text, accepted, self.korean):
            return Score(1.0)
        return Score(0.0, f"{shorten(answer.text)} ≠ {shorten(accepted[0])}")


@dataclass(frozen=True, slots=True)
class ShortAnswerF1Scorer:
    """The best character F1 over the references; 1 where the answer is exact apart from final particles and endings.

    Args:
        aliases: As of `ShortAnswerScorer`.
    """

    korean: KoreanText = field(default_factory=korean_text)
    aliases: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"short_answer_f1 (characters; {self.korean.name}{_told(self.aliases)})"

    def score(self, example: Example, answer: Answer) -> Score:
        accepted = with_aliases(accepted_texts(example), self.aliases)
        if is_exact(answer.text, accepted, self.korean):
            return Score(1.0)
        value = max(character_f1(stem, text) for stem in self.korean.stems(answer.text) for text in accepted)
        return Score(value, f"F1 {value:.2f}")


def _told(aliases: Mapping[str, Sequence[str]]) -> str:
    return f"; {len(aliases)} aliases" if aliases else ""
