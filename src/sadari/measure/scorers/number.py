"""A number, in any of its spellings, within a tolerance."""

from dataclasses import dataclass
from decimal import Decimal

from sadari.measure.scorers.scoring import accepted_texts, shorten
from sadari.text.forms import MOST_CHARS
from sadari.text.quantities import Quantity, quantities_in
from sadari.types import Answer, Example, Score


@dataclass(frozen=True, slots=True)
class NumberScorer:
    """1 if the answer's last number (with the reference's unit, if it states that unit) is within `tolerance` of the reference.

    Args:
        tolerance: Largest error as a share of the reference; 0 asks for the same number.
    """

    tolerance: float = 0.0

    @property
    def name(self) -> str:
        return f"number (tolerance {self.tolerance:g})"

    def score(self, example: Example, answer: Answer) -> Score:
        said = quantities_in(answer.text[-MOST_CHARS:])  # the last number counts, so the end of an endless answer is read
        accepted = accepted_texts(example)
        for text in accepted:
            wanted = quantities_in(text)
            if not wanted:
                raise ValueError(f"the reference {text!r} holds no number")
            if said and self._is_equal(said, wanted[-1]):
                return Score(1.0)
        return Score(0.0, f"{shorten(answer.text)} ≠ {shorten(accepted[0])}")

    def _is_equal(self, said: list[Quantity], wanted: Quantity) -> bool:
        candidate = ([quantity for quantity in said if quantity.unit == wanted.unit] or said)[-1]
        if wanted.value is None or candidate.value is None:
            return candidate.spelling == wanted.spelling
        if wanted.unit and candidate.unit not in (wanted.unit, ""):
            return False
        allowed = max(abs(wanted.value) * Decimal(str(self.tolerance)), Decimal("1e-9"))
        return abs(candidate.value - wanted.value) <= allowed
