"""Files with oddities of real life: each gives the right rows, or says what it did not read and why."""

from __future__ import annotations

import io
import json
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest
import xlsxwriter
import xlwt

from wuzha.ingest import ImportFailed, Summary, import_files
from wuzha.ingest.cells import by_word, integers

HEADER = ["交易卡号", "交易时间", "交易金额", "收付标志", "交易对手账卡号"]
ROW = ["6222020200001111111", "2023-01-15 09:30:11", "1.00", "出", "6228480402564890018"]


def take(folder: Path, name: str, content: bytes, kind: str = "statements") -> tuple[Summary, pl.DataFrame]:
    """Import one file; its summary and rejects."""
    (folder / name).write_bytes(content)
    done = import_files(kind, [folder / name], folder / "out", as_of=datetime(2026, 1, 1, tzinfo=UTC))
    assert done.rows == done.accepted + done.rejected + done.duplicates + done.merged
    rejects = pl.read_parquet(folder / "out" / "rejects.parquet")
    assert rejects.height == done.rejected
    return done, rejects


def csv(*rows: list[str]) -> bytes:
    return "\n".join(",".join(row) for row in (HEADER, *rows)).encode() + b"\n"


def row(**changed: str) -> list[str]:
    return [changed.get(key, cell) for key, cell in zip(("own", "ts", "amount", "way", "other"), ROW, strict=True)]


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31 23:59:59", "9999-12-31"])
def test_the_ends_of_the_calendar_refuse_a_row_not_the_file(tmp_path: Path, day: str) -> None:
    done, rejects = take(tmp_path, "a.csv", csv(row(), row(ts=day)))
    assert (done.accepted, done.rejected) == (1, 1)
    assert rejects["row"].to_list() == [3] and rejects["value"].to_list() == [day]


def test_a_point_zero_behind_a_number_goes_where_no_digit_was_lost(tmp_path: Path) -> None:
    done, rejects = take(tmp_path, "a.csv", csv(row(other="622848040256.0"), row(other="6228480402564890018.0")))
    assert (done.accepted, done.rejected) == (1, 1)
    assert pl.read_parquet(tmp_path / "out" / "transfers.parquet")["payee"].to_list() == ["622848040256"]
    assert rejects["reason"].to_list() == ["digits_lost"]


def test_a_nul_byte_in_an_account_is_refused(tmp_path: Path) -> None:
    done, rejects = take(tmp_path, "a.csv", csv(row(), row(other="62\x0028")))
    assert (done.accepted, rejects["reason"].to_list()) == (1, ["nul_byte"])


def test_remarks_below_the_table_are_no_rows(tmp_path: Path) -> None:
    below = "备注：以上数据仅供参考,,,,\n打印人：李四 打印日期：2023-01-01,,,,\n".encode()
    done, _ = take(tmp_path, "a.csv", csv(row()) + below)
    assert (done.rows, done.accepted) == (1, 1)


