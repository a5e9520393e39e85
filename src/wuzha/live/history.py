"""History: sealed parts of the log as Parquet, ``history/<table>/day=YYYY-MM-DD/bucket=NN/<first>-<last>.parquet``.

Kept true here: a row of the log stands in history exactly once; a file is whole or absent; ``sealed.json`` moves on
only after every file of its segment is durable, and files beyond it are leftovers, removed before sealing goes on.
Names and identity numbers (vault columns) do not go to history. A row ends at its ``until``: the end of its basis, or
of the day on which its source's retention is over, whichever is first.

Days are the deployment's. The bucket is the stored hash of the row's first subject, modulo `BUCKETS`. Columns beyond
the table's own: ``ref`` (position << 20 | row), ``late``, ``basis``, ``until``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from wuzha.events import TABLES, clock
from wuzha.events.hashing import hash_text
from wuzha.store import durable

from .late import Watermarks
from .snapshots import sync_folder

BUCKETS = 16
ROW_BITS = 20


@dataclass(frozen=True, kw_only=True)
class Sealed:
    """How far history reaches, and the watermarks there."""

    position: int = 0
    marks: Mapping[str, int]


def sealed(folder: Path) -> Sealed:
    """What ``sealed.json`` says; position 0 where there is no history yet."""
    try:
        said = json.loads((folder / "sealed.json").read_text("utf-8"))
    except FileNotFoundError:
        return Sealed(position=0, marks={})
    return Sealed(position=said["position"], marks=said["marks"])


@dataclass(frozen=True, kw_only=True)
class LogBatch:
    """One row of the log, opened. ``until`` is where its rows must be gone; None: never."""

    position: int
    table: str
    source: str
    rows: pa.Table
    basis: str
    until: datetime | None


def seal(folder: Path, batches: Iterable[LogBatch], last: int) -> int:
    """Write ``batches`` (in log order, all after what is sealed, up to ``last``) as one segment; returns the rows."""
    before = sealed(folder)
    marks = Watermarks(before.marks)
    by_table: dict[str, list[pa.Table]] = {}
    for b in batches:
        if b.position <= before.position or b.position > last:
            raise ValueError(f"position {b.position} is not between {before.position} and {last}")
        by_table.setdefault(b.table, []).append(_marked(b, marks.late(b.table, b.source, b.rows)))
    rows = 0
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for table, parts in by_table.items():
        whole = pa.concat_tables(parts)
        rows += whole.num_rows
        _write(folder, table, whole, f"{before.position + 1:012d}-{last:012d}.parquet")
    durable.write(folder / "sealed.json", json.dumps({"position": last, "marks": marks.state()}).encode())
    return rows


def _marked(b: LogBatch, late: np.ndarray[Any, np.dtype[np.bool_]]) -> pa.Table:
    n = b.rows.num_rows
    kept = [c.name for c in TABLES[b.table].all_columns if not c.vault]
    rows = b.rows.select(kept).replace_schema_metadata(None)
    time = pa.timestamp("us", tz="UTC")
    return (
        rows.append_column("ref", pa.array((b.position << ROW_BITS) + np.arange(n, dtype=np.int64)))
        .append_column("late", pa.array(late))
        .append_column("basis", pa.array([b.basis] * n, pa.string()))
        .append_column("until", pa.array([b.until] * n, time))
    )


def bucket_of(table: str, rows: pa.Table) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """Bucket of each row: by its first subject column, or by its id where the table speaks of none."""
    subject = next((c.name for c in TABLES[table].columns if c.subject), "event_id")
    return np.asarray(hash_text(rows.column(subject)) % np.uint64(BUCKETS))


def _write(folder: Path, table: str, rows: pa.Table, name: str) -> None:
    local = rows.column("ts").cast(pa.timestamp("us", tz=str(clock.zone())))
    days = pc.cast(pc.floor_temporal(pc.local_timestamp(local), unit="day"), pa.date32()).combine_chunks()
    day = days.cast(pa.int32()).to_numpy(zero_copy_only=False).astype(np.int64)
    cell = day * BUCKETS + bucket_of(table, rows).astype(np.int64)
    order = np.argsort(cell, kind="stable")
    rows = rows.take(pa.array(order))
    cells, starts = np.unique(cell[order], return_index=True)
    for i, at in enumerate(starts.tolist()):
        end = starts[i + 1] if i + 1 < len(starts) else len(order)
        when = pa.scalar(int(cells[i] // BUCKETS), pa.int32()).cast(pa.date32()).as_py()
        place = folder / table / f"day={when.isoformat()}" / f"bucket={int(cells[i] % BUCKETS):02d}"
        write_parquet(place / name, rows.slice(at, int(end) - at))


def write_parquet(path: Path, rows: pa.Table) -> None:
    """Write a file durably: beside its place, synced, renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        pq.write_table(rows, temporary, compression="zstd")
        handle = os.open(temporary, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)  # a full disk gets its room back
        raise
    sync_folder(path.parent)


