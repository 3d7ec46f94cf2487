"""Search in the task's documents, as a tool.

Covered: who asks finds only what they may see (`Caller.reader`, which the host gives); passages are put as data, under numbers that
only sadari writes; orders to the model that are found in a passage are told beside its title, or the passage is left out.

Not covered: orders that nobody finds; what was found counts as untrusted, so that no call changes anything after it without a
person, unless `trusted` says that only the company writes these documents.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, Field, model_validator

from sadari.agent.tools.place import Place
from sadari.errors import ConfigError, SadariError, ToolFailedError
from sadari.retrieve.passages import Put, as_data, put_as_data
from sadari.types import Caller, Chunk, Outcome, Retriever, Span, Tool, ToolSpec, Traits

MOST_FOUND = 20
"""Passages of one search, at most."""

MOST_QUERY = 2_000
"""Characters of a query, at most: a whole document pasted as a query finds nothing well."""

_DESCRIPTION = {
    "ko": "회사 문서에서 질문에 맞는 부분을 찾아 출처와 함께 보여 줍니다.",
    "en": "Find the passages of the company's documents that answer a question, with their sources.",
}
_QUERY = {"ko": "찾을 내용. 문장이나 낱말.", "en": "What to look for: a sentence or a few words."}
_K = {"ko": "보여 줄 개수", "en": "How many passages"}
_NOTHING = {
    "ko": "문서에서 찾지 못했습니다. 다른 낱말로 찾거나, 문서에서 확인할 수 없다고 답하세요.",
    "en": "Nothing was found. Search with other words, or answer that the documents do not say.",
}
_EMPTY = {"ko": "query가 비어 있습니다. 찾을 내용을 쓰세요.", "en": "query is empty. Say what to look for."}
_DOWN = {
    "ko": "지금은 문서를 찾을 수 없습니다. 잠시 뒤에 다시 하거나, 확인할 수 없다고 답하세요.",
    "en": "The documents cannot be searched now. Try later, or answer that this cannot be checked.",
}


class SearchOptions(BaseModel, frozen=True, extra="forbid"):
    """The kind `search`: `search`, `{search: 5}`, or a mapping."""

    k: int = Field(default=3, ge=1, le=MOST_FOUND, description="Passages shown, unless the model asks for another number.")
    name: str = Field(default="search_documents", description="What the tool is called.")
    description: str = Field(
        default="", description="What the model is told of it; a sentence in the task's language if not given."
    )
    orders: Literal["tell", "leave_out"] = Field(
        default="tell", description="Of a passage in which orders to the model are found: tell the model so, or leave it out."
    )
    trusted: bool = Field(default=False, description="Whether only the company writes these documents.")
    max_chars: int = Field(default=8_000, ge=500, description="Characters of a result that the model is shown.")

    @model_validator(mode="before")
    @classmethod
    def _number(cls, value: Any) -> Any:
        return {"k": value} if isinstance(value, int) and not isinstance(value, bool) else value


_DEFAULTS = SearchOptions()


def open_search(options: SearchOptions, place: Place, documents: Retriever | None) -> list[Tool]:
    """The search in `documents`.

    Raises:
        ConfigError: If there are none.
    """
    if documents is None:
        raise ConfigError("tools: search: there is nothing to search in. Add `documents:` with a folder to the task file.")
    return [DocumentSearch(documents, options, place.language)]


class DocumentSearch:
    """Finds passages of documents. Also for a `Retriever` of one's own.

    Args:
        language: Of what the model is told of the tool; results and errors are in the caller's.
    """

    def __init__(self, documents: Retriever, options: SearchOptions = _DEFAULTS, language: Literal["ko", "en"] = "ko") -> None:
        self._documents, self._options = documents, options
        parameters = {
            "type": "object",
            "properties": {
                "query": {"type": "string", "description": _QUERY[language]},
                "k": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": MOST_FOUND,
                    "default": options.k,
                    "description": _K[language],
                },
            },
            "required": ["query"],
            "additionalProperties": False,
        }
        self._spec = ToolSpec(options.name, options.description or _DESCRIPTION[language], parameters)

    @property
    def spec(self) -> ToolSpec:
        """What the model is told."""
        return self._spec

    @property
    def traits(self) -> Traits:
        """A read that may be repeated."""
        return Traits(is_idempotent=True, is_trusted=self._options.trusted, retries=1, max_chars=self._options.max_chars)

    def call(self, arguments: Mapping[str, Any], caller: Caller) -> Outcome:
        """The best passages that the caller may see, best first, as data.

        `Outcome.data` says of each its source and the kinds of orders found in it; `Outcome.citations` are the passages that are
        shown whole.

        Raises:
            ToolFailedError: If the query is empty, or the documents cannot be searched now.
        """
        query = str(arguments.get("query") or "").strip()[:MOST_QUERY]
        if not query:
            raise ToolFailedError(_EMPTY[caller.language])
        k = min(MOST_FOUND, max(1, int(arguments.get("k") or self._options.k)))
        try:
            found = self._documents.search(query, k, caller.reader)
        except (SadariError, OSError) as error:
            raise ToolFailedError(_DOWN[caller.language]) from error
        put = put_as_data([one.chunk for one in found], caller.language, orders=self._options.orders)
        if not put:
            return Outcome(_NOTHING[caller.language], data={"passages": []})
        kept = _fitting([_text(number, one, caller.language) for number, one in enumerate(put, 1)], self._options.max_chars)
        shown = put[: len(kept)]
        return Outcome("\n\n".join(kept), {"passages": [_data(one) for one in shown]}, tuple(_span(one.passage) for one in shown))


def _text(number: int, put: Put, language: Literal["ko", "en"]) -> str:
    chunk = put.shown
    page = "" if not chunk.page else f"{chunk.page}쪽" if language == "ko" else f"p. {chunk.page}"
    about = ", ".join(part for part in (chunk.title, page, as_data(chunk.date)) if part)
    return f"[{number}] {about}\n{chunk.text}"


def _fitting(texts: Sequence[str], most: int) -> list[str]:
    """The first of them that fit whole; the very first is there in any case, and cut by whoever shows it."""
    kept, length = [texts[0]], len(texts[0])
    for text in texts[1:]:
        length += len(text) + 2
        if length > most:
            break
        kept.append(text)
    return kept


def _data(put: Put) -> dict[str, Any]:
    chunk = put.passage
    return {"document": chunk.document, "title": chunk.title, "page": chunk.page, "date": chunk.date, "orders": list(put.orders)}


def _span(chunk: Chunk) -> Span:
    return Span(chunk.document, chunk.start, chunk.end, chunk.text, chunk.title, chunk.page, chunk.date)
