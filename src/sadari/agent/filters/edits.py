"""What becomes of what a filter found in an answer: masked, marked, or the whole answer refused."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from sadari.agent.guard import Checked
from sadari.types import Answer, Span

Language = Literal["ko", "en"]
Handling = Literal["mask", "mark", "refuse"]
"""Put something else in its place, say behind it what it is, or tell nothing of the answer."""

REFUSALS: dict[Language, str] = {
    "ko": "죄송합니다. 이 내용은 알려 드릴 수 없습니다.",
    "en": "I am sorry, I cannot tell you this.",
}


@dataclass(frozen=True, slots=True)
class Edit:
    """Characters `[start, end)` of a text that may not be said.

    Args:
        kind: What it is, for the log: "personal: phone".
        mask: What stands in its place.
        note: What stands behind it where it is only marked.
    """

    start: int
    end: int
    kind: str
    mask: str
    note: str


def handled(answer: Answer, find: Callable[[str], Sequence[Edit]], handling: Handling, refusal: str) -> Checked:
    """The answer and what it quotes, after what `find` finds in them; findings name kinds, never the text."""
    edits = find(answer.text)
    quoted = [(span, find(span.quote), find(span.title)) for span in answer.citations]
    kinds = [edit.kind for edit in (*edits, *(e for _, quote, title in quoted for e in (*quote, *title)))]
    if not kinds:
        return Checked(answer)
    findings = tuple(f"{kind}: {handling}" for kind in dict.fromkeys(kinds))
    if handling == "refuse":
        return Checked(replace(answer, text=refusal, citations=()), findings)
    citations = tuple(_span(span, quote, title, handling) for span, quote, title in quoted)
    return Checked(replace(answer, text=edited(answer.text, edits, handling), citations=citations), findings)


def _span(span: Span, quote: Sequence[Edit], title: Sequence[Edit], handling: Handling) -> Span:
    return replace(span, quote=edited(span.quote, quote, handling), title=edited(span.title, title, handling))


def edited(text: str, edits: Iterable[Edit], handling: Handling) -> str:
    """`text` with each piece masked or marked; of pieces that overlap, all that they cover goes."""
    for edit in reversed(_joined(edits)):
        said = edit.mask if handling == "mask" else text[edit.start : edit.end] + edit.note
        text = text[: edit.start] + said + text[edit.end :]
    return text


def _joined(edits: Iterable[Edit]) -> list[Edit]:
    joined: list[Edit] = []
    for edit in sorted(edits, key=lambda e: (e.start, -e.end)):
        if joined and edit.start < joined[-1].end:
            joined[-1] = replace(joined[-1], end=max(edit.end, joined[-1].end))
        else:
            joined.append(edit)
    return joined
