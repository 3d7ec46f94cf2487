"""The page Chat in a real Chromium."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import which
from typing import Any

import pytest

from acting import Plain, Script, call
from sadari.agent.approval import pending
from sadari.agent.loop import Reply
from sadari.types import Answer, Caller, Delta, Span, System, ToolCall, Traits, Usage

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")

ROLES = {"kim": "user", "lee": "user", "ops": "operator", "boss": "approver"}
LOOK = Plain("look", lambda n: f"{n}번은 배송 중입니다.", Traits(is_trusted=True))
RULE = "반품은 받은 날부터 7일 안에 신청하실 수 있습니다."
CITED = Answer(f"{RULE}\n\n**무료**입니다.", citations=(Span("returns.md", 6, 6 + len(RULE), RULE, "반품 안내", 2, "2026-05-01"),))

WATCH = """
window.faults = [];
addEventListener("securitypolicyviolation", (event) => faults.push(`${event.violatedDirective} ${event.blockedURI}`));
addEventListener("error", (event) => faults.push(`error ${event.message}`));
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        args = ["--headless", "--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=args)
        yield browser
        browser.close()


Open = Callable[..., Any]


@pytest.fixture
def open_page(browser: Any) -> Iterator[Open]:
    """Opens the page of a server as one of its users."""
    contexts = []

    def begin(live: Any, path: str = "/", who: str = "", **more: Any) -> Any:
        headers = {"Authorization": f"Bearer {live.keys[who]}"} if who else {}
        context = browser.new_context(**{"locale": "ko-KR", "extra_http_headers": headers, **more})
        context.set_default_timeout(20_000)
        contexts.append(context)
        page = context.new_page()
        page.add_init_script(WATCH)
        page.goto(live.url + path)
        return page

    yield begin
    for context in contexts:
        context.close()


def ask(page: Any, text: str = "반품은 며칠 안에 하나요?", status: str = "answered") -> Any:
    """Ask on the page; the turn, as soon as it is `status`."""
    number = page.locator(".turn").count()
    page.fill("#question", text)
    page.press("#question", "Enter")
    turn = page.locator(f".turn[data-status={status}]").and_(page.locator(".turn").nth(number))
    turn.wait_for()
    return turn


def serve_documents(live: Any, tmp_path: Path, *rows: dict[str, Any]) -> None:
    """Let the agent have answered from these documents."""
    file = tmp_path / "documents.jsonl"
    file.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    object.__setattr__(live.service.stage.current, "system", System("mini", documents=file))


RETURNS = {"id": "returns.md", "title": "반품 안내", "text": f"# 반품\n\n{RULE} 상품에 문제가 있으면 3개월입니다."}


def asked(live: Any) -> int:
    return sum(event.kind == "run.asked" for run in live.service.log.runs() for event in live.service.log.events(run.run))


# --- a conversation ----------------------------------------------------------------------------------------------------


def test_an_answer_is_shown_as_markdown_and_is_there_again_when_the_page_is(start: Any, open_page: Open) -> None:
    page = open_page(start(Answer("**7일**입니다.\n\n- 하나\n- 둘")))
    turn = ask(page)
    assert turn.locator(".text strong").inner_text() == "7일"
    assert turn.locator(".text li").all_inner_texts() == ["하나", "둘"]
    assert "?run=run-" in page.url
    page.reload()
    assert page.locator(".turn .text strong").inner_text() == "7일"
    assert page.locator("#conversations .name").all_inner_texts() == ["반품은 며칠 안에 하나요?"]


def test_a_conversation_goes_on_in_its_run_and_a_new_one_begins_another(start: Any, open_page: Open) -> None:
    live = start("하나.", "둘.", "셋.")
    page = open_page(live)
    ask(page, "첫째?")
    ask(page, "둘째?")
    page.locator(".history a.new").click()
    ask(page, "셋째?")
    assert [len(run.agent) > 0 for run in live.service.log.runs()] == [True, True]
    page.get_by_role("link", name="첫째?").click()
    assert page.locator(".bubble").all_inner_texts() == ["첫째?", "둘째?"]


def test_enter_sends_shift_enter_breaks_the_line_and_hangul_under_way_is_not_sent(start: Any, open_page: Open) -> None:
    page = open_page(start("네."))
    page.fill("#question", "반품")
    page.press("#question", "Shift+Enter")
    page.keyboard.type("해 주세요")
    composing = "new KeyboardEvent('keydown', {key: 'Enter', isComposing: true, bubbles: true, cancelable: true})"
    assert page.evaluate(f"document.getElementById('question').dispatchEvent({composing})")  # nobody took it
    assert page.locator(".turn").count() == 0
    page.press("#question", "Enter")
    page.locator(".turn[data-status=answered]").wait_for()
    assert page.locator(".bubble").inner_text() == "반품\n해 주세요"


def test_an_example_is_asked_by_a_click(start: Any, open_page: Open, tmp_path: Path) -> None:
    live = start("안내입니다.")
    serve_documents(live, tmp_path, RETURNS, {"id": "s", "title": "비밀", "text": "비밀.", "access": ["staff"]})
    page = open_page(live)
    assert page.locator(".example").all_inner_texts() == ["반품 안내에 대해 알려 주세요."]
    page.locator(".example").click()
    page.locator(".turn[data-status=answered]").wait_for()
    assert page.locator(".bubble").inner_text() == "반품 안내에 대해 알려 주세요."


def test_the_page_always_says_that_an_ai_answers_and_which(start: Any, open_page: Open) -> None:
    page = open_page(start("네.", name="mall-agent"), viewport={"width": 640, "height": 360})
    assert page.locator("#ai-notice").inner_text() == (
        "AI가 답하며, 틀릴 수 있습니다. 중요한 내용은 꼭 확인해 주세요. mall-agent · 모델 scripted"
    )
    ask(page)
    box = page.locator("#ai-notice").bounding_box()
    assert box["y"] + box["height"] <= 360


class Slow(Script):
    """Writes a word at a time until it may stop."""

    def __init__(self) -> None:
        super().__init__()
        self.until = time.monotonic() + 20

    def reply(self, messages: Any, tools: Any, caller: Any) -> Iterator[Delta | Reply]:
        while time.monotonic() < self.until:
            yield Delta("낱말 ")
            time.sleep(0.02)
        yield Reply(Answer("끝.", usage=Usage(1, 1)))


def test_an_answer_is_seen_while_it_is_written_and_read_to_nobody_before_it_is_whole(start: Any, open_page: Open) -> None:
    slow = Slow()
    page = open_page(start(responder=slow))
    page.fill("#question", "길게")
    page.press("#question", "Enter")
    page.locator(".text.plain", has_text="낱말 낱말").wait_for()
    assert page.locator("#log").get_attribute("role") == "log"
    assert page.locator("#log").get_attribute("aria-live") == "polite"
    assert page.locator(".answer.live").get_attribute("aria-live") == "off"
    slow.until = 0
    page.locator(".turn[data-status=answered]").wait_for()
    assert page.locator("#log [aria-live]").count() == 0
    assert page.evaluate("document.activeElement.id") == "question"


def test_stop_ends_the_run_and_keeps_what_was_written(start: Any, open_page: Open) -> None:
    live = start(responder=Slow())
    page = open_page(live)
    page.fill("#question", "길게")
    page.press("#question", "Enter")
    page.locator(".text.plain", has_text="낱말").wait_for()
    page.get_by_role("button", name="답변 중단").click()
    turn = page.locator(".turn[data-status=cancelled]")
    turn.wait_for()
    assert "답변을 중단했습니다." in turn.inner_text()
    assert "낱말" in turn.inner_text()
    assert [run.status for run in live.service.log.runs()] == ["cancelled"]


# --- steps and approvals -----------------------------------------------------------------------------------------------


def test_steps_unfold_to_their_arguments_and_results(start: Any, open_page: Open) -> None:
    page = open_page(start([call("look", n=7), ToolCall("find", {})], "배송 중입니다.", tools=(LOOK,)))
    turn = ask(page, "7번?")
    turn.locator(".steps > summary").click()
    assert turn.locator(".steps li > details > summary").all_inner_texts() == ["look 완료", "find 거절됨"]
    turn.locator(".steps li summary").first.click()
    assert turn.locator(".steps pre").first.inner_text() == '{\n  "n": 7\n}'
    assert turn.locator(".steps pre").nth(1).inner_text() == "7번은 배송 중입니다."


def test_a_conversation_waits_for_an_approval_and_goes_on_by_itself(start: Any, open_page: Open, till: Any) -> None:
    live = start([call("pay", n=5)], "냈습니다.", tools=(till.tool(),), users=ROLES)
    page = open_page(live, who="kim")
    turn = ask(page, "내 줘", "waiting")
    assert "담당자의 승인을 기다리고 있습니다" in turn.inner_text()
    assert turn.get_by_role("link", name="승인 화면으로").count() == 0
    (one,) = pending(live.service.log, live.service.desk.loop._clock())
    boss = open_page(live, who="boss")
    body = {"decision": "approve", "fingerprint": one.fingerprint}
    answer = boss.request.post(f"{live.url}/sadari/approvals/{one.run}/{one.call}", data=body)
    assert answer.status == 200
    page.locator(".turn[data-status=answered]").wait_for()
    assert page.locator(".turn .text").inner_text() == "냈습니다."
    assert till.done == [5]


def test_who_may_approve_is_led_to_the_approvals_and_a_request_can_be_taken_back(start: Any, open_page: Open, till: Any) -> None:
    page = open_page(start([call("pay", n=5)], tools=(till.tool(),)))
    turn = ask(page, "내 줘", "waiting")
    assert turn.get_by_role("link", name="승인 화면으로").get_attribute("href") == "/approvals"
    page.fill("#question", "다른 질문")
    page.press("#question", "Enter")
    page.get_by_text("승인을 기다리는 동안에는").wait_for()
    turn.get_by_role("button", name="요청 취소").click()
    page.locator(".turn[data-status=cancelled]").wait_for()
    assert till.done == []


def test_a_run_that_was_cut_off_goes_on_from_the_page(start: Any, open_page: Open) -> None:
    live = start("이어서 답합니다.")
    loop = live.service.desk.loop
    run = loop.ask("질문?", Caller("local"))
    page = open_page(live, f"/?run={run}")
    page.get_by_role("button", name="이어서 진행").click()
    page.locator(".turn[data-status=answered]").wait_for()
    assert page.locator(".turn .text").inner_text() == "이어서 답합니다."


# --- citations ---------------------------------------------------------------------------------------------------------


def test_a_citation_opens_its_passage_with_the_span_marked(start: Any, open_page: Open, tmp_path: Path) -> None:
    live = start(CITED)
    serve_documents(live, tmp_path, RETURNS)
    page = open_page(live)
    mark = ask(page).locator(".text button.cite")
    assert mark.get_attribute("aria-label") == "출처 1 보기"
    mark.focus()
    page.keyboard.press("Enter")
    page.locator("dialog mark").wait_for()
    assert page.locator("dialog mark").inner_text() == RULE
    assert "상품에 문제가 있으면 3개월입니다." in page.locator("dialog .passage").inner_text()
    assert "반품 안내" in page.locator("dialog h2").inner_text()
    page.keyboard.press("Escape")
    page.locator("dialog").wait_for(state="hidden")
    assert page.evaluate("document.activeElement.className") == "cite"


def passage(live: Any, who: str = "none", number: int = 1) -> Any:
    (run, *_) = live.service.log.runs()
    with live.http(who) as http:
        return http.get(f"/conversations/{run.run}/citations/2/{number}", headers={"Accept-Language": "ko"})


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        pytest.param([RETURNS | {"access": ["staff"]}], "지금은 볼 수 없는 문서입니다", id="not open to the asker"),
        pytest.param([RETURNS | {"id": "other.md"}], "지금은 볼 수 없는 문서입니다", id="gone"),
        pytest.param([RETURNS | {"text": "# 반품\n\n이제는 14일입니다."}], "답변한 뒤에 문서가 바뀌었습니다", id="changed"),
        pytest.param([RETURNS | {"text": f"# 새 머리말\n\n{RULE}"}], f"<mark>{RULE}</mark>", id="moved"),
    ],
)
def test_a_passage_that_is_not_as_it_was_is_told_as_what_it_is(start: Any, tmp_path: Path, rows: Any, told: str) -> None:
    live = start(CITED)
    serve_documents(live, tmp_path, *rows)
    live.client().chat.completions.create(model="sadari", messages=[{"role": "user", "content": "며칠?"}])
    answer = passage(live)
    assert told in answer.text
    assert ("<mark>" in answer.text) == ("볼 수 없는" not in told)