def _span(path: Path) -> tuple[int, int]:
    first, _, last = path.stem.partition("-")
    return int(first), int(last)


def files(folder: Path, table: str | None = None) -> Iterator[Path]:
    """Files of sealed segments, of one table or all, in no order."""
    limit = sealed(folder).position
    for path in folder.glob(f"{table or '*'}/day=*/bucket=*/[0-9]*.parquet"):
        if _span(path)[1] <= limit:
            yield path


def sweep(folder: Path) -> int:
    """Remove what an interrupted sealing left: files beyond ``sealed.json`` and half-written ones. Returns how many."""
    limit, gone = sealed(folder).position, 0
    for path in folder.glob("*/day=*/bucket=*/*.parquet*"):
        if path.name.startswith(".") or _span(path)[1] > limit:
            path.unlink(missing_ok=True)
            gone += 1
    return gone


def cited(folder: Path, refs: Iterable[int]) -> dict[int, tuple[str, dict[str, Any]]]:
    """Table and row of each of ``refs`` that history holds, by ref."""
    wanted = sorted(set(refs))
    found: dict[int, tuple[str, dict[str, Any]]] = {}
    if not wanted:
        return found
    positions = {r >> ROW_BITS for r in wanted}
    for path in files(folder):
        first, last = _span(path)
        if not any(first <= p <= last for p in positions):
            continue
        rows = pq.read_table(path, partitioning=None, filters=pc.field("ref").isin(wanted))
        table = path.parts[-4]
        for row in rows.to_pylist():
            found[row.pop("ref")] = (table, {k: v for k, v in row.items() if k not in ("late", "basis", "until")})
    return found


def expire(folder: Path, now: datetime) -> int:
    """Drop every row whose ``until`` is over; returns how many. A file is rewritten whole or removed."""
    dropped = 0
    for path in list(files(folder)):
        column = pq.ParquetFile(path)
        ends = [
            column.metadata.row_group(g).column(column.schema_arrow.get_field_index("until")).statistics
            for g in range(column.metadata.num_row_groups)
        ]
        if not any(s is not None and s.has_min_max and s.min <= now for s in ends):
            continue
        rows = pq.read_table(path, partitioning=None)
        kept = rows.filter(pc.or_kleene(pc.is_null(rows["until"]), pc.greater(rows["until"], pa.scalar(now))))
        dropped += rows.num_rows - kept.num_rows
        if kept.num_rows:
            write_parquet(path, kept)
        else:
            path.unlink()
            with suppress(OSError):  # others are in there still
                path.parent.rmdir()
                path.parent.parent.rmdir()
    return dropped


def end_of(basis_until: datetime | None, received_at: datetime, retention_days: int | None) -> datetime | None:
    """When rows must be gone: at the end of their basis or with the end of the day (of the deployment) on which their
    source's retention is over, whichever is first. So what came on one day goes at one moment, in whole files."""
    ends = [basis_until] if basis_until is not None else []
    if retention_days is not None:
        over = (received_at + timedelta(days=retention_days)).astimezone(clock.zone())
        ends.append(datetime.combine(over.date() + timedelta(days=1), time.min, clock.zone()).astimezone(UTC))
    return min(ends, default=None)
