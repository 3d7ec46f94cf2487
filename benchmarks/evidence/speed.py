"""Seconds of measuring: 1,000 answers by every metric that asks no model, and the bootstrap."""

import sqlite3
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from sadari.measure import SCORER_NAMES, choose_scorer
from sadari.measure.overlap import corpus_bleu, corpus_chrf
from sadari.measure.scorers import score_answers
from sadari.measure.statistics import bootstrap_interval
from sadari.task.config import ScoreConfig
from sadari.types import Answer, Example, Message, Reference, ToolCall

_THINGS = ("자전거", "우산", "시계", "의자", "냄비", "모자", "거울", "연필", "가방", "장갑")
_TOWNS = ("경기도", "제주도", "서울", "부산", "대구", "종로", "울릉도")

Row = tuple[Reference, Answer]


def scoring_seconds(count: int) -> dict[str, tuple[float, float]]:
    """For each metric the seconds, on the clock and of the processor, to score `count` different Korean answers.

    Three in four are right. What is loaded once (Kiwi, a dictionary, patterns) was loaded by two answers before.
    """
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "shop.db"
        _fill(database)
        spent = {}
        for name in SCORER_NAMES:
            if name != "judge":
                scoring = ScoreConfig.model_validate({"by": name, "database": str(database) if name == "sql" else None})
                make = _MAKERS.get(name, _sentence)
                rows = [make(index) for index in range(count)]
                pairs = [(_example(name, index, reference), answer) for index, (reference, answer) in enumerate(rows)]
                scorer = choose_scorer([example for example, _ in pairs], scoring)
                score_answers(scorer, [(_example(name, count + i, r), a) for i, (r, a) in enumerate(map(make, (count, count + 1)))])
                spent[name] = _seconds(partial(score_answers, scorer, pairs))
    rows = [_sentence(index) for index in range(count)]
    answers, references = [answer.text for _, answer in rows], [reference.texts for reference, _ in rows]
    for name, metric in (("corpus BLEU (ko-mecab)", corpus_bleu), ("corpus chrF", corpus_chrf)):
        metric(answers[:2], references[:2])
        spent[name] = _seconds(partial(metric, answers, references))
    return spent


def bootstrap_seconds(resamples: int, count: int) -> float:
    """Seconds of the interval of `count` graded differences, all distinct."""
    differences = np.random.default_rng(0).normal(size=count)
    return _seconds(partial(bootstrap_interval, differences, resamples=resamples))[0]


def _seconds(work: Callable[[], object]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def _sentence(index: int) -> Row:
    thing, town = _THINGS[index % 10], _TOWNS[index % 7]
    days = 1 + index % 29
    wanted = f"{town}에서 주문하신 {thing} {index}번은 결제한 날부터 {days}일 안에 도착하며, 배송비는 {3000 + index}원입니다."
    wrong = f"{thing} 반품은 고객센터로 전화해 주시면 {index + 1}시간 안에 처리해 드립니다."
    said = (
        wrong
        if index % 4 == 0
        else f"네, {town}에서 주문하신 {thing} {index}번은 {days}일 안에 도착하고 배송비는 {3000 + index}원이에요."
    )
    return Reference(texts=(wanted,)), Answer(said)


def _label(index: int) -> Row:
    return Reference(texts=(_TOWNS[index % 7],)), Answer(_TOWNS[(index + (index % 4 == 0)) % 7])


def _number(index: int) -> Row:
    return Reference(texts=(f"{10_000 * index + 500:,}원",)), Answer(f"{index}만 {500 + (index % 4 == 0)}원입니다.")


def _short(index: int) -> Row:
    name = f"{_TOWNS[index % 7]} {_THINGS[index % 10]} {index}호점"
    return Reference(texts=(name,)), Answer(f"{name}입니다." if index % 4 else "모르겠습니다.")


def _json(index: int) -> Row:
    text = f'{{"상품": "{_THINGS[index % 10]}", "수량": %d, "주소": {{"시도": "{_TOWNS[index % 7]}", "번지": {index}}}}}'
    return Reference(texts=(text % 2,)), Answer("```json\n" + text % (2 + (index % 4 == 0)) + "\n```")


def _call(index: int) -> Row:
    call = ToolCall("주문_조회", {"주문번호": index, "지역": _TOWNS[index % 7]})
    other = ToolCall("주문_조회", {"주문번호": index + 1, "지역": _TOWNS[index % 7]})
    return Reference(calls=(call,)), Answer("", tool_calls=(call if index % 4 else other,))


def _sql(index: int) -> Row:
    wanted = f"SELECT name, price FROM goods WHERE price > {index * 10} ORDER BY price"
    return Reference(texts=(wanted,)), Answer(wanted if index % 4 else wanted.replace(">", "<"))


def _facts(index: int) -> Row:
    _, answer = _sentence(index)
    return Reference(facts=((f"{3000 + index}원", f"{3000 + index:,} won"), (f"{1 + index % 29}일",))), answer


_MAKERS: dict[str, Callable[[int], Row]] = {
    "label": _label,
    "number": _number,
    "short_answer": _short,
    "short_answer_f1": _short,
    "json": _json,
    "tool_call": _call,
    "sql": _sql,
    "facts": _facts,
}
"""Every other metric is given sentences."""


def _example(name: str, index: int, reference: Reference) -> Example:
    return Example(f"{name}-{index}", (Message("user", f"{_THINGS[index % 10]} {index}번은 어떻게 되나요?"),), reference)


def _fill(database: Path) -> None:
    connection = sqlite3.connect(database)
    with connection:
        connection.execute("CREATE TABLE goods (name TEXT, price INTEGER)")
        connection.executemany("INSERT INTO goods VALUES (?, ?)", [(f"{_THINGS[i % 10]} {i}", 137 * i % 9973) for i in range(200)])
    connection.close()
