"""Where a reject says it is: the file's own column, and rows given beside a line's own."""

from __future__ import annotations

from pathlib import Path

import openpyxl
import polars as pl
from tests.importing import A, B, csv_file, run, statement, xlsx_file

from wuzha.ingest import import_files

ALSO = """
name = "feed"
table = "warnings"
header = ["指令编号", "预警等级"]
[columns]
event_id = ["指令编号"]
ts = ["下发时间"]
level_upstream = ["预警等级"]
victim_line = ["联系电话"]
x_result = ["反馈结果"]
[values.level_upstream]
"一级" = "urgent"
[[also]]
table = "findings"
[also.columns]
subject = "line:{victim_line}"
kind = "{x_result}"
known_at = "{ts}"
ts = "{ts}"
"""


def test_what_a_line_cannot_give_beside_its_own_row_is_a_reject(tmp_path: Path) -> None:
    mapping = tmp_path / "feed.toml"
    mapping.write_text(ALSO, "utf-8")
    header = ["指令编号", "下发时间", "预警等级", "联系电话", "反馈结果"]
    rows = [
        [f"YJ{i}", "2026-03-02 08:00", "一级", "13800138000", told]
        for i, told in enumerate(("warning_answered", "胡说", ""))
    ]
    done = run("warnings", xlsx_file(tmp_path / "w.xlsx", {"三月": [header, *rows]}), mapping=mapping)
    s = done.summary
    assert (s.rows, s.accepted, s.rejected, s.beside) == (3, 3, 0, 1)
    assert [r["kind"] for r in done.rows("findings")] == ["warning_answered"]
    (reject,) = done.rejects
    told = {name: reject[name] for name in ("file", "sheet", "row", "column", "value")}
    assert told == {"file": "w.xlsx", "sheet": "三月", "row": 3, "column": "反馈结果", "value": "胡说"}
    assert "附带" in reject["message"]
    shown = list(openpyxl.load_workbook(done.out / "rejects.xlsx").active.values)
    assert shown[1][:5] == ("w.xlsx", "三月", 3, "反馈结果", "胡说")


def test_a_reject_names_the_column_of_the_file(tmp_path: Path) -> None:
    calls = [["本机号码", "对方号码", "呼叫类型", "开始时间", "通话时长"],
             ["13800138000", "6.22E+18", "主叫", "2026-03-02 08:00:00", "5"],
             ["13800138000", "6.22E+18", "被叫", "2026-03-02 08:01:00", "5"]]  # fmt: skip
    done = run("calls", csv_file(tmp_path / "c.csv", calls))
    assert [(r["row"], r["column"]) for r in done.rejects] == [(2, "对方号码"), (3, "对方号码")]
    path = csv_file(
        tmp_path / "s.csv", statement({"交易对手账卡号": "---"}, {"交易对手账卡号": "' '", "收付标志": "进"})
    )
    names = {r["column"] for r in run("statements", path, out=tmp_path / "s").rejects}
    assert names <= {"交易对手账卡号"}


def test_a_statement_that_does_not_say_whose_it_is_asks_for_the_account(tmp_path: Path) -> None:
    rows = [
        ["记账日期", "记账时间", "金额", "对方账户名", "对方卡号/账号"],
        ["2026-03-02", "08:00:00", "-5", "李强", B],
    ]
    path = csv_file(tmp_path / "boc.csv", rows)
    (reject,) = run("statements", path).rejects
    assert reject["reason"] == "missing" and "--own-account" in reject["message"]
    assert run("statements", path, own_account=A, out=tmp_path / "told").row()["payer"] == A


def test_rejects_of_one_folder_are_kept_by_kind_of_import(tmp_path: Path) -> None:
    """Statements, then calls, into one folder, as the first page of the documentation has it."""
    bank = csv_file(tmp_path / "s.csv", statement({}, {"交易金额": "坏"}, {"交易金额": "也坏"}))
    header = ["主叫号码", "被叫号码", "开始时间", "通话时长"]
    bad, good = (
        csv_file(tmp_path / name, [header, ["13800138000", "13900139000", "2026-03-02 08:00:00", length]])
        for name, length in (("bad.csv", "久"), ("good.csv", "5"))
    )

    def told(kind: str, path: Path) -> list[tuple[object, ...]]:
        import_files(kind, [path], tmp_path / "events", source="test")
        rows = pl.read_parquet(tmp_path / "events" / "rejects.parquet").select("file", "value").rows()
        book = openpyxl.load_workbook(tmp_path / "events" / "rejects.xlsx").active
        assert [(r[0], r[4]) for r in list(book.values)[1:]] == rows
        return rows

    of_bank = [("s.csv", "坏"), ("s.csv", "也坏")]
    assert told("statements", bank) == of_bank
    assert told("calls", good) == of_bank, "a clean import of another table takes nothing away"
    assert told("statements", bank) == of_bank, "the same again is not there twice"
    import_files("transfers", [tmp_path / "events" / "transfers.parquet"], tmp_path / "other", source="test")
    assert not (tmp_path / "other" / "rejects.xlsx").exists()
    assert told("calls", bad) == [*of_bank, ("bad.csv", "久")]
    clean = csv_file(tmp_path / "clean.csv", statement({}))
    assert told("statements", clean) == [("bad.csv", "久")], "what is mended is no reject any more"
