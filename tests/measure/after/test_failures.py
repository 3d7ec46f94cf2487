"""Error types on made-up failures whose groups are known, from none to ten thousand."""

import time
from collections.abc import Sequence

import numpy as np
import pytest

from sadari.errors import DataError
from sadari.measure.after import failures as failures_module
from sadari.measure.after.failures import FailureGroup, cluster_failures
from sadari.measure.korean import PlainText
from sadari.types import Answer, Built, Example, Message, Scorecard, Step, System, Verdict

Row = tuple[str, float, str]
"""Question, score, reason."""


def examples_of(rows: Sequence[Row]) -> list[Example]:
    return [Example(f"e{i}", (Message("user", question),)) for i, (question, _, _) in enumerate(rows)]


def card_of(scores: Sequence[float], reasons: Sequence[str], rung: str = "lora") -> Scorecard:
    n = len(scores)
    ids = tuple(f"e{i}" for i in range(n))
    return Scorecard(rung, "s", ids, tuple(scores), tuple(reasons), (), (1,) * n, (1,) * n, 0, 0.0, 1.0, 1.0, 0.0)


def groups_of(rows: Sequence[Row], said: str = "답", language: str = "en") -> tuple[FailureGroup, ...]:
    card = card_of([score for _, score, _ in rows], [reason for _, _, reason in rows])
    return cluster_failures(card, examples_of(rows), [Answer(said)] * len(rows), language=language)  # type: ignore[arg-type]


def test_nothing_fails_and_there_are_no_groups() -> None:
    assert groups_of([("배송비는?", 1.0, "")] * 3) == ()
    assert groups_of([]) == ()


def test_one_failure_is_one_group() -> None:
    (group,) = groups_of([("배송비는 얼마인가요", 0.0, "abstains, though the documents say it"), ("환불은 언제", 1.0, "")])
    assert (group.count, group.share, group.lost) == (1, 1.0, 0.5)
    assert group.ids == group.examples == ("e0",)
    assert group.name == "배송비 — abstains, though the documents say it"


def test_every_failure_is_in_exactly_one_group_and_the_costliest_comes_first() -> None:
    rows: list[Row] = [(f"배송 문의 {i}", 0.0, "does not say 3일") for i in range(9)]
    rows += [(f"환불 문의 {i}", 0.5, "F1 0.50") for i in range(6)] + [("교환", 1.0, "")] * 5
    groups = groups_of(rows)
    assert sorted(name for g in groups for name in g.ids) == sorted(f"e{i}" for i in range(15))
    assert [(g.kind, g.count, g.lost) for g in groups] == [
        ("does not say a required fact", 9, 9 / 20),
        ("right in part", 6, 3 / 20),
    ]
    assert [g.share for g in groups] == [pytest.approx(0.6), pytest.approx(0.4)]


@pytest.mark.parametrize(
    ("reasons", "kind"),
    [
        (("does not say 3,000원", "does not say 7일"), "does not say a required fact"),
        (("빠진 사실: 3,000원", "빠진 사실: 7일"), "does not say a required fact"),
        (("12 stands neither in a citation nor in the question", "인용문과 질문에 없는 숫자: 3"), "a number that stands neither"),
        (("환불 ≠ 교환", "환불 ≠ 교환"), "교환 expected, 환불 said"),
        (("환불 ≠ 교환", "배송 ≠ 적립"), "another answer"),
        (("differs: items[0].price", "differs: items[3].price"), "differs: items[].price"),
        (("differs: total", "differs: name"), "some fields differ"),
        (("missing: see(id='1'); extra: end(id='1')", "missing: see(id='2'); extra: end(id='9')"), "extra: end; missing: see"),
        (("error: timeout after 30 s", "error: timeout after 41 s"), "no answer: timeout after … s"),
        (("the query fails: no such column: 'x'", "the query fails: no such column: 'y'"), "the query fails: no such column: …"),
        (("", ""), "another answer"),
    ],
)  # fmt: skip
def test_reasons_of_one_kind_come_together(reasons: tuple[str, str], kind: str) -> None:
    (group,) = groups_of([("가나", 0.0, reason) for reason in reasons])
    assert group.kind.startswith(kind)
    assert group.count == 2


def test_free_words_of_a_judge_are_no_kinds_and_are_split_by_what_is_asked() -> None:
    topics = ("배송 기간이 {}일인가요", "카드 환불이 {}일 걸리나요")
    rows: list[Row] = [
        (topics[i % 2].format(i), 0.0, f"judge {chr(97 + i % 26)}{chr(97 + i // 26)} finds it so") for i in range(60)
    ]
    groups = groups_of(rows)
    assert {g.kind for g in groups} == {"other reasons"}
    assert [g.count for g in groups] == [30, 30]


def test_an_empty_answer_is_a_kind_of_its_own_and_kinds_speak_the_language() -> None:
    assert [g.kind for g in groups_of([("가나", 0.0, "x ≠ y")] * 2, said=" ")] == ["an empty answer"]
    assert [g.kind for g in groups_of([("가나", 0.0, "x ≠ y")] * 2, language="ko")] == ["정답 y, 답 x"]


