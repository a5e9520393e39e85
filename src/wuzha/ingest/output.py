"""What an import writes: a Parquet file a table, and its rejects as Parquet and as a workbook.

Kept true here: a file under its final name is whole; when anything fails, nothing new stands in the folder. The rejects
of one import replace those of the same kind that stood there and leave the others. A rejected value is only ever text:
no program that opens the workbook computes it.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from wuzha.events import TABLES
from wuzha.events.batch import REJECTS
from wuzha.events.table import BOOL, DATE, FLOAT, INT, INTS, TEXT, TEXTS, TIME

#: Polars types of the tables' columns.
POLARS: dict[pa.DataType, Any] = {
    TEXT: pl.String, INT: pl.Int64, FLOAT: pl.Float64, BOOL: pl.Boolean, TIME: pl.Datetime("us", "UTC"), DATE: pl.Date,
    TEXTS: pl.List(pl.String), INTS: pl.List(pl.Int64),
}  # fmt: skip
#: Rows of one row group.
_PIECE = 131_072
#: A worksheet holds a million rows; people read far fewer.
_SHEET_ROWS = 200_000
_HEADINGS = (
    ("file", "文件", 30), ("sheet", "工作表", 14), ("row", "行", 8), ("column", "列", 18), ("value", "值", 30),
    ("reason", "原因码", 18), ("message", "原因", 44),
)  # fmt: skip


#: Where the rejects' file says how many of its rows, in order, are of which import: {"statements": 3, "calls": 1}.
_BLOCKS = b"wuzha.rejects"


#: Where events stand in the files that were read: a row a place, rows sent twice and both sides' too.
PLACES: dict[str, Any] = {
    "table": pl.String, "source": pl.String, "event_id": pl.String, "file": pl.String, "sheet": pl.String,
    "row": pl.Int64,
}  # fmt: skip


def write(
    out: Path, kind: str, tables: dict[str, pl.DataFrame], rejects: pl.DataFrame, metadata: dict[str, str],
    places: pl.DataFrame | None = None,
) -> None:  # fmt: skip
    """Write ``tables`` and ``rejects`` of an import of ``kind`` to the folder ``out``, all or nothing, and the
    ``places`` where they are asked for. OSError where it cannot be written."""
    made = _made(out)
    try:
        _sweep(out)
        work = Path(tempfile.mkdtemp(prefix=f".import-{os.getpid()}-", dir=out))
    except OSError:
        _unmake(made)
        raise
    try:
        names = []
        for name, rows in tables.items():
            _write_table(work / f"{name}.parquet", name, rows, metadata)
            names.append(f"{name}.parquet")
        if places is not None:
            pq.write_table(places.to_arrow(), work / "places.parquet", compression="zstd")
            names.append("places.parquet")
        blocks = _others(out / "rejects.parquet", kind)
        if rejects.height:
            blocks[kind] = rejects_table(rejects)
        said = json.dumps({k: b.num_rows for k, b in blocks.items()})
        whole = pa.concat_tables([REJECTS.empty_table(), *blocks.values()])
        pq.write_table(whole.replace_schema_metadata({_BLOCKS: said}), work / "rejects.parquet", compression="zstd")
        names.append("rejects.parquet")
        rejects = pl.DataFrame(pl.from_arrow(whole))
        if rejects.height:
            write_workbook(work / "rejects.xlsx", rejects)
            names.append("rejects.xlsx")
        for name in names:
            _sync(work / name)
        for name in names:
            os.replace(work / name, out / name)
        if not rejects.height:
            (out / "rejects.xlsx").unlink(missing_ok=True)
        _sync(out)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        _unmake(made)
        raise
    shutil.rmtree(work, ignore_errors=True)


def _others(path: Path, kind: str) -> dict[str, pa.Table]:
    """What the rejects' file at ``path`` holds of other kinds of import. A file that does not say is replaced."""
    try:
        told = pq.read_table(path)
        counts: dict[str, int] = json.loads((told.schema.metadata or {}).get(_BLOCKS, b"{}"))
        found, at = {}, 0
        for name, n in counts.items():
            if name != kind:
                found[name] = told.slice(at, n).replace_schema_metadata().select(REJECTS.names).cast(REJECTS)
            at += n
    except (FileNotFoundError, pa.ArrowException, ValueError, KeyError):
        return {}
    return found


