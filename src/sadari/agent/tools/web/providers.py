"""The services that search the web, each as its documentation says it is asked.

Covered: each is asked at its own address and no other; its key goes there alone, and stands in no message.
Not covered: what it does with a query.

Source:
    docs.searxng.org, "Search API"; api-dashboard.search.brave.com, "Web Search"; docs.tavily.com, "Search".
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from sadari.agent.tools.web.search import Hit, Query, ServiceError
from sadari.egress import Ask, Caps, Egress, send

BRAVE = "https://api.search.brave.com"
TAVILY = "https://api.tavily.com"


@dataclass(frozen=True, slots=True)
class Service:
    """Where a provider is asked.

    Args:
        base_url: Without a slash at its end.
        egress: Lets requests go there and nowhere else.
        key: Of the account; "" if there is none.
    """

    base_url: str
    egress: Egress
    caps: Caps
    key: str = field(default="", repr=False)

    def ask(self, path: str, headers: Mapping[str, str], body: bytes | None = None) -> Any:
        """The JSON that it answers.

        Raises:
            EgressError: If it cannot be asked.
            ServiceError: If it refuses, or answers with something else.
        """
        ask = Ask(self.base_url + path, "POST" if body else "GET", {"Accept": "application/json", **headers}, body)
        reply = send(ask, self.egress, self.caps)
        if reply.status != 200:
            raise ServiceError(reply.status)
        try:
            return json.loads(reply.body)
        except (ValueError, RecursionError) as error:
            raise ServiceError(reply.status) from error


@dataclass(frozen=True, slots=True)
class Searxng:
    """A SearXNG instance; its settings must allow the format `json`."""

    service: Service

    def search(self, query: Query) -> list[Hit]:
        """Pages of the general category."""
        asked = {"q": query.text, "format": "json", "language": query.language}
        if query.recent:
            asked["time_range"] = query.recent
        return _hits(self.service.ask(f"/search?{urlencode(asked)}", {}), ("results",), "content", "publishedDate")


@dataclass(frozen=True, slots=True)
class Brave:
    """Brave Search."""

    service: Service

    def search(self, query: Query) -> list[Hit]:
        """Pages of its web index."""
        asked = {"q": " ".join(query.text.split()[:50]), "count": str(min(20, query.count)), "text_decorations": "false"}
        asked["search_lang"] = query.language
        if query.recent:
            asked["freshness"] = f"p{query.recent[0]}"
        reply = self.service.ask(f"/res/v1/web/search?{urlencode(asked)}", {"X-Subscription-Token": self.service.key})
        return _hits(reply, ("web", "results"), "description", "page_age")


@dataclass(frozen=True, slots=True)
class Tavily:
    """Tavily."""

    service: Service

    def search(self, query: Query) -> list[Hit]:
        """Pages, by its basic search."""
        asked: dict[str, Any] = {"query": query.text, "max_results": min(20, query.count), "search_depth": "basic"}
        if query.recent:
            asked["time_range"] = query.recent
        headers = {"Authorization": f"Bearer {self.service.key}", "Content-Type": "application/json"}
        return _hits(self.service.ask("/search", headers, json.dumps(asked).encode()), ("results",), "content", "published_date")


def _hits(reply: Any, path: Sequence[str], snippet: str, date: str) -> list[Hit]:
    """The entries of a reply that have an address; whatever else it holds is not looked at."""
    for name in path:
        reply = reply.get(name) if isinstance(reply, dict) else None
    entries = [entry for entry in reply if isinstance(entry, dict)] if isinstance(reply, list) else []

    def text(entry: dict[str, Any], name: str) -> str:
        value = entry.get(name)
        return value if isinstance(value, str) else ""

    return [Hit(text(e, "title"), text(e, "url"), text(e, snippet), text(e, date)) for e in entries if text(e, "url")]