def test_a_large_kind_is_split_by_what_is_asked_and_named_by_its_words() -> None:
    topics = {
        "새벽배송": ("새벽배송 도착 시간이 {}시인가요", "새벽배송은 {}동에서도 되나요", "새벽배송 {}건 주문할게요"),
        "환불": ("환불 계좌를 {}번 바꿨어요", "카드 환불은 {}일 걸리나요", "부분 환불 {}원 해 주세요"),
        "쿠폰": ("쿠폰 {}장 쓸 수 있나요", "생일 쿠폰이 {}월에 오나요", "쿠폰 유효 기간이 {}일인가요"),
    }
    rows = [(asked.format(i), 0.0, "빠진 사실: x") for asks in topics.values() for asked in asks for i in range(8)]
    rows += [(f"회원 등급 {i} 문의", 1.0, "") for i in range(30)]
    groups = groups_of(rows)
    assert all(len({i // 24 for i in (int(name[1:]) for name in g.ids)}) == 1 for g in groups)  # no group mixes two topics
    told = " ".join(word for g in groups for word in g.words)
    assert all(word in told for word in ("배송", "환불", "쿠폰"))
    assert groups_of(rows) == groups


def test_questions_with_nothing_in_common_stay_together() -> None:
    letters = np.random.default_rng(0).choice(list("abcdefghijklmnopqrstuvwxyz"), (100, 4, 6))
    rows = [(" ".join("".join(word) for word in words), 0.0, "빠진 사실: x") for words in letters]
    assert len(groups_of(rows)) <= 2


def test_without_morphemes_groups_are_named_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures_module, "korean_text", PlainText)
    rows: list[Row] = [
        ("배송비는 얼마", 0.0, "differs: a"),
        ("배송비를 알려", 0.0, "differs: a"),
        ("환불은", 1.0, ""),
        ("교환은", 1.0, ""),
    ]
    assert groups_of(rows)[0].name == "배송 — differs: a"


def step_of(index: int, rung: str, scores: Sequence[float], taken: bool) -> Step:
    verdict = Verdict("better", taken, 0.0, 0.0, 0.0, 0.0, None, "")
    return Step(index, rung, Built(System("mini")), card_of(scores, [""] * len(scores), rung), verdict)


def test_the_rungs_that_fixed_and_broke_a_group_are_counted_against_their_incumbents() -> None:
    history = [
        step_of(0, "baseline", [0.0, 0.0, 1.0, 1.0], True),
        step_of(1, "prompt", [1.0, 0.0, 0.0, 1.0], False),  # not taken: the next is judged against the baseline
        step_of(2, "retrieval", [1.0, 1.0, 0.5, 1.0], True),
        step_of(3, "lora", [0.0, 1.0, 0.0, 1.0], True),
    ]
    rows = [("가", 0.0, "differs: a"), ("나", 1.0, ""), ("다", 0.0, "differs: a"), ("라", 1.0, "")]
    card = card_of([score for _, score, _ in rows], [reason for _, _, reason in rows])
    (group,) = cluster_failures(card, examples_of(rows), [Answer("답")] * 4, history)
    assert group.ids == ("e0", "e2")
    assert group.fixed_by == {"prompt": 1, "retrieval": 1}
    assert group.broken_by == {"prompt": 1, "retrieval": 1, "lora": 1}


def test_ten_thousand_failures_of_as_many_kinds_take_less_than_three_seconds() -> None:
    things = ["배송", "환불", "쿠폰", "교환", "적립", "회원", "delivery", "refund", "coupon"]
    rows: list[Row] = [
        (
            f"{things[i % 9]} {i} 관련해서 {things[i % 7]} 문의드립니다 고객{i}",
            0.0,
            f"이유 {'가' * (i % 60)}: {i}" if i % 2 else f"{i}a ≠ b{i}",
        )
        for i in range(10_000)
    ]
    groups_of(rows[:10])  # Kiwi is loaded once
    started = time.process_time()
    groups = groups_of(rows)
    assert time.process_time() - started < 3.0
    assert 1 <= len(groups) <= 12
    assert sum(g.count for g in groups) == 10_000


def test_gigantic_and_empty_questions_are_grouped() -> None:
    rows: list[Row] = [("가나다 " * 200_000, 0.0, "r" * 1_000_000), ("", 0.0, "x"), ("!!!", 0.0, "x"), ("ㅋㅋ", 1.0, "")]
    assert sum(g.count for g in groups_of(rows)) == 3


def test_what_does_not_belong_together_is_refused() -> None:
    rows = [("가", 0.0, ""), ("나", 0.0, "")]
    card = card_of([0.0, 0.0], ["", ""])
    with pytest.raises(DataError, match="does not fit 1 examples"):
        cluster_failures(card, examples_of(rows)[:1], [Answer("")])
    with pytest.raises(DataError, match="rung prompt was measured on other examples"):
        cluster_failures(card, examples_of(rows), [Answer("")] * 2, [step_of(0, "prompt", [1.0], True)])
