"""Rows of one table from the body of a request: JSON lines, an Arrow stream or file, or Parquet.

Kept true here: lines in = rows out + rejects, one reject a line that cannot be read, with its number; a body that is
no table at all is one error and no rows; a body grows on unpacking to no more than its cap.
"""

from __future__ import annotations

import io
import zlib
from datetime import date, datetime
from typing import Any

import msgspec
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc
import pyarrow.json
import pyarrow.parquet

from wuzha.events import TABLES, Table
from wuzha.events.batch import Reject
from wuzha.events.clock import zone
from wuzha.events.table import BOOL, DATE, FLOAT, INT, TEXT, TIME, Column

from .times import parse_date, parse_time, parse_times
from .validation import validate

JSON_LINES = ("application/x-ndjson", "application/jsonl", "application/x-jsonlines", "application/json", "text/plain")
ARROW = ("application/vnd.apache.arrow.stream", "application/vnd.apache.arrow.file")
PARQUET = ("application/vnd.apache.parquet", "application/x-parquet")
#: Content types that `rows_from_body` reads.
CONTENT_TYPES = JSON_LINES + ARROW + PARQUET
#: A body unpacked may take this many bytes.
LIMIT = 512 * 1024 * 1024
#: A body's columns are too small to be shared out among threads.
_ALONE = pa.ipc.IpcReadOptions(use_threads=False)

_INT64 = range(-(2**63), 2**63)


class BodyError(ValueError):
    """The body as a whole cannot be read; the text says why, for the sender."""


class UnknownContentType(BodyError):
    """The content type is none that is read here."""


class BodyTooLarge(BodyError):
    """The body, unpacked, is larger than its cap."""


def gunzip(body: bytes, *, limit: int = LIMIT) -> bytes:
    """``body`` unpacked, all its members. BodyError where it is no gzip; BodyTooLarge beyond ``limit`` bytes."""
    out: list[bytes] = []
    size = 0
    data = body
    while data:
        member = zlib.decompressobj(wbits=31)
        try:
            piece = member.decompress(data, limit - size + 1)
        except zlib.error as error:
            raise BodyError(f"no gzip: {error}") from error
        size += len(piece)
        if size > limit:
            raise BodyTooLarge(f"the body unpacks to more than {limit} bytes")
        if not member.eof:
            raise BodyError("the gzip body ends too early")
        out.append(piece)
        data = member.unused_data
    return b"".join(out)


def rows_from_body(
    table: str, body: bytes, content_type: str, *, source: str | None = None, limit: int = LIMIT
) -> tuple[pa.Table, list[Reject]]:
    """Rows that conform to ``TABLES[table]``, in order, and the rejects (``row`` = line or row from 0).

    ``content_type`` is one of `CONTENT_TYPES`, parameters after ``;`` are ignored; a body that starts as gzip is
    unpacked. ``source`` (of the credential) replaces whatever the body says. Times are ISO 8601; without an offset
    they are local to the deployment's zone. BodyError where nothing can be read; KeyError for an unknown table.
    """
    declared = TABLES[table]
    kind = content_type.partition(";")[0].strip().lower()
    if body[:2] == b"\x1f\x8b":
        body = gunzip(body, limit=limit)
    if len(body) > limit:
        raise BodyTooLarge(f"the body is larger than {limit} bytes")
    if kind in JSON_LINES:
        return _from_json_lines(declared, body, source)
    if kind in ARROW:
        rows = _read_arrow(body)
    elif kind in PARQUET:
        rows = _read_parquet(body, limit)
    else:
        raise UnknownContentType(f"{content_type!r} is not read here; send one of {', '.join(CONTENT_TYPES)}")
    try:
        accepted, rejects, _ = validate(declared, with_source(localised(rows), source))
    except (ValueError, pa.ArrowInvalid) as error:
        raise BodyError(str(error)) from error
    return accepted, rejects


