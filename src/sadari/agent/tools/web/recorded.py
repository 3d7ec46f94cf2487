"""A web in a file, for tests, demonstrations and work without a network: what was recorded is found and read, nothing else is."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sadari.agent.tools.web.pages import UnreadablePageError, WebPage
from sadari.agent.tools.web.search import Hit, Query
from sadari.egress import EgressError, parse_address
from sadari.errors import ConfigError

if TYPE_CHECKING:
    from sadari.retrieve.index import LexicalIndex

_FORM = 'It is a list such as [{"address": "https://…", "title": "…", "text": "…", "date": "2026-05-01"}].'


@dataclass(frozen=True)
class RecordedWeb:
    """Pages that stand for the web: searched by words, opened by address."""

    pages: tuple[WebPage, ...]

    @staticmethod
    def read(path: Path) -> "RecordedWeb":
        """The pages of a JSON file, or of `pages.json` in a folder.

        Raises:
            ConfigError: If it cannot be read, or a page lacks an address, a title or a text.
        """
        path = path / "pages.json" if path.is_dir() else path
        try:
            entries = json.loads(path.read_text(encoding="utf-8-sig"))
        except (OSError, ValueError, RecursionError) as error:
            raise ConfigError(f"{path}: cannot be read as recorded pages ({error}). {_FORM}") from error
        if not isinstance(entries, list):
            raise ConfigError(f"{path}: holds no list of pages. {_FORM}")
        return RecordedWeb(tuple(_page(entry, f"{path} page {number}") for number, entry in enumerate(entries, start=1)))

    def search(self, query: Query) -> list[Hit]:
        """Pages that share words with the query, best first; how recent they are is not looked at."""
        found = [self.pages[hit.position] for hit in self._index.search(query.text, query.count)]
        return [Hit(page.title, page.address, page.text[:300], page.date) for page in found]

    def page(self, address: str) -> WebPage:
        """The recorded page of that address; a page that was not recorded is missing (404)."""
        wanted = parse_address(address)
        found = next((page for page in self.pages if parse_address(page.address) == wanted), None)
        if found is None:
            raise UnreadablePageError(404, "it was not recorded.")
        return found

    @cached_property
    def _index(self) -> "LexicalIndex":
        from sadari.retrieve.index import LexicalIndex

        return LexicalIndex([f"{page.title}\n{page.text}" for page in self.pages])


def _page(entry: Any, shown: str) -> WebPage:
    entry = entry if isinstance(entry, dict) else {}
    values = [entry.get(name, "") for name in ("address", "title", "text", "date")]
    unknown = ", ".join(sorted(entry.keys() - {"address", "title", "text", "date"}))
    if not all(isinstance(value, str) for value in values) or not all(values[:3]) or unknown:
        raise ConfigError(f"{shown}: lacks an address, a title or a text, or holds more ({unknown or 'nothing more'}). {_FORM}")
    try:
        parse_address(values[0])
    except EgressError as error:
        raise ConfigError(f"{shown}: {error}") from error
    return WebPage(*values)