def test_citations_of_others_and_those_that_are_not_there_are_missing(start: Any, tmp_path: Path) -> None:
    live = start(CITED, users=ROLES)
    serve_documents(live, tmp_path, RETURNS)
    live.client("kim").chat.completions.create(model="sadari", messages=[{"role": "user", "content": "며칠?"}])
    assert passage(live, "kim").status_code == 200
    assert passage(live, "lee").status_code == 404
    assert passage(live, "kim", 2).status_code == passage(live, "kim", 0).status_code == 404


# --- ratings -----------------------------------------------------------------------------------------------------------


def test_a_rating_with_its_reason_and_correction_is_kept_and_shown_again(start: Any, open_page: Open) -> None:
    live = start("30일입니다.")
    page = open_page(live)
    turn = ask(page)
    turn.get_by_role("button", name="도움이 되지 않았습니다").click()
    page.keyboard.type("틀렸습니다")
    turn.get_by_label("올바른 답변을 아신다면").fill("7일입니다.")
    turn.get_by_role("button", name="의견 보내기").click()
    page.locator(".given").wait_for()
    page.reload()
    assert page.locator(".given").inner_text().split("\n")[-1] == "7일입니다."
    assert page.locator("[data-rate=down]").get_attribute("aria-pressed") == "true"
    (run,) = live.service.log.runs()
    (rated,) = [event.body for event in live.service.log.events(run.run) if event.kind == "answer.rated"]
    assert rated == {"by": "local", "question": 2, "rating": "down", "reason": "틀렸습니다", "corrected": "7일입니다."}


