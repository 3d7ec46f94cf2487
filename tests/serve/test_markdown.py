from html.parser import HTMLParser
from time import perf_counter
from typing import Any

import pytest

from sadari.serve.pages.markdown import LONGEST, to_html

TAGS = {"p", "br", "strong", "em", "s", "ul", "ol", "li", "blockquote", "hr", "pre", "code", "a", "div", "table", "thead", "tbody"}
TAGS |= {"tr", "th", "td", "h3", "h4", "h5", "h6"}


class Seen(HTMLParser):
    """The tags and attributes of a piece of HTML, as a browser finds them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str, str | None]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]


def test_markdown_is_read() -> None:
    assert to_html("**굵게** 그리고 *기울임*") == "<p><strong>굵게</strong> 그리고 <em>기울임</em></p>\n"
    assert to_html("- 하나\n- 둘") == "<ul>\n<li>하나</li>\n<li>둘</li>\n</ul>\n"
    assert to_html("첫 줄\n둘째 줄") == "<p>첫 줄<br />\n둘째 줄</p>\n"


def test_headings_stand_under_those_of_the_page() -> None:
    assert to_html("# 제목") == "<h3>제목</h3>\n"
    assert to_html("###### 제목") == "<h6>제목</h6>\n"


def test_a_table_aligns_numbers_without_a_style() -> None:
    html = to_html("| a | b |\n|:--|--:|\n| 하나 | 1 |")
    assert '<td class="number">1</td>' in html
    assert "style" not in html


def test_code_stands_as_it_is() -> None:
    assert to_html("```html\n<b>x</b>\n```") == "<pre><code>&lt;b&gt;x&lt;/b&gt;\n</code></pre>\n"
    assert to_html("`<i>`") == "<p><code>&lt;i&gt;</code></p>\n"


@pytest.mark.parametrize("link", ["https://a.kr/b?c=1", "http://a.kr", "mailto:a@b.kr", "HTTPS://a.kr"])
def test_links_to_the_web_and_to_addresses_open_beside_the_page_and_tell_nobody(link: str) -> None:
    assert to_html(f"[글]({link})") == f'<p><a href="{link}" target="_blank" rel="noopener noreferrer">글</a></p>\n'


@pytest.mark.parametrize(
    "link",
    [
        *("javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,x", "vbscript:x", "/admin", "//a.kr", "file:///etc/passwd"),
        *("&#106;avascript:alert(1)", "java&Tab;script:alert(1)", "https:", "blob:https://a.kr/x", "ftp://a.kr"),
    ],
)
def test_no_other_link_is_made(link: str) -> None:
    assert "a" not in Seen(to_html(f"[글]({link}) <{link}>\n\n[r]\n\n[r]: {link}")).tags


def test_pictures_are_told_not_fetched() -> None:
    assert to_html("![고양이 <b>](https://a.kr/x.png)") == "<p>고양이 &lt;b&gt;</p>\n"


HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '[a](https://a.kr "t\\" onmouseover=alert(1) x=\\"")',
    '[a](https://a.kr/"onclick="alert(1))',
    "<https://a.kr/\"'><script>alert(1)</script>>",
    '```"><script>alert(1)</script>\nx\n```',
    "| <script>alert(1)</script> |\n|:-:|\n| <img src=x onerror=alert(1)> |",
    '![" onerror="alert(1)](x)',
    "<!-- --><svg onload=alert(1)>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "\ue000\ue001<b>",
    "&#xE000;&#xE001;",
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_what_is_made_of_hostile_text_holds_nothing_but_plain_tags(text: str) -> None:
    seen = Seen(to_html(text, [(1, "")]))
    assert seen.tags <= TAGS
    assert {name for _, name, _ in seen.attributes} <= {"href", "target", "rel", "class", "tabindex"}
    assert all(str(value).startswith(("https://a.kr", "mailto:")) for _, name, value in seen.attributes if name == "href")


def test_marks_stand_behind_their_sentences() -> None:
    marks = [(6, "<b>9</b>"), (3, "<b>1</b>"), (6, "<b>10</b>")]
    assert to_html("하나. 둘.", marks) == "<p>하나.<b>1</b> 둘.<b>9</b><b>10</b></p>\n"


@pytest.mark.parametrize("text", ["# 제목.", "| a |\n|--|\n| 글. |", "```\n글.\n```", "    글."])
def test_a_mark_for_which_there_is_no_room_is_left_out(text: str) -> None:
    assert "<b>1</b>" not in to_html(text, [(text.index(".") + 1, "<b>1</b>")])


def test_a_mark_never_falls_into_a_link() -> None:
    text = '[글](https://a.kr/x.y "제목. 더")'
    assert to_html(text, [(i, "<b>1</b>") for i in range(len(text))]).count("<a href") <= 1
    assert all("<b>" not in str(value) for *_, value in Seen(to_html(text, [(30, '<b>"1"</b>')])).attributes)


def test_what_is_too_long_for_markdown_stands_as_it_is() -> None:
    html = to_html("a" * LONGEST + "<b>**끝**</b>")
    assert html.endswith("<p>&lt;b&gt;**끝**&lt;/b&gt;</p>\n")


@pytest.mark.parametrize("piece", ["![", "[a](", "*a ", "> ", "<", "|a"], ids=range(6))
def test_text_made_to_be_slow_is_read_in_seconds(piece: str) -> None:
    began = perf_counter()
    to_html(piece * (LONGEST // len(piece)))
    assert perf_counter() - began < 5
