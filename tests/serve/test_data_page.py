"""The page Data and its routes: conversations found, decided about and exported; the review queue; blind comparisons."""

import json
from collections.abc import Iterator
from pathlib import Path
from shutil import which
from typing import Any

import pytest

from sadari.files import write_lines
from sadari.measurer import Prediction
from sadari.serve.pages.look import LANGUAGE_COOKIE
from sadari.task.readers import read_examples
from sadari.types import Answer
from small_tasks import write_label_task

CHROMIUM = which("chromium")


@pytest.fixture
def live(start: Any, tmp_path: Path) -> Any:
    """A server of a task, in which three people asked."""
    task = write_label_task(tmp_path / "task")
    says = ("7일입니다.", "14일입니다.", "글쎄요.", "9시부터입니다.")
    live = start(*says, users={"kim": "user", "lee": "user", "ops": "operator", "eve": "operator"}, task=task)
    run = ask(live, "kim", "환불 기한이 며칠인가요? 제 번호는 010-1234-5678")
    ask(live, "kim", "아니, 그게 아니라 교환이요", run)
    bad = ask(live, "lee", "주말에도 여나요?")
    ask(live, "lee", "영업 시간이 언제인가요?")
    with live.http("lee") as http:
        http.post(f"/sadari/runs/{bad}/rating", json={"rating": "down", "reason": "답이 없어요"})
    live.runs = {"objected": run, "bad": bad}
    return live


def ask(live: Any, who: str, text: str, run: str = "") -> str:
    """The run of a question to the agent."""
    with live.http(who) as http:
        body: dict[str, Any] = {"model": "sadari", "messages": [{"role": "user", "content": text}]}
        answer = http.post("/v1/chat/completions", json=body | ({"sadari": {"run": run}} if run else {}))
        assert answer.status_code == 200, answer.text
        return str(answer.json()["sadari"]["run"])


def get(live: Any, path: str, who: str = "ops", **params: Any) -> Any:
    with live.http(who) as http:
        answer = http.get(path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()


def post(live: Any, path: str, body: Any, who: str = "ops", status: int = 200) -> Any:
    with live.http(who) as http:
        answer = http.post(path, json=body)
        assert answer.status_code == status, answer.text
        return answer.json()


# --- conversations -----------------------------------------------------------------------------------------------------


SEARCHES: list[tuple[dict[str, str], int]] = [
    ({}, 3),
    ({"text": "환불 기한"}, 1),
    ({"text": "글쎄"}, 1),
    ({"user": "lee"}, 2),
    ({"rating": "down"}, 1),
    ({"rating": "none", "user": "lee"}, 1),
    ({"signal": "objected"}, 1),
    ({"review": "none"}, 3),
    ({"review": "good"}, 0),
]


def test_conversations_are_found_by_what_was_said_and_what_is_known_of_it(live: Any) -> None:
    assert [(asked, get(live, "/sadari/conversations", **asked)["found"]) for asked, _ in SEARCHES] == SEARCHES


PLACES = (
    "/sadari/conversations",
    "/sadari/review",
    "/sadari/data/rows.jsonl",
    "/sadari/blind",
    "/data",
    "/data/review",
    "/data/blind",
)


def test_only_who_operates_sees_what_others_said(live: Any) -> None:
    with live.http("kim") as kim, live.http("ops") as ops:
        assert {kim.get(path).status_code for path in PLACES} == {403}
        assert {ops.get(path).status_code for path in PLACES} == {200}


def test_a_decision_is_kept_and_shows_in_the_conversation_and_the_rows(live: Any) -> None:
    run = live.runs["bad"]
    (turn,) = get(live, f"/sadari/conversations/{run}")["turns"]
    assert turn["marks"] == {"rated_down": 0.9}
    decision = {"question": turn["question"], "decision": "corrected", "text": "토요일만 엽니다.", "picked": "trouble"}
    kept = post(live, f"/sadari/review/{run}", decision)
    assert (kept["who"], kept["decision"]) == ("ops", "corrected")
    assert get(live, f"/sadari/conversations/{run}")["turns"][0]["review"]["text"] == "토요일만 엽니다."
    assert run not in {one["run"] for one in get(live, "/sadari/review")["queue"]}


SENSELESS: list[tuple[dict[str, Any], str]] = [
    ({"question": 99}, "question"),
    ({"decision": "corrected"}, "text"),
    ({"text": "그래도"}, "text"),
    ({"text": "\0", "decision": "corrected"}, "text"),
    ({"decision": "maybe"}, "decision"),
    ({"question": 10**30}, "question"),
]


def test_a_decision_that_makes_no_sense_is_refused(live: Any) -> None:
    run = live.runs["bad"]
    question = get(live, f"/sadari/conversations/{run}")["turns"][0]["question"]
    for change, told in SENSELESS:
        body = post(live, f"/sadari/review/{run}", {"question": question, "decision": "good"} | change, status=400)
        assert body["error"]["param"] == told


def test_rows_are_exported_masked_corrected_and_without_what_nobody_vouches_for(live: Any, tmp_path: Path) -> None:
    run = live.runs["objected"]
    question = get(live, f"/sadari/conversations/{run}")["turns"][0]["question"]
    post(live, f"/sadari/review/{run}", {"question": question, "decision": "corrected", "text": "환불은 14일입니다."})
    with live.http("ops") as http:
        answer = http.get("/sadari/data/rows.jsonl")
    assert "1234-5678" not in answer.text
    (tmp_path / "rows.jsonl").write_text(answer.text)
    (row,) = read_examples(tmp_path / "rows.jsonl")
    assert row.question.endswith("제 번호는 [전화1]")
    assert row.target.content == "환불은 14일입니다."
    assert int(answer.headers["X-Left-Out"]) == 3
    with live.http("ops") as http:
        assert '"rejected"' in http.get("/sadari/data/rows.jsonl?pairs=true").text


def test_without_a_task_no_rows_are_given(start: Any) -> None:
    with start(users={"ops": "operator"}).http("ops") as http:
        answer = http.get("/sadari/data/rows.jsonl")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "no_task")


