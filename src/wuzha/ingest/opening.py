"""A file opened by what it is: workbook, Parquet, Arrow, JSON lines, or text.

Kept true here: a file that cannot be read is told as one refused row of its own; a broken line is a refused row.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import msgspec
import polars as pl
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

from wuzha.events import TABLES, Table

from .body import BodyError, json_rows, localised
from .encodings import to_utf8
from .gathering import Run, own_rows
from .grids import HEAD, Cells, Grid, Unreadable, cell_text, text_grid, typed_grid, workbook_grids
from .sheets import read_grid
from .sources import Item


def read(run: Run, item: Item) -> None:
    before = run.read
    try:
        if item.data[:4] == b"PAR1":
            _typed(run, item, _parquet(item))
        elif item.data[:6] == b"ARROW1":
            _typed(run, item, pa.ipc.open_file(pa.BufferReader(item.data)).read_all())
        elif (
            item.suffix in (".jsonl", ".ndjson", ".json") or item.data[:200].lstrip(b"\xef\xbb\xbf \r\n\t")[:1] == b"{"
        ):
            _json_lines(run, item)
        elif (
            item.suffix in (".xls", ".xlsx", ".xlsm", ".xlsb", ".ods")
            and item.data[:200].lstrip()[:1] != b"<"
            and _is_workbook(item)
        ) or _is_workbook(item):
            grids = workbook_grids(item)
            if all(grid.blank and len(grid.head) < HEAD for grid in grids):
                raise Unreadable("empty_file", "工作簿里没有内容")
            for grid in grids:
                read_grid(run, grid)
        else:
            if item.suffix in (".xlsx", ".xlsm", ".xlsb", ".ods"):
                raise (
                    Unreadable("corrupt_file", "工作簿已损坏") if item.data else Unreadable("empty_file", "文件是空的")
                )
            if item.data[:2000].lstrip(b"\xef\xbb\xbf \r\n\t")[:1] == b"<":
                raise Unreadable("unknown_format", "是网页（HTML 或 XML），不是工作簿：请在表格软件中打开，另存为 xlsx")
            if item.suffix in (".pdf", ".doc", ".docx", ".png", ".jpg", ".jpeg", ".gif", ".exe", ".rar", ".7z"):
                raise Unreadable("unknown_format", "不是可导入的文件格式")
            read_grid(run, text_grid(item))
    except Unreadable as error:
        run.problem(item.name, "", error.code, str(error))
    except (pa.ArrowException, OSError, BodyError) as error:
        run.problem(item.name, "", "corrupt_file", f"文件已损坏：{error}")
    if run.read == before and not run.rejects and not run.left_out:
        run.notes.append(f"{item.name}：没有可导入的行")


def _is_workbook(item: Item) -> bool:
    return item.data[:4] == b"PK\x03\x04" or item.data[:8] == b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


def _parquet(item: Item) -> pa.Table:
    table = pq.ParquetFile(pa.BufferReader(item.data)).read()
    table.validate(full=True)
    return table


def _fits(run: Run, names: Iterable[str]) -> Table | None:
    """The table whose own column names these are, with all that every row needs."""
    given = set(names)
    for name in run.tables:
        table = TABLES[name]
        needed = {c.name for c in table.all_columns if c.required} - {"source", "event_id"}
        if needed <= given <= {c.name for c in table.all_columns}:
            return table
    return None


def _typed(run: Run, item: Item, rows: pa.Table) -> None:
    table = _fits(run, rows.column_names)
    if table is None:
        try:
            frame = pl.from_arrow(rows)
        except (pl.exceptions.PolarsError, TypeError, ValueError) as error:
            raise Unreadable("unknown_format", f"列类型不能导入：{error}") from error
        assert isinstance(frame, pl.DataFrame)
        read_grid(run, typed_grid(item, frame))
        return
    rows = localised(rows)
    try:
        own_rows(run, item.name, table, rows, pa.array(range(1, rows.num_rows + 1), pa.int64()))
    except ValueError as error:
        raise Unreadable("wrong_type", str(error)) from error


def _json_lines(run: Run, item: Item) -> None:
    decoded = to_utf8(item.data)
    body = decoded.text
    if not body.strip():
        raise Unreadable("empty_file", "文件是空的")
    keys: dict[str, None] = {}
    lines = body.split(b"\n")

    objects: list[dict[str, Any] | None] = []
    for line in lines[:50]:
        try:
            value = msgspec.json.decode(line)
            objects.append(value if isinstance(value, dict) else None)
            if isinstance(value, dict):
                keys.update(dict.fromkeys(value))
        except (ValueError, RecursionError):
            objects.append(None)
    if not keys:
        raise Unreadable("unknown_format", "不是 JSON 行（一行一个对象）")
    table = next((t for t in (TABLES[n] for n in run.tables) if _own_keys(t, keys)), None)
    if table is not None:
        rows, numbers, refused = json_rows(table, body)
        told = [
            {"row": r.row + 1, "column": r.column, "value": r.value, "reason": r.reason, "message": r.message}
            for r in refused
        ]
        told += [
            {
                "row": n,
                "column": "",
                "value": shown,
                "reason": "encoding",
                "message": f"此行不是 {decoded.encoding} 编码",
            }
            for n, shown in decoded.broken
        ]
        run.rows += len(told)
        if told:
            run.refuse(item.name, "", pl.DataFrame(told))
        own_rows(run, item.name, table, rows, pa.array([n + 1 for n in numbers], pa.int64()))
        return
    _foreign_json(run, item, lines)


def _own_keys(table: Table, keys: Iterable[str]) -> bool:
    known = {c.name for c in table.all_columns}
    needed = {c.name for c in table.all_columns if c.required} - {"source", "event_id", "ts"}
    given = set(keys)
    return needed <= given and len(given & known) * 2 > len(given)


def _foreign_json(run: Run, item: Item, lines: list[bytes]) -> None:
    """JSON lines with names of their own, as a grid for a mapping."""

    objects: list[tuple[int, dict[str, Any]]] = []
    bad: list[dict[str, Any]] = []
    names: dict[str, None] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            value = msgspec.json.decode(line)
            if not isinstance(value, dict):
                raise ValueError("no object")
        except (ValueError, RecursionError) as error:
            shown = line[:200].decode("utf-8", "backslashreplace")
            bad.append(
                {
                    "row": number,
                    "column": "",
                    "value": shown,
                    "reason": "broken_json",
                    "message": f"不是一个 JSON 对象：{error}",
                }
            )
            continue
        names.update(dict.fromkeys(value))
        objects.append((number, value))
    columns = list(names)

    def text(value: Any) -> str | None:
        shown = json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else cell_text(value)
        return shown or None

    frame = pl.DataFrame(
        {str(i): pl.Series([text(o.get(name)) for _, o in objects], dtype=pl.String) for i, name in enumerate(columns)}
    )
    row = pl.Series([n for n, _ in objects], dtype=pl.Int64)
    head = [columns, *[[c or "" for c in r] for r in frame.head(5).rows()]]
    grid = Grid(
        file=item.name, sheet="", changed=item.changed, head=head, below=lambda _i, _w: Cells(frame=frame, row=row)
    )
    run.rows += len(bad)
    if bad:
        run.refuse(item.name, "", pl.DataFrame(bad))
    read_grid(run, grid)
