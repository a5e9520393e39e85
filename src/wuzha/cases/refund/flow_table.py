"""资金流向表: every transfer that carried a victim's money to the frozen account, from the trace; Word and Excel.

Kept true here: its rows are the trace's own up to the freeze, in time order, each with the stolen part of it by the
ordering rule that is printed on top; figures are numbers in Excel, and nothing that was typed is a formula.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, cast

import psycopg

from wuzha.events import clock
from wuzha.events.money import yuan
from wuzha.trace import Policy

from .. import flow
from . import words
from .word import Sheet

HEADS = (
    "序号",
    "时间",
    "层级",
    "付款账户",
    "付款户名",
    "收款账户",
    "收款户名",
    "金额（元）",
    "其中被骗资金（元）",
    "定序",
)
_TIES = {"balance": "按余额", "rule": "按规则", "circle": "按规则", "clocks": "按余额校时", "seq": "按流水号"}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One transfer on the way to the frozen account. ``payer`` None where the victim's account is not known."""

    at: datetime
    level: int
    payer: str | None
    payer_name: str
    payee: str
    payee_name: str
    amount_fen: int
    stolen_fen: int
    order_by: str


def rows(conn: psycopg.Connection[Any], r: Mapping[str, Any]) -> list[Row]:
    """The flow of a refund's plan, the earliest first."""
    money = flow.read(conn, r["case_id"])
    mine = {s["loss_id"] for s in r["shares"]}
    money.losses[:] = [x for x in money.losses if x["loss_id"] in mine]
    plan = r["plan"]
    known = flow.traced(money, until=plan["frozen_until"])
    if not known.thefts:
        return []
    aligned = known.tracer.follow(
        list(known.thefts.values()), policy=cast(Policy, plan["rule"]), until=flow.microseconds(plan["frozen_until"]),
        to=f"account:{r['account']}",
    )  # fmt: skip
    result = known.retimed.told(aligned, known.told)  # as the banks wrote the times
    levels = {a["account"]: a["level"] for a in result.accounts}
    debited = {f"account:loss:{x['loss_id']}": x["account"] for x in money.losses}
    names = {s["original"]: v["name"] for v in r["victims"] for s in v["shares"] if s["original"]}
    names = {value: a["holder"] for value, a in money.accounts.items() if a["holder"]} | names
    found = []
    for edge in result.edges:
        if edge["payee"] is None or edge.get("exit"):
            continue
        payer = debited.get(edge["payer"], (edge["payer"] or "").removeprefix("account:"))
        payee = edge["payee"].removeprefix("account:")
        found.append(
            Row(
                at=datetime.fromisoformat(edge["ts"]), level=levels.get(edge["payee"], 0), payer=payer,
                payer_name=names.get(payer) or "", payee=payee, payee_name=names.get(payee) or "",
                amount_fen=edge["amount_fen"], stolen_fen=edge["tainted_fen"],
                order_by=_TIES.get(edge.get("order_by") or "", "按时间戳"),
            )
        )  # fmt: skip
    return sorted(found, key=lambda row: (row.at, row.level))


def _cells(n: int, row: Row) -> tuple[str, ...]:
    return (
        str(n), f"{row.at.astimezone(clock.zone()):%Y-%m-%d %H:%M:%S}", f"第{row.level}层", row.payer or "（待查）",
        row.payer_name, row.payee, row.payee_name, yuan(row.amount_fen), yuan(row.stolen_fen), row.order_by,
    )  # fmt: skip


def _top(r: Mapping[str, Any]) -> list[tuple[str, str]]:
    plan = r["plan"]
    return [
        ("案件编号", r["case_no"]), ("冻结账户", f"{r['account']}　{r['holder'] or ''}　{r['bank'] or ''}"),
        ("冻结金额", f"{yuan(plan['balance_fen'])} 元"), ("先后规则", words.rule(plan["rule"])),
        ("返还方式", words.way(plan["way"])),
    ]  # fmt: skip


def docx(r: Mapping[str, Any], found: Sequence[Row]) -> bytes:
    """The table as a Word file."""
    sheet = Sheet("电信网络新型违法犯罪案件涉案资金流向表")
    sheet.facts(_top(r))
    sheet.table(HEADS, [_cells(n, row) for n, row in enumerate(found, 1)], right=(7, 8))
    for text in words.why_plan(r["plan"]):
        sheet.say(text)
    return sheet.done()


def xlsx(r: Mapping[str, Any], found: Sequence[Row]) -> bytes:
    """The table as a workbook."""
    import xlsxwriter

    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False})
    page = book.add_worksheet("资金流向表")
    bold, money = book.add_format({"bold": True}), book.add_format({"num_format": "#,##0.00"})
    at = 0
    for label, text in _top(r):
        page.write_string(at, 0, label, bold)
        page.write_string(at, 1, text)
        at += 1
    for i, head in enumerate(HEADS):
        page.write_string(at + 1, i, head, bold)
    for n, row in enumerate(found, 1):
        for i, text in enumerate(_cells(n, row)):
            if i in (7, 8):
                page.write_number(at + 1 + n, i, Decimal(row.amount_fen if i == 7 else row.stolen_fen) / 100, money)
            else:
                page.write_string(at + 1 + n, i, text)
    page.write_string(at + 3 + len(found), 0, words.free(), bold)
    page.set_column(1, 1, 20)
    page.set_column(3, 6, 22)
    page.set_column(7, 8, 16)
    book.close()
    return out.getvalue()