def test_an_earlier_answer_is_rated_as_that_answer(start: Any, open_page: Open) -> None:
    live = start("하나.", "둘.")
    page = open_page(live)
    first = ask(page, "첫째?")
    ask(page, "둘째?")
    first.get_by_role("button", name="도움이 되었습니다").click()
    page.locator("[data-rate=up][aria-pressed=true]").wait_for()
    (run,) = live.service.log.runs()
    assert [e.body["question"] for e in live.service.log.events(run.run) if e.kind == "answer.rated"] == [2]


# --- what goes wrong ---------------------------------------------------------------------------------------------------


def refuse(page: Any, *answers: Callable[[Any], None]) -> None:
    """The first questions are answered so, the others by the server."""
    left = list(answers)
    page.route("**/v1/chat/completions", lambda route: left.pop(0)(route) if left else route.continue_())


def error(status: int, code: str = "", **headers: str) -> Callable[[Any], None]:
    body = json.dumps({"error": {"message": "told in English", "code": code}})
    return lambda route: route.fulfill(status=status, headers=headers, body=body)


def test_a_full_server_is_asked_again_after_a_count_down(start: Any, open_page: Open) -> None:
    page = open_page(start("네."))
    refuse(page, error(503, "overloaded", **{"Retry-After": "2"}))
    page.fill("#question", "질문")
    page.press("#question", "Enter")
    page.get_by_text("2초 뒤에 자동으로 다시 시도합니다").wait_for()
    page.locator(".turn[data-status=answered]").wait_for()