def _sweep(out: Path) -> None:
    """Take away what a killed import left: working folders of processes that are no more."""
    for folder in out.glob(".import-*-*"):
        owner = folder.name.split("-")[1]
        if owner.isdigit() and not _alive(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return process != os.getpid()


def rejects_table(rejects: pl.DataFrame) -> pa.Table:
    """Rejects as ``events.batch.REJECTS``."""
    return rejects.select(REJECTS.names).to_arrow().cast(REJECTS)


def _made(out: Path) -> list[Path]:
    """The folders that had to be made, inner first."""
    missing = []
    at = out
    while not at.exists():
        missing.append(at)
        at = at.parent
    out.mkdir(parents=True, exist_ok=True)
    return missing


def _unmake(made: list[Path]) -> None:
    for folder in made:
        try:
            folder.rmdir()
        except OSError:
            return


def _write_table(path: Path, name: str, rows: pl.DataFrame, metadata: dict[str, str]) -> None:
    """The rows under the table's own Arrow schema, a piece at a time so that no second copy of all of them stands."""
    table = TABLES[name]
    told = {"wuzha.table": name, "wuzha.version": str(table.version)} | metadata
    schema = pa.schema([pa.field(f.name, f.type) for f in table.schema], metadata=told)
    rows = rows.select(schema.names).cast({f.name: POLARS[f.type] for f in schema})
    with pq.ParquetWriter(
        path, schema, compression="zstd", compression_level=1, use_dictionary=_repeating(rows)
    ) as file:
        for begin in range(0, max(rows.height, 1), _PIECE):
            file.write_table(rows.slice(begin, _PIECE).to_arrow().cast(schema))


def _repeating(rows: pl.DataFrame) -> list[str]:
    """Columns worth a dictionary: texts that repeat."""
    head = rows.head(20_000)
    texts = [c for c, t in rows.schema.items() if t == pl.String]
    return [c for c in texts if not head.height or head.get_column(c).n_unique() < max(2, head.height // 3)]


def write_workbook(path: Path | io.BytesIO, rejects: pl.DataFrame) -> None:
    """The rejects as a workbook, to a file or into memory."""
    import xlsxwriter

    options: dict[str, Any] = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    if isinstance(path, Path):
        options |= {"constant_memory": True, "tmpdir": str(path.parent)}
    else:
        options |= {"in_memory": True}
    with xlsxwriter.Workbook(str(path) if isinstance(path, Path) else path, options) as book:
        sheet = book.add_worksheet("未导入的行")
        bold = book.add_format({"bold": True})
        text = book.add_format({"num_format": "@"})
        for i, (_, heading, width) in enumerate(_HEADINGS):
            sheet.set_column(i, i, width)
            sheet.write_string(0, i, heading, bold)
        sheet.freeze_panes(1, 0)
        shown = rejects.select([name for name, _, _ in _HEADINGS]).head(_SHEET_ROWS)
        for n, row in enumerate(shown.iter_rows(), 1):
            for i, value in enumerate(row):
                if isinstance(value, int):
                    sheet.write_number(n, i, value)
                elif value:
                    sheet.write_string(n, i, _printable(value), text)
        if rejects.height > _SHEET_ROWS:
            note = f"另有 {rejects.height - _SHEET_ROWS} 行未列出，见 rejects.parquet"
            sheet.write_string(_SHEET_ROWS + 1, 0, note)


def _printable(value: str) -> str:
    """Text that a worksheet may hold: no control characters, not longer than a cell."""
    return "".join(ch if ch >= " " or ch in "\t\n" else "␀" for ch in value)[:32_000]


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