# --- blind comparisons -------------------------------------------------------------------------------------------------


def answers(*said: str) -> str:
    return "\n".join(json.dumps({"question": f"질문 {n}", "answer": one}, ensure_ascii=False) for n, one in enumerate(said))


def compared(live: Any) -> str:
    """A comparison of three questions, one of which both answered alike."""
    files = {"first": {"name": "old.jsonl", "text": answers("가", "나", "다", "네")}}
    files["second"] = {"name": "new.jsonl", "text": answers("하나", "둘", "셋", "네")}
    return str(post(live, "/sadari/blind", {"title": "새 모델", **files})["name"])


def test_who_rates_learns_the_names_after_the_last_question(live: Any) -> None:
    name = compared(live)
    with live.http("ops") as http:
        early = http.get(f"/sadari/blind/{name}/result")
    assert (early.status_code, early.json()["error"]["code"]) == (409, "blind")
    told = get(live, f"/sadari/blind/{name}/next")
    while told["next"] is not None:
        assert "old" not in json.dumps(told) + json.dumps(get(live, "/sadari/blind"))
        is_new_left = told["next"]["left"] in ("하나", "둘", "셋")
        body = {"pair": told["next"]["pair"], "better": "left" if is_new_left else "right", "note": "좋다"}
        body |= {"left_right": "yes"} if is_new_left else {"left_right": "no"}
        told = post(live, f"/sadari/blind/{name}/ratings", body)
    result = get(live, f"/sadari/blind/{name}/result")
    assert (result["first"], result["second"]) == ("old.jsonl", "new.jsonl")
    assert (result["result"]["second_better"], result["result"]["ties"]) == (3, 1)
    with live.http("eve") as http:
        assert http.get(f"/sadari/blind/{name}/result").status_code == 409
    labels = post(live, "/sadari/blind/labels", {})
    assert (labels["labels"], labels["is_read"]) == (3, False)
    rows = [json.loads(line) for line in (live.service.options.task / labels["file"]).read_text().splitlines()]
    assert {row["right"] for row in rows if row["answer"] in ("하나", "둘", "셋")} <= {True}
    assert {row["right"] for row in rows if row["answer"] in ("가", "나", "다")} <= {False}