def with_source(rows: pa.Table, source: str | None) -> pa.Table:
    """``rows`` with ``source`` as their sender, unless it is None."""
    if source is None:
        return rows
    column = pa.repeat(pa.scalar(source, pa.string()), rows.num_rows)
    if "source" in rows.column_names:
        return rows.set_column(rows.column_names.index("source"), "source", column)
    return rows.append_column("source", column)


def localised(rows: pa.Table) -> pa.Table:
    """Times without a zone read as local ones; large and dictionary texts as plain ones."""
    for i, f in enumerate(rows.schema):
        if pa.types.is_timestamp(f.type) and f.type.tz is None:
            local = pc.assume_timezone(rows.column(i).cast(pa.timestamp("us")), zone().key, ambiguous="earliest")
            rows = rows.set_column(i, f.name, local.cast(TIME))
        elif pa.types.is_timestamp(f.type) and f.type != TIME:
            rows = rows.set_column(i, f.name, rows.column(i).cast(TIME, safe=False))
        elif pa.types.is_dictionary(f.type) or pa.types.is_large_string(f.type) or pa.types.is_string_view(f.type):
            rows = rows.set_column(i, f.name, rows.column(i).cast(pa.string()))
    return rows


def _read_arrow(body: bytes) -> pa.Table:
    try:
        if body[:6] == b"ARROW1":
            table = pa.ipc.open_file(pa.BufferReader(body), options=_ALONE).read_all()
        else:
            table = pa.ipc.open_stream(pa.BufferReader(body), options=_ALONE).read_all()
        # Buffers from outside may point anywhere: checked before anything reads them.
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise BodyError(f"no Arrow stream or file: {error}") from error
    return table


def _read_parquet(body: bytes, limit: int) -> pa.Table:
    try:
        file = pyarrow.parquet.ParquetFile(pa.BufferReader(body))
        size = sum(file.metadata.row_group(i).total_byte_size for i in range(file.metadata.num_row_groups))
        if size > limit:
            raise BodyTooLarge(f"the body unpacks to more than {limit} bytes")
        table = file.read()
        table.validate(full=True)
    except BodyTooLarge:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        raise BodyError(f"no Parquet: {error}") from error
    return table


def _from_json_lines(table: Table, body: bytes, source: str | None) -> tuple[pa.Table, list[Reject]]:
    body = body.removeprefix(b"\xef\xbb\xbf").rstrip(b"\r\n \t")
    if not body:
        return table.empty().replace_schema_metadata(None), []
    fast = _json_at_once(table, body)
    if fast is not None:
        accepted, rejects, _ = validate(table, with_source(fast, source))
        return accepted, rejects
    rows, numbers, rejects = json_rows(table, body)
    accepted, refused, _ = validate(table, with_source(rows, source))
    rejects += [
        Reject(row=numbers[r.row], column=r.column, value=r.value, reason=r.reason, message=r.message) for r in refused
    ]
    return accepted, sorted(rejects, key=lambda r: r.row)