def test_a_lost_connection_is_taken_up_again_and_the_question_asked_once(start: Any, open_page: Open) -> None:
    live = start("하나뿐인 답.")
    page = open_page(live)

    def lose(route: Any) -> None:
        route.fetch()  # the server answers, and nobody hears it
        route.abort()

    refuse(page, lose, lambda route: route.abort())
    assert ask(page).locator(".text").inner_text() == "하나뿐인 답."
    assert asked(live) == 1


@pytest.mark.parametrize(
    ("status", "code", "told"),
    [
        (429, "insufficient_quota", "오늘 이용할 수 있는 양을 모두 쓰셨습니다"),
        (502, "model", "지금은 답변을 만들 수 없습니다"),
        (403, "role", "권한이 없어"),
        (413, "too_large", "질문이 너무 깁니다"),
    ],
)
def test_an_error_is_told_in_words_and_can_be_tried_again(start: Any, open_page: Open, status: int, code: str, told: str) -> None:
    page = open_page(start("이제 됩니다."))
    refuse(page, error(status, code, **{"Retry-After": "30000"}))
    page.fill("#question", "질문")
    page.press("#question", "Enter")
    alert = page.get_by_role("alert")
    alert.wait_for()
    assert told in alert.inner_text()
    alert.get_by_role("button", name="다시 시도").click()
    page.locator(".turn[data-status=answered]").wait_for()


