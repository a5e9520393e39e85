"""The log: batches of events at positions 1, 2, 3 …, in commit order and without gaps.

Kept true here: positions are given under one lock that is held until the commit, so a reader who has seen a position
has seen every smaller one; an event (source, event_id) stands in the log once; a batch is exactly its table's schema.
An event ref is ``position << 20 | row``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg
import pyarrow as pa
import pyarrow.compute as pc

from wuzha.events import BASES, TABLES, clock
from wuzha.events.batch import Reject, conform
from wuzha.events.hashing import identity

from . import fingerprints
from .fingerprints import DIFFERS, DUPLICATE, NEW, PAIR
from .queries import q

#: Rows of one batch at most: the row's part of an event ref has 20 bits.
MAX_ROWS = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ZSTD = pa.ipc.IpcWriteOptions(compression=pa.Codec("zstd", 1))


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Checked rows (`events.batch.conform`, `check`) of one table from one source, and the basis they are held on."""

    table: str
    rows: pa.Table
    source: str
    basis: str
    basis_ref: str | None = None
    basis_until: datetime | None = None
    #: The deployment's time; None: now.
    received_at: datetime | None = None
    #: What `prepared` has worked out, so that others need not wait for it.
    ready: Ready | None = None


@dataclass(frozen=True, kw_only=True)
class Ready:
    """Identity hashes and times (µs) of a batch's rows, and all of them as they stand in the log."""

    keys: npt.NDArray[np.uint64]
    ts: npt.NDArray[np.int64]
    payload: bytes


@dataclass(frozen=True, kw_only=True)
class Appended:
    """What became of one batch. Row numbers are those of the batch that was given."""

    #: None where nothing of it was new.
    position: int | None
    accepted: int
    duplicates: list[int] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class LogBatch:
    """One batch of the log, opened."""

    position: int
    table: str
    source: str
    rows: pa.Table
    min_ts: datetime
    max_ts: datetime
    received_at: datetime
    basis: str
    basis_ref: str | None
    basis_until: datetime | None


def prepared(batch: Batch) -> Batch:
    """``batch`` checked, hashed and packed: what `append` would do with it while other appenders wait. Needs no
    database. Raises ValueError as `append` does."""
    _check(batch)
    ts = batch.rows.column("ts").cast(pa.int64()).combine_chunks().to_numpy(zero_copy_only=False)
    return replace(batch, ready=Ready(keys=identity(batch.rows), ts=ts, payload=_pack(batch.rows)))


def append(conn: psycopg.Connection[Any], batches: Batch | Sequence[Batch]) -> list[Appended]:
    """Puts the batches into the log, in order, inside the caller's transaction (or one of its own).

    Rows that the log holds already are left out and named as duplicates; the same identity with another ts is a reject
    (``ts_differs``). Other appenders wait from here to the commit, so let it be the last thing a transaction does.
    Roles: wuzha_engine, wuzha_web. Raises ValueError for a batch that is not as `events.batch` leaves it.
    """
    given = [b if b.ready else prepared(b) for b in ([batches] if isinstance(batches, Batch) else batches)]
    if not given:
        return []
    with conn.transaction():
        row = conn.execute(q("log.lock")).fetchone()
        assert row is not None
        head, folded, database = row
        seen = fingerprints.of(conn, database)
        if seen.crowded and head > folded:  # nobody has folded beside the stream
            fingerprints.fold(conn, head, holding=True)
        call = seen.catch_up(conn, {b.source for b in given}, head=head, folded=folded)
        seen.look_up_runs(conn, [b.ready.ts for b in given if b.ready is not None])
        results: list[Appended] = []
        inserts: list[dict[str, Any]] = []
        for batch in given:
            result, insert = _judge(conn, seen, call, batch, head + len(inserts) + 1)
            results.append(result)
            if insert is not None:
                inserts.append(insert)
        if inserts:
            conn.cursor().executemany(q("log.insert"), inserts)
            conn.execute(q("log.advance"), {"position": head + len(inserts)})
    return results


