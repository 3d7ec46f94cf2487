"""A task done to its end: the right calls with the right arguments, and the right answer after them."""

from dataclasses import dataclass, field, replace

from sadari.measure.korean import contains
from sadari.measure.scorers.scoring import accepted_texts, shorten
from sadari.measure.scorers.tool_call import ToolCallScorer
from sadari.types import Answer, Example, Reference, Score, ToolCall


@dataclass(frozen=True, slots=True)
class WholeTaskScorer:
    """1 if the answer made exactly the calls that the example makes after its last question, and then said what is right.

    The final answer is right if it holds every fact of the reference in one of its spellings; without facts, if it holds one of
    the accepted texts. An example without either is judged by its calls alone.
    """

    calls: ToolCallScorer = field(default_factory=lambda: ToolCallScorer(strings="loose"))
    name: str = "task (calls with arguments in any order, and the final answer)"

    def score(self, example: Example, answer: Answer) -> Score:
        if answer.error is not None:
            return Score(0.0, f"no answer: {answer.error}")
        wanted = replace(example, reference=_with_all_calls(example))
        called = self.calls.score(wanted, answer)
        if called.value < 1:
            return called
        missing = _missing(example.reference, example, answer.text)
        return Score(0.0, f"the calls are right, but the answer does not say {shorten(missing)}") if missing else Score(1.0)


def calls_of(example: Example) -> tuple[ToolCall, ...]:
    """All the calls that an example makes after its last question, those of its reference among them."""
    asked = max((i for i, m in enumerate(example.messages) if m.role == "user"), default=-1)
    made = [call for m in example.messages[asked + 1 :] for call in m.tool_calls]
    known = {call.id for call in made if call.id}
    return (*made, *(call for call in example.reference.calls if call not in made and call.id not in known))


def _with_all_calls(example: Example) -> Reference:
    return example.reference if example.reference.accepts else replace(example.reference, calls=calls_of(example))


def _missing(reference: Reference, example: Example, text: str) -> str:
    """What the answer lacks; "" if nothing."""
    if reference.facts:
        return next((spellings[0] for spellings in reference.facts if not any(contains(text, s) for s in spellings)), "")
    texts = [t for t in accepted_texts(example) if t.strip()]
    return "" if not texts or any(contains(text, t) for t in texts) else texts[0]
