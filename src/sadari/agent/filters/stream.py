"""Telling an answer while it is written, no sooner than the filters have seen it."""

from collections.abc import Sequence

from sadari.agent.guard import Filter
from sadari.text.sentences import sentence_spans
from sadari.types import Answer, Caller, Message, Span

MOST_CHECKS = 200
"""Sentences after which the rest is told at the end: each is checked with all that stands before it."""


class Stream:
    """What of an answer may be told already.

    At the end of every sentence, all that was written so far is checked; told is what two checks in a row agree on. So a sentence
    is told when the next one is written, and what stands across two sentences is seen before either is told. A filter that does
    not say `needs_whole = False` sees the whole answer first, and nothing is told before the end.

    Args:
        messages: The conversation before the answer.
        citations: What is known already to be cited: what its calls found.
    """

    def __init__(
        self, filters: Sequence[Filter], caller: Caller, messages: Sequence[Message], citations: Sequence[Span] = ()
    ) -> None:
        self._filters, self._caller = tuple(filters), caller
        self._messages, self._citations = tuple(messages), tuple(citations)
        self._is_held = any(getattr(one, "needs_whole", True) for one in filters)
        self._written = self._checked = self._told = ""
        self._sentences = self._checks = 0

    @property
    def told(self) -> str:
        """All that was told."""
        return self._told

    def feed(self, text: str) -> str:
        """Take more of the answer; what may be told now, often ""."""
        self._written += text
        if not self._filters:
            return self._tell(self._written)
        ends = [end for _, end in sentence_spans(self._written)][:-1]  # the last one may go on
        if self._is_held or len(ends) <= self._sentences or self._checks >= MOST_CHECKS:
            return ""
        self._sentences, self._checks = len(ends), self._checks + 1
        try:
            checked = self._check(self._written[: ends[-1]])
        except Exception:  # what could not be looked at is not told; the check of the whole answer ends the run
            self._is_held = True
            return ""
        agreed = _agreed(self._checked, checked)
        self._checked = checked
        return self._tell(agreed)

    def end(self, final: str) -> str:
        """The rest of the checked answer; "" if it is not one that goes on from what was told, and takes its place."""
        return self._tell(final)

    def _check(self, text: str) -> str:
        answer = Answer(text, citations=self._citations)
        for one in self._filters:
            answer = one.check(answer, self._caller, self._messages).answer
        return answer.text

    def _tell(self, text: str) -> str:
        if not text.startswith(self._told):
            return ""
        rest = text[len(self._told) :]
        self._told = text
        return rest


def _agreed(one: str, other: str) -> str:
    """How both begin."""
    length = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return one[:length]
