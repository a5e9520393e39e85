"""A trace as a file: JSON, Parquet, a workbook, or a page that needs nothing else.

Kept true here: amounts in workbooks and pages are exact yuan; a text that a spreadsheet would take for a formula stays
a text; a file is written whole or not at all.
"""

from __future__ import annotations

import html
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from wuzha.events.money import yuan

from .follow import Result

FORMATS = (".json", ".parquet", ".xlsx", ".html")
_HEADINGS = {
    "account": "账户", "level": "层级", "first_at": "首次到账", "received_fen": "收到（元）", "sent_fen": "转出（元）",
    "held_fen": "现存（元）", "held_low_fen": "最少（元）", "held_high_fen": "最多（元）", "reach_fen": "波及（元）",
    "event_id": "交易编号", "source": "来源", "payer": "付款账户", "payee": "收款账户", "ts": "时间",
    "amount_fen": "金额（元）", "tainted_fen": "其中被骗（元）", "exit": "出口", "order_by": "同秒次序依据",
    "kind": "出口",    "into": "为收款账户", "at": "时间", "found_fen": "找到（元）",
}  # fmt: skip
_EXITS = {
    "cash": "取现", "merchant": "商户消费", "third_party": "第三方支付", "crypto": "虚拟货币", "fee": "手续费",
    "hub": "大户（停止追踪）", "unknown": "去向不明",
}  # fmt: skip
_TOTALS = {"stolen_fen": "被骗", "held_fen": "现存", "exited_fen": "已离开", "unknown_fen": "去向不明"}
_SHEET_ROWS = 1_048_575
_SHEETS = (("账户", "accounts"), ("流向", "edges"), ("出口", "exits"), ("被骗", "thefts"))


def beside(path: Path) -> list[Path]:
    """All files that writing to ``path`` makes: a Parquet file holds the accounts, transfers and exits stand beside."""
    if path.suffix != ".parquet":
        return [path]
    return [path, path.with_suffix(".edges.parquet"), path.with_suffix(".exits.parquet")]


