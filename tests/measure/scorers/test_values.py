"""What makes two JSON values equal."""

import json
from typing import Any

import pytest

from sadari.measure.scorers.values import DEEPEST, TooDeepError, leaves, value_key
from sadari.schema import path_text


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        (1, 1.0, True),
        (1, True, False),
        (0, False, False),
        ("1", 1, False),
        (None, "None", False),
        (float("nan"), float("nan"), True),
        (10**400, 10**400, True),
        (10**400, float("inf"), False),
        ("한글", "한글", True),
        ("서울  역", " 서울 역", True),
        ("서울역", "서울 역", False),
        ([1, 2], [2, 1], False),
        ({"a": 1, "b": [2]}, {"b": [2.0], "a": 1}, True),
        ({"a": 1}, {"a": 1, "b": None}, False),
        ([], {}, False),
    ],
)
def test_values_are_equal_by_kind_and_content(one: Any, other: Any, equal: bool) -> None:
    assert (value_key(one) == value_key(other)) is equal


def test_settings_loosen_texts_and_tighten_numbers() -> None:
    assert value_key("K-pop Mix", "loose") == value_key("k-POP  mix", "loose")
    assert value_key("K-pop Mix", "loose") != value_key("kpop mix", "loose")
    assert value_key("K-pop 'Mix'", "lenient") == value_key('kpop "mix".', "lenient")
    assert value_key("kpop!", "lenient") != value_key("kpop", "lenient")
    assert value_key([3], numbers="typed") != value_key([3.0], numbers="typed")


def test_leaves_have_paths_and_deep_values_are_refused() -> None:
    paths = [path_text(path) for path, _ in leaves({"items": [{"id": 1, "tags": []}], "ok": True})]
    assert sorted(paths) == ["items[0].id", "items[0].tags", "ok"]
    assert path_text(()) == "value"
    fits, deeper = (json.loads("[" * n + "]" * n) for n in (DEEPEST, DEEPEST + 2))
    assert len(list(leaves(fits))) == 1
    assert value_key(fits)
    for refused in (lambda: list(leaves(deeper)), lambda: value_key(deeper)):
        with pytest.raises(TooDeepError, match="deeper than 100 levels"):
            refused()
