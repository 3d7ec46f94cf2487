"""`web_search`: pages that a provider finds, as titles, addresses and a few words of each.

Covered: what a provider returns is text that somebody else wrote: without markup and invisible characters, cut, in no form that
could be taken for the conversation, and with a note where orders to a model are found; addresses that could not be opened are left
out. Not covered: what a query tells the provider; orders that nobody finds.
"""

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from sadari.agent.tools.web.wording import orders_note, say, told
from sadari.egress import EgressError, parse_address
from sadari.errors import ToolFailedError
from sadari.text.findings import INVISIBLE
from sadari.types import Caller, Outcome, Span, ToolSpec, Traits

Recent = Literal["", "day", "month", "year"]

_UNSEEN = re.compile(f"[{INVISIBLE}]")
_TAG = re.compile(r"<[^<>]{0,200}>")
_MOST_TITLE, _MOST_SNIPPET = 150, 400


@dataclass(frozen=True, slots=True)
class Query:
    """What is searched for.

    Args:
        count: Pages that are wanted.
        recent: Only what is not older than this.
    """

    text: str
    count: int
    language: Literal["ko", "en"] = "ko"
    recent: Recent = ""


@dataclass(frozen=True, slots=True)
class Hit:
    """A page that was found; `date` is YYYY-MM-DD, "" if nobody told it."""

    title: str
    address: str
    snippet: str
    date: str = ""


class ServiceError(Exception):
    """A search service refuses, or answers with something else than what was found.

    Args:
        status: Of its answer.
    """

    def __init__(self, status: int) -> None:
        super().__init__(f"the search service answered {status}")
        self.status = status


class Provider(Protocol):
    """What searches the web: a service behind an address, or a recording."""

    def search(self, query: Query) -> list[Hit]:
        """Pages, best first.

        Raises:
            EgressError: If the service cannot be asked.
            ServiceError: If it refuses.
        """
        ...


class WebSearch:
    """The tool over a provider.

    Args:
        language: Of the description.
    """

    def __init__(self, provider: Provider, count: int, timeout_s: float, language: Literal["ko", "en"]) -> None:
        self._provider, self._count = provider, count
        self.spec = ToolSpec("web_search", *_DESCRIBED[language])
        self.traits = Traits(timeout_s=timeout_s, retries=1)

    def call(self, arguments: Mapping[str, Any], caller: Caller) -> Outcome:
        """Search."""
        text = " ".join(str(arguments["query"]).encode("utf-8", "replace").decode().split())
        if not text:
            ko, en = "`query` 가 비어 있습니다. 찾을 말을 쓰세요.", "`query` is empty. Write what to look for."
            raise ToolFailedError(say(caller.language, ko, en))
        try:
            found = self._provider.search(Query(text[:400], self._count, caller.language, arguments.get("recent") or ""))
        except EgressError as error:
            raise told(error, caller.language) from error
        except ServiceError as error:
            raise ToolFailedError(_refusal(error.status, caller.language)) from error
        hits = [hit for raw in found if (hit := _cleaned(raw))][: self._count]
        if not hits:
            nothing = say(
                caller.language, "찾은 페이지가 없습니다. 다른 낱말로 찾아 보세요.", "No page was found. Try other words."
            )
            return Outcome(nothing, {"query": text, "results": []})
        return _shown(text, hits, caller)


def _shown(query: str, hits: list[Hit], caller: Caller) -> Outcome:
    from sadari.retrieve.passages import as_data
    from sadari.text.injection import find_injections

    kinds = tuple(dict.fromkeys(f.kind for hit in hits for f in find_injections(f"{hit.title}\n{hit.snippet}")))
    parts = []
    for number, hit in enumerate(hits, start=1):
        dated = f" ({hit.date})" if hit.date else ""
        parts.append(f"{number}. {as_data(hit.title)}{dated}\n   {hit.address}\n   {as_data(hit.snippet)}".rstrip())
    results = [{"title": h.title, "address": h.address, "snippet": h.snippet, "date": h.date} for h in hits]
    spans = tuple(Span(h.address, 0, len(h.snippet), h.snippet, h.title, date=h.date) for h in hits if h.snippet)
    text = orders_note(kinds, caller.language) + "\n".join(parts)
    return Outcome(text, {"query": query, "results": results, "orders": list(kinds)}, spans)


def _cleaned(hit: Hit) -> Hit | None:
    """A hit in plain words; None if its address could not be opened."""
    from sadari.retrieve.load.parsed import clean, iso_date

    def plain(text: str, most: int) -> str:
        words = " ".join(_UNSEEN.sub("", clean(html.unescape(_TAG.sub("", text[: 10 * most])))).split())
        return words if len(words) <= most else f"{words[: most - 1]}…"

    try:
        address = str(parse_address(hit.address))
    except EgressError:
        return None
    return Hit(plain(hit.title, _MOST_TITLE) or address, address, plain(hit.snippet, _MOST_SNIPPET), iso_date(hit.date))


def _refusal(status: int, language: Literal["ko", "en"]) -> str:
    if status in (401, 403):
        ko = "웹 검색이 거절되었습니다(열쇠나 권한). 다시 시도하지 말고, 지금은 찾을 수 없다고 답하세요."
        return say(language, ko, "The search service refuses access. Do not try again; say that you cannot search now.")
    if status == 429:
        return say(language, "웹 검색이 너무 잦습니다. 잠시 뒤에 다시 하세요.", "Too many searches. Wait, then try again.")
    ko = f"웹 검색이 지금은 되지 않습니다({status}). 나중에 다시 하세요."
    return say(language, ko, f"The search service does not work now ({status}). Try later.")


def _parameters(query: str, recent: str) -> dict[str, Any]:
    properties = {
        "query": {"type": "string", "description": query, "minLength": 1, "maxLength": 400},
        "recent": {"type": "string", "description": recent, "enum": ["day", "month", "year"]},
    }
    return {"type": "object", "properties": properties, "required": ["query"], "additionalProperties": False}


_DESCRIBED: dict[str, tuple[str, dict[str, Any]]] = {
    "ko": (
        "웹에서 찾는다. 제목, 주소, 요약을 돌려준다. 자세한 내용은 web_fetch 로 연다.",
        _parameters("찾을 말", "이 기간 안의 것만 찾는다"),
    ),
    "en": (
        "Search the web. Gives titles, addresses and snippets; open a page with web_fetch.",
        _parameters("What to look for", "Only what is not older than this"),
    ),
}
