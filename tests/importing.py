# ruff: noqa: E501
"""Files for the tests of import, written as banks, carriers and spreadsheets write them."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import openpyxl
import polars as pl
import pyarrow.parquet as pq

from wuzha.events import TABLES
from wuzha.events.batch import REJECTS
from wuzha.ingest import Summary, import_files

AS_OF = datetime(2026, 1, 1, tzinfo=UTC)

HEADER_34 = [
    "交易卡号",
    "交易账号",
    "账户开户名称",
    "开户人证件号码",
    "交易时间",
    "交易金额",
    "交易余额",
    "收付标志",
    "交易对手账卡号",
    "现金标志",
    "对手户名",
    "对手身份证号",
    "对手开户银行",
    "摘要说明",
    "交易币种",
    "交易网点名称",
    "交易网点代码",
    "交易发生地",
    "交易是否成功",
    "传票号",
    "终端号",
    "IP地址",
    "MAC地址",
    "对手交易余额",
    "交易流水号",
    "日志号",
    "凭证种类",
    "凭证号",
    "交易柜员号",
    "商户名称",
    "商户号",
    "备注",
    "交易类型",
    "查询反馈结果原因",
]
assert len(HEADER_34) == 34

A, B, C = "6222020200001111111", "6228480402564890018", "6217001210012345678"


def statement(*rows: dict[str, Any], header: list[str] = HEADER_34) -> list[list[str]]:
    """A header and rows; each row says only what matters to its test."""
    usual = {
        "交易卡号": A, "账户开户名称": "王芳", "交易时间": "2023-01-15 09:30:11", "交易金额": "100.00", "收付标志": "出",
        "交易对手账卡号": B, "对手户名": "李强", "交易币种": "人民币", "交易是否成功": "成功",
    }  # fmt: skip
    return [header, *[[str((usual | row).get(name, "")) for name in header] for row in rows]]


def csv_file(path: Path, rows: list[list[str]], encoding: str = "gb18030", delimiter: str = ",") -> Path:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\r\n").writerows(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.getvalue().encode(encoding))
    return path


def xlsx_file(path: Path, sheets: dict[str, list[list[Any]]]) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


class Done:
    """An import that has run: its summary, and what it wrote, checked against the contracts that always hold."""

    def __init__(self, summary: Summary, out: Path) -> None:
        self.summary, self.out = summary, out
        s = summary
        assert s.rows == s.accepted + s.rejected + s.duplicates + s.merged
        assert not list(out.glob(".import-*"))
        for path in out.glob("*.parquet"):
            schema = pq.read_schema(path)
            if path.stem == "rejects":
                assert schema.equals(REJECTS)
                continue
            declared = TABLES[path.stem].schema
            assert schema.names == declared.names and schema.types == declared.types
            assert schema.metadata[b"wuzha.table"] == path.stem.encode()
            assert self.table(path.stem).select(pl.struct("source", "event_id").is_duplicated().any()).item() in (
                False,
                None,
            )
        self.rejects = pl.read_parquet(out / "rejects.parquet").to_dicts()
        assert len(self.rejects) == s.rejected + s.beside
        assert (out / "rejects.xlsx").exists() == bool(self.rejects)

    def table(self, name: str) -> pl.DataFrame:
        return pl.read_parquet(self.out / f"{name}.parquet")

    def rows(self, name: str = "transfers") -> list[dict[str, Any]]:
        return self.table(name).to_dicts()

    def row(self, name: str = "transfers") -> dict[str, Any]:
        rows = self.rows(name)
        assert len(rows) == 1, (rows, self.rejects)
        return rows[0]

    @property
    def reasons(self) -> list[tuple[int, str]]:
        return [(r["row"], r["reason"]) for r in self.rejects]


def run(kind: str, *files: Path, out: Path | None = None, **options: Any) -> Done:
    folder = out or files[0].parent / "out"
    options.setdefault("as_of", AS_OF)
    return Done(import_files(kind, list(files), folder, **options), folder)