def warm() -> None:
    """Load what the first `append` of a process would load, about two seconds: so nobody waits for it."""
    identity(pa.table({"source": ["warm"], "event_id": ["warm"]}))


def _check(batch: Batch) -> None:
    table = TABLES[batch.table]
    if batch.rows.num_rows > MAX_ROWS:
        raise ValueError(f"{batch.rows.num_rows} rows in one batch; {MAX_ROWS} at the most")
    if batch.basis not in BASES:
        raise ValueError(f"unknown basis {batch.basis!r}; one of {', '.join(BASES)}")
    if [(f.name, f.type) for f in batch.rows.schema] != [(f.name, f.type) for f in table.schema]:
        raise ValueError(f"the batch has not the columns of {table.name}")
    if batch.rows.num_rows:
        if batch.rows.column("event_id").null_count or batch.rows.column("ts").null_count:
            raise ValueError(f"{table.name}: rows without event_id or ts are not checked rows")
        if pc.unique(batch.rows.column("source")).to_pylist() != [batch.source]:
            raise ValueError(f"rows of another source in a batch of {batch.source!r}")


def _judge(
    conn: psycopg.Connection[Any],
    seen: fingerprints.Fingerprints,
    call: fingerprints.Known,
    batch: Batch,
    position: int,
) -> tuple[Appended, dict[str, Any] | None]:
    rows, ready = batch.rows, batch.ready
    if not rows.num_rows or ready is None:
        return Appended(position=None, accepted=0), None
    keys, ts = ready.keys, ready.ts
    verdict = seen.judge(conn, call, keys, ts)
    new = verdict == NEW
    rejects = [
        Reject(
            row=int(i), column="ts", value=(_EPOCH + timedelta(microseconds=int(ts[i]))).isoformat(),
            reason="ts_differs", message="同一来源、同一事件编号已有记录，时间不同",
        )
        for i in np.flatnonzero(verdict == DIFFERS)
    ]  # fmt: skip
    duplicates = np.flatnonzero(verdict == DUPLICATE).tolist()
    accepted = int(new.sum())
    if not accepted:
        return Appended(position=None, accepted=0, duplicates=duplicates, rejects=rejects), None
    payload = ready.payload
    if accepted < rows.num_rows:
        keys, ts, payload = keys[new], ts[new], _pack(rows.filter(pa.array(new)))
    pairs = np.empty(accepted, PAIR)
    pairs["key"], pairs["ts"] = keys, ts
    insert = {
        "position": position,
        "table": batch.table,
        "version": TABLES[batch.table].version,
        "source": batch.source,
        "n": accepted,
        "min_ts": _EPOCH + timedelta(microseconds=int(ts.min())),
        "max_ts": _EPOCH + timedelta(microseconds=int(ts.max())),
        "received_at": batch.received_at or clock.now(),
        "basis": batch.basis,
        "basis_ref": batch.basis_ref,
        "basis_until": batch.basis_until,
        "payload": payload,
        "fingerprints": pairs.tobytes(),
    }
    return Appended(position=position, accepted=accepted, duplicates=duplicates, rejects=rejects), insert


def _pack(rows: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema, options=_ZSTD) as writer:
        writer.write_table(rows.combine_chunks())
    packed: bytes = sink.getvalue().to_pybytes()
    return packed


def head(conn: psycopg.Connection[Any]) -> int:
    """The newest committed position; 0 for an empty log."""
    row = conn.execute(q("log.head")).fetchone()
    assert row is not None
    return int(row[0])


