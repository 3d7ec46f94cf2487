"""Addresses in answers: a page that shows an answer may fetch a picture by itself, and carry away what stands in its address.

Covered: pictures and tags that are fetched without a click; links that nobody gave: the model put them together, and they may carry
what it knows.

Not covered: an address that stands in a document, to the letter, carries only what its author knew.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from pydantic import BaseModel, Field

from sadari.agent.filters.edits import REFUSALS, Edit, Handling, handled
from sadari.agent.guard import Checked
from sadari.text.forms import normalise
from sadari.types import Answer, Caller, Message

_NAMES = {"ko": "링크 생략", "en": "link left out"}
_ADDRESS = (
    r"(?:[a-zA-Z][a-zA-Z0-9+.-]{0,20}://|www\.)[가-힣]{0,20}[!-~]{1,4000}|(?<![/:\w])//[\w-]{1,60}\.[\w.-]{1,200}[!-~]{0,4000}"
)
_FETCHED = re.compile(
    r"!\[[^\]]{0,500}\]\s?\([^)]{0,4000}\)?|!\[[^\]]{0,500}\]\[[^\]]{0,100}\]|"
    r"<\s*(?:img|iframe|script|link|object|embed|video|audio|source|form|svg|style|base|meta)\b[^>]{0,4000}>?",
    re.IGNORECASE,
)
_LINK = re.compile(
    rf"{_ADDRESS}|\b(?:javascript|data|mailto|file):[!-~]{{1,4000}}|"
    r"\b[A-Za-z0-9-]{1,60}(?:\.[A-Za-z0-9-]{1,60}){1,6}(?::[0-9]{1,5})?/[!-~]{0,2000}\?[!-~]{0,2000}",
    re.IGNORECASE,
)


class LinksOptions(BaseModel, frozen=True, extra="forbid"):
    """What becomes of addresses, as written under `agent: filters: links:`."""

    action: Handling = Field(
        default="mask", description="Leave them out, say behind them that nobody gave them, or refuse the answer."
    )
    hosts: tuple[str, ...] = Field(default=(), description="Hosts that may be linked and shown pictures from, with all below them.")


class LinksFilter:
    """A `Filter` for links and pictures."""

    needs_whole = False

    def __init__(self, options: LinksOptions) -> None:
        self._options = options
        self.version = hashlib.sha256(options.model_dump_json().encode()).hexdigest()[:16]

    def check(self, answer: Answer, caller: Caller, messages: Sequence[Message]) -> Checked:
        """The answer without pictures from elsewhere, and without links that neither user nor tools named."""
        said = [normalise(m.content) for m in messages if m.role in ("user", "tool")]
        said += [normalise(span.quote) for span in answer.citations]
        mask = f"[{_NAMES[caller.language]}]"

        def find(text: str) -> list[Edit]:
            return [Edit(*span, "link", mask, f" {mask}") for span in self._spans(text, said)]

        return handled(answer, find, self._options.action, REFUSALS[caller.language])

    def _spans(self, text: str, said: Sequence[str]) -> Iterator[tuple[int, int]]:
        for match in _FETCHED.finditer(text):
            address = _LINK.search(match[0])
            if address is None or not self._is_of_hosts(_ended(address[0])):
                yield match.span()
        for match in _LINK.finditer(text):
            address_text = _ended(match[0])
            if not self._is_of_hosts(address_text) and not any(_stands(address_text, one) for one in said):
                yield match.start(), match.start() + len(address_text)

    def _is_of_hosts(self, address: str) -> bool:
        try:
            parts = urlsplit(address if "//" in address else f"//{address}")
            host = (parts.hostname or "").casefold().rstrip(".")
        except ValueError:
            return False
        if parts.scheme not in ("", "http", "https") or parts.username is not None or "\\" in address:
            return False
        return any(host == own or host.endswith(f".{own}") for own in map(str.casefold, self._options.hosts))


def _ended(address: str) -> str:
    """Without what the sentence adds behind it."""
    return re.split(r"[<>\"'`]|\)(?:\W|$)|\]", address, maxsplit=1)[0].rstrip(".,;:!?")


def _stands(address: str, text: str) -> bool:
    at = text.find(normalise(address))
    return at >= 0 and not re.match(r"[A-Za-z0-9/?&=%_-]", text[at + len(address) : at + len(address) + 1])
