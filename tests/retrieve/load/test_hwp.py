from types import ModuleType

import pytest

from sadari.retrieve.load.hwp import read_hwp
from sadari.retrieve.load.limits import Limits
from sadari.retrieve.load.parsed import UnreadableError


def test_hwp_5_gives_its_paragraphs_and_tables(files: ModuleType) -> None:
    pytest.importorskip("olefile")
    parsed = read_hwp(files.hwp("관리번호 K1"), Limits())
    assert parsed.text == "관리번호 K1\n\n| 구분 | 일수 |\n|---|---|\n| 연차 | 15 |\n\n끝."


def test_hwp_5_that_is_encrypted_or_unpacks_to_too_much_is_named(files: ModuleType) -> None:
    pytest.importorskip("olefile")
    with pytest.raises(UnreadableError, match="password-protected"):
        read_hwp(files.hwp("x", flags=3), Limits())
    with pytest.raises(UnreadableError, match="a copy for distribution"):
        read_hwp(files.hwp("x", flags=5), Limits())
    with pytest.raises(UnreadableError, match="unpacked_bytes"):
        read_hwp(files.hwp("가" * 500), Limits(unpacked_bytes=500))
