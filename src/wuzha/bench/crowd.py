"""One city's people many times over: a stream of a million subjects in seconds, the same for the same city.

Kept true here: each copy has lines, accounts, devices, persons and small sites of its own and does what the first one
did, some seconds later; what everybody knows (short numbers, names of senders, 400 numbers, large sites) is the same
in all copies. Scams are repeated with the people, so nothing here says how well they are found.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from wuzha.events import TABLES
from wuzha.events.batch import conform

#: The tables that are streamed, and those that are read before.
STREAMED = ("calls", "messages", "transfers", "visits")
REGISTERS = ("lines", "accounts", "persons", "relations")
#: Sites that more lines have than this are everybody's.
_LARGE = 8
_STEP = 7_368_787


def _number(text: str, copy: int) -> str:
    """A number with other last digits, the same for every form of it that is written with them."""
    tail = text[-8:]
    if copy == 0 or len(text) < 11 or not tail.isdigit() or text.startswith(("+86400", "+86800", "400", "800")):
        return text
    return f"{text[:-8]}{(int(tail) + copy * _STEP) % 100_000_000:08d}"


def _key(text: str, copy: int) -> str:
    kind, _, value = text.partition(":")
    return f"{kind}:{_person(value, copy) if kind == 'person' else _number(value, copy)}"


def _person(text: str, copy: int) -> str:
    return f"{text}{copy:x}" if copy else text


_RENAMED: dict[str, Callable[[str, int], str]] = {
    **dict.fromkeys(
        ("caller", "callee", "caller_raw", "callee_raw", "forwarded_to", "imei", "imsi", "sender", "recipient",
         "sender_raw", "payer", "payee", "device", "line", "account"),
        _number,
    ),
    "person": _person, "subject": _key, "other": _key,
}  # fmt: skip
#: Columns that nothing here reads, left out to spare memory; persons' numbers would join the copies to one another.
_LEFT_OUT = ("id", "text", "url", "raw", "memo", "ip", "mac", "payer_name", "payee_name", "payer_id", "payee_id")


class Crowd:
    """A generated city's tables, ready to be repeated. ``people`` are those of the city itself."""

    def __init__(self, city: Path) -> None:
        self._rows: dict[str, pl.DataFrame] = {}
        for name in (*STREAMED, *REGISTERS):
            rows = pl.read_parquet(city / f"{name}.parquet").sort("ts", "source", "event_id")
            rows = rows.drop(c for c in rows.columns if c in _LEFT_OUT or rows[c].null_count() == rows.height)
            self._rows[name] = rows
        known_by = self._rows["visits"].group_by("host").agg(pl.col("line").n_unique())
        self._large = set(known_by.filter(pl.col("line") > _LARGE)["host"])
        self.begin = int(self._rows["calls"]["ts"].dt.epoch("us").to_numpy().min())

    def table(self, name: str, copies: range, begin_day: float = 0.0, end_day: float = 1e6) -> pa.Table:
        """The table's rows of some copies from one day of the city to another, in time order, as the log takes them."""
        rows = self._rows[name]
        if name in STREAMED:
            us = pl.col("ts").dt.epoch("us") - self.begin
            rows = rows.filter(us >= int(begin_day * 86_400e6), us < int(end_day * 86_400e6))
        plain = rows.to_arrow()
        parts = [self._copy(plain, copy) for copy in copies]
        whole = conform(TABLES[name], pa.concat_tables(parts))
        order = np.argsort(whole.column("ts").cast(pa.int64()).to_numpy(), kind="stable")
        return whole.take(pa.array(order)).combine_chunks()

    def _copy(self, rows: pa.Table, copy: int) -> pa.Table:
        columns = []
        for name, column in zip(rows.column_names, rows.columns, strict=True):
            if name == "ts":
                # some seconds later, and all within ten minutes
                later = pa.scalar(copy * 7_919_123 % 600_000_000, pa.int64())
                columns.append(pc.add(column.cast(pa.int64()), later).cast(column.type))
                continue
            renamed = _RENAMED.get(name)
            if name == "event_id":
                columns.append(pc.binary_join_element_wise(column.cast(pa.string()), f"{copy:x}", ""))
                continue
            if name == "host":
                renamed = self._host
            if renamed is None:
                columns.append(column)
                continue
            coded = column.cast(pa.string()).combine_chunks().dictionary_encode()
            values = pa.array([renamed(text, copy) for text in coded.dictionary.to_pylist()], pa.string())
            columns.append(values.take(coded.indices))
        return pa.table(columns, names=rows.column_names)

    def _host(self, text: str, copy: int) -> str:
        return text if text in self._large or copy == 0 else f"c{copy:x}.{text}"


def batches(tables: dict[str, pa.Table], size: int) -> list[tuple[str, pa.Table]]:
    """The tables cut into batches of ``size`` rows of one table, in the order in which their last rows happened."""
    cut: list[tuple[int, str, int]] = []
    for name, rows in tables.items():
        ts = rows.column("ts").cast(pa.int64()).to_numpy()
        cut += [(int(ts[min(at + size, len(ts)) - 1]), name, at) for at in range(0, len(ts), size)]
    return [(name, tables[name].slice(at, size)) for _, name, at in sorted(cut)]
