"""Short answers, exact apart from grammar and by characters."""

import pytest

from sadari.measure.korean import KiwiText
from sadari.measure.scorers import ShortAnswerF1Scorer, ShortAnswerScorer
from sadari.types import Answer, Example, Message, Reference, Scorer


def value(scorer: Scorer, said: str, *texts: str) -> float:
    return scorer.score(Example("test-7", (Message("user", "질문"),), Reference(texts)), Answer(said)).value


def test_a_short_answer_is_right_with_its_particles_and_partly_right_by_characters(kiwi: KiwiText) -> None:
    assert value(ShortAnswerScorer(kiwi), "충무공입니다.", "이순신", "충무공") == 1
    assert value(ShortAnswerScorer(kiwi), "이순신 장군", "이순신") == 0
    assert value(ShortAnswerF1Scorer(kiwi), "이순신입니다", "이순신") == 1
    assert value(ShortAnswerF1Scorer(kiwi), "이순신 장군", "이순신") == pytest.approx(2 * 3 / (5 + 3))
    assert value(ShortAnswerF1Scorer(kiwi), "", "이순신") == 0
    assert "kiwi" in ShortAnswerScorer(kiwi).name


def test_aliases_of_the_task_count_in_both_directions() -> None:
    scorer = ShortAnswerScorer(aliases={"서울특별시": ("서울", "서울시")})
    asked = Example("1", (Message("user", "수도는?"),), Reference(("서울시",)))
    assert [scorer.score(asked, Answer(text)).value for text in ("서울특별시입니다", "서울", "부산")] == [1.0, 1.0, 0.0]
    assert scorer.name.endswith("; 1 aliases)")
