"""A short answer, such as a span of a document: exact apart from grammar, or by shared characters."""

from dataclasses import dataclass, field

from sadari.measure.korean import KoreanText, character_f1, is_exact, korean_text
from sadari.measure.scorers.scoring import accepted_texts, shorten
from sadari.types import Answer, Example, Score


@dataclass(frozen=True, slots=True)
class ShortAnswerScorer:
    """1 if the answer is one of the references, apart from spelling, spaces, punctuation and final particles and endings."""

    korean: KoreanText = field(default_factory=korean_text)

    @property
    def name(self) -> str:
        return f"short_answer (exact; {self.korean.name})"

    def score(self, example: Example, answer: Answer) -> Score:
        accepted = accepted_texts(example)
        if is_exact(answer.text, accepted, self.korean):
            return Score(1.0)
        return Score(0.0, f"{shorten(answer.text)} ≠ {shorten(accepted[0])}")


@dataclass(frozen=True, slots=True)
class ShortAnswerF1Scorer:
    """The best character F1 over the references; 1 where the answer is exact apart from final particles and endings."""

    korean: KoreanText = field(default_factory=korean_text)

    @property
    def name(self) -> str:
        return f"short_answer_f1 (characters; {self.korean.name})"

    def score(self, example: Example, answer: Answer) -> Score:
        accepted = accepted_texts(example)
        if is_exact(answer.text, accepted, self.korean):
            return Score(1.0)
        value = max(character_f1(stem, text) for stem in self.korean.stems(answer.text) for text in accepted)
        return Score(value, f"F1 {value:.2f}")
