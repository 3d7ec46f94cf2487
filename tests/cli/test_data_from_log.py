"""`sadari data from-log` writes what may be learnt from, says what it left out, and prints no personal data."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from acting import Script, call
from command import Sadari
from sadari.agent.log import Draft, Log
from sadari.agent.log.database import open_database
from sadari.agent.loop import Agent, Loop
from sadari.agent.rows import Review
from sadari.agent.tools import Place, open_tools
from sadari.cli.from_log import begin
from sadari.errors import ConfigError
from sadari.serve.review import ReviewTable
from sadari.task import load_task
from sadari.task.readers import read_examples
from sadari.task.writers import write_examples
from sadari.types import Caller
from small_tasks import write_task

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def task(tmp_path: Path) -> Path:
    test = [
        {"id": "s1", "question": "신발 교환은 어떻게 하나요?", "answer": "접수하세요."},
        {"id": "s2", "question": "포인트는 언제 쌓이나요?", "answer": "구매 확정 뒤입니다."},
    ]
    train = [
        {"id": f"t{n}", "question": f"{thing}의 배송비가 얼마인지요?", "answer": f"{n + 2}천 원"}
        for n, thing in enumerate("책컵옷펜공종초솥")
    ]
    return write_task(tmp_path / "shop", train, test, rules=[{"say": "네"}], goal="고객에게 답한다.", tools=["calculator"])


def chat(task: Path, user: str, *turns: Any) -> str:
    """A run in the task's log: questions and what the model says."""
    questions, says = turns[::2], turns[1::2]
    tools = tuple(open_tools([("calculator", None)], Place(task)))
    said = [one for say in says for one in (say if isinstance(say, tuple) else (say,))]
    loop = Loop(Agent(Script(*said), tools), Log(task / "agent-log.sqlite"))
    run = ""
    for question in questions:
        run = loop.answer(question, Caller(user), run).run
    return run


def test_runs_become_rows_that_the_task_can_read_with_personal_data_masked(sadari: Sadari, task: Path) -> None:
    (calculator,) = open_tools([("calculator", None)], Place(task))
    argument = next(iter(calculator.spec.parameters["required"]))
    counted = ([call(calculator.spec.name, **{argument: "2*3000"})], "6,000원입니다.")
    run = chat(task, "kim", "3천 원짜리 둘이면요? 제 번호는 010-1234-5678입니다", counted)
    said = sadari("data", "from-log", task)
    assert said.code == 0, said.err
    assert "1 rows held personal data" in said.out
    assert "1234-5678" not in said.out + said.err
    (row,) = read_examples(task / "data" / "from-log.jsonl")
    assert row.id == run
    assert [m.role for m in row.messages] == ["user", "assistant", "tool", "assistant"]
    assert row.question.endswith("제 번호는 [전화1]입니다")
    assert [tool.name for tool in row.tools] == [calculator.spec.name]


def test_what_is_left_out_is_counted_by_its_reason(sadari: Sadari, task: Path) -> None:
    chat(task, "kim", "반품 기한이 며칠인가요?", "7일입니다.")
    chat(task, "lee", "반품 기한이 며칠인가요?", "7일입니다.")
    chat(task, "lee", "안녕하세요", "네", "신발 교환은 어떻게 하나요?", "접수하세요.")  # at its second turn
    chat(task, "gone", "제 주문을 지워 주세요", "네")
    Log(task / "agent-log.sqlite").erase("gone", "gone")
    said = sadari("data", "from-log", task, "--json", "--out", task / "new.jsonl")
    assert said.json["written"] == 1
    assert said.json["left_out"] == {"erased": 1, "said before": 1, "the test set asks it": 1}
    assert [row.question for row in read_examples(task / "new.jsonl")] == ["반품 기한이 며칠인가요?"]


def test_only_the_runs_of_the_time_and_user_that_are_asked_for(sadari: Sadari, task: Path) -> None:
    chat(task, "kim", "반품 기한이 며칠인가요?", "7일입니다.")
    chat(task, "lee", "영업 시간이 언제인가요?", "9시부터입니다.")
    assert sadari("data", "from-log", task, "--user", "lee", "--since", "1h", "--out", task / "lee.jsonl").code == 0
    assert [row.question for row in read_examples(task / "lee.jsonl")] == ["영업 시간이 언제인가요?"]
    assert sadari("data", "from-log", task, "--since", "2999-01-01", "--json").json == {
        "file": None,
        "written": 0,
        "masked": 0,
        "sources": {},
        "left_out": {},
    }


def test_nothing_is_overwritten(sadari: Sadari, task: Path) -> None:
    chat(task, "kim", "반품 기한이 며칠인가요?", "7일입니다.")
    (task / "old.jsonl").write_text("mine")
    said = sadari("data", "from-log", task, "--out", task / "old.jsonl")
    assert (said.code, (task / "old.jsonl").read_text()) == (2, "mine")
    assert "Name another file with --out" in said.err


