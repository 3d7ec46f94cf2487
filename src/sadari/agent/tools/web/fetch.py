"""`web_fetch`: what one page of the web says, a piece at a time.

Covered: what `sadari.egress` covers; the text is put as data that cannot be taken for the conversation, with a note where orders to
a model are found; an address that the model put together after it read something goes with a person only (`Traits.sends`).
Not covered: orders that nobody finds; what the choice among many given addresses tells their server: name the hosts (`allow`) where
the conversation holds what must not leave.
"""

from collections.abc import Mapping
from typing import Any, Literal

from sadari.agent.tools.web.pages import Pages, UnreadablePageError, WebPage
from sadari.agent.tools.web.wording import orders_note, say, told
from sadari.egress import EgressError
from sadari.errors import ToolFailedError
from sadari.types import Caller, Outcome, Span, ToolSpec, Traits


class WebFetch:
    """The tool over what opens pages.

    Args:
        chars: Characters of a page that one call shows.
        language: Of the description.
    """

    def __init__(self, pages: Pages, chars: int, timeout_s: float, language: Literal["ko", "en"]) -> None:
        self._pages, self._chars = pages, chars
        self.spec = ToolSpec("web_fetch", *_DESCRIBED[language])
        self.traits = Traits(sends=True, timeout_s=timeout_s, retries=1, max_chars=chars + 2_000)

    def call(self, arguments: Mapping[str, Any], caller: Caller) -> Outcome:
        """Open a page and show the characters from `start` on."""
        try:
            page = self._pages.page(str(arguments["url"]))
        except EgressError as error:
            raise told(error, caller.language) from error
        except UnreadablePageError as error:
            raise ToolFailedError(_unreadable(error, caller.language)) from error
        start = int(arguments.get("start") or 0)
        if start and start >= len(page.text):
            ko = f"글은 {len(page.text)}자뿐입니다. `start` 를 줄이세요."
            raise ToolFailedError(say(caller.language, ko, f"The text has {len(page.text)} characters. Lower `start`."))
        return self._shown(page, start, caller.language)

    def _shown(self, page: WebPage, start: int, language: Literal["ko", "en"]) -> Outcome:
        from sadari.retrieve.passages import as_data
        from sadari.text.injection import find_injections

        end = min(len(page.text), start + self._chars)
        piece = page.text[start:end]
        kinds = tuple(dict.fromkeys(found.kind for found in find_injections(f"{page.title}\n{piece}")))
        title = " ".join(as_data(page.title[:200]).split())
        names = ("Title", "Address", "Date") if language == "en" else ("제목", "주소", "날짜")
        head = "".join(f"{name}: {value}\n" for name, value in zip(names, (title, page.address, page.date), strict=True) if value)
        text = f"{head}{orders_note(kinds, language)}\n{as_data(piece)}{_more(page, end, language)}"
        data = {"address": page.address, "title": page.title, "date": page.date, "orders": list(kinds)}
        place = {"start": start, "end": end, "chars": len(page.text)}
        return Outcome(text, {**data, **place}, (Span(page.address, start, end, piece, page.title, date=page.date),))


def _more(page: WebPage, end: int, language: Literal["ko", "en"]) -> str:
    if end == len(page.text):
        return ""
    left = f"{len(page.text) - end:,}"
    ko = f"\n… {left}자 더 있습니다. 이어서 읽으려면 start={end} 로 다시 부르세요."
    return say(language, ko, f"\n… {left} more characters: call again with start={end}.")


def _unreadable(error: UnreadablePageError, language: Literal["ko", "en"]) -> str:
    if error.status != 200:
        ko = f"서버가 {error.status} 로 답했습니다. 없거나 닫힌 페이지입니다. 다른 페이지를 여세요."
        return say(language, ko, f"The server answered {error.status}: there is no such page, or it is closed. Open another one.")
    ko = "페이지에 읽을 글이 없습니다. 다른 페이지를 여세요."
    return say(language, ko, "The page holds no text that can be read. Open another one.")


def _parameters(url: str, start: str) -> dict[str, Any]:
    properties = {
        "url": {"type": "string", "description": url, "minLength": 8, "maxLength": 2000},
        "start": {"type": "integer", "description": start, "minimum": 0, "maximum": 10_000_000},
    }
    return {"type": "object", "properties": properties, "required": ["url"], "additionalProperties": False}


_DESCRIBED: dict[str, tuple[str, dict[str, Any]]] = {
    "ko": (
        "웹 페이지 하나를 열어 글을 읽는다.",
        _parameters("온전한 주소: https://…", "읽기 시작할 글자 위치. 이어 읽을 때만 쓴다"),
    ),
    "en": ("Open one web page and read its text.", _parameters("Whole address: https://…", "Character to begin at, to read on")),
}
