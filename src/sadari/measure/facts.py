"""The rule for answers that must stand in documents: facts, citations, numbers, abstention.

An answer is *correct* when all of these hold:

1. Every required fact is in it, in any accepted spelling.
2. Every required fact stands in the quote of one of its citations, in any accepted spelling.
3. Every number, date and time in it stands in a cited quote or in the question.
4. It abstains if, and only if, the reference does; an abstention brings no number that the question does not hold.

Spellings are compared as `korean.contains` does: numbers in one spelling, spaces and punctuation ignored.

An answer that is too long to be read whole (more than `text.MOST_CHARS` characters) is not correct.

Not covered: negation, and contradictions in words ("무료" against "유료").
"""

from dataclasses import dataclass
from typing import Literal

from sadari.measure.korean import MOST_CHARS, comparison_key, is_supported, numbers_in
from sadari.types import Answer, Example, Score

_MESSAGES = {
    "en": {
        "invented": "answers, though the documents do not say",
        "abstained": "abstains, though the documents say it",
        "missing": "does not say {}",
        "uncited": "no citation holds {}",
        "number": "{} stands neither in a citation nor in the question",
        "long": "longer than {} characters",
    },
    "ko": {
        "invented": "문서에 없는 내용인데 답함",
        "abstained": "문서에 있는 내용인데 답하지 않음",
        "missing": "빠진 사실: {}",
        "uncited": "인용문에 없는 사실: {}",
        "number": "인용문과 질문에 없는 숫자: {}",
        "long": "{}자보다 긴 답",
    },
}


@dataclass(frozen=True, slots=True)
class FactsScorer:
    """1 if the answer is correct by the rule above, else 0, with the first rule that it breaks."""

    language: Literal["ko", "en"] = "en"
    name: str = "facts (all facts said and cited, no number of its own, right abstention)"

    def score(self, example: Example, answer: Answer) -> Score:
        reference, say = example.reference, _MESSAGES[self.language]
        if answer.abstained and not reference.abstain:
            return Score(0.0, say["abstained"])
        if reference.abstain and not answer.abstained:
            return Score(0.0, say["invented"])
        if len(answer.text) > MOST_CHARS:
            return Score(0.0, say["long"].format(f"{MOST_CHARS:,}"))
        said = comparison_key(answer.text)
        quotes = [citation.quote for citation in answer.citations]
        cited = [comparison_key(quote) for quote in quotes]
        for fact in () if reference.abstain else reference.facts:
            keys = [key for key in map(comparison_key, fact) if key]
            if not any(key in said for key in keys):
                return Score(0.0, say["missing"].format(fact[0]))
            if not any(key in quote for key in keys for quote in cited):
                return Score(0.0, say["uncited"].format(fact[0]))
        known = [number for text in [*([] if reference.abstain else quotes), example.question] for number in numbers_in(text)]
        for number in numbers_in(answer.text):
            if not is_supported(number, known):
                return Score(0.0, say["number"].format(number))
        return Score(1.0)
