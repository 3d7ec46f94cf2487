"""Particles follow the last sound of the word, however it is written."""

import pytest

from sadari.task.generate.particles import with_particle


@pytest.mark.parametrize(
    ("word", "particle", "written"),
    [
        ("사과", "을", "사과를"),
        ("책", "을", "책을"),
        ("주문 번호", "은", "주문 번호는"),
        ("서울", "으로", "서울로"),  # after ㄹ as after a vowel
        ("부산", "으로", "부산으로"),
        ("제주", "으로", "제주로"),
        ("10", "이", "10이"),  # 십
        ("2", "이", "2가"),  # 이
        ("1,000", "을", "1,000을"),  # 천
        ("20%", "을", "20%를"),  # 퍼센트
        ("URL", "을", "URL을"),  # 유알엘
        ("ID", "을", "ID를"),  # 아이디
        ("name", "과", "name과"),  # 네임
        ("환율(USD)", "을", "환율(USD)을"),  # the aside is not read
        ("'회의'", "은", "'회의'는"),
        ("김민수", "이에요", "김민수예요"),
        ("신동욱", "예요", "신동욱이에요"),  # either form may be asked for
        ("minsu@example.com", "이", "minsu@example.com이"),
    ],
)
def test_the_form_fits_the_sound(word: str, particle: str, written: str) -> None:
    assert with_particle(word, particle) == written


def test_a_particle_that_never_changes_is_refused() -> None:
    with pytest.raises(ValueError, match="no particle that changes"):
        with_particle("서울", "에서")
