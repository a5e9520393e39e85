"""Rows of one table, checked. What breaks the table's rules is a reject with row, column, value and reason.

Kept true here: rows in = rows accepted + rows rejected; an accepted batch has exactly the table's schema.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from .table import TEXT, TIME, Column, Table

#: Event times outside these years are typing errors, not events.
EARLIEST, LATEST = "1990-01-01", "2100-01-01"

REJECTS = pa.schema(
    [
        ("file", pa.string()),
        ("sheet", pa.string()),
        ("row", pa.int64()),
        ("column", pa.string()),
        ("value", pa.string()),
        ("reason", pa.string()),
        ("message", pa.string()),
    ]
)


@dataclass(frozen=True, kw_only=True)
class Reject:
    """Why one row was refused. ``row`` counts from 0 within the batch; ``reason`` is a stable code."""

    row: int
    column: str
    value: str | None
    reason: str
    message: str


def conform(table: Table, batch: pa.Table, *, coded: bool = False) -> pa.Table:
    """``batch`` with the table's columns in order and their types; missing ones null, unknown ones refused.

    ``coded``: texts that come dictionary-encoded stay so; else every column has the table's own type.
    Raises ValueError for an unknown column or for a type that cannot be read as the column's.
    """
    known = {c.name for c in table.all_columns}
    for name in batch.column_names:
        if name not in known:
            raise ValueError(f"{table.name} has no column {name!r}")
    columns = []
    missing: dict[pa.DataType, pa.Array] = {}  # one for all columns of a type: nulls take memory too
    for c in table.all_columns:
        if c.name not in batch.column_names:
            if c.type not in missing:
                missing[c.type] = pa.nulls(batch.num_rows, c.type)
            columns.append(missing[c.type])
            continue
        column = batch.column(c.name)
        try:
            columns.append(column if coded and _well_coded(column, c) else _cast(column, c))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
            raise ValueError(f"{table.name}.{c.name}: {error}") from error
    return pa.table(columns, names=[f.name for f in table.schema])


def _well_coded(column: pa.ChunkedArray, c: Column) -> bool:
    """Whether the column's codes stand for texts, none of them empty."""
    kind = column.type
    if c.type != TEXT or c.values or not pa.types.is_dictionary(kind) or kind.value_type != TEXT:
        return False
    return not any(pc.any(pc.equal(chunk.dictionary, "")).as_py() for chunk in column.chunks)


def _cast(column: pa.ChunkedArray, c: Column) -> pa.ChunkedArray:
    if c.type == TEXT and not pa.types.is_string(column.type) and not pa.types.is_large_string(column.type):
        if pa.types.is_null(column.type) or pa.types.is_dictionary(column.type):
            return column.cast(TEXT)
        raise pa.ArrowTypeError(f"want text, got {column.type}")
    if c.type == TIME and pa.types.is_timestamp(column.type) and column.type.tz is None:
        raise pa.ArrowTypeError("want a time with a zone")
    if c.type == TEXT:
        column = column.cast(TEXT)
        return pc.if_else(pc.equal(column, ""), None, column) if shortest(column) == 0 else column
    return column.cast(c.type)


def lengths(text: pa.Array) -> npt.NDArray[np.int32]:
    """Bytes of each text of an Arrow string array, from its offsets; a null's is mostly 0."""
    offsets = text.buffers()[1]
    if offsets is None or not len(text):
        return np.empty(0, np.int32)
    ends = np.frombuffer(offsets, np.int32, len(text) + 1, 4 * text.offset)
    return np.subtract(ends[1:], ends[:-1])


def shortest(column: pa.ChunkedArray) -> int | None:
    """Bytes of the shortest text, at most; None where there is none. A null may count as an empty text."""
    if column.null_count == len(column):
        return None
    return min(int(lengths(chunk).min()) for chunk in column.chunks if len(chunk))


@cache
def _bounds() -> tuple[pa.Scalar, pa.Scalar]:
    return tuple(pa.scalar(day).cast(pa.date32()).cast(pa.timestamp("us")).cast(TIME) for day in (EARLIEST, LATEST))


def check(table: Table, batch: pa.Table) -> tuple[pa.Table, list[Reject]]:
    """Accepted rows, in order, and the rejects: at most one a row, the first column that breaks a rule.

    ``batch`` is as `conform` leaves it.
    """
    n = batch.num_rows
    bad = pa.array([False] * n, pa.bool_())
    rejects: list[Reject] = []

    def refuse(failing: pa.ChunkedArray | pa.Array, c: Column, reason: str, message: str) -> None:
        nonlocal bad
        failing = pc.fill_null(failing, False)
        if isinstance(failing, pa.ChunkedArray):
            failing = failing.combine_chunks()
        fresh = pc.and_not(failing, bad)
        if not pc.any(fresh).as_py():
            return
        values = batch.column(c.name)
        for row in pc.indices_nonzero(fresh).to_pylist():
            value = values[row].as_py()
            rejects.append(
                Reject(
                    row=row, column=c.name, value=None if value is None else str(value), reason=reason, message=message
                )
            )
        bad = pc.or_(bad, failing)

    for c in table.all_columns:
        values = batch.column(c.name)
        if c.required and values.null_count:
            refuse(pc.is_null(values), c, "missing", f"{c.zh}缺失")
        if values.null_count == n:
            continue
        if c.values:
            allowed = pc.is_in(values, value_set=pa.array(c.values, type=c.type))
            if not pc.all(allowed).as_py():
                unknown = pc.and_(pc.is_valid(values), pc.invert(allowed))
                refuse(unknown, c, "unknown_value", "可用的值：" + "、".join(c.values))
        if c.minimum is not None:
            refuse(pc.less(values, c.minimum), c, "below_minimum", f"{c.zh}不得小于{c.minimum}")
        if c.maximum is not None:
            refuse(pc.greater(values, c.maximum), c, "above_maximum", f"{c.zh}不得大于{c.maximum}")
        if c.type == TIME and c.name in ("ts", "reported_at", "known_at"):
            first, last = _bounds()
            outside = pc.or_(pc.less(values, first), pc.greater_equal(values, last))
            refuse(outside, c, "time_out_of_range", f"{c.zh}应在{EARLIEST}至{LATEST}之间")
    rejects.sort(key=lambda r: r.row)
    return (batch if not rejects else batch.filter(pc.invert(bad))), rejects
