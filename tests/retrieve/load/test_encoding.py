import pytest

from sadari.retrieve.load.encoding import decode
from sadari.retrieve.load.parsed import UnreadableError, clean, compose, iso_date

SENTENCE = "배송은 이틀 걸립니다. 똠방각하 펲시콜라."  # syllables beyond KS X 1001 are in CP949 alone


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp949"])
def test_korean_is_read_in_its_encodings(encoding: str) -> None:
    assert decode(SENTENCE.encode(encoding)) == SENTENCE


def test_euc_kr_is_read_as_its_superset() -> None:
    assert decode("배송은 이틀 걸립니다. 漢字".encode("euc-kr")) == "배송은 이틀 걸립니다. 漢字"


def test_western_text_that_happens_to_decode_as_korean_is_not_taken_for_it() -> None:
    data = "ÀÁ ÂÃ caf\u00e9".encode("cp1252")
    with pytest.raises(UnreadableError, match=r"not UTF-8 at byte 0 \(0xc0\).*cp1252") as caught:
        decode(data)
    assert caught.value.where == " line 1"


def test_a_declared_encoding_is_used_where_no_rule_holds() -> None:
    assert decode("Füße".encode("cp1252"), "windows-1252") == "Füße"


def test_what_is_no_encoding_of_text_is_not_asked_for() -> None:
    with pytest.raises(UnreadableError):
        decode(b"\xff\xff", "zlib")


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(UnreadableError, match="NUL"):
        decode(b"a\0b")


def test_cleaning_composes_and_keeps_the_time_linear() -> None:
    assert clean("\u1100\u1161\r\n\x07b  \n\n\n\nc\x0cd") == "가\nb\n\nc\nd"
    assert compose("a" + "\u0316\u0301" * 200_000 + "b").endswith("b")  # ordering these marks would take minutes


def test_dates_are_read_as_files_write_them() -> None:
    assert [
        iso_date(text) for text in ("D:20260501093000+09'00'", "2026-05-01T00:00Z", "2026.05.01", "1 May", "2026-13-01", None)
    ] == [
        "2026-05-01",
        "2026-05-01",
        "2026-05-01",
        "",
        "",
        "",
    ]