def _json_at_once(table: Table, body: bytes) -> pa.Table | None:
    """All lines at once, or None where any line is out of the ordinary and they are read one by one."""
    fields = [pa.field(c.name, TEXT if c.type in (TIME, DATE) else c.type) for c in table.all_columns]
    try:
        body.decode("utf-8")
        read = pyarrow.json.read_json(
            io.BytesIO(body + b"\n"),
            read_options=pyarrow.json.ReadOptions(block_size=max(1 << 20, len(body) // 8)),
            parse_options=pyarrow.json.ParseOptions(
                explicit_schema=pa.schema(fields), unexpected_field_behavior="error"
            ),
        )
    except (pa.ArrowException, UnicodeDecodeError, ValueError):
        return None
    if read.num_rows != body.count(b"\n") + 1:
        return None  # blank lines, or two objects on one: their numbers must still be right
    for c in table.all_columns:
        if c.type not in (TIME, DATE):
            continue
        i = read.column_names.index(c.name)
        if c.type == DATE:
            try:
                column = read.column(i).cast(DATE)
            except pa.ArrowInvalid:
                return None
        else:
            times = parse_times(pl.Series(pl.from_arrow(read.column(i))))
            if times.bad.any() or (times.precision == 86400).any():
                return None
            column = times.ts.to_arrow().cast(TIME)
        read = read.set_column(i, c.name, column)
    return read


def json_rows(table: Table, body: bytes) -> tuple[pa.Table, list[int], list[Reject]]:
    """Lines read one by one: rows (not yet validated), the line of each from 0, and rejects for the broken lines."""
    columns: dict[str, list[Any]] = {c.name: [] for c in table.all_columns}
    known = {c.name: c for c in table.all_columns}
    numbers: list[int] = []
    rejects: list[Reject] = []
    for number, raw in enumerate(body.split(b"\n")):
        if not raw.strip():
            continue
        try:
            row = msgspec.json.decode(raw)
            if not isinstance(row, dict):
                raise ValueError("want one JSON object a line")
        except (ValueError, RecursionError) as error:
            shown = raw[:200].decode("utf-8", "backslashreplace")
            code = "encoding" if isinstance(error, UnicodeDecodeError) else "broken_json"
            rejects.append(
                Reject(row=number, column="", value=shown, reason=code, message=f"不是一个 JSON 对象：{error}")
            )
            continue
        refused = None
        values: dict[str, Any] = {}
        for name, value in row.items():
            if name not in known:
                refused = Reject(
                    row=number,
                    column=name,
                    value=str(value)[:200],
                    reason="unknown_column",
                    message=f"{table.zh}没有这一列",
                )
                break
            try:
                values[name] = json_value(value, known[name])
            except ValueError as error:
                refused = Reject(
                    row=number, column=name, value=str(value)[:200], reason="wrong_type", message=str(error)
                )
                break
        if refused is not None:
            rejects.append(refused)
            continue
        if table.name == "transfers" and isinstance(row.get("ts"), str) and values.get("ts_precision_s") is None:
            precision = parse_time(row["ts"])[1]
            values["ts_precision_s"] = precision if precision > 1 else None
        numbers.append(number)
        for name, cells in columns.items():
            cells.append(values.get(name))
    arrays = [pa.array(columns[c.name], c.type) for c in table.all_columns]
    return pa.table(arrays, names=[c.name for c in table.all_columns]), numbers, rejects


def json_value(value: Any, c: Column) -> Any:
    """The value of column ``c`` that a JSON value stands for; ValueError says what is wanted."""
    if value is None:
        return None
    kind = c.type
    if kind == TEXT and isinstance(value, str):
        return value or None
    if kind == INT and isinstance(value, int) and not isinstance(value, bool) and value in _INT64:
        return value
    if kind == FLOAT and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if kind == BOOL and isinstance(value, bool):
        return value
    if kind == TIME and isinstance(value, str):
        return _moment(value)
    if kind == DATE and isinstance(value, str):
        return _day(value)
    if pa.types.is_list(kind) and isinstance(value, list):
        inner = Column(name=c.name, type=kind.value_type, zh=c.zh, en=c.en)
        return [json_value(v, inner) for v in value]
    wanted = {TEXT: "文字", INT: "整数", FLOAT: "数字", BOOL: "true 或 false", TIME: "ISO 8601 时间", DATE: "日期"}
    raise ValueError(f"{c.zh}应为{wanted.get(kind, '列表')}")


def _moment(text: str) -> datetime:
    try:
        return parse_time(text)[0]
    except ValueError as error:
        raise ValueError("应为 ISO 8601 时间") from error


def _day(text: str) -> date:
    try:
        return parse_date(text)
    except ValueError as error:
        raise ValueError("应为日期") from error
