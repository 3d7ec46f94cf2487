"""Masking: personal data and credentials give way to placeholders, the same value to the same one everywhere in a project.

A row stays a row: gold spans move with the text of their document, facts and tool arguments say what the answer says.
"""

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from sadari.task.credentials import find_credentials
from sadari.task.privacy import KINDS, find_personal, value_of
from sadari.text.findings import Finding
from sadari.types import Document, Example, Message, Reference, Span, ToolCall, ToolSpec

_WORDS: Mapping[str, Mapping[str, str]] = {
    "ko": {
        "resident": "주민번호",
        "business": "사업자번호",
        "corporate": "법인번호",
        "card": "카드",
        "licence": "면허",
        "passport": "여권",
        "email": "이메일",
        "phone": "전화",
        "account": "계좌",
        "ip": "IP",
        "address": "주소",
        "name": "이름",
    },
    "en": {"resident": "ID", "ip": "IP"},
}
_SECRET = {"ko": "비밀", "en": "SECRET"}
_TOKEN = re.compile(r"[0-9A-Za-z][0-9A-Za-z!@#$%^&*._+/=-]{5,200}")
_PARTICLES = "님|씨|은|는|이|가|을|를|의|에게|께|과|와|도|입니다|이며|이고|이에요|예요|고객"


def find_sensitive(text: str, label: str = "") -> list[Finding]:
    """Personal data and credentials of one text. `label` is what it stands under ("password"), as the key of an argument."""
    lead = f"{label}: " if label else ""
    secrets = find_credentials(lead + text)
    personal = [p for p in find_personal(lead + text) if not any(p.start < s.end and s.start < p.end for s in secrets)]
    found = sorted([*secrets, *personal], key=lambda finding: finding.start)
    return [replace(f, start=f.start - len(lead), end=f.end - len(lead)) for f in found if f.start >= len(lead)]


