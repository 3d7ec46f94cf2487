"""Free text by chrF: character n-grams need no word borders, and so suit Korean."""

from collections import Counter
from dataclasses import dataclass

from sadari.measure.scorers.scoring import accepted_texts
from sadari.text.forms import compared
from sadari.types import Answer, Example, Score

CHRF_ORDER = 6
CHRF_BETA = 2.0


@dataclass(frozen=True, slots=True)
class TextScorer:
    """chrF over the references: the F-score of character n-grams.

    Source:
        Popović (2015), chrF, WMT; n-grams of 1 to 6 characters without spaces, recall weighted by beta 2, as sacrebleu's default.
    """

    name: str = f"text (chrF{CHRF_BETA:g}, characters 1-{CHRF_ORDER}, own)"

    def score(self, example: Example, answer: Answer) -> Score:
        value = max(chrf(answer.text, text) for text in accepted_texts(example))
        return Score(value, f"chrF {value:.2f}")


def chrf(answer: str, reference: str, *, order: int = CHRF_ORDER, beta: float = CHRF_BETA) -> float:
    """chrF of one sentence, in [0, 1]; 1 for identical texts, and for two empty ones.

    What follows the first 20,000 characters (`text.forms.MOST_CHARS`) is not compared.
    """
    said, wanted = ("".join(compared(text).split()) for text in (answer, reference))
    if said == wanted:
        return 1.0
    precisions, recalls = [], []
    for n in range(1, order + 1):
        said_grams, wanted_grams = (Counter(text[i : i + n] for i in range(len(text) - n + 1)) for text in (said, wanted))
        if said_grams and wanted_grams:
            shared = (said_grams & wanted_grams).total()
            precisions.append(shared / said_grams.total())
            recalls.append(shared / wanted_grams.total())
    if not precisions:
        return 0.0
    precision, recall = sum(precisions) / len(precisions), sum(recalls) / len(recalls)
    if not precision and not recall:
        return 0.0
    return (1 + beta**2) * precision * recall / (beta**2 * precision + recall)
