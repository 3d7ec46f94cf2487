"""Pieces of sentences that may be values, and the choice among them."""

from sadari.prompt.spans import EXPECTED, Piece, days_of, learn_weights, likeliest_first, named_in, numbers_of, runs_of_words

NOTICE = "제9조(반환의 통지) 임치인은 2영업일 전에 보관인에게 알려야 한다."


def texts(pieces: list[Piece]) -> list[str]:
    assert all(piece.sentence[piece.start : piece.end] == piece.value for piece in pieces)
    return [piece.value for piece in pieces]


def test_runs_are_whole_words_with_and_without_their_particles() -> None:
    found = texts(runs_of_words("보관인은 현장 정문에서 인도한다."))
    assert {"보관인", "현장", "정문", "현장 정문", "현장 정문에서"} <= set(found)
    assert not {"관인", "장 정문", "정"} & set(found)


def test_english_runs_end_with_words() -> None:
    found = texts(runs_of_words("The fee is due in two weeks."))
    assert {"fee", "two weeks", "in two weeks"} <= set(found)
    assert "wee" not in found


def test_numbers_and_dates_are_read_in_any_spelling() -> None:
    assert [piece.value for piece in numbers_of("보증금은 십만 원, 이율은 2.5%이다.", is_whole=False)] == [100_000, 2.5]
    assert [piece.value for piece in numbers_of("보증금은 십만 원, 이율은 2.5%이다.", is_whole=True)] == [100_000]
    assert [piece.value for piece in days_of("계약은 2026년 3월 1일에 끝난다.")] == ["2026-03-01"]


def test_of_named_values_the_longer_one_comes_first() -> None:
    assert [piece.value for piece in named_in("긴급 점검을 한다.", ["점검", "긴급 점검", "교체", None])] == ["긴급 점검", "점검"]


def test_without_rows_a_number_is_taken_whole_where_one_is_asked_for() -> None:
    best = likeliest_first(runs_of_words(NOTICE), "물건을 찾으려면 며칠 전에 알려야 합니까?")[0]
    assert "2영업일" in best.value
    assert likeliest_first([], "?") == []


def test_weights_are_learnt_from_rows_and_stay_near_what_is_expected_without_any() -> None:
    sentences = [f"{day}요일에는 {place}에서 만난다." for day, place in (("월", "본관"), ("화", "별관"), ("수", "강당"))]
    rows = [
        (found, "어디서 만나요?", [p.value == s.split()[1][:2] for p in found]) for s in sentences for found in [runs_of_words(s)]
    ]
    assert all(any(right) for *_, right in rows)
    weights = learn_weights(rows)
    assert likeliest_first(runs_of_words("목요일에는 식당에서 만난다."), "어디서 만나요?", weights)[0].value == "식당"
    assert learn_weights([]) == EXPECTED