def read(
    conn: psycopg.Connection[Any], after: int, *, limit_rows: int = 200_000, until: int | None = None
) -> Iterator[LogBatch]:
    """Batches after position ``after`` (up to ``until``) in order, until ``limit_rows`` rows are reached; at least one
    batch where there is one. Role wuzha_engine."""
    newest = np.iinfo(np.int64).max if until is None else until
    positions = [
        row[0] for row in conn.execute(q("log.span"), {"after": after, "until": int(newest), "rows": limit_rows})
    ]
    yield from at(conn, positions)


def at(conn: psycopg.Connection[Any], positions: Sequence[int]) -> Iterator[LogBatch]:
    """The batches at these positions, in order; those that have been trimmed are left out."""
    if not positions:
        return
    for row in conn.execute(q("log.read"), {"positions": sorted(positions)}, binary=True):
        position, table, version, source, _, min_ts, max_ts, received_at, basis, basis_ref, basis_until, payload = row
        with pa.ipc.open_stream(payload) as reader:
            rows = reader.read_all()
        if version != TABLES[table].version or rows.schema.names != TABLES[table].schema.names:
            rows = conform(TABLES[table], rows)
        yield LogBatch(
            position=position, table=table, source=source, rows=rows, min_ts=min_ts, max_ts=max_ts,
            received_at=received_at, basis=basis, basis_ref=basis_ref, basis_until=basis_until,
        )  # fmt: skip


def fold(conn: psycopg.Connection[Any], *, rows: int = fingerprints.FOLD_ROWS) -> int:
    """Folds the fingerprints of what is committed where at least ``rows`` rows are not folded yet; how many it was.
    Appenders do not wait for it. Role wuzha_engine."""
    row = conn.execute(q("log.unfolded")).fetchone()
    assert row is not None
    newest, waiting = row
    return fingerprints.fold(conn, newest) if waiting >= rows else 0


def trim(conn: psycopg.Connection[Any], until: int) -> int:
    """Drops log rows up to ``until`` (history holds them by now) and returns how many; duplicates of them are still
    found. Role wuzha_engine."""
    until = min(until, head(conn))
    _folded_to(conn, until)
    return int(conn.execute(q("log.trim"), {"until": until}).rowcount)


def drop_over(conn: psycopg.Connection[Any], floor: int, now: datetime) -> int:
    """Drops log rows up to ``floor`` whose basis is over at ``now`` and returns how many; that they have been is still
    known, so none is taken again. Role wuzha_engine."""
    row = conn.execute(q("log.over"), {"until": min(floor, head(conn)), "now": now}).fetchone()
    last = row[0] if row is not None else None
    if last is None:
        return 0
    _folded_to(conn, last)
    return int(conn.execute(q("log.drop_over"), {"until": last, "now": now}).rowcount)


def _folded_to(conn: psycopg.Connection[Any], until: int) -> None:
    row = conn.execute(q("log.folded_to")).fetchone()
    assert row is not None
    if until > row[0]:
        fingerprints.fold(conn, until)


def forget(conn: psycopg.Connection[Any], before: date) -> int:
    """Drops the fingerprints of events of days (UTC) before one: sent again, they would be taken as new, late ones.
    Returns how many runs. Role wuzha_engine."""
    return int(conn.execute(q("log.runs_over"), {"before": before}).rowcount)


def write_rejects(
    conn: psycopg.Connection[Any], batch: Batch | LogBatch, rejects: Sequence[Reject], *, given: pa.Table | None = None
) -> None:
    """Keeps refused rows for their sender. ``given``: the table that the rejects' row numbers count in (default the
    batch's rows), from which the event's id is taken."""
    rows = given if given is not None else batch.rows
    ids = rows.column("event_id") if "event_id" in rows.column_names else None
    conn.cursor().executemany(
        q("log.reject"),
        [
            {
                "source": batch.source, "table": batch.table, "received_at": batch.received_at or clock.now(),
                "event_id": ids[r.row].as_py() if ids is not None else None, "column": r.column, "value": r.value,
                "reason": r.reason, "message": r.message,
            }
            for r in rejects
        ],
    )  # fmt: skip
