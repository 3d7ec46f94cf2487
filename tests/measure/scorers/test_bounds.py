"""Whatever a model answers, every scorer ends soon with a score, and a thousand ordinary answers take seconds."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from sadari.measure.choice import SCORER_NAMES, choose_scorer
from sadari.measure.scorers import SqlScorer, score_answers
from sadari.types import Answer, Example, Message, Reference, Scorer, Span, ToolCall

QUOTE = "교환 신청은 수령일로부터 30일 이내에 가능하며 왕복 배송비는 6,000원입니다."
MEGABYTE = 1_000_000
GIGANTIC = [
    "주문하신 상품은 내일 3만 원에 도착합니다. " * 40_000,
    "가" * MEGABYTE,
    "1," * (MEGABYTE // 2),
    "1만 " * (MEGABYTE // 3),
    " " * MEGABYTE,
    "{" * MEGABYTE,
    "```" + " " * MEGABYTE,
    '{"a":' * (MEGABYTE // 5),
    "[" * 10_000 + "]" * 10_000,
    "SELECT 1 UNION " * (MEGABYTE // 15),
    "",
    "\x00\ud800\u200b\ufeff",
]
REFERENCES = {
    "label": Reference(("환불",)),
    "number": Reference(("30,000원",)),
    "json": Reference(('{"name": "김민수", "items": [{"id": 1, "count": 2}]}',)),
    "tool_call": Reference(calls=(ToolCall("refund", {"amount": 3000, "why": {"code": "변심"}}),)),
    "sql": Reference(("SELECT name FROM goods WHERE price > 1000 ORDER BY name",)),
    "facts": Reference(("30일 이내, 6,000원",), facts=(("30일", "한 달"), ("6,000원",))),
}
TEXT = Reference(("수령 후 30일 이내에 신청하실 수 있습니다.", "30일"))


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    path = tmp_path / "shop.db"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE goods (name TEXT, price REAL)")
        database.executemany("INSERT INTO goods VALUES (?, ?)", [(f"상품 {i}", 100.0 * i) for i in range(40)])
    return path


def scorers(shop: Path) -> dict[str, Scorer]:
    pytest.importorskip("kiwipiepy")
    examples = [Example("q", (Message("user", "q"),), TEXT)]
    named = {name: choose_scorer(examples, name) for name in SCORER_NAMES if name not in ("sql", "judge")}
    return named | {"sql": SqlScorer(shop, 1.0)}


def example(name: str, at: int = 0) -> Example:
    return Example(f"q{at}", (Message("user", "교환은 며칠 안에 해야 하나요?"),), REFERENCES.get(name, TEXT))


@pytest.mark.slow
@pytest.mark.parametrize("text", GIGANTIC, ids=[f"{text[:8]!r}" for text in GIGANTIC])
def test_a_gigantic_or_empty_answer_gets_a_score_in_seconds(shop: Path, text: str) -> None:
    for name, scorer in scorers(shop).items():
        start = time.process_time()
        answer = Answer(text, tool_calls=(ToolCall("refund", {"amount": text}),), citations=(Span("a.md", 0, 9, text),))
        (score,) = score_answers(scorer, [(example(name), answer)])
        assert time.process_time() - start < 10, name
        assert 0 <= score.value <= 1


def ordinary(name: str, at: int) -> Answer:
    """An answer as a model would give it: half of them right, no two alike."""
    said = {
        "label": "환불" if at % 2 else f"배송 {at}",
        "number": f"모두 합하면 {3 if at % 2 else at}만 원입니다.",
        "short_answer": f"수령 후 {at}일 이내입니다.",
        "short_answer_f1": f"수령 후 {at}일 이내입니다.",
        "json": f'```json\n{{"name": "김민수", "items": [{{"id": 1, "count": {at}}}]}}\n```',
        "sql": f"```sql\nSELECT name FROM goods WHERE price > {at * 3} ORDER BY name\n```",
        "facts": f"네, 수령 후 {at % 60}일 이내에 신청하시면 되고, 왕복 배송비는 6,000원입니다. {chr(0xAC00 + at)} 드림",
    }
    text = said.get(
        name, f"고객님, 주문 {at}번은 수령 후 30일 이내에 신청하실 수 있습니다. 자세한 내용은 고객 센터로 문의해 주세요."
    )
    return Answer(
        text, (ToolCall("refund", {"amount": 3000 if at % 2 else at, "why": {"code": "변심"}}),), (Span("a.md", 0, 1, QUOTE),)
    )


@pytest.mark.slow
def test_a_thousand_answers_are_scored_by_all_scorers_in_seconds(shop: Path) -> None:
    spent = {}
    for name, scorer in scorers(shop).items():
        score_answers(scorer, [(example(name), ordinary(name, 1))])  # Kiwi and the grammar of numbers are loaded
        pairs = [(example(name, at), ordinary(name, at)) for at in range(1000)]
        start = time.process_time()
        assert len(score_answers(scorer, pairs)) == 1000
        spent[name] = time.process_time() - start
    print({name: round(seconds, 2) for name, seconds in spent.items()}, round(sum(spent.values()), 2))
    assert sum(spent.values()) < 10  # five on an idle machine
