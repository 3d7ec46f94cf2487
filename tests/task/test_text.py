import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sadari.task import fold


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Where's my card?", "wheres my card"),
        ("배송은 언제 와요?", "배송은언제와요"),
        ("1,000원", "1000 원"),
        (unicodedata.normalize("NFD", "환불"), "환불"),
        ("안녕~~!", "안녕"),
    ],
)
def test_case_space_and_punctuation_do_not_count(one: str, other: str) -> None:
    assert fold(one) == fold(other)


@pytest.mark.parametrize(
    ("one", "other"), [("1.5 kg", "15 kg"), ("C++", "C#"), ("5%", "5"), ("$5", "€5"), ("??", "!!"), ("좋아 😀", "좋아 😡")]
)
def test_what_changes_the_meaning_counts(one: str, other: str) -> None:
    assert fold(one) != fold(other)


@given(st.text())
def test_folding_never_empties_a_text(text: str) -> None:
    assert bool(fold(text)) == bool(text.strip())