def test_every_row_of_a_sheet_of_unknown_header_is_counted(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with xlsxwriter.Workbook(buffer, {"in_memory": True}) as book:
        good, unknown = book.add_worksheet("流水"), book.add_worksheet("别的")
        good.write_row(0, 0, HEADER)
        good.write_row(1, 0, ROW)
        unknown.write_row(0, 0, ["甲", "乙", "丙"])
        for n in range(1, 8):
            unknown.write_row(n, 0, ["a", n, "c"])
    done, rejects = take(tmp_path, "a.xlsx", buffer.getvalue())
    assert (done.rows, done.accepted, done.rejected) == (8, 1, 7)
    assert rejects["row"].to_list() == list(range(2, 9)) and set(rejects["sheet"]) == {"别的"}
    assert any("7 行未读" in note for note in done.notes)


def test_columns_that_no_table_takes_are_named(tmp_path: Path) -> None:
    text = "客户名称,证照号码,单位地址,法人代表\n张三,110101199001010015,某路1号,\n"
    done, _ = take(tmp_path, "a.csv", text.encode())
    assert done.as_json()["not_taken"] == [{"file": "a.csv", "sheet": "", "columns": ["单位地址"]}]
    assert any("单位地址" in note for note in done.notes)


def test_unmapped_columns_without_a_name_or_of_one_name_all_stay_in_raw(tmp_path: Path) -> None:
    text = csv(row()).decode().splitlines()
    content = f"{text[0]},甲,甲,,乙\n{text[1]},1,2,3,4\n"
    take(tmp_path, "a.csv", content.encode())
    raw = json.loads(pl.read_parquet(tmp_path / "out" / "transfers.parquet")["raw"][0])
    assert raw == {"甲": "1", "甲(2)": "2", "第8列": "3", "乙": "4"}


def test_a_file_of_another_table_fails_with_its_rows_counted(tmp_path: Path) -> None:
    with pytest.raises(ImportFailed, match="2 行未读"):
        take(tmp_path, "a.csv", csv(row(), row(amount="2")), "calls")
    assert not (tmp_path / "out").exists()


def test_a_web_page_called_a_workbook_is_told(tmp_path: Path) -> None:
    with pytest.raises(ImportFailed, match="HTML"):
        take(tmp_path, "a.xls", b"<html><table><tr><td>1</td></tr></table></html>")


@pytest.mark.parametrize("amount", ["9" * 20, "99999999999999999.00", "9223372036854775808", "-9223372036854775808"])
@pytest.mark.parametrize("header", ["交易金额", "交易金额（分）", "交易金额（万元）"])
def test_an_amount_beyond_any_account_is_a_reject_and_never_null(tmp_path: Path, amount: str, header: str) -> None:
    text = csv(row(amount=amount), row(amount="100")).replace("交易金额".encode(), header.encode())
    done, rejects = take(tmp_path, "a.csv", text)
    assert (done.accepted, rejects["row"].to_list(), rejects["reason"].to_list()) == (1, [2], ["bad_amount"])


@pytest.mark.parametrize("number", ["9" * 20, "9223372036854775808"])
def test_whole_numbers_too_big_for_their_column_are_rejects(tmp_path: Path, number: str) -> None:
    text = (
        f"payer,payee,ts,amount_fen,fee_fen\n{ROW[0]},{ROW[4]},{ROW[1]},100,1\n{ROW[0]},{ROW[4]},{ROW[1]},5,{number}\n"
    )
    done, rejects = take(tmp_path, "a.csv", text.encode(), "transfers")
    assert (done.accepted, rejects["row"].to_list(), rejects["column"].to_list()) == (1, [3], ["fee_fen"])
    assert list(integers(pl.Series([number, "7"])).bad) == [True, False]
    lists = by_word(pl.Series([number, "7"]), lambda t: [int(t)], pl.List(pl.Int64))
    assert lists.bad.to_list() == [True, False] and lists.values.to_list() == [None, [7]]


def sheet(kind: str, rows: list[list[object]]) -> bytes:
    """A workbook as ``kind`` (xls, xlsx) with ``rows`` below the usual header; days and times as such."""
    buffer = io.BytesIO()
    if kind == "xls":
        old = xlwt.Workbook()
        page = old.add_sheet("a")
        for i, cells in enumerate([HEADER, *rows]):
            for j, cell in enumerate(cells):
                style = xlwt.easyxf(num_format_str="yyyy-mm-dd hh:mm:ss" if isinstance(cell, date) else "General")
                page.write(i, j, cell, style)
        old.save(buffer)
        return buffer.getvalue()
    with xlsxwriter.Workbook(buffer, {"in_memory": True, "default_date_format": "yyyy-mm-dd"}) as book:
        new = book.add_worksheet("a")
        for i, cells in enumerate([HEADER, *rows]):
            new.write_row(i, 0, cells)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["xls", "xlsx"])