def test_two_steps_of_a_climb_are_compared_by_their_kept_predictions(live: Any) -> None:
    task = live.service.options.task
    examples = read_examples(task / "test.jsonl")
    for step, text in (("0-baseline", "배송"), ("1-prompt", "환불")):
        rows = [Prediction(example.id, Answer(text), 0, "") for example in examples]
        write_lines(task / "runs" / "1" / "predictions" / f"{step}.jsonl", rows, Prediction)
    made = post(live, "/sadari/blind", {"title": "실험 1", "run": 1, "first": "0-baseline", "second": "1-prompt"})
    assert (made["pairs"], made["asked"]) == (32, 32)
    post(live, "/sadari/blind", {"title": "?", "run": 1, "first": "../../x", "second": "1-prompt"}, status=400)
    post(live, "/sadari/blind", {"title": "?", "run": 7, "first": "0-baseline", "second": "1-prompt"}, status=400)


def test_a_removed_comparison_is_gone(live: Any) -> None:
    name = compared(live)
    with live.http("ops") as http:
        assert http.delete(f"/sadari/blind/{name}").status_code == 200
        assert http.get(f"/sadari/blind/{name}/next").status_code == 404


def test_what_a_user_wrote_is_text_on_every_page(live: Any) -> None:
    run = ask(live, "kim", "<img src=x onerror=alert(1)>")
    for place in ("/data", f"/data/runs/{run}", "/data/review"):
        with live.http("ops") as http:
            text = http.get(place).text
        assert "<img" not in text
        assert "&lt;img" in text


# --- in a browser ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=["--headless", "--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Any, live: Any) -> Iterator[Any]:
    """A page of the operator; what its console tells as an error fails the test."""
    live.service.asks_keys = False
    faults: list[str] = []
    context = browser.new_context(locale="ko-KR", base_url=live.url)
    page = context.new_page()
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    yield page
    context.close()
    assert faults == []


def check(page: Any) -> None:
    """No fault that axe knows."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    found = axe.Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_an_answer_is_found_corrected_and_shown_as_decided(page: Any, live: Any) -> None:
    page.goto("/data")
    check(page)
    page.get_by_label("평가").select_option("down")
    page.get_by_role("button", name="검색").click()
    page.get_by_role("link", name="주말에도 여나요?").click()
    page.get_by_text("학습에 쓸지 정하기").click()
    page.get_by_label("올바른 답").fill("토요일만 엽니다.")
    page.get_by_role("button", name="고쳐서 학습").click()
    page.locator(".decided .tag").wait_for()
    check(page)
    assert [one.text for one in live.service.reviews.all().values()] == ["토요일만 엽니다."]


def test_the_review_queue_keeps_decisions_and_then_knows_the_share(page: Any, live: Any) -> None:
    page.goto("/data/review")
    check(page)
    for button in page.get_by_role("button", name="그대로 학습").all():
        button.click()
    page.locator(".decided .tag").nth(3).wait_for()
    page.reload()
    assert "95% 구간" in page.inner_text("main")
    assert "검토할 답변이 없습니다" in page.inner_text("main")


def test_a_comparison_is_begun_with_files_and_rated_with_the_keyboard(page: Any, live: Any) -> None:
    page.goto("/data/blind")
    check(page)
    form = page.locator("#from-files")
    form.get_by_label("이름").fill("새 모델")
    for label, said in (("시스템 A", ("가", "나")), ("시스템 B", ("하나", "둘"))):
        file = {"name": f"{label}.jsonl", "mimeType": "text/plain", "buffer": answers(*said).encode()}
        form.get_by_label(label).set_input_files(file)
    form.get_by_role("button", name="비교 시작").click()
    page.get_by_text("2개 중 0개 평가").wait_for()
    page.locator("#left:not(:empty)").wait_for()
    check(page)
    page.keyboard.press("1")
    page.get_by_text("2개 중 1개 평가").wait_for()
    page.get_by_label("메모").fill("2")
    page.keyboard.press("2")  # typed into the note, and no choice
    assert page.get_by_label("메모").input_value() == "22"
    page.get_by_role("button", name="비슷하다").click()
    page.get_by_text("부호 검정").wait_for()
    check(page)
    (comparison,) = live.service.blind.all()
    assert sorted(one.choice == "tie" for one in live.service.blind.ratings(comparison.name)) == [False, True]


def test_the_pages_are_there_in_english(page: Any, live: Any) -> None:
    page.context.add_cookies([{"name": LANGUAGE_COOKIE, "value": "en", "url": live.url}])
    for place, told in (("/data", "Conversations"), ("/data/review", "Drawn by chance"), ("/data/blind", "New comparison")):
        page.goto(place)
        assert told in page.inner_text("main")
