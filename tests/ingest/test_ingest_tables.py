"""Tables and dates as hospitals export them."""

import errno
from datetime import date, datetime

import polars as pl
import pytest
import xlsxwriter
from hospital_maker import csv_bytes
from hypothesis import given
from hypothesis import strategies as st

from p2med.errors import DataError, RecipeError
from p2med.ingest import emr
from p2med.ingest.dates import read_age, read_date
from p2med.ingest.emr import read_table
from p2med.ingest.propose import as_yaml, propose

HEADINGS = ["门诊号", "主诉"]
COLUMNS = {"门诊号": "visit_number", "主诉": "chief_complaint"}


def table(tmp_path, content: bytes, name="t.csv", columns=COLUMNS):
    path = tmp_path / name
    path.write_bytes(content)
    return read_table(path, columns)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16", "utf-16-le", "utf-16-be"])
def test_a_csv_is_read_in_every_usual_encoding(tmp_path, encoding):
    rows = [["1", "咳嗽4天\n发热，“高”"], ["2", 'a "quoted", word']]
    found = table(tmp_path, csv_bytes(HEADINGS, rows, encoding))
    assert [list(r.values.values()) for r in found] == rows
    assert [r.number for r in found] == [2, 3] and not any(r.fault for r in found)


@given(rows=st.lists(st.lists(st.text('咳嗽,"\n;\t a1', min_size=0), min_size=2, max_size=2), max_size=6))
def test_what_a_csv_writer_writes_is_read_back(tmp_path_factory, rows):
    found = table(tmp_path_factory.mktemp("t"), csv_bytes(HEADINGS, rows))
    assert [list(r.values.values()) for r in found] == [[c.strip() for c in r] for r in rows]


def test_excel_and_json_lines_are_read(tmp_path):
    path = tmp_path / "t.xlsx"
    day = datetime(2022, 10, 29, 8, 30)
    frame = pl.DataFrame({"门诊号": ["1", None, "3"], "日期": [day] * 3, "电话": [13900000001] * 3})
    frame.write_excel(path)
    columns = {"门诊号": "visit_number", "日期": "authored_on", "电话": "phone"}
    rows = read_table(path, columns)
    assert [r.values["visit_number"] for r in rows] == ["1", "", "3"]
    assert read_date(rows[0].values["authored_on"]) == date(2022, 10, 29)
    assert rows[2].values["phone"] == "13900000001"
    lines = '{"门诊号":1,"主诉":"咳"}\n{"门诊号":2}\n[1]\n{"门诊号":3,"主'.encode()
    found = table(tmp_path, lines, "t.jsonl")
    assert [r.fault for r in found] == [None, None, "bad_json", "truncated_row"]
    assert found[1].values == {"visit_number": "2", "chief_complaint": ""}


def test_parquet_is_read_with_its_types(tmp_path):
    day = datetime(2022, 10, 29, 8, 30)
    columns = {"门诊号": "visit_number", "日期": "authored_on", "电话": "phone", "体温": "address"}
    frame = pl.DataFrame(
        {
            "门诊号": ["1", None],
            "日期": [day, None],
            "电话": [13900000001, None],
            "体温": [38.5, 39.0],
            "x": [1, 2],
        }
    )
    frame.write_parquet(tmp_path / "t.parquet")
    rows = read_table(tmp_path / "t.parquet", columns)
    assert [list(r.values.values()) for r in rows] == [
        ["1", "2022-10-29 08:30:00", "13900000001", "38.5"],
        ["", "", "", "39"],
    ]
    with pytest.raises(RecipeError, match="has no column 主诉"):
        read_table(tmp_path / "t.parquet", COLUMNS)


def test_a_sheet_is_chosen_by_its_name(tmp_path):
    with xlsxwriter.Workbook(tmp_path / "t.xlsx") as book:
        for name, complaint in (("门诊", "咳嗽"), ("住院", "发热")):
            sheet = book.add_worksheet(name)
            sheet.write_row(0, 0, HEADINGS)
            sheet.write_row(1, 0, ["1", complaint])
    path = tmp_path / "t.xlsx"
    assert [read_table(path, COLUMNS, s)[0].values["chief_complaint"] for s in ("", "门诊", "住院")] == [
        "咳嗽",
        "咳嗽",
        "发热",
    ]
    with pytest.raises(RecipeError, match="no sheet 急诊; its sheets are: 门诊, 住院"):
        read_table(path, COLUMNS, "急诊")
    proposals = propose(str(path))
    assert [(p.label, p.sheet) for p in proposals] == [("t.xlsx", ""), ("t.xlsx", "住院")]
    assert as_yaml(proposals).count("sheet: 住院") == 1


def test_text_under_the_name_of_a_workbook_is_read(tmp_path):
    rows = table(tmp_path, "门诊号\t主诉\r\n1\t咳嗽\r\n".encode("gbk"), "t.xls")
    assert [r.values for r in rows] == [{"visit_number": "1", "chief_complaint": "咳嗽"}]
    with pytest.raises(DataError, match="a web page"):
        table(tmp_path, b"<html><table><tr><td>1</td></tr></table>", "t.xls")


def test_a_workbook_that_unpacks_to_gigabytes_is_refused(tmp_path, monkeypatch):
    pl.DataFrame({"门诊号": ["1"] * 2000, "主诉": ["咳嗽" * 99] * 2000}).write_excel(tmp_path / "t.xlsx")
    assert len(read_table(tmp_path / "t.xlsx", COLUMNS)) == 2000
    monkeypatch.setattr(emr, "MAX_UNPACKED", 10_000)
    with pytest.raises(DataError, match="unpacks to more than"):
        read_table(tmp_path / "t.xlsx", COLUMNS)