def test_numeric_cells_are_exact_to_the_last_digit_or_refused(tmp_path: Path, kind: str) -> None:
    exact = [123456789012345, 1000000000000007, 6222020200001111, 6222020200001110, 2**53 - 1, 2**53]
    lost = [2**53 + 2, 6222020200001111111]
    rows = [[ROW[0], f"2023-01-15 09:30:{i:02d}", 1, "出", n] for i, n in enumerate(exact + lost)]
    _, rejects = take(tmp_path, f"a.{kind}", sheet(kind, rows))
    assert pl.read_parquet(tmp_path / "out" / "transfers.parquet")["payee"].to_list() == [str(n) for n in exact]
    assert rejects["row"].to_list() == [8, 9] and set(rejects["reason"]) == {"digits_lost"}


@pytest.mark.parametrize("kind", ["xls", "xlsx"])
def test_a_column_that_a_spreadsheet_cut_to_fifteen_digits_is_refused(tmp_path: Path, kind: str) -> None:
    cut = [6222020200001110, 6228480402564890, 4392250000001230]
    rows = [[ROW[0], f"2023-01-15 09:30:{i:02d}", 1, "出", n] for i, n in enumerate([*cut, 123456789012345])]
    done, rejects = take(tmp_path, f"a.{kind}", sheet(kind, rows))
    assert (done.accepted, rejects["row"].to_list()) == (1, [2, 3, 4])
    assert set(rejects["reason"]) == {"digits_lost"}


@pytest.mark.parametrize("kind", ["xls", "xlsx"])
def test_a_day_without_a_time_says_so_beside_others_that_have_one(tmp_path: Path, kind: str) -> None:
    days = [date(2023, 1, 15), datetime(2023, 1, 16, 9, 30, 5), date(2023, 1, 17)]
    take(tmp_path, f"a.{kind}", sheet(kind, [[ROW[0], day, 1, "出", ROW[4]] for day in days]))
    rows = pl.read_parquet(tmp_path / "out" / "transfers.parquet").sort("ts")
    assert rows["ts_precision_s"].to_list() == [86400, 1, 86400]
    assert [t.astimezone(ZoneInfo("Asia/Shanghai")).day for t in rows["ts"]] == [15, 16, 17]


@pytest.mark.parametrize("below", [
    "合 计,,3.00,,", "合　　计：,,3.00,,", "总 计,,,,", "共 3 笔,,,,", "共3笔记录,,,,", ',,"共 1,024 条记录",,',
    "第 1 页 共 3 页,,,,", "------------------------,,,,", "------,------,------,------,------", "＝＝＝＝＝＝,,,,",
    "已收入:1笔,100.00元,,,", "已支出：12笔，3.00元,,,,",
    "导出时间:[2023-02-01 10:00:00]    用户:张三,,,,", "T o t a l,,3.00,,",
])  # fmt: skip
def test_sums_and_footers_are_no_rows(tmp_path: Path, below: str) -> None:
    done, _ = take(tmp_path, "a.csv", csv(row()) + f"{below}\n".encode())
    assert (done.rows, done.accepted) == (1, 1)
    if below.startswith("导出"):
        return
    contacts = "证照号码,客户名称\n110101199001010015,张三\n"
    done, _ = take(tmp_path, "b.csv", contacts.encode() + (below.split(",")[0] or "共3笔").encode() + b",\n")
    assert (done.rows, done.accepted) == (1, 1)


@pytest.mark.parametrize("own", ["-----", "共 3 笔"])
def test_what_begins_like_a_footer_but_holds_a_row_is_one(tmp_path: Path, own: str) -> None:
    done, _ = take(tmp_path, "a.csv", csv(row(), row(own=own, ts="2023-01-15 09:30:12")))
    assert done.rows == 2
    done, rejects = take(tmp_path, "b.csv", csv(row(), row(own="-----", ts="someday")))
    assert done.rows == 2 and rejects["row"].to_list() == [3]
