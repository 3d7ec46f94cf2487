"""What a task holds that it should not: personal data, credentials, and documents that speak to the model."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from sadari.task.credentials import find_credentials
from sadari.task.mask import map_texts
from sadari.task.privacy import find_personal, value_of
from sadari.task.task import Task
from sadari.text.findings import Finding
from sadari.text.injection import find_injections
from sadari.types import Document, Example


@dataclass(frozen=True, slots=True)
class Found:
    """A finding and where it stands.

    Args:
        where: As messages name it: "data/train.jsonl line 41", or "refunds.md line 3" for a document.
        split: "train", "validation", "test", "audit", or "documents".
        id: Of the example or the document.
        place: "messages[0].content"; "text" in a document. Positions of the finding count in that text.
    """

    where: str
    split: str
    id: str
    place: str
    finding: Finding


@dataclass(frozen=True, slots=True)
class Survey:
    """All findings of a task, in the order of its splits, documents last; each value counts once per row and line of a document."""

    personal: tuple[Found, ...]
    credentials: tuple[Found, ...]
    injections: tuple[Found, ...]

    @property
    def counts(self) -> dict[str, int]:
        """How many findings of each kind there are: `{"phone": 12, "api_key": 1}`."""
        return dict(Counter(found.finding.kind for found in (*self.personal, *self.credentials, *self.injections)))


def survey(task: Task) -> Survey:
    """Look through every row and document of a task.

    Rows are searched for personal data and credentials; documents and the turns of tools also for instructions to the model,
    since that is text from outside which a system will read.
    """
    personal: list[Found] = []
    credentials: list[Found] = []
    injections: list[Found] = []
    for split in ("train", "validation", "test", "audit"):
        for example in getattr(task, split):
            where = task.sources.get(example.id, example.id)
            for place, text, lead in _texts(example):
                here = Found(where, split, example.id, place, Finding("", 0, 0, ""))
                credentials += _at(here, find_credentials(lead + text), len(lead))
                personal += _at(here, find_personal(lead + text), len(lead))
            for at, message in enumerate(example.messages):
                if message.role == "tool":
                    here = Found(where, split, example.id, f"messages[{at}].content", Finding("", 0, 0, ""))
                    injections += _at(here, find_injections(message.content), 0)
    for document in task.documents:
        credentials += _in_document(document, find_credentials(document.text))
        personal += _in_document(document, find_personal(document.text))
        injections += _in_document(document, find_injections(document.text))
    return Survey(_without_credentials(_once(personal), credentials), tuple(_once(credentials)), tuple(injections))


def _texts(example: Example) -> Iterator[tuple[str, str, str]]:
    """Place, text, and what the text stands under, for every text of a row that is not empty."""
    texts: list[tuple[str, str, str]] = []

    def note(text: str, place: str, key: str) -> str:
        if text:
            texts.append((place, text, f"{key}: " if key else ""))
        return text

    map_texts(example, note)
    texts.sort(key=lambda entry: entry[0] in ("id", "group"))  # where a person will look first
    return iter(texts)


def _at(here: Found, findings: list[Finding], offset: int) -> Iterator[Found]:
    return (
        replace(here, finding=replace(finding, start=finding.start - offset, end=finding.end - offset))
        for finding in findings
        if finding.start >= offset
    )


def _in_document(document: Document, findings: list[Finding]) -> Iterator[Found]:
    line, counted = 1, 0
    for finding in findings:
        line += document.text.count("\n", counted, finding.start)
        counted = finding.start
        yield Found(f"{document.id} line {line}", "documents", document.id, "text", finding)


def _once(found: list[Found]) -> list[Found]:
    """Without what a row says again: its answer stands in its messages and in its references."""
    first: dict[tuple[str, str, str, str], Found] = {}
    for one in found:
        first.setdefault((one.split, one.where, one.finding.kind, value_of(one.finding)), one)
    return list(first.values())


def _without_credentials(personal: list[Found], credentials: list[Found]) -> tuple[Found, ...]:
    """What looks like a number inside a key is no number."""
    taken: dict[tuple[str, str, str], list[Finding]] = {}
    for one in credentials:
        taken.setdefault((one.split, one.id, one.place), []).append(one.finding)
    return tuple(
        one
        for one in personal
        if not any(
            one.finding.start < other.end and other.start < one.finding.end
            for other in taken.get((one.split, one.id, one.place), ())
        )
    )
