"""A city's tables as batches in the order in which they would arrive, for as many rounds as are asked for.

Kept true here: batch number n is the same whenever it is asked for; no two rounds share an event, and each is as many
days later as the city is long, so that its people go on living.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from wuzha.events import RAW_TABLES

from .offering import plain

REGISTERS = ("persons", "lines", "accounts", "relations")
_LZ4 = pa.ipc.IpcWriteOptions(compression="lz4")


@dataclass(frozen=True)
class Sent:
    """One batch: rows of one table of one source."""

    table: str
    source: str
    rows: pa.Table


def batches(made: dict[str, pa.Table], *, minutes: int = 120, rows: int = 1000) -> Iterator[Sent]:
    """Registers first, then slices of time; in each, table by table and source by source, at most ``rows`` a batch."""
    for name in REGISTERS:
        if name in made:
            yield from _by_source(name, made[name], rows)
    slices: list[tuple[int, str, pa.Table]] = []
    for name, table in made.items():
        if name in REGISTERS:
            continue
        ts = _known(name, table)
        order = np.argsort(ts, kind="stable")
        table, slot = table.take(pa.array(order)), ts[order] // (minutes * 60_000_000)
        numbers, starts = np.unique(slot, return_index=True)
        for i, begin in enumerate(starts.tolist()):
            end = int(starts[i + 1]) if i + 1 < len(starts) else len(order)
            slices.append((int(numbers[i]), name, table.slice(begin, end - begin)))
    for _, name, table in sorted(slices, key=lambda s: (s[0], s[1])):
        yield from _by_source(name, table, rows)


def _known(name: str, table: pa.Table) -> npt.NDArray[np.int64]:
    column = {"reports": "reported_at", "findings": "known_at"}.get(name, "ts")
    return np.asarray(table.column(column).cast(pa.int64()).combine_chunks())


def _by_source(name: str, table: pa.Table, rows: int) -> Iterator[Sent]:
    for source in sorted(pc.unique(table.column("source")).to_pylist()):
        mine = table.filter(pc.equal(table.column("source"), source))
        for begin in range(0, mine.num_rows, rows):
            yield Sent(name, source, mine.slice(begin, rows))


class Arriving:
    """Batches by number, without an end: first all of the city's, then its raw events ever again."""

    def __init__(self, made: dict[str, pa.Table], days: int, *, minutes: int = 30, rows: int = 1000) -> None:
        self._first = [Sent(s.table, s.source, plain(s.rows)) for s in batches(made, minutes=minutes, rows=rows)]
        self._again = [s for s in self._first if s.table in RAW_TABLES]
        self._days = days
        self.sources = sorted({s.source for s in self._first})

    def __getitem__(self, number: int) -> Sent:
        if number < len(self._first):
            return self._first[number]
        later, at = divmod(number - len(self._first), len(self._again))
        return self._later(self._again[at], later + 1)

    def _later(self, sent: Sent, rounds: int) -> Sent:
        shift = pa.scalar(timedelta(days=self._days * rounds), pa.duration("us"))
        columns = []
        for name, column in zip(sent.rows.column_names, sent.rows.columns, strict=True):
            if name == "event_id":
                column = pc.binary_join_element_wise(column, f"~{rounds}", "")
            elif pa.types.is_timestamp(column.type):
                column = pc.add(column, shift).cast(column.type)
            columns.append(column)
        return Sent(sent.table, sent.source, pa.table(columns, names=sent.rows.column_names))


def body(sent: Sent) -> bytes:
    """As it is sent: an Arrow stream."""
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, sent.rows.schema, options=_LZ4) as out:
        out.write_table(sent.rows)
    return sink.getvalue()
