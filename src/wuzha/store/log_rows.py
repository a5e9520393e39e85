"""Batches and rows of the log, wherever it stands: what goes in, what comes out, what became of it.

Kept true here: a batch is exactly its table's schema; a row's fingerprint is (identity hash, ts in µs); what is taken
of a batch is what its verdict calls new, and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from wuzha.events import BASES, TABLES, clock
from wuzha.events.batch import Reject, conform
from wuzha.events.hashing import identity

from .fingerprints import DIFFERS, DUPLICATE, NEW, PAIR, Pairs

#: Rows of one batch at most: the row's part of an event ref has 20 bits.
MAX_ROWS = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: A batch is compressed in one piece: column by column it takes twice the time to write and to read.
_ZSTD = pa.Codec("zstd", compression_level=3)
_ZSTD_BEGINS = b"\x28\xb5\x2f\xfd"


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

    #: None where nothing of it was new, or where it is on its way to the log still.
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


@dataclass(frozen=True, kw_only=True)
class Taken:
    """The part of a batch that is new, as it is to stand in the log."""

    table: str
    version: int
    source: str
    n: int
    min_ts: datetime
    max_ts: datetime
    received_at: datetime
    basis: str
    basis_ref: str | None
    basis_until: datetime | None
    payload: bytes
    pairs: Pairs


def prepared(batch: Batch) -> Batch:
    """``batch`` checked, hashed and packed: what `log.append` would do with it while other appenders wait. Needs no
    database. Raises ValueError as `log.append` does."""
    if batch.ready is not None:
        return batch
    _check(batch)
    ts = batch.rows.column("ts").cast(pa.int64()).combine_chunks().to_numpy(zero_copy_only=False)
    return replace(batch, ready=Ready(keys=identity(batch.rows), ts=ts, payload=pack(batch.rows)))


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


def taken(batch: Batch, verdict: npt.NDArray[np.uint8], position: int) -> tuple[Appended, Taken | None]:
    """What becomes of a prepared batch whose rows were judged so, and what of it is to stand at ``position``."""
    rows, ready = batch.rows, batch.ready
    if not rows.num_rows or ready is None:
        return Appended(position=None, accepted=0), None
    keys, ts = ready.keys, ready.ts
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
        keys, ts, payload = keys[new], ts[new], pack(rows.filter(pa.array(new)))
    pairs = np.empty(accepted, PAIR)
    pairs["key"], pairs["ts"] = keys, ts
    part = Taken(
        table=batch.table,
        version=TABLES[batch.table].version,
        source=batch.source,
        n=accepted,
        min_ts=_EPOCH + timedelta(microseconds=int(ts.min())),
        max_ts=_EPOCH + timedelta(microseconds=int(ts.max())),
        received_at=batch.received_at or clock.now(),
        basis=batch.basis,
        basis_ref=batch.basis_ref,
        basis_until=batch.basis_until,
        payload=payload,
        pairs=pairs,
    )
    return Appended(position=position, accepted=accepted, duplicates=duplicates, rejects=rejects), part


def pack(rows: pa.Table) -> bytes:
    """Rows as they stand in the log: an Arrow IPC stream under zstd."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows.combine_chunks())
    packed: bytes = _ZSTD.compress(sink.getvalue(), asbytes=True)
    return packed


def unpack(table: str, version: int, payload: bytes | memoryview) -> pa.Table:
    """The rows of a payload, in the table's present schema. Earlier versions compressed within the stream."""
    source = pa.BufferReader(payload)
    if payload[:4] == _ZSTD_BEGINS:
        source = pa.CompressedInputStream(source, "zstd")
    with pa.ipc.open_stream(source) as reader:
        rows = reader.read_all()
    if version != TABLES[table].version or rows.schema.names != TABLES[table].schema.names:
        rows = conform(TABLES[table], rows)
    return rows
