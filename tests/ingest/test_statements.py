# ruff: noqa: E501
"""Statements of every layout, with the odd values that they really hold."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
import xlwt
from tests.importing import A, B, C, csv_file, run, statement, xlsx_file


def test_the_34_columns_become_a_transfer_and_nothing_is_lost(tmp_path: Path) -> None:
    row = {
        "交易卡号": f"\t{A}", "交易账号": "1001", "账户开户名称": "王芳", "开户人证件号码": "'350203199001011234", "交易金额": "1,234.50",
        "交易余额": "8,765.50", "交易对手账卡号": f"`{B}`", "现金标志": "其它", "对手户名": "李强",
        "对手身份证号": "330102198502021235", "对手开户银行": "中国农业银行", "摘要说明": "货款", "交易网点名称": "厦门支行",
        "交易网点代码": "0592", "交易发生地": "福建厦门", "传票号": "77", "终端号": "T1", "IP地址": "10.1.2.3",
        "MAC地址": "00-11-22-33-44-55", "对手交易余额": "1.00", "交易流水号": "\t20230115000001", "日志号": "5",
        "交易柜员号": "9", "商户名称": "小店", "商户号": "M1", "备注": '说"好"了', "交易类型": "手机银行转账",
    }  # fmt: skip
    got = run("statements", csv_file(tmp_path / "a.csv", statement(row))).row()
    assert got.pop("ts") == datetime(2023, 1, 15, 1, 30, 11, tzinfo=UTC)
    assert json.loads(got.pop("raw")) == {
        "交易账号": "1001", "交易网点代码": "0592", "传票号": "77", "日志号": "5", "备注": '说"好"了', "交易类型": "手机银行转账"
    }  # fmt: skip
    assert len(got.pop("event_id")) == 16
    assert got == {
        "source": "import", "payer": A, "payee": B, "payer_name": "王芳", "payer_id": "350203199001011234",
        "payer_bank": None, "payee_name": "李强", "payee_id": "330102198502021235", "payee_bank": "中国农业银行",
        "amount_fen": 123450, "currency": "CNY", "channel": "mobile", "ok": True, "reverses": None, "fee_fen": None,
        "payer_balance_fen": 876550, "payee_balance_fen": 100, "side": "payer", "seq": 1, "ts_precision_s": 1,
        "cash": False, "place": "福建厦门", "outlet": "厦门支行", "terminal": "T1", "merchant": "小店", "merchant_id": "M1",
        "teller": "9", "ip": "10.1.2.3", "mac": "00-11-22-33-44-55", "device": None, "memo": "货款",
        "bank_ref": "20230115000001",
    }  # fmt: skip


@pytest.mark.parametrize("encoding", ["gbk", "gb18030", "utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
def test_every_encoding_and_delimiter_reads_the_same(tmp_path: Path, encoding: str, delimiter: str) -> None:
    rows = statement({"对手户名": "欧阳某，某"}, {"收付标志": "进", "交易金额": "5"})
    got = run("statements", csv_file(tmp_path / "a.csv", rows, encoding, delimiter)).rows()
    assert sorted((r["payee_name"], r["amount_fen"]) for r in got) == [("欧阳某，某", 10000), ("王芳", 500)]


def test_characters_of_four_bytes_and_long_files_read_as_short_ones_do(tmp_path: Path) -> None:
    rows = statement(*[{"交易流水号": str(i), "对手户名": "𠮷野家" if i % 100 == 0 else "李强"} for i in range(2000)])
    done = run("statements", csv_file(tmp_path / "a.csv", rows))
    assert done.table("transfers").get_column("payee_name").value_counts().sort("payee_name").rows() == [
        ("李强", 1980), ("𠮷野家", 20)
    ]  # fmt: skip


DIRECTIONS = {
    "进": 1,
    "入": 1,
    "收": 1,
    "贷": 1,
    "C": 1,
    "出": 0,
    "付": 0,
    "借": 0,
    "D": 0,
    "支 出": 0,
    " 收入": 1,
    "ｄ": 0,
    "-": 0,
}


def test_directions_say_who_pays(tmp_path: Path) -> None:
    rows = statement(*[{"收付标志": word, "交易流水号": str(i)} for i, word in enumerate(DIRECTIONS)])
    done = run("statements", csv_file(tmp_path / "a.csv", rows))
    assert not done.rejects
    by_ref = {r["bank_ref"]: r for r in done.rows()}
    for i, into in enumerate(DIRECTIONS.values()):
        assert (by_ref[str(i)]["payer"], by_ref[str(i)]["payee"]) == ((B, A) if into else (A, B))
        assert by_ref[str(i)]["side"] == ("payee" if into else "payer")


def test_an_unknown_direction_is_a_reject_that_says_how_to_map_and_blanks_are_apart(tmp_path: Path) -> None:
    path = csv_file(tmp_path / "a.csv", statement({"收付标志": "O"}, {}, {"收付标志": ""}))
    done = run("statements", path)
    assert done.reasons == [(2, "unknown_direction"), (4, "blank_direction")]
    assert "[values.direction]" in done.rejects[0]["message"] and done.rejects[0]["value"] == "O"
    mapping = tmp_path / "m.toml"
    mapping.write_text('extends = "bank_statement_34"\n[values.direction]\nO = "out"\n"" = "in"\n', "utf-8")
    mapped = run("statements", path, mapping=mapping, out=tmp_path / "o2")
    assert not mapped.rejects
    assert sorted(r["side"] for r in mapped.rows()) == ["payee", "payer", "payer"]


class _Answers:
    """A guide that answers from a table, and remembers what it was asked."""

    def __init__(self, words: dict[str, str | None]) -> None:
        self.words, self.asked = words, []

    def direction(self, mapping: object, word: str, samples: list[str]) -> str | None:
        self.asked.append(word)
        assert samples
        return self.words.get(word)

    def header(self, grid: object, row: int, proposal: str) -> str | None:
        raise AssertionError("no header was unknown")


def test_an_unknown_direction_is_asked_once_and_kept_for_next_time(tmp_path: Path) -> None:
    first = csv_file(tmp_path / "a.csv", statement({"收付标志": "O"}, {"收付标志": "X"}))
    second = csv_file(tmp_path / "b.csv", statement({"收付标志": "O", "交易流水号": "7"}))
    guide = _Answers({"O": "out", "X": None})
    done = run("statements", first, second, guide=guide, mapping_dir=tmp_path / "m")
    assert guide.asked == ["O", "X"]
    assert [r for _, r in done.reasons] == ["unknown_direction"] and done.summary.accepted == 2
    again = run("statements", first, mapping_dir=tmp_path / "m", out=tmp_path / "o2")
    assert again.summary.accepted == 1


ODD_TIMES = {
    "20230115093011": 1, "2023-01-15 09:30:11": 1, "2023/1/15 9:30:11": 1, "2023年01月15日 09时30分11秒": 1, "2023.01.15 09:30:11": 1,
    "2023-01-15T09:30:11": 1, "2023-01-15 09:30:11.000": 1, "2023-01-15T09:30:11+08:00": 1, "20230115 093011": 1,
    "２０２３-01-15 09:30:11": 1, "2023-01-15 09.30.11": 1, "44941.39596064815": 1, "2023-01-15 上午9:30:11": 1,
    "2023-01-15 09:30": 60, "202301150930": 60, "2023-01-15": 86400, "20230115": 86400, "44941": 86400, "2023/1/15": 86400,
}  # fmt: skip


@pytest.mark.parametrize(("text", "precision"), ODD_TIMES.items())
def test_times_as_they_are_written(tmp_path: Path, text: str, precision: int) -> None:
    got = run("statements", csv_file(tmp_path / "a.csv", statement({"交易时间": text}))).row()
    want = {1: (1, 30, 11), 60: (1, 30, 0)}.get(precision)
    day = datetime(2023, 1, 15, *want, tzinfo=UTC) if want else datetime(2023, 1, 14, 16, tzinfo=UTC)
    assert (got["ts"], got["ts_precision_s"]) == (day, precision)


@pytest.mark.parametrize(
    "text", ["2023-02-30 10:00:00", "昨天", "99999999999999", "2023-13-01", "1", "1e5", "2023-01-15 25:00:00"]
)
def test_what_is_no_time_is_a_reject(tmp_path: Path, text: str) -> None:
    done = run("statements", csv_file(tmp_path / "a.csv", statement({"交易时间": text}, {})))
    assert (
        done.reasons == [(2, "bad_time")]
        and done.rejects[0]["column"] == "交易时间"
        and done.rejects[0]["value"] == text
    )


AMOUNTS = {"1,234.50": 123450, "￥1234.5": 123450, "3.84万元": 3840000, "１２３": 12300, "100": 10000, "0.01": 1, "1000000000": 10**11,
           " 5 ": 500, "'7.00": 700, "12.340": 1234, "+8": 800, "1,2 ": 1200}  # fmt: skip


@pytest.mark.parametrize(("text", "fen"), AMOUNTS.items())
def test_amounts_as_they_are_written(tmp_path: Path, text: str, fen: int) -> None:
    assert run("statements", csv_file(tmp_path / "a.csv", statement({"交易金额": text}))).row()["amount_fen"] == fen


@pytest.mark.parametrize("text", ["abc", "1.234", "1e9", "9" * 20, "--5", "=cmd()", "💰"])
def test_what_is_no_amount_is_a_reject(tmp_path: Path, text: str) -> None:
    done = run("statements", csv_file(tmp_path / "a.csv", statement({}, {"交易金额": text})))
    assert done.reasons == [(3, "bad_amount")] and done.rejects[0]["value"] == text


def test_a_header_may_name_the_unit(tmp_path: Path) -> None:
    header = ["交易卡号", "交易时间", "交易金额（万元）", "收付标志", "交易对手账卡号"]
    rows = statement(
        {"交易金额（万元）": "3.84"}, {"交易金额（万元）": "3.84万"}, {"交易金额（万元）": "1"}, header=header
    )
    got = (
        run("statements", csv_file(tmp_path / "a.csv", rows))
        .table("transfers")
        .get_column("amount_fen")
        .sort()
        .to_list()
    )
    assert got == [1_000_000, 3_840_000, 3_840_000]


def test_cards_that_lost_their_digits_are_rejects(tmp_path: Path) -> None:
    done = run(
        "statements",
        csv_file(tmp_path / "a.csv", statement({"交易卡号": "6.22E+18"}, {"交易对手账卡号": "6.22848E+18"}, {})),
    )
    assert done.reasons == [(2, "digits_lost"), (3, "digits_lost")]
    assert [r["column"] for r in done.rejects] == ["交易卡号", "交易对手账卡号"]
    header, row = statement({})
    number = [float(A) if name == "交易卡号" else cell for name, cell in zip(header, row, strict=True)]
    exact = [123456789012345 if name == "交易卡号" else cell for name, cell in zip(header, row, strict=True)]
    book = run("statements", xlsx_file(tmp_path / "a.xlsx", {"流水": [header, number, exact]}), out=tmp_path / "o2")
    assert book.reasons == [(2, "digits_lost")]
    assert book.row()["payer"] == "123456789012345"


def test_title_blank_total_and_repeated_header_rows_are_no_rows(tmp_path: Path) -> None:
    header, row = statement({})
    blank = [""] * 34
    total = ["合计", "", "", "", "", "100.00"] + [""] * 28
    page = ["", "", "本页小计：", "", "", "100.00"] + [""] * 28
    rows = [["某某银行客户交易明细"], ["查询日期：", "2023-02-01"], [], header, row, blank, page, header, total]
    done = run("statements", csv_file(tmp_path / "a.csv", rows))
    assert (done.summary.rows, done.summary.accepted) == (1, 1)
    book = run("statements", xlsx_file(tmp_path / "a.xlsx", {"s": rows}), out=tmp_path / "o2")
    assert (book.summary.rows, book.summary.accepted) == (1, 1)


def test_a_row_of_an_account_called_total_is_still_a_row(tmp_path: Path) -> None:
    header = ["对手户名", "交易卡号", "交易时间", "交易金额", "收付标志", "交易对手账卡号"]
    assert (
        run(
            "statements", csv_file(tmp_path / "a.csv", statement({"对手户名": "合计科技"}, header=header))
        ).summary.accepted
        == 1
    )


def test_failed_transfers_cash_and_unknown_states(tmp_path: Path) -> None:
    rows = statement(
        {"交易是否成功": "失败"}, {"现金标志": "现金", "交易对手账卡号": "", "对手户名": ""}, {"交易是否成功": "谁知道"}
    )
    done = run("statements", csv_file(tmp_path / "a.csv", rows))
    assert done.reasons == [(4, "unknown_value")]
    by_ok = {r["ok"]: r for r in done.rows()}
    assert by_ok[False]["payee"] == B
    assert by_ok[True]["cash"] is True and by_ok[True]["payee"] is None


def test_a_reversal_names_the_row_it_undoes_and_flows_back(tmp_path: Path) -> None:
    rows = statement(
        {"交易时间": "2023-01-15 09:00:00", "交易流水号": "1"},
        {"交易时间": "2023-01-15 09:01:00", "交易流水号": "2"},
        {"交易时间": "2023-01-15 09:02:00", "交易流水号": "3", "交易金额": "-100.00"},
        {"交易时间": "2023-01-15 09:03:00", "交易流水号": "4", "收付标志": "进", "摘要说明": "冲正"},
        {"交易时间": "2023-01-15 09:04:00", "交易流水号": "5", "收付标志": "进", "摘要说明": "冲正"},
    )
    done = run("statements", csv_file(tmp_path / "a.csv", rows))
    by_ref = {r["bank_ref"]: r for r in done.rows()}
    assert by_ref["3"]["reverses"] == by_ref["2"]["event_id"]
    assert by_ref["4"]["reverses"] == by_ref["1"]["event_id"]
    assert by_ref["5"]["reverses"] is None
    assert all(r["amount_fen"] == 10000 for r in by_ref.values())
    for ref in ("3", "4", "5"):
        assert (by_ref[ref]["payer"], by_ref[ref]["payee"], by_ref[ref]["side"]) == (B, A, "payee")


def test_payments_all_written_with_a_minus_are_no_reversals(tmp_path: Path) -> None:
    rows = statement({"交易金额": "-1"}, {"交易金额": "-2"}, {"交易金额": "3", "收付标志": "进"})
    got = run("statements", csv_file(tmp_path / "a.csv", rows)).rows()
    assert sorted((r["amount_fen"], r["side"], r["reverses"]) for r in got) == [
        (100, "payer", None), (200, "payer", None), (300, "payee", None)
    ]  # fmt: skip


# ---- other layouts


def test_online_bank_with_debit_and_credit_columns(tmp_path: Path) -> None:
    rows = [
        ["账号：6217001210012345678", "户名：张三"],
        ["交易日期", "交易时间", "借方发生额", "贷方发生额", "余额", "对方户名", "对方账号", "摘要", "手续费"],
        ["2023-01-15", "09:30:11", "100.00", "", "900.00", "李四", B, "转账", "2.00"],
        ["20230115", "93012", "0.00", "50.00", "950.00", "王五", A, "工资", ""],
        ["2023-01-16", "", "1", "1", "", "", "", "", ""],
    ]
    done = run("statements", csv_file(tmp_path / "a.csv", rows))
    assert done.reasons == [(5, "two_amounts")]
    out, into = done.rows()
    assert (out["payer"], out["payer_name"], out["payee"], out["amount_fen"], out["fee_fen"]) == (
        C,
        "张三",
        B,
        10000,
        200,
    )
    assert (into["payee"], into["payer"], into["amount_fen"], into["payee_balance_fen"]) == (C, A, 5000, 95000)
    assert into["ts"] == datetime(2023, 1, 15, 1, 30, 12, tzinfo=UTC)


@pytest.mark.parametrize("names", [
    ("本方账号", "交易日期", "发生额", "借贷方向", "对方户名", "对方账号", "摘要", "流水号"),
    ("本方账户", "记账日期", "交易额", "借贷标志", "对方名称", "对方帐号", "用途", "交易流水号"),
    ("账号", "入账日期", "交易金额", "收/支", "对方单位名称", "对方账户", "附言", "回单号"),
])  # fmt: skip
def test_online_bank_synonyms(tmp_path: Path, names: tuple[str, ...]) -> None:
    rows = [list(names), [C, "2023-01-15", "12.00", "借" if "借" in names[3] else "支出", "李四", B, "水费", "77"]]
    got = run("statements", csv_file(tmp_path / "a.csv", rows)).row()
    assert (got["payer"], got["payee"], got["payee_name"], got["memo"], got["bank_ref"]) == (C, B, "李四", "水费", "77")
    assert (got["amount_fen"], got["ts_precision_s"]) == (1200, 86400)


def test_bank_of_china_two_time_columns_and_a_signed_amount(tmp_path: Path) -> None:
    rows = [
        ["中国银行交易流水明细清单"], ["客户姓名：张三", "借记卡号：6217001210012345678"],
        ["记账日期", "记账时间", "币别", "金额", "余额", "交易名称", "渠道", "网点名称", "附言", "对方账户名", "对方卡号/账号", "对方开户行"],
        ["2023-01-15", "09:30:11", "人民币", "-1,000.00", "9,000.00", "转账支出", "手机银行", "某支行", "房租", "李四", B, "农行"],
        ["2023-01-16", "10:00:00", "人民币", "20.50", "9,020.50", "网上快捷提现", "银企对接", "---", "", "财付通", "243300133", "---"],
    ]  # fmt: skip
    out, into = run("statements", csv_file(tmp_path / "a.csv", rows, "utf-8")).rows()
    assert (out["payer"], out["payer_name"], out["payee"], out["amount_fen"], out["payer_balance_fen"]) == (
        C,
        "张三",
        B,
        100000,
        900000,
    )
    assert (out["channel"], out["ts"]) == ("mobile", datetime(2023, 1, 15, 1, 30, 11, tzinfo=UTC))
    assert (into["payee"], into["payer"], into["amount_fen"], into["reverses"]) == (C, "243300133", 2050, None)


def test_alipay_title_account_states_and_no_direction(tmp_path: Path) -> None:
    rows = [
        ["支付宝交易记录明细查询"], ["账号:[zhangsan@example.com]"], ["起始日期:[2023-01-01]"], ["---------交易记录明细列表---------"],
        ["交易号", "商户订单号", "交易创建时间", "金额（元）", "收/支", "交易对方信息", "消费名称", "交易状态"],
        ["2023011522001\t", "T100 ", "2023-01-15 09:30:11 ", "88.00", "支出", "某某商城", "耳机", "交易成功"],
        ["2023011522002\t", "", "2023-01-15 10:30:11 ", "8.00", "收入", "李四", "红包", "交易成功"],
        ["2023011522003\t", "", "2023-01-15 11:30:11 ", "9.00", "支出", "李四", "x", "交易关闭"],
        ["2023011522004\t", "", "2023-01-15 12:30:11 ", "9.00", "不计收支", "余额宝", "转入", "交易成功"],
        ["--------------------------------"], ["共4笔记录"],
    ]  # fmt: skip
    done = run("statements", csv_file(tmp_path / "a.csv", rows))
    assert [r for r in done.reasons if r[0] == 9] == [(9, "unknown_direction")]
    out, into, closed = done.rows()
    assert (out["payer"], out["payee_name"], out["memo"], out["bank_ref"], out["ok"]) == (
        "zhangsan@example.com", "某某商城", "耳机", "2023011522001", True
    )  # fmt: skip
    assert out["channel"] == "third_party" and json.loads(out["raw"]) == {"商户订单号": "T100"}
    assert (into["payee"], closed["ok"]) == ("zhangsan@example.com", False)


def test_a_workbook_of_a_case_with_its_companion_sheets(tmp_path: Path) -> None:
    header, row = statement({})
    card = header.index("交易时间")
    row = [datetime(2023, 1, 15, 9, 30, 11) if i == card else cell for i, cell in enumerate(row)]
    path = xlsx_file(tmp_path / "案卷.xlsx", {
        "交易明细": [header, row],
        "人员信息": [["客户名称", "证照号码", "工作单位", "单位地址", "法人代表"], ["王芳", "350203199001011234", "某校", "", ""]],
        "账户信息": [["账户开户名称", "交易卡号", "账号开户时间", "开户网点", "账号开户银行", "账户类型", "账户状态", "证件号码"],
                  ["王芳", A, "2015-03-01", "厦门支行", "建行", "个人账户", "正常", "350203199001011234"]],
        "子账户信息": [["交易卡号", "子账户账号", "子账户类别", "余额"], [A, A + "01", "活期", "5.00"]],
        "说明": [["本表由系统导出"]],
    })  # fmt: skip
    done = run("statements", path)
    assert done.row()["ts"] == datetime(2023, 1, 15, 1, 30, 11, tzinfo=UTC)
    person = done.row("persons")
    assert (person["name"], person["id"], person["occupation"]) == ("王芳", "350203199001011234", "某校")
    assert "350203199001011234" not in person["person"]
    accounts = {r["account"]: r for r in done.rows("accounts")}
    assert (accounts[A]["kind"], accounts[A]["status"], accounts[A]["bank"]) == ("personal", "active", "建行")
    relations = {r["subject"]: r for r in done.rows("relations")}
    assert (
        relations[f"account:{A}"]["other"] == f"person:{person['person']}"
        and relations[f"account:{A}"]["role"] == "holder"
    )
    assert relations[f"account:{A}01"]["other"] == f"person:account:{A}"
    assert done.summary.tables == {"transfers": 1, "persons": 1, "accounts": 2, "relations": 2}


def test_old_workbooks_read_too(tmp_path: Path) -> None:
    book = xlwt.Workbook()
    for name, day in (("一月", "15"), ("二月", "16")):
        sheet = book.add_sheet(name)
        for i, row in enumerate(statement({"交易时间": f"2023-01-{day} 09:30:11"})):
            for j, cell in enumerate(row):
                sheet.write(i, j, cell)
    book.save(str(tmp_path / "a.xls"))
    done = run("statements", tmp_path / "a.xls")
    assert (done.summary.accepted, done.summary.files) == (2, 1)


def test_memo_of_a_formula_is_only_text(tmp_path: Path) -> None:
    import openpyxl

    rows = statement({"摘要说明": "=cmd|'/c calc'!A1"}, {"交易金额": "=1+1", "对手户名": "@SUM(A1)"})
    done = run("statements", csv_file(tmp_path / "a.csv", rows))
    assert done.row()["memo"] == "=cmd|'/c calc'!A1"
    sheet = openpyxl.load_workbook(done.out / "rejects.xlsx").active
    cells = [cell for row in sheet.iter_rows() for cell in row if cell.value == "=1+1"]
    assert [cell.data_type for cell in cells] == ["s"]


def test_types_of_the_table_hold_also_where_nothing_was_accepted(tmp_path: Path) -> None:
    done = run("statements", csv_file(tmp_path / "a.csv", statement()))
    assert done.summary.rows == 0 and done.table("transfers").height == 0
    assert isinstance(done.table("transfers"), pl.DataFrame)
