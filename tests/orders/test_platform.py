"""The national platform by hand: a sheet to import, an export read back, and where the two differ."""

from __future__ import annotations

import io
from typing import Any

import pytest
import xlsxwriter
from python_calamine import CalamineWorkbook
from tests.desks import Centre
from tests.money import FIRST, Chase

from wuzha.command.public import Actor, Refused
from wuzha.orders import paper, platform, reconcile

HEADS = ("业务申请编号", "内部编号", "业务类型", "账号", "止付金额", "状态", "回执编号", "实际止付金额")


def export(*rows: tuple[Any, ...], heads: tuple[str, ...] = HEADS) -> bytes:
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True}) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ["国家平台导出"])
        for r, row in enumerate((heads, *rows), 1):
            sheet.write_row(r, 0, row)
    return out.getvalue()


def sealed(chase: Chase, sun: Actor) -> dict[str, Any]:
    chase.report()
    chase.seal(sun)
    return chase.order("stop", FIRST)


def read(chase: Chase, data: bytes, name: str = "导出.xlsx") -> reconcile.Read:
    with chase.house.scope(chase.officer, now=chase.now) as conn:
        return reconcile.take(conn, chase.officer, name, data, now=chase.now)


def test_the_sheet_holds_the_card_and_no_formula(chase: Chase, sun: Actor) -> None:
    chase.report(name="=HYPERLINK(1)")
    chase.seal(sun)
    with chase.house.scope(sun, now=chase.now) as conn:
        rows = reconcile.to_enter(conn, sun, now=chase.now)
    assert len(rows) == 2
    grid = CalamineWorkbook.from_filelike(io.BytesIO(platform.sheet(rows))).get_sheet_by_index(0).to_python()
    by_head = dict(zip(grid[0], grid[2], strict=True))
    assert by_head["账号"] == FIRST and by_head["止付金额"] == "50000.00" and by_head["户名"] == "陈某"
    assert [f for f, _ in platform.card(rows[0])] == list(platform.platform().fields)


def test_an_export_brings_numbers_receipts_and_results_home(chase: Chase, sun: Actor) -> None:
    order = sealed(chase, sun)["order_id"]
    # Found by our own number first, by the platform's from then on.
    first = read(chase, export(("ZF0001", order, "紧急止付", FIRST, 50000, "待处理", "", "")))
    assert (first.rows, first.entered, first.moved, first.strange) == (1, 1, 0, 0)
    assert chase.order("stop", FIRST)["external_no"] == "ZF0001"
    row = ("ZF0001", "", "紧急止付", FIRST, 50000, "成功", "HZ77", 41234.5)
    assert read(chase, export(row)).moved == 2
    done = chase.order("stop", FIRST)
    assert (done["state"], done["receipt"], done["done_fen"]) == ("done", "HZ77", 4_123_450)
    again = read(chase, export(row))
    assert (again.entered, again.moved) == (0, 0)


def test_what_is_there_and_not_here_and_the_reverse(house: Centre, chase: Chase, sun: Actor) -> None:
    order = sealed(chase, sun)["order_id"]
    chase.enter(order, "ZF0009")
    read(chase, export(
        ("ZF0500", "", "紧急止付", "6225000000000000", 100, "成功", "", ""),
        ("ZF0501", order, "紧急止付", "6225000000000001", 100, "成功", "", ""),  # our number, another's account
        ("", "", "", FIRST, 1, "", "", ""),
    ))  # fmt: skip
    with house.scope(chase.officer, now=chase.now) as conn:
        found = reconcile.differences(conn, chase.officer, now=chase.now)
    assert {r["external_no"] for r in found["there"]} == {"ZF0500", "ZF0501"}
    assert [o["external_no"] for o in found["here"]] == ["ZF0009"]
    assert chase.order("stop", FIRST)["state"] == "entered"


@pytest.mark.parametrize(
    "data", [b"", b"\x00" * 50, export(("x",), heads=("甲", "乙"))], ids=["empty", "noise", "another table"]
)
def test_a_file_that_is_no_export_is_refused_whole(chase: Chase, sun: Actor, data: bytes) -> None:
    sealed(chase, sun)
    with pytest.raises(Refused, match="platform_file"):
        read(chase, data)


def test_a_notice_names_amount_term_and_law(chase: Chase, sun: Actor) -> None:
    import docx

    chase.report()
    with pytest.raises(Refused, match="order_not_now"):
        paper.docx(chase.order("stop", FIRST))
    chase.seal(sun)
    file = docx.Document(io.BytesIO(paper.docx(chase.order("stop", FIRST))))
    text = "\n".join(cell.text for table in file.tables for row in table.rows for cell in row.cells)
    for words in ("限额 50,000.00 元", "48 小时", "银发〔2016〕86号", FIRST, "陈某", "孙正"):
        assert words in text


def test_an_export_that_says_a_freeze_waits_its_turn_lines_it_up(chase: Chase, sun: Actor) -> None:
    chase.report()
    chase.filed()
    order = chase.frozen(sun, FIRST)["order_id"]
    row = ("ZF0002", order, "冻结", FIRST, 40000, "轮候", "HZ78", "", "乙市公安局")
    told = read(chase, export(row, heads=(*HEADS, "失败原因")))
    assert (told.entered, told.moved) == (1, 2)
    waits = chase.order("freeze", FIRST)
    assert (waits["state"], waits["queued_behind"], waits["receipt"]) == ("queued", "乙市公安局", "HZ78")
    assert read(chase, export(row, heads=(*HEADS, "失败原因"))).moved == 0
