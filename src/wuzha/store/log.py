"""The log: batches of events at positions 1, 2, 3 …, in commit order and without gaps.

It stands in the database, or, where ``WUZHA_LOG`` names one, in a stream of its own (`stream_log`), of which the
database then holds an index (`log_index`): the same rows with an empty payload, a moment behind.

Kept true here: positions are given in one order, so a reader who has seen a position has seen every smaller one; an
event (source, event_id) stands in the log once; a batch is exactly its table's schema. An event ref is
``position << 20 | row``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa

from wuzha.events import clock
from wuzha.events.batch import Reject
from wuzha.events.hashing import identity

from . import fingerprints
from .log_rows import MAX_ROWS as MAX_ROWS
from .log_rows import Appended as Appended
from .log_rows import Batch as Batch
from .log_rows import LogBatch as LogBatch
from .log_rows import Taken, taken, unpack
from .log_rows import prepared as prepared
from .queries import q
from .stream_log import StreamLog
from .stream_log import of as stream_of


def stream() -> StreamLog | None:
    """The log where it stands in a stream (``WUZHA_LOG``), None where it stands in the database."""
    place = os.environ.get("WUZHA_LOG")
    return stream_of(place) if place else None


def commit(conn: psycopg.Connection[Any], batches: Sequence[Batch]) -> list[Appended]:
    """Puts the batches into the log, in order, each durable when this returns. In a transaction of its own; what else
    must stand or fall with them is `append`'s. Roles: wuzha_engine, wuzha_web."""
    elsewhere = stream()
    if elsewhere is not None:
        return elsewhere.append(conn, batches)
    with conn.transaction():
        return append(conn, batches)


def append(conn: psycopg.Connection[Any], batches: Batch | Sequence[Batch]) -> list[Appended]:
    """Puts the batches into the log, in order, inside the caller's transaction (or one of its own). Where the log
    stands in a stream they go there once that transaction stands, and have no position yet.

    Rows that the log holds already are left out and named as duplicates; the same identity with another ts is a reject
    (``ts_differs``). Other appenders wait from here to the commit, so let it be the last thing a transaction does.
    Roles: wuzha_engine, wuzha_web. Raises ValueError for a batch that is not as `events.batch` leaves it.
    """
    given = [prepared(b) for b in ([batches] if isinstance(batches, Batch) else batches)]
    if not given:
        return []
    outgoing = stream() is not None
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
        parts: list[Taken] = []
        for batch in given:
            assert batch.ready is not None
            verdict = seen.judge(conn, call, batch.ready.keys, batch.ready.ts)
            result, part = taken(batch, verdict, head + len(parts) + 1)
            results.append(replace(result, position=None) if outgoing else result)
            if part is not None:
                parts.append(part)
        if parts and outgoing:
            conn.cursor().executemany(q("log.leave"), [row_of(p) for p in parts])
        elif parts:
            rows = [{**row_of(p), "position": head + i} for i, p in enumerate(parts, start=1)]
            conn.cursor().executemany(q("log.insert"), rows)
            conn.execute(q("log.advance"), {"position": head + len(parts)})
    return results


def warm() -> None:
    """Load what the first `append` of a process would load, about two seconds: so nobody waits for it."""
    fingerprints.warm(identity(pa.table({"source": ["warm"], "event_id": ["warm"]})), np.zeros(1, np.int64))


def row_of(part: Taken) -> dict[str, Any]:
    """A part of a batch as the database holds it, without its position."""
    return {
        "table": part.table, "version": part.version, "source": part.source, "n": part.n, "min_ts": part.min_ts,
        "max_ts": part.max_ts, "received_at": part.received_at, "basis": part.basis, "basis_ref": part.basis_ref,
        "basis_until": part.basis_until, "payload": part.payload, "fingerprints": part.pairs.tobytes(),
    }  # fmt: skip


def head(conn: psycopg.Connection[Any]) -> int:
    """The newest committed position; 0 for an empty log."""
    elsewhere = stream()
    if elsewhere is not None:
        return elsewhere.head()
    return indexed(conn)


def indexed(conn: psycopg.Connection[Any]) -> int:
    """The newest position that the database knows of."""
    row = conn.execute(q("log.head")).fetchone()
    assert row is not None
    return int(row[0])


def read(
    conn: psycopg.Connection[Any], after: int, *, limit_rows: int = 200_000, until: int | None = None
) -> Iterator[LogBatch]:
    """Batches after position ``after`` (up to ``until``) in order, until ``limit_rows`` rows are reached; at least one
    batch where there is one. Role wuzha_engine."""
    elsewhere = stream()
    if elsewhere is not None:
        yield from elsewhere.read(after, limit_rows=limit_rows, until=until)
        return
    newest = np.iinfo(np.int64).max if until is None else until
    positions = [
        row[0] for row in conn.execute(q("log.span"), {"after": after, "until": int(newest), "rows": limit_rows})
    ]
    yield from at(conn, positions)


def at(conn: psycopg.Connection[Any], positions: Sequence[int]) -> Iterator[LogBatch]:
    """The batches at these positions, in order; those that have been trimmed are left out."""
    if not positions:
        return
    elsewhere = stream()
    if elsewhere is not None:
        yield from elsewhere.at(positions)
        return
    for row in conn.execute(q("log.read"), {"positions": sorted(positions)}, binary=True):
        position, table, version, source, _, min_ts, max_ts, received_at, basis, basis_ref, basis_until, payload = row
        yield LogBatch(
            position=position, table=table, source=source, rows=unpack(table, version, payload), min_ts=min_ts,
            max_ts=max_ts, received_at=received_at, basis=basis, basis_ref=basis_ref, basis_until=basis_until,
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
    until = min(until, indexed(conn))
    _folded_to(conn, until)
    elsewhere = stream()
    if elsewhere is not None and until:
        elsewhere.stream.purge(until)
    return int(conn.execute(q("log.trim"), {"until": until}).rowcount)


def drop_over(conn: psycopg.Connection[Any], floor: int, now: datetime) -> int:
    """Drops log rows up to ``floor`` whose basis is over at ``now`` and returns how many; that they have been is still
    known, so none is taken again. Role wuzha_engine."""
    row = conn.execute(q("log.over"), {"until": min(floor, indexed(conn)), "now": now}).fetchone()
    last = row[0] if row is not None else None
    if last is None:
        return 0
    _folded_to(conn, last)
    elsewhere = stream()
    if elsewhere is not None:
        for (position,) in conn.execute(q("log.over_at"), {"until": last, "now": now}).fetchall():
            elsewhere.stream.delete(position)
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