def write(result: Result, path: Path) -> None:
    """Write the trace in the file's own format, one of `FORMATS`. ValueError where it cannot fit."""
    writers: dict[str, Callable[[Result, Path], None]] = {
        ".json": _json, ".parquet": _accounts, ".xlsx": _workbook, ".html": _page,
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    _whole(lambda to: writers[path.suffix](result, to), path)
    if path.suffix == ".parquet":
        _, edges, exits = beside(path)
        _whole(lambda to: pq.write_table(_table(result.edges, _EDGES), to), edges)
        _whole(lambda to: pq.write_table(_table(result.exits, _EXIT), to), exits)


def _whole(writes: Callable[[Path], None], path: Path) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        writes(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _json(result: Result, path: Path) -> None:
    path.write_text(json.dumps(result.as_json(), ensure_ascii=False, indent=1) + "\n")


_FEN = pa.int64()
_ACCOUNT = {
    "account": pa.string(), "level": pa.int64(), "first_at": pa.string(), "received_fen": _FEN, "sent_fen": _FEN,
    "held_fen": _FEN, "held_low_fen": _FEN, "held_high_fen": _FEN, "reach_fen": _FEN,
}  # fmt: skip
_EDGES = {
    "event_id": pa.string(), "source": pa.string(), "payer": pa.string(), "payee": pa.string(), "ts": pa.string(),
    "amount_fen": _FEN, "tainted_fen": _FEN, "exit": pa.string(), "order_by": pa.string(), "reach_fen": _FEN,
}  # fmt: skip
_EXIT = {"kind": pa.string(), "account": pa.string(), "amount_fen": _FEN, "reach_fen": _FEN}


def _table(rows: list[dict[str, Any]], columns: dict[str, pa.DataType]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=pa.schema(list(columns.items())))


def _accounts(result: Result, path: Path) -> None:
    pq.write_table(_table(result.accounts, _ACCOUNT), path)


def _shown(name: str, value: Any) -> Any:
    """A cell's value for people."""
    if value is None:
        return ""
    if name.endswith("_fen"):
        return yuan(value)
    if name in ("exit", "kind"):
        return _EXITS[value]
    if isinstance(value, bool):
        return "是" if value else "否"
    if name in ("account", "payer", "payee"):
        return str(value).removeprefix("account:")
    return value


def _columns(rows: list[dict[str, Any]]) -> list[str]:
    names: dict[str, None] = {}
    for row in rows:
        names |= dict.fromkeys(row)
    return list(names)


def _workbook(result: Result, path: Path) -> None:
    import xlsxwriter

    if (most := max(len(getattr(result, part)) for _, part in _SHEETS)) > _SHEET_ROWS:
        raise ValueError(f"{most:,} rows do not fit into a sheet of {_SHEET_ROWS:,}; write .parquet or .json")
    options = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    with xlsxwriter.Workbook(str(path), options) as book:
        money, head = book.add_format({"num_format": "#,##0.00"}), book.add_format({"bold": True})
        sheet = book.add_worksheet("合计")
        sheet.set_column(0, 0, 14)
        sheet.set_column(1, 1, 22)
        for i, (name, words) in enumerate(_TOTALS.items()):
            sheet.write(i, 0, f"{words}（元）", head)
            sheet.write_string(i, 1, yuan(result.totals[name]))
        sheet.write_row(len(_TOTALS), 0, ["追踪规则", result.policy])
        for i, note in enumerate(result.notes):
            sheet.write_string(len(_TOTALS) + 2 + i, 0, note)
        for title, part in _SHEETS:
            rows: list[dict[str, Any]] = getattr(result, part)
            sheet = book.add_worksheet(title)
            sheet.freeze_panes(1, 0)
            for c, name in enumerate(_columns(rows)):
                sheet.write_string(0, c, _HEADINGS[name], head)
                sheet.set_column(c, c, 24)
                for r, row in enumerate(rows, 1):
                    value = row.get(name)
                    if name.endswith("_fen") and value is not None and abs(value) < 10**15:
                        sheet.write_number(r, c, value / 100, money)  # fifteen digits are exact in a cell
                    elif isinstance(value, int) and not isinstance(value, bool) and not name.endswith("_fen"):
                        sheet.write_number(r, c, value)
                    else:
                        sheet.write_string(r, c, str(_shown(name, value)))


_STYLE = (
    "body{font:15px/1.6 system-ui,'Noto Sans SC',sans-serif;margin:2rem;color:#1c2733}h1{font-size:1.4rem}"
    "table{border-collapse:collapse;margin:.5rem 0 2rem}th,td{padding:.25rem .75rem;border-bottom:1px solid #d5dce3;"
    "text-align:left;white-space:nowrap}td.n{text-align:right;font-variant-numeric:tabular-nums}.t{display:flex;gap:2rem;"
    "flex-wrap:wrap}.t b{display:block;font-size:1.3rem;font-variant-numeric:tabular-nums}.w{overflow-x:auto}"
)


def _page(result: Result, path: Path) -> None:
    def cell(name: str, value: Any) -> str:
        number = name.endswith("_fen") or name == "level"
        return f"<td{' class=n' if number else ''}>{html.escape(str(_shown(name, value)))}</td>"

    parts = [
        f"<!doctype html><html lang=zh-CN><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>资金追踪</title><style>{_STYLE}</style>"
        f"<h1>资金追踪（规则：{html.escape(result.policy)}）</h1><div class=t>"
    ]
    parts += [f"<div>{words}（元）<b>{yuan(result.totals[name])}</b></div>" for name, words in _TOTALS.items()]
    parts.append("</div>")
    parts += [f"<p>{html.escape(note)}</p>" for note in result.notes]
    for title, part in _SHEETS:
        rows: list[dict[str, Any]] = getattr(result, part)
        names = _columns(rows)
        parts.append(f"<h2>{title}（{len(rows)}）</h2><div class=w><table><tr>")
        parts += [f"<th>{_HEADINGS[name]}" for name in names]
        parts += ["<tr>" + "".join(cell(name, row.get(name)) for name in names) for row in rows]
        parts.append("</table></div>")
    path.write_text("".join(parts) + "</html>\n")
