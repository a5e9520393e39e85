"""The lists of 12381: its warnings as workbooks, in the layout that it sends and the desk fills its answers into.

Kept true here: what the shipped layout ``warnings_12381`` reads in a list is what the city's rows say; the same rows
give the same bytes, so that a list that is dropped again is the one that stands.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import xlsxwriter

from wuzha.events import clock
from wuzha.ingest.mapping import shipped

from . import files
from .feeds import LISTED

#: Heading, column; the last three are the desk's to fill.
_COLUMNS = (
    ("预警编号", "source_no"), ("预警时间", "ts"), ("潜在受害人号码", "victim_line"), ("预警等级", "level_upstream"),
    ("涉诈类型", "type_code"), ("涉诈号码", "suspect_line"), ("涉诈网址", "suspect_url"), ("预警原因", "reasons"),
    ("归属地代码", "place"), ("签收时限", "sign_by"), ("反馈时限", "feedback_by"),
    ("劝阻结果", ""), ("劝阻时间", ""), ("劝阻人员", ""),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class List:
    """One workbook: its file name, its bytes, how many rows, and when it comes."""

    name: str
    data: bytes
    n: int
    at: datetime


def lists(city: Path, begin: datetime, every: timedelta) -> Iterator[List]:
    """12381's lists from ``begin`` on, one for each span of ``every`` in which warnings have arrived. What arrived
    before is in the first."""
    rows = files.read(city, "warnings")
    ts = rows.column("ts").cast(pa.int64()).to_numpy()
    arrival = np.maximum.accumulate(ts) if len(ts) else ts  # a late row arrives when the younger ones before it have
    mine = np.flatnonzero(rows.column("source").to_numpy(zero_copy_only=False) == LISTED)
    width = int(every / timedelta(microseconds=1))
    start = int(begin.timestamp() * 1e6)
    span = np.maximum((arrival[mine] - start) // width, 0)
    for k in np.unique(span).tolist():
        part = rows.take(pa.array(mine[span == k]))
        at = begin + (k + 1) * every
        local = at.astimezone(clock.zone())
        name = f"12381涉诈预警劝阻名单-{local:%Y%m%d-%H%M}.xlsx"
        yield List(name=name, data=workbook(part, local), n=part.num_rows, at=at)


def workbook(rows: pa.Table, made: datetime) -> bytes:
    """Warnings of 12381 as its workbook. ``made``: the date that the file says of itself."""
    levels: dict[str, str] = {}
    for word, level in shipped()["warnings_12381"].values["level_upstream"].items():
        levels.setdefault(level, word)
    out = io.BytesIO()
    options = {"in_memory": True, "strings_to_numbers": False, "strings_to_urls": False, "strings_to_formulas": False}
    with xlsxwriter.Workbook(out, options) as book:
        book.set_properties({"title": "12381涉诈预警劝阻名单", "created": made.replace(tzinfo=None)})
        sheet = book.add_worksheet("劝阻名单")
        for j, (heading, _) in enumerate(_COLUMNS):
            sheet.set_column(j, j, 20)
            sheet.write_string(0, j, heading)
        for i, row in enumerate(rows.to_pylist(), 1):
            for j, (_, column) in enumerate(_COLUMNS):
                text = _text(row.get(column), column, levels)
                if text:
                    sheet.write_string(i, j, text)
    return out.getvalue()


def _text(value: Any, column: str, levels: dict[str, str]) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value.astimezone(clock.zone()):%Y-%m-%d %H:%M:%S}"
    if isinstance(value, list):
        return "；".join(value)
    return levels[value] if column == "level_upstream" else str(value)
