# ruff: noqa: E501
"""Golden statements: one flow told in every layout that the importer knows, alone and mixed, gives one and the same card.

The flow: 80,000 in from C at 9:30, 79,900 on to B at 9:41, both on one day.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.importing import A, B, C, csv_file, statement, xlsx_file

from wuzha.cases.workbench_reading import books_of
from wuzha.trace.workbench import card, passings, shipped


def bank_34(folder: Path) -> Path:
    rows = statement(
        {"交易时间": "2023-01-15 09:30:00", "交易金额": "80,000.00", "交易余额": "80100", "收付标志": "进", "交易对手账卡号": C},
        {"交易时间": "2023-01-15 09:41:00", "交易金额": "79,900.00", "交易余额": "200", "收付标志": "出", "交易对手账卡号": B},
    )  # fmt: skip
    return csv_file(folder / "调单.csv", rows)


def online(folder: Path) -> Path:
    rows = [
        [f"账号：{A}  户名：王芳"], ["交易日期", "交易时间", "收入金额", "支出金额", "余额", "对方账号", "对方户名", "摘要"],
        ["2023-01-15", "09:30:00", "80000.00", "", "80100.00", C, "陈静", ""],
        ["2023-01-15", "09:41:00", "", "79900.00", "200.00", B, "李强", "货款"], ["合计", "", "80000", "79900", "", "", "", ""],
    ]  # fmt: skip
    return xlsx_file(folder / "网银.xlsx", {"明细": rows})


def boc(folder: Path) -> Path:
    rows = [
        ["中国银行交易流水明细清单"], [f"借记卡号：{A}  客户姓名：王芳"],
        ["记账日期", "记账时间", "币别", "金额", "余额", "交易名称", "渠道", "网点名称", "附言", "对方账户名", "对方卡号/账号", "对方开户行"],
        ["2023-01-15", "09:30:00", "人民币", "80,000.00", "80,100.00", "转入", "手机银行", "", "", "陈静", C, ""],
        ["2023-01-15", "09:41:00", "人民币", "-79,900.00", "200.00", "转出", "手机银行", "", "", "李强", B, ""],
    ]  # fmt: skip
    return csv_file(folder / "中行.csv", rows, "utf-8-sig")


def alipay(folder: Path) -> Path:
    rows = [
        ["支付宝交易记录明细查询"], [f"账号:[{A}]"],
        ["交易号", "商户订单号", "交易创建时间", "金额（元）", "收/支", "交易对方信息", "对方账号", "消费名称", "交易状态"],
        ["20230115001", "", "2023-01-15 09:30:00", "80000.00", "收入", "陈静", C, "转账", "交易成功"],
        ["20230115002", "", "2023-01-15 09:41:00", "79900.00", "支出", "李强", B, "转账", "交易成功"],
        ["20230115003", "", "2023-01-15 09:50:00", "5.00", "支出", "李强", B, "转账", "交易关闭"],
    ]  # fmt: skip
    return csv_file(folder / "支付宝.csv", rows, "gbk")


def own_table(folder: Path) -> Path:
    rows = [
        ["source", "event_id", "ts", "payer", "payee", "amount_fen"],
        ["x", "1", "2023-01-15T09:30:00+08:00", C, A, "8000000"], ["x", "2", "2023-01-15T09:41:00+08:00", A, B, "7990000"],
    ]  # fmt: skip
    return csv_file(folder / "transfers.csv", rows, "utf-8")


LAYOUTS = [bank_34, online, boc, alipay, own_table]


def facts(folder: Path, *makers: Callable[[Path], Path]) -> tuple[object, ...]:
    (folder / "in").mkdir()
    got = books_of([make(folder / "in") for make in makers], folder / "read")
    c = card(got.books, A, shipped())
    (fast,) = [p for p in passings(got.books, shipped()) if p.account == A]
    return (
        got.rejects.height, c.n_in, c.in_fen, c.n_out, c.out_fen, str(c.first), str(c.last),
        [(o["other"], o["in_fen"], o["out_fen"]) for o in c.others], fast.passed_fen, fast.seconds, fast.to,
    )  # fmt: skip


GOLDEN = (
    0, 1, 8_000_000, 1, 7_990_000, "2023-01-15 09:30:00+08:00", "2023-01-15 09:41:00+08:00",
    [(C, 8_000_000, 0), (B, 0, 7_990_000)], 7_990_000, 660, (B,),
)  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda f: f.__name__)
def test_one_flow_in_every_layout_gives_one_card(tmp_path: Path, layout: Callable[[Path], Path]) -> None:
    assert facts(tmp_path, layout) == GOLDEN


def test_the_payers_and_the_payees_bank_in_two_layouts_are_one_transfer(tmp_path: Path) -> None:
    def payee(folder: Path) -> Path:
        rows = [
            ["交易日期", "交易时间", "收入金额", "支出金额", "余额", "本方账号", "对方账号"],
            ["2023-01-15", "09:43:10", "79900", "", "79905", B, A],
        ]  # fmt: skip
        return xlsx_file(folder / "乙行.xlsx", {"明细": rows})

    assert facts(tmp_path, bank_34, payee) == GOLDEN
    got = books_of([tmp_path / "in"], tmp_path / "again")
    assert got.books.transfers.height == 2
    assert [str(c) for c in got.books.cites.of([1])] == ["in/乙行.xlsx「明细」 第 2 行", "in/调单.csv 第 3 行"]