def test_who_signed_in_asks_and_is_sent_to_the_sign_in_when_the_session_has_ended(start: Any, open_page: Open) -> None:
    live = start("첫 답.", users={"root": "admin"})
    live.service.people.add("kim", "user", (), "사다리를 타고 오르는 고양이")
    page = open_page(live)
    page.fill("#user", "kim")
    page.fill("#password", "사다리를 타고 오르는 고양이")
    page.press("#password", "Enter")
    assert ask(page).locator(".text").inner_text() == "첫 답."
    assert [run.user for run in live.service.log.runs()] == ["kim"]
    page.context.clear_cookies()
    page.fill("#question", "둘째?")
    page.press("#question", "Enter")
    page.wait_for_url(lambda url: "/signin?next=%2F%3Frun%3Drun-" in url)


def test_an_answer_that_failed_or_was_not_given_looks_different(start: Any, open_page: Open) -> None:
    page = open_page(start(Answer("", error="broken"), Answer("문서에서 확인할 수 없습니다.", abstained=True)))
    assert ask(page, "첫째?", "failed").get_by_role("button", name="다시 시도").count() == 1
    abstained = ask(page, "둘째?")
    assert "확인된 근거가 없어 답하지 않았습니다" in abstained.locator(".told").inner_text()


# --- who sees what -----------------------------------------------------------------------------------------------------


def test_others_conversations_are_missing_and_who_operates_only_reads_them(start: Any, open_page: Open) -> None:
    live = start("비밀 답.", users=ROLES)
    said = live.client("kim").chat.completions.create(model="sadari", messages=[{"role": "user", "content": "비밀?"}])
    path = f"/?run={said.sadari['run']}"
    page = open_page(live, path, "lee")
    assert "찾으시는 대화가 없습니다" in page.get_by_role("alert").inner_text()
    assert "비밀" not in page.content()
    page = open_page(live, path, "ops")
    assert page.locator(".turn .text").inner_text() == "비밀 답."
    assert page.locator("#question").count() == 0
    assert page.locator("#conversations a").count() == 0


def test_an_erased_conversation_is_missing(start: Any) -> None:
    live = start("답.")
    run = live.client().chat.completions.create(model="sadari", messages=[{"role": "user", "content": "지워질 질문"}]).sadari["run"]
    live.service.log.erase("local", "local")
    with live.http() as http:
        assert http.get(f"/conversations/{run}").status_code == 404
        answer = http.get("/", params={"run": run})
    assert answer.status_code == 404
    assert "지워질" not in answer.text


# --- safety and access -------------------------------------------------------------------------------------------------

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<body onload=alert(1)>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<iframe src=javascript:alert(1)>",
    "<details open ontoggle=alert(1)>",
    "<input autofocus onfocus=alert(1)>",
    "<a href=javascript:alert(1)>x</a>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "[x](vbscript:alert(1))",
    '![x](x"onerror="alert(1))',
    "![x](https://example.com/x.png)",
    '<https://example.com/"onmouseover="alert(1)>',
    "[x]: javascript:alert(1)\n\n[x]",
    '```"><script>alert(1)</script>\n```',
    "`<script>alert(1)</script>`",
    '"><script>alert(1)</script>',
    "' onmouseover='alert(1)",
    '" autofocus onfocus="alert(1)',
    "</textarea><script>alert(1)</script>",
    "</template><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "<math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
    '<noscript><p title="</noscript><img src=x onerror=alert(1)>">',
    "{{ 7 * 7 }}{% raw %}<style>*{display:none}</style>",
    "<!--><script>alert(1)</script-->&lt;script&gt;alert(1)&lt;/script&gt;",
]
FOREIGN = "script:not([src^='/static/']), iframe, object, embed, img, math, .log svg:not(.icon), style, base, meta[http-equiv]"
HANDLERS = """
[...document.querySelectorAll("*")].flatMap((element) => [...element.attributes])
  .filter(({name, value}) => /^(on|style$|srcdoc$)/.test(name) || /^\\s*(javascript|data|vbscript):/i.test(value))
  .map(({name, value}) => `${name}=${value}`)
"""