@dataclass(frozen=True, slots=True)
class Masked:
    """A text with placeholders, and where its pieces went: `(start, end)` of the original, `(start, end)` of the masked text."""

    text: str
    pieces: tuple[tuple[int, int, int, int], ...] = ()

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Where `[start, end)` of the original stands now; a position inside a masked piece takes in the whole placeholder."""
        return self._moved(start, side=2), self._moved(end, side=3)

    def _moved(self, position: int, *, side: Literal[2, 3]) -> int:
        at = bisect_right(self.pieces, position, key=lambda piece: piece[0]) - 1
        if at < 0:
            return position
        piece = self.pieces[at]
        if position == piece[0]:
            return piece[2]
        return piece[side] if position < piece[1] else position - piece[1] + piece[3]


class Masker:
    """Gives every value its placeholder: `[전화1]`, `[이메일2]`; in English `[PHONE1]`.

    Numbers are given in the order in which values are learnt, so the same data give the same placeholders. All texts are learnt
    before the first is masked: a value that is known by its context in one place is then masked in all of them.

    Args:
        language: Of the placeholders.
        keep: Values that stay as they are, as `(kind, value_of(finding))`: what a company publishes itself.
    """

    def __init__(self, language: Literal["ko", "en"] = "ko", keep: Collection[tuple[str, str]] = ()) -> None:
        self._language = language
        self._keep = keep
        self._placeholders: dict[tuple[str, str], str] = {}
        self._spelt: dict[str, str] = {}
        self._originals: dict[str, str] = {}
        self._last: Counter[str] = Counter()
        self._found: dict[tuple[str, str], list[Finding]] = {}  # every text is asked for twice: learnt, then masked
        self._used = re.compile(r"\[([A-Z가-힣]{1,10}?)([0-9]{1,6})\]")
        self.places: Counter[str] = Counter()

    @property
    def mapping(self) -> dict[str, str]:
        """What each placeholder stands for, as it was spelt first. This is personal data."""
        return dict(self._originals)

    def reserve(self, text: str) -> None:
        """Do not give out placeholders that already stand in `text`: they stand for values that nobody knows here."""
        for word, number in self._used.findall(text):
            self._last[word] = max(self._last[word], int(number))

    def learn(self, text: str, label: str = "") -> dict[str, str]:
        """Give placeholders to the values of a text; returns its names, which are looked for in their own row only."""
        names: dict[str, str] = {}
        for finding in self._findings(text, label):
            placeholder = self._placeholder(finding)
            if placeholder and finding.kind == "name":
                names[finding.text] = placeholder
            elif placeholder and _TOKEN.fullmatch(finding.text):
                self._spelt.setdefault(finding.text, placeholder)
        return names

    def mask(self, text: str, label: str = "", names: Mapping[str, str] | None = None) -> Masked:
        """The text with placeholders for its own findings, for values known from elsewhere, and for the names of its row."""
        pieces = [(f.start, f.end, placeholder) for f in self._findings(text, label) if (placeholder := self._placeholder(f))]
        if self._spelt:
            pieces += [(*m.span(), self._spelt[m[0]]) for m in _TOKEN.finditer(text) if m[0] in self._spelt]
        for name, placeholder in (names or {}).items():
            whole = re.compile(rf"(?<![가-힣A-Za-z]){re.escape(name)}(?=(?:{_PARTICLES})|[^가-힣A-Za-z]|\Z)")
            pieces += [(*m.span(), placeholder) for m in whole.finditer(text)]
        return self._rewrite(text, sorted(pieces))

    def _findings(self, text: str, label: str) -> list[Finding]:
        if (text, label) not in self._found:
            self._found[text, label] = find_sensitive(text, label)
        return self._found[text, label]

    def _rewrite(self, text: str, pieces: Sequence[tuple[int, int, str]]) -> Masked:
        parts: list[str] = []
        moved: list[tuple[int, int, int, int]] = []
        done = length = 0
        for start, end, placeholder in pieces:
            if start < done:
                continue
            parts += (text[done:start], placeholder)
            length += start - done
            moved.append((start, end, length, length + len(placeholder)))
            length += len(placeholder)
            done = end
            self.places[placeholder] += 1
        return Masked("".join([*parts, text[done:]]), tuple(moved))

    def _placeholder(self, finding: Finding) -> str:
        key = _key(finding)
        if key in self._keep:
            return ""
        if key not in self._placeholders:
            own = _WORDS[self._language].get(finding.kind)
            word = own or (finding.kind.upper() if finding.kind in KINDS else _SECRET[self._language])
            self._last[word] += 1
            self._placeholders[key] = f"[{word}{self._last[word]}]"
            self._originals[self._placeholders[key]] = finding.text
        return self._placeholders[key]


def _key(finding: Finding) -> tuple[str, str]:
    """What makes two findings one value; secrets are compared to the letter."""
    return finding.kind, value_of(finding) if finding.kind in KINDS else finding.text


# --- every text of a row ----------------------------------------------------------------------------------------------------

Change = Callable[[str, str, str], str]
"""Takes a text, the name of its place ("messages[0].content") and the key it stands under ("" or that of an argument)."""

_TOLD = ("description", "title", "enum", "const", "default", "examples", "example")


def map_texts(example: Example, change: Change) -> Example:
    """The example with every text a person may have written in it put through `change`; gold spans belong to the documents."""
    messages = tuple(_map_message(m, f"messages[{at}]", change) for at, m in enumerate(example.messages))
    return replace(
        example,
        id=change(example.id, "id", ""),
        messages=messages,
        reference=_map_reference(example.reference, change),
        tools=tuple(_map_tool(tool, f"tools[{at}]", change) for at, tool in enumerate(example.tools)),
        group=change(example.group, "group", ""),
        tags=tuple(change(tag, f"tags[{at}]", "") for at, tag in enumerate(example.tags)),
        rejected=None if example.rejected is None else change(example.rejected, "rejected", ""),
    )


def _map_message(message: Message, place: str, change: Change) -> Message:
    calls = tuple(_map_call(call, f"{place}.tool_calls[{at}]", change) for at, call in enumerate(message.tool_calls))
    return replace(message, content=change(message.content, f"{place}.content", ""), tool_calls=calls)


def _map_reference(reference: Reference, change: Change) -> Reference:
    facts = (
        tuple(dict.fromkeys(change(spelling, f"facts[{at}]", "") for spelling in fact)) for at, fact in enumerate(reference.facts)
    )
    accepts = (
        replace(
            call, arguments={key: tuple(_map_json(value, f"accepts[{at}]", key, change)) for key, value in call.arguments.items()}
        )
        for at, call in enumerate(reference.accepts)
    )
    return replace(
        reference,
        texts=tuple(dict.fromkeys(change(text, f"references[{at}]", "") for at, text in enumerate(reference.texts))),
        facts=tuple(facts),
        calls=tuple(_map_call(call, f"calls[{at}]", change) for at, call in enumerate(reference.calls)),
        accepts=tuple(accepts),
    )


def _map_call(call: ToolCall, place: str, change: Change) -> ToolCall:
    return replace(call, arguments=_map_json(dict(call.arguments), f"{place}.arguments", "", change))


def _map_tool(tool: ToolSpec, place: str, change: Change) -> ToolSpec:
    described = change(tool.description, f"{place}.description", "")
    return replace(tool, description=described, parameters=_map_schema(dict(tool.parameters), f"{place}.parameters", change))


def _map_json(value: Any, place: str, key: str, change: Change) -> Any:
    if isinstance(value, str):
        return change(value, place, key)
    if isinstance(value, Mapping):
        return {name: _map_json(item, f"{place}.{name}", str(name), change) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_map_json(item, f"{place}[{at}]", key, change) for at, item in enumerate(value)]
    return value


def _map_schema(value: Any, place: str, change: Change) -> Any:
    """A JSON Schema with what it tells people changed; its keywords, names and patterns stay."""
    if isinstance(value, Mapping):
        return {
            name: _map_json(item, f"{place}.{name}", "", change)
            if name in _TOLD and not isinstance(item, Mapping)
            else _map_schema(item, f"{place}.{name}", change)
            for name, item in value.items()
        }
    return [_map_schema(item, place, change) for item in value] if isinstance(value, list) else value


# --- a whole project --------------------------------------------------------------------------------------------------------


def mask_project(
    splits: Mapping[str, Sequence[Example]], documents: Sequence[Document], masker: Masker, *, with_documents: bool = True
) -> tuple[dict[str, tuple[Example, ...]], tuple[Document, ...]]:
    """All rows and documents with placeholders; `masker` then knows the mapping and how often each was used.

    Args:
        splits: Rows by split; placeholders are numbered in this order, documents last.
        with_documents: False leaves the documents as they are.
    """

    def reserve(text: str, place: str, key: str) -> str:
        masker.reserve(text)
        return text

    rows = [example for split in splits.values() for example in split]
    for example in rows:
        map_texts(example, reserve)
    for document in documents:
        masker.reserve(document.text)
    names = [_learn(example, masker) for example in rows]
    if with_documents:
        for document in documents:
            masker.learn(document.text)
    told = {d.id: (masker.mask(d.title), masker.mask(d.text)) for d in documents} if with_documents else {}
    pages = tuple(replace(d, title=told[d.id][0].text, text=told[d.id][1].text) if d.id in told else d for d in documents)
    texts = {id: page for id, (_, page) in told.items()}
    masked = iter([mask_example(example, masker, own, texts) for example, own in zip(rows, names, strict=True)])
    return {name: tuple(next(masked) for _ in split) for name, split in splits.items()}, pages


def published(documents: Sequence[Document]) -> frozenset[tuple[str, str]]:
    """What stands in the documents, for `Masker(keep=...)`."""
    found = [finding for document in documents for finding in find_sensitive(document.text)]
    return frozenset(_key(finding) for finding in found)


def _learn(example: Example, masker: Masker) -> dict[str, str]:
    names: dict[str, str] = {}

    def learn(text: str, place: str, key: str) -> str:
        names.update(masker.learn(text, key))
        return text

    map_texts(example, learn)
    return names


def mask_example(example: Example, masker: Masker, names: Mapping[str, str], documents: Mapping[str, Masked]) -> Example:
    """The example with placeholders; its gold spans follow their documents.

    Args:
        names: Names said somewhere in the row, with their placeholders.
        documents: The masked documents by id; a span of any other document keeps its place, and its quote.
    """
    masked = map_texts(example, lambda text, place, key: masker.mask(text, key, names).text if text else text)
    spans = tuple(_moved_span(span, documents.get(span.document)) for span in example.reference.spans)
    tools = masked.tools if masked.tools == example.tools and _calls(masked) == _calls(example) else _loosened(masked.tools)
    return replace(masked, reference=replace(masked.reference, spans=spans), tools=tools)


def _calls(example: Example) -> list[Any]:
    return [[call.arguments for call in message.tool_calls] for message in example.messages] + [example.reference.calls]


def _moved_span(span: Span, page: Masked | None) -> Span:
    if page is None or not span.quote:
        return span
    start, end = page.span(span.start, span.end)
    return replace(span, start=start, end=end, quote=page.text[start:end])


def _loosened(tools: Iterable[ToolSpec]) -> tuple[ToolSpec, ...]:
    """The tools without limits on the form of a text, which no placeholder would keep."""

    def loosen(value: Any) -> Any:
        if isinstance(value, Mapping):
            is_schema = isinstance(value.get("type"), str)
            dropped = ("pattern", "format", "minLength", "maxLength") if is_schema else ()
            return {name: loosen(item) for name, item in value.items() if name not in dropped}
        return [loosen(item) for item in value] if isinstance(value, list) else value

    return tuple(replace(tool, parameters=loosen(dict(tool.parameters))) for tool in tools)
