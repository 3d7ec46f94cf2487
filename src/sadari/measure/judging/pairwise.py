"""Which of two answers is better: a judge is asked in both orders, and believed only where they agree.

Judges favour an answer for standing first, or last; a preference that turns with the order is none.

Source:
    Position bias, and a tie where the two orders disagree: Zheng et al. (2023), arXiv 2306.05685.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sadari.measure.judging.judge_prompt import Language, pair_question, said
from sadari.measure.judging.rulings import NO_TOKENS, Rulings, add_usage
from sadari.measure.statistics import mcnemar_mid_p
from sadari.types import Answer, Example, Model, Usage

_TURNED = {"first": "second", "second": "first"}


@dataclass(frozen=True, slots=True)
class Preference:
    """Which of two answers, "a" or "b", is better by both orders.

    Args:
        winner: "tie" if both orders call it one; "unsure" if they disagree, or one of them came to nothing.
        orders: What was said with a first, and with b first: "first", "second", "tie", "unsure" or "failed"; () if nothing had to
            be asked.
        usage: Tokens of the two requests; of kept rulings, those once paid.
    """

    winner: Literal["a", "b", "tie", "unsure"]
    orders: tuple[str, ...] = ()
    usage: Usage = NO_TOKENS


@dataclass(frozen=True, slots=True)
class PositionBias:
    """How much a judge goes by the place of an answer.

    Args:
        pairs: Pairs that were asked.
        agreed: Pairs in which both orders chose the same answer.
        always_first, always_second: Pairs in which both orders chose the same place.
        p_value: Two-sided, that the two places are favoured alike.
    """

    pairs: int
    agreed: int
    always_first: int
    always_second: int
    p_value: float

    @property
    def share(self) -> float:
        """Pairs decided by place among those decided by place or answer, in [0, 1]; 0 if there are none."""
        by_place = self.always_first + self.always_second
        return by_place / (by_place + self.agreed) if by_place else 0.0


def compare_answers(model: Model, rubric: str, example: Example, a: Answer, b: Answer, language: Language = "en") -> Preference:
    """Which of two answers is better, asked in both orders."""
    return compare_pairs(Rulings(model), rubric, [(example, a, b)], language)[0]


def compare_pairs(
    rulings: Rulings, rubric: str, pairs: Sequence[tuple[Example, Answer, Answer]], language: Language = "en"
) -> list[Preference]:
    """One preference per pair, in order. An answer with an `error`, or an empty one, loses without being shown; equals tie.

    Raises:
        SadariError: What the model raises because every other request would meet it too.
        RunError: If the file of rulings cannot be written.
    """
    found = [_unasked(a, b) for _, a, b in pairs]
    waiting = [index for index, preference in enumerate(found) if preference is None]
    questions = []
    for example, a, b in (pairs[index] for index in waiting):
        questions += [pair_question(rubric, example, a, b, language), pair_question(rubric, example, b, a, language)]
    said_of = rulings.of(questions)
    for place, index in enumerate(waiting):
        first, second = said_of[2 * place], said_of[2 * place + 1]
        verdicts, usage = (first.verdict, second.verdict), add_usage(first.usage, second.usage)
        found[index] = Preference(_winner(*verdicts), verdicts, usage)
    return [preference for preference in found if preference is not None]


def position_bias(preferences: Sequence[Preference]) -> PositionBias:
    """How much the judge of these preferences goes by place."""
    orders = [preference.orders for preference in preferences if preference.orders]
    first, second = orders.count(("first", "first")), orders.count(("second", "second"))
    agreed = sum(preference.winner in ("a", "b") for preference in preferences if preference.orders)
    return PositionBias(len(orders), agreed, first, second, mcnemar_mid_p(first, second))


def _winner(a_first: str, b_first: str) -> Literal["a", "b", "tie", "unsure"]:
    if _TURNED.get(b_first, b_first) != a_first:
        return "unsure"
    return "a" if a_first == "first" else "b" if a_first == "second" else "tie" if a_first == "tie" else "unsure"


def _unasked(a: Answer, b: Answer) -> Preference | None:
    a_said, b_said = ("" if answer.error is not None else said(answer) for answer in (a, b))
    if a_said == b_said:
        return Preference("tie")
    if not a_said or not b_said:
        return Preference("a" if a_said else "b")
    return None
