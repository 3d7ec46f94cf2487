"""Sentences of an answer that none of its sources says.

Covered and not covered: as for `sadari.text.support`. An answer that cites nothing is not looked at.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal

from pydantic import BaseModel, Field

from sadari.agent.guard import Checked
from sadari.retrieve.evidence import Unsupported, trace
from sadari.text.support import LEAST_SUPPORT
from sadari.types import Answer, Caller, Chunk, Message

_ABSTENTIONS: dict[str, str] = {"ko": "문서에서 확인할 수 없습니다.", "en": "The documents do not say."}
_HANDLED: dict[str, Unsupported] = {"mask": "remove", "mark": "mark"}


class ClaimsOptions(BaseModel, frozen=True, extra="forbid"):
    """What becomes of unsupported sentences, as written under `agent: filters: claims:`."""

    action: Literal["mask", "mark", "refuse"] = Field(
        default="mark", description="Leave the sentence out, say behind it that it has no source, or refuse the answer."
    )
    least: float = Field(default=LEAST_SUPPORT, ge=0, le=1, description="Share of a sentence that its sources have to say.")


class ClaimsFilter:
    """A `Filter` for sentences that neither the citations nor a tool's result of this conversation says."""

    needs_whole = True  # the sources are known when the answer is

    def __init__(self, options: ClaimsOptions) -> None:
        self._options = options
        self.version = hashlib.sha256(options.model_dump_json().encode()).hexdigest()[:16]

    def check(self, answer: Answer, caller: Caller, messages: Sequence[Message]) -> Checked:
        """The answer, without or with a note on what nobody says; nothing supported at all leaves the abstention."""
        if not answer.citations or answer.abstained:
            return Checked(answer)
        asked = next((m.content for m in reversed(messages) if m.role == "user"), "")
        evidence = trace(answer.text, list(_sources(answer, messages)), asked)
        bad = sum(claim.is_claim and not claim.is_supported(self._options.least) for claim in evidence.claims)
        if not bad:
            return Checked(answer)
        findings = (f"unsupported claims: {bad}: {self._options.action}",)
        abstention = _ABSTENTIONS[caller.language]
        if self._options.action == "refuse":
            return Checked(replace(answer, text=abstention, citations=(), abstained=True), findings)
        settled = evidence.settle(
            abstention, unsupported=_HANDLED[self._options.action], least=self._options.least, language=caller.language
        )
        citations = () if settled.abstained else answer.citations
        return Checked(replace(answer, text=settled.text, citations=citations, abstained=settled.abstained), findings)


def _sources(answer: Answer, messages: Sequence[Message]) -> Iterator[Chunk]:
    for span in answer.citations:
        yield Chunk(span.document, span.title, span.start, span.end, span.quote)
    for number, message in enumerate(messages):
        if message.role == "tool":
            yield Chunk(f"tool {number}", "", 0, len(message.content), message.content)