OPEN_ALL = """async (foreign) => {
  const found = [], dialog = document.getElementById("passage");
  for (const button of document.querySelectorAll(".sources button")) {
    button.click();
    while (!dialog.open) await new Promise(requestAnimationFrame);
    found.push(document.querySelectorAll(foreign).length);
    dialog.close();
  }
  return found;
}"""


def hostile_server(start: Any, tmp_path: Path) -> Any:
    says: list[Any] = []
    for i, text in enumerate(HOSTILE):
        says.append([ToolCall(text, {text: text}), ToolCall("look", {"n": i})])
        says.append(Answer(text, citations=(Span(text, 0, len(text), text, text, 1, text),)))
    live = start(*says, tools=(Plain("look", lambda n: HOSTILE[n]),), name="sadari")
    serve_documents(live, tmp_path, *({"id": text, "title": text, "text": text} for text in HOSTILE))
    return live


def test_no_hostile_text_runs_wherever_it_stands(start: Any, open_page: Open, tmp_path: Path) -> None:
    live = hostile_server(start, tmp_path)
    everything, run = "\n\n".join(HOSTILE), ""
    said = [{"role": "assistant", "content": everything}]
    with live.http() as http:
        for text in HOSTILE[:-1]:
            body = {"model": "sadari", "messages": [*said, {"role": "user", "content": text}], "sadari": {"run": run}}
            run = http.post("/v1/chat/completions", json=body).json()["sadari"]["run"]
        rating = {"rating": "down", "reason": everything[:2000], "corrected": everything}
        assert http.post(f"/sadari/runs/{run}/rating", json=rating).status_code == 200
    page = open_page(live, f"/?run={run}")
    dialogs: list[Any] = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    ask(page, HOSTILE[-1])
    page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
    assert page.evaluate(OPEN_ALL, FOREIGN) == [0] * len(HOSTILE)
    assert page.locator(FOREIGN).count() == 0
    assert page.evaluate(HANDLERS) == []
    assert dialogs == []
    assert page.evaluate("faults") == []


def test_hostile_names_in_the_address_are_shown_nowhere(start: Any) -> None:
    with start("네.").http() as http:
        for text in HOSTILE:
            answer = http.get("/", params={"run": text})
            assert answer.status_code in (400, 404)
            assert "alert(1)" not in answer.text
            assert http.get(f"/conversations/{'x' * 65}").status_code in (400, 404, 422)


@pytest.mark.parametrize(("language", "scheme"), [("ko-KR", "light"), ("en-US", "dark")])
def test_axe_finds_nothing(start: Any, open_page: Open, tmp_path: Path, till: Any, language: str, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    bad, good = ToolCall("find", {}), call("look", n=7)
    table = Answer("# 표\n\n| a | b |\n|--|--:|\n| 1 | 2 |\n\n`코드`\n\n> 인용", citations=CITED.citations)
    says = ([good, bad], CITED, table, Answer("모릅니다.", abstained=True), Answer("", error="x"), [call("pay", n=5)])
    live = start(*says, tools=(LOOK, till.tool()))
    serve_documents(live, tmp_path, RETURNS)
    page = open_page(live, locale=language, color_scheme=scheme)
    found = {"empty": axe.run(page)}
    first = ask(page)
    page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
    first.locator("[data-rate=down]").click()
    ask(page)
    ask(page)
    ask(page, status="failed")
    ask(page, status="waiting")
    found["full"] = axe.run(page)
    first.locator(".text .cite").click()
    page.locator("dialog mark").wait_for()
    found["dialog"] = axe.run(page)
    assert {name: [v["id"] for v in one.response["violations"]] for name, one in found.items()} == {n: [] for n in found}
    assert page.evaluate("faults") == []


def test_the_page_is_used_with_the_keyboard_alone_and_on_a_phone(start: Any, open_page: Open) -> None:
    live = start("하나.", "둘.")
    ask(open_page(live), "어제 질문")
    page = open_page(live, viewport={"width": 320, "height": 640})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    page.locator("#show-history").focus()
    page.keyboard.press("Enter")
    page.get_by_role("link", name="어제 질문").wait_for()
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.id") == "show-history"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.locator(".turn .text").wait_for()
    assert page.locator(".bubble").inner_text() == "어제 질문"