def test_the_written_rows_can_be_added_to_train(sadari: Sadari, task: Path) -> None:
    chat(task, "kim", "반품 기한이 며칠인가요?", "7일입니다.")
    sadari("data", "from-log", task)
    write_examples(task / "train.jsonl", (*load_task(task).train, *read_examples(task / "data" / "from-log.jsonl")))
    assert "반품 기한이 며칠인가요?" in {row.question for row in (*load_task(task).train, *load_task(task).validation)}


@pytest.mark.parametrize(
    ("since", "moment"),
    [
        ("7d", NOON - timedelta(days=7)),
        ("12h", NOON - timedelta(hours=12)),
        ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
        ("", None),
    ],
)
def test_since_is_a_time_ago_or_a_date(since: str, moment: datetime | None) -> None:
    assert begin(since, NOON) == moment


def test_since_that_is_no_time_says_how_it_is_written() -> None:
    with pytest.raises(ConfigError, match="Write 7d, 12h"):
        begin("last week", NOON)


def test_rows_of_the_task_itself_are_not_written_again(sadari: Sadari, task: Path) -> None:
    chat(task, "kim", "책의 배송비가 얼마인지요?", "2천 원")
    said = sadari("data", "from-log", task, "--json")
    assert (said.json["written"], sum(said.json["left_out"].values())) == (0, 1)
    assert not (task / "data" / "from-log.jsonl").exists()
    assert json.loads(said.out)["file"] is None


# --- what people think of answers -----------------------------------------------------------------------------------------


def rate(task: Path, run: str, rating: str, corrected: str = "", by: str = "kim") -> int:
    """Rate the last answer of a run; its question."""
    log = Log(task / "agent-log.sqlite")
    question = [event.seq for event in log.events(run) if event.kind == "run.asked"][-1]
    log.append(
        run, [Draft("answer.rated", {"by": by, "question": question, "rating": rating, "reason": "", "corrected": corrected})]
    )
    return question


def test_a_corrected_answer_becomes_a_row_and_a_pair_and_a_down_rated_one_neither(sadari: Sadari, task: Path) -> None:
    first = chat(task, "kim", "반품 기한이 며칠인가요?", "7일입니다.")
    chat(task, "lee", "영업 시간이 언제인가요?", "9시부터입니다.")
    bad = chat(task, "lee", "주말에도 여나요?", "글쎄요.")
    question = rate(task, first, "down", "14일입니다. 문의: 010-1234-5678")
    rate(task, bad, "down")
    said = sadari("data", "from-log", task, "--json")
    assert said.json["sources"] == {"corrected-by-asker": 1, "unrated": 1}
    assert said.json["left_out"] == {"rated down and not corrected": 1}
    rows = {row.id: row for row in read_examples(task / "data" / "from-log.jsonl")}
    assert rows[f"{first}#{question}"].target.content == "14일입니다. 문의: [전화1]"
    assert sadari("data", "from-log", task, "--pairs").code == 0
    (pair,) = read_examples(task / "data" / "pairs-from-log.jsonl")
    assert (pair.kind, pair.target.content, pair.rejected) == ("preference", "14일입니다. 문의: [전화1]", "7일입니다.")


def test_a_pair_after_calls_can_be_read_again(sadari: Sadari, task: Path) -> None:
    (calculator,) = open_tools([("calculator", None)], Place(task))
    argument = next(iter(calculator.spec.parameters["required"]))
    run = chat(task, "kim", "3천 원짜리 둘이면요?", ([call(calculator.spec.name, **{argument: "2*3000"})], "5,000원입니다."))
    rate(task, run, "down", "6,000원입니다.")
    said = sadari("data", "from-log", task, "--pairs")
    assert said.code == 0, said.err
    (pair,) = read_examples(task / "data" / "pairs-from-log.jsonl")
    assert [m.role for m in pair.prompt] == ["user", "assistant", "tool"]
    assert (pair.target.content, pair.rejected) == ("6,000원입니다.", "5,000원입니다.")


def test_the_table_says_what_came_from_where_and_what_was_left_out_and_why(sadari: Sadari, task: Path) -> None:
    rate(task, chat(task, "kim", "반품 기한이 며칠인가요?", "7일입니다."), "up")
    rate(task, chat(task, "lee", "주말에도 여나요?", "글쎄요."), "down")
    out = " ".join(sadari("data", "from-log", task).out.split())
    assert "rated up by who asked" in out
    assert "rated down and not corrected" in out


def test_reviews_beside_the_log_count_more_than_ratings(sadari: Sadari, task: Path) -> None:
    run = chat(task, "kim", "반품 기한이 며칠인가요?", "7일입니다.")
    question = rate(task, run, "up")
    table = ReviewTable(open_database(str(task / "agent-log.sqlite")))
    table.keep(Review(run, question, "boss", "corrected", "14일입니다."))
    said = sadari("data", "from-log", task, "--trust", "reviewed", "--json")
    assert said.json["sources"] == {"corrected": 1}
    assert [row.target.content for row in read_examples(task / "data" / "from-log.jsonl")] == ["14일입니다."]


def test_a_trust_that_is_not_known_says_which_are(sadari: Sadari, task: Path) -> None:
    said = sadari("data", "from-log", task, "--trust", "blind")
    assert (said.code, "reviewed, rated, all" in said.err) == (2, True)