def test_headings_below_a_title_are_found(tmp_path):
    text = '阳光儿童医院,\n"门诊登记表","2022年"\n门诊号,主诉\n1,咳嗽\n'
    rows = table(tmp_path, text.encode("gb18030"))
    assert [(r.number, r.values) for r in rows] == [(4, {"visit_number": "1", "chief_complaint": "咳嗽"})]


def test_a_few_lost_characters_cost_their_rows_alone(tmp_path):
    rows = [[str(n), "咳嗽四天发热一天伴气促" * 3] for n in range(150)]
    for encoding in ("utf-8", "gb18030"):
        content = csv_bytes(HEADINGS, rows, encoding)
        middle = content.index("气促".encode(encoding), len(content) // 2)
        found = table(tmp_path, content[:middle] + b"\xff\xff" + content[middle + 2 :])
        faults = [r.fault for r in found if r.fault]
        assert len(found) == 150 and faults == ["characters_lost"], encoding


def test_a_column_that_is_there_twice_is_refused(tmp_path):
    with pytest.raises(RecipeError, match="two columns 主诉"):
        table(tmp_path, "门诊号,主诉,主诉\n1,a,b\n".encode())


def test_json_of_any_depth_is_a_bad_row(tmp_path):
    lines = '{"门诊号":1,"主诉":"咳"}\n' + "[" * 100_000 + '\n{"门诊号":2,"主诉":{"文":[1]}}\n'
    rows = table(tmp_path, lines.encode(), "t.jsonl")
    assert [r.fault for r in rows] == [None, "bad_json", None]
    assert rows[2].values["chief_complaint"] == '{"文": [1]}'


def test_a_truncated_csv_loses_one_row_by_name(tmp_path):
    whole = csv_bytes(HEADINGS, [["1", "咳嗽"], ["2", "发热,\n两天"], ["3", "腹泻"]], "gb18030")
    for cut in range(1, len(whole) - len(csv_bytes(HEADINGS, [], "gb18030"))):
        rows = table(tmp_path, whole[:-cut])
        assert all(r.fault is None for r in rows[:-1])
        # Whatever is passed on has every field; only the very last cell may be short.
        numbers = [r.values["visit_number"] for r in rows if not r.fault]
        assert numbers == ["1", "2", "3"][: len(numbers)] and len(numbers) >= len(rows) - 1
    assert [r.fault for r in table(tmp_path, whole[:-12])][-1] == "truncated_row"


def test_an_open_quote_is_a_truncated_row(tmp_path):
    rows = table(tmp_path, '门诊号,主诉\n1,咳嗽\n2,"发热\n3,腹泻\n'.encode())
    assert [r.fault for r in rows] == [None, "truncated_row"]


def test_a_row_with_too_many_or_few_fields_is_named(tmp_path):
    rows = table(tmp_path, "门诊号,主诉\n1,a,b\n2\n\n3,c\n".encode())
    assert [(r.number, r.fault) for r in rows] == [
        (2, "wrong_field_count"),
        (3, "wrong_field_count"),
        (4, None),
    ]


def test_a_missing_column_is_one_line_with_the_columns_that_exist(tmp_path):
    with pytest.raises(RecipeError) as error:
        table(tmp_path, csv_bytes(["门诊号", "现病史"], [["1", "x"]]))
    words = str(error.value)
    assert "主诉" in words and "门诊号, 现病史" in words and "t.csv" in words and "\n" not in words


@pytest.mark.parametrize(
    "name, content",
    [
        ("t.csv", b""),
        ("t.csv", b"\x81\x30\x81\x00\xff\xff\xff" * 9),
        ("t.xlsx", b"PK\x03\x04 torn"),
        ("t.doc", b""),
    ],
)
def test_an_unreadable_table_is_one_line(tmp_path, name, content):
    with pytest.raises(DataError, match="table_unreadable") as error:
        table(tmp_path, content, name)
    assert "\n" not in str(error.value) and name in str(error.value)
    with pytest.raises(RecipeError, match="there is no table"):
        read_table(tmp_path / "none.csv", COLUMNS)


@pytest.mark.parametrize(
    "text",
    ["2022-10-29", "2022/10/29 08:30", "20221029", "20221029083000", "2022年10月29日", "2022.10.29", "44863"]
    + ["2022-10-29T08:30:00", "2022-10-29 00:00:00", "44863.5", " 2022年10月29日 8时 "],
)
def test_dates_in_the_usual_spellings(text):
    assert read_date(text) == date(2022, 10, 29)


@given(day=st.dates(date(1900, 1, 1), date(2099, 12, 31)))
def test_every_day_is_read_back(day):
    for text in (f"{day:%Y%m%d}", day.isoformat(), f"{day.year}年{day.month}月{day.day}日"):
        assert read_date(text) == day


@pytest.mark.parametrize("text", ["2022-13-40", "昨天", "20221399", "29/10/2022"])
def test_what_is_no_date_is_refused_without_telling_it(text):
    with pytest.raises(DataError, match="bad_date") as error:
        read_date(text)
    assert text not in str(error.value)
    assert read_date("  ") is None


def test_ages_in_days():
    ages = [read_age(t) for t in ("064Y", "006M", "003W", "010D", "51", "", "old")]
    assert ages == [23376, 183, 21, 10, 18628, None, None]


def test_a_disk_that_does_not_read_is_no_bad_workbook(tmp_path, monkeypatch):
    path = tmp_path / "t.xlsx"
    with xlsxwriter.Workbook(path) as book:
        book.add_worksheet().write_row(0, 0, HEADINGS)

    def broken(self):
        raise OSError(errno.EIO, "Input/output error", str(self))

    monkeypatch.setattr(type(path), "read_bytes", broken)
    with pytest.raises(OSError, match="Input/output"):
        read_table(path, COLUMNS)
