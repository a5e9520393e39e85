"""A city told again, in the order in which its rows arrive, for posting to a holder's and a centre's doors.

Kept true here: every row of the chosen seat is given once (a row that a feed sends twice, twice), batches come in
order of arrival, and a batch has one table and one source. Labels are never given.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from . import files
from .generator import CityError
from .sources import sources

REGISTERS = ("persons", "lines", "accounts", "relations")


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Rows of one table from one source. ``at`` is when they arrive; ``basis`` as the source is registered."""

    at: datetime
    table: str
    source: str
    basis: str
    rows: pa.Table


def seat_tables(seat: str) -> dict[str, set[str]]:
    """Tables that a seat takes, and from which sources. CityError for an unknown seat."""
    if seat not in ("holder", "centre"):
        raise CityError(f"unknown seat {seat!r}; one of holder, centre")
    out: dict[str, set[str]] = {}
    for s in sources():
        for t in s.tables.get(seat, ()):
            out.setdefault(t, set()).add(s.name)
    return out


def span(city: Path) -> tuple[datetime, datetime]:
    """First and last moment of the city's calls."""
    ts = files.read(city, "calls", ["ts"]).column("ts")
    if not len(ts):
        raise CityError(f"{city} has no calls")
    return ts[0].as_py(), ts[len(ts) - 1].as_py()


def batches(
    city: Path, start_at: datetime | None = None, *, seat: str = "holder", every: timedelta = timedelta(seconds=30),
    end_at: datetime | None = None, registers: bool = True, before: bool = True, most: int = 20_000,
) -> Iterator[Batch]:  # fmt: skip
    """Batches of a seat in order of arrival.

    First the registers (``registers``), then, with ``before``, what arrived before ``start_at`` in large batches, then
    slices of ``every`` up to ``end_at``; no batch has more than ``most`` rows. ``at`` of a late row is the time of the
    row before which it could not arrive. Times are aware; CityError where the folder is no city.
    """
    wanted = seat_tables(seat)
    basis = {s.name: s.basis for s in sources()}
    if registers:
        for name in REGISTERS:
            if name in wanted:
                yield from _whole(city, name, wanted[name], basis, most)
    first, _ = span(city)
    begin = _micros(start_at) if start_at is not None else _micros(first)
    end = _micros(end_at) if end_at is not None else None
    streams = [_Stream(city, name, names, most) for name, names in sorted(wanted.items()) if name not in REGISTERS]
    width = max(1, int(every.total_seconds() * 1e6))
    if before:
        for s in streams:
            for rows in s.until(begin):
                yield from _by_source(s.name, rows, basis, most)
    else:
        for s in streams:
            for _ in s.until(begin):
                pass
    at = begin
    while any(s.more() for s in streams) and (end is None or at < end):
        at = at + width if end is None else min(at + width, end)
        for s in streams:
            for rows in s.until(at):
                yield from _by_source(s.name, rows, basis, most)


class _Stream:
    """One table's rows in the order of the file, a row group at a time, cut by time of arrival."""

    def __init__(self, city: Path, name: str, names: set[str], most: int) -> None:
        path = city / f"{name}.parquet"
        if not path.is_file():
            raise CityError(f"{city} is no city: {path.name} is missing")
        self.name, self.names = name, names
        self.pieces = pq.ParquetFile(path).iter_batches(batch_size=max(most, 65_536))
        self.rows: pa.Table | None = None
        self.arrival: Any = np.empty(0, np.int64)
        self.at = 0
        self.top = np.iinfo(np.int64).min
        self._next()

    def _next(self) -> None:
        piece = next(self.pieces, None)
        while piece is not None and piece.num_rows == 0:
            piece = next(self.pieces, None)
        if piece is None:
            self.rows = None
            return
        self.rows = pa.Table.from_batches([piece])
        key = "reported_at" if self.name == "reports" else "known_at" if self.name == "findings" else "ts"
        ts = self.rows.column(key).cast(pa.int64()).to_numpy()
        # A late row stands behind younger ones: it arrives when they have.
        self.arrival = np.maximum(np.maximum.accumulate(ts), self.top)
        self.top = int(self.arrival[-1])
        self.at = 0

    def more(self) -> bool:
        return self.rows is not None

    def until(self, end: int) -> Iterator[tuple[int, pa.Table]]:
        """Rows that have arrived before ``end`` and were not given yet, with the time of the last of them."""
        while self.rows is not None:
            stop = int(np.searchsorted(self.arrival, end, side="left"))
            if stop > self.at:
                yield int(self.arrival[stop - 1]), self.rows.slice(self.at, stop - self.at)
                self.at = stop
            if stop < len(self.arrival):
                return
            self._next()


def _whole(city: Path, name: str, names: set[str], basis: dict[str, str], most: int) -> Iterator[Batch]:
    rows = files.read(city, name)
    if rows.num_rows:
        yield from _by_source(name, (int(rows.column("ts").cast(pa.int64())[0].as_py()), rows), basis, most, names)


def _by_source(
    name: str, arrived: tuple[int, pa.Table], basis: dict[str, str], most: int, names: set[str] | None = None
) -> Iterator[Batch]:
    at, rows = arrived
    coded = rows.column("source").combine_chunks().dictionary_encode()
    order = np.argsort(coded.indices.to_numpy(), kind="stable")
    bounds = np.searchsorted(coded.indices.to_numpy()[order], np.arange(len(coded.dictionary) + 1))
    moment = datetime.fromtimestamp(0, tz=UTC) + timedelta(microseconds=at)
    for k, source in enumerate(coded.dictionary.to_pylist()):
        if names is not None and source not in names:
            continue
        for low in range(int(bounds[k]), int(bounds[k + 1]), most):
            part = rows.take(pa.array(order[low : min(low + most, int(bounds[k + 1]))]))
            yield Batch(at=moment, table=name, source=source, basis=basis[source], rows=part)


def _micros(moment: datetime) -> int:
    if moment.tzinfo is None:
        raise CityError(f"{moment} has no zone")
    return int((moment - datetime.fromtimestamp(0, tz=UTC)) // timedelta(microseconds=1))
