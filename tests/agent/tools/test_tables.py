"""Spreadsheets and CSV files, asked by SQL."""

from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from sadari.agent.tools.place import Place
from sadari.agent.tools.sql import TableOptions, open_table
from sadari.agent.tools.sql.tables import Sheet, typed
from sadari.errors import ConfigError, DataError, ToolFailedError
from sadari.types import Caller, Outcome

KOREAN = Caller(language="ko")
SALES = """날짜,지점,매출,비율,전화,우편번호
2024.3.1,강남,"1,200원",12.5%,010-1234-5678,06236
2024. 3. 2.,강남,"₩2,500",10%,02-123-4567,06236
2024년 3월 3일,부산,-,3%,051-123-4567,04524
"""


def ask(path: Path, sql: str, **options: Any) -> Outcome:
    return open_table(TableOptions.model_validate({"path": path.name, **options}), Place(path.parent))[0].call({"sql": sql}, KOREAN)


@pytest.fixture(params=["utf-8", "cp949", "utf-8-sig", "utf-16"])
def sales(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "sales.csv"
    path.write_bytes(SALES.replace("₩", "" if request.param == "cp949" else "₩").encode(request.param))
    return path


def test_a_csv_of_any_korean_encoding_is_asked_with_numbers_and_dates(sales: Path) -> None:
    outcome = ask(sales, "SELECT 지점, SUM(매출) AS 합계, MAX(날짜) FROM sales GROUP BY 지점 ORDER BY 지점")
    assert outcome.data["rows"] == [["강남", 3700, "2024-03-02"], ["부산", None, "2024-03-03"]]


def test_units_are_told_and_leading_zeros_kept(sales: Path) -> None:
    tool = open_table(TableOptions.model_validate(sales.name), Place(sales.parent))[0]
    assert tool.spec.name == "query_sales"
    assert "매출 INTEGER '원'" in tool.spec.description
    assert "비율 REAL '%'" in tool.spec.description
    assert tool.call({"sql": "SELECT 우편번호 FROM sales LIMIT 1"}, KOREAN).data["rows"] == [["06236"]]


@pytest.mark.parametrize(
    ("cells", "wanted", "kind"),
    [
        (["1,200", "35", None], (1200, 35, None), "INTEGER"),
        (["(1,200)", "-5", "3"], (-1200, -5, 3), "INTEGER"),
        (["1.5", "2"], (1.5, 2), "REAL"),
        (["10만 원", "1.5만원", "3억"], (100000, 15000, 300000000), "INTEGER"),
        (["1,20", "3"], ("1,20", "3"), "TEXT"),
        (["0102", "3"], ("0102", "3"), "TEXT"),
        (["3원", "3$"], ("3원", "3$"), "TEXT"),
        (["3", "미정"], ("3", "미정"), "TEXT"),
        (["-", "N/A"], ("-", "N/A"), "TEXT"),
        (["(3", "4"], ("(3", "4"), "TEXT"),
        (["2024-2-30"], ("2024-2-30",), "TEXT"),
        (["2024/02/03 7:05"], ("2024-02-03 07:05",), "TEXT"),
        ([7, "8"], (7, 8), "INTEGER"),
        ([7, "x"], ("7", "x"), "TEXT"),
    ],
)
def test_a_column_is_a_number_or_a_date_only_if_all_of_it_is(cells: list[Any], wanted: tuple[Any, ...], kind: str) -> None:
    sheet = typed(Sheet("s", ("a",), tuple((cell,) for cell in cells)))
    assert tuple(row[0] for row in sheet.rows) == wanted
    assert sheet.types == (kind,)


@pytest.fixture
def book(tmp_path: Path) -> Path:
    import openpyxl

    book = openpyxl.Workbook()
    first = book.active
    first.title = "2024 매출"
    for row in [
        ["월별 매출표"],
        [],
        ["날짜", "지점", "금액", "금액"],
        [date(2024, 3, 1), "강남", 1200, 1.5],
        [datetime(2024, 3, 2, 9, 30), "부산", 800, 2],
    ]:
        first.append(row)
    other = book.create_sheet("비밀")
    other.append(["사번", "급여"])
    other.append(["A1", 5000])
    book.create_sheet("빈 시트")
    book.save(tmp_path / "장부.xlsx")
    return tmp_path / "장부.xlsx"


def test_every_sheet_of_a_workbook_is_a_table_below_its_header(book: Path) -> None:
    tool = open_table(TableOptions.model_validate(book.name), Place(book.parent))[0]
    assert tool.spec.name == "query"
    assert "\"2024 매출\"(날짜 TEXT 'YYYY-MM-DD', 지점 TEXT, 금액 INTEGER, 금액_2 REAL)" in tool.spec.description
    rows = tool.call({"sql": 'SELECT * FROM "2024 매출" ORDER BY 날짜'}, KOREAN).data["rows"]
    assert rows == [["2024-03-01", "강남", 1200, 1.5], ["2024-03-02 09:30:00", "부산", 800, 2.0]]


def test_sheets_and_columns_can_be_kept_back(book: Path) -> None:
    with pytest.raises(ToolFailedError, match="비밀"):
        ask(book, "SELECT * FROM 비밀", sheets=["2024 매출"])
    assert ask(book, "SELECT * FROM 비밀", hidden=["급여"]).data["rows"] == [["A1"]]


def test_a_file_without_a_table_or_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("only one line\n")
    (tmp_path / "b.xlsx").write_bytes(b"no workbook")
    with pytest.raises(DataError, match=r"a\.csv: holds no table"):
        ask(tmp_path / "a.csv", "SELECT 1")
    with pytest.raises(DataError, match=r"b\.xlsx: is damaged"):
        ask(tmp_path / "b.xlsx", "SELECT 1")
    with pytest.raises(ConfigError, match="there is no file"):
        ask(tmp_path / "c.csv", "SELECT 1")


def test_nothing_is_written_to_the_file_or_kept_between_calls(sales: Path) -> None:
    before = sales.read_bytes()
    tool = open_table(TableOptions.model_validate(sales.name), Place(sales.parent))[0]
    sales.unlink()
    for _ in range(2):
        assert tool.call({"sql": "SELECT COUNT(*) FROM sales"}, KOREAN).data["rows"] == [[3]]
    sales.write_bytes(before)
