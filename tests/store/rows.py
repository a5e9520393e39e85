"""Batches of calls for the log's tests, and a process that appends them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pyarrow as pa

from wuzha.events import TABLES
from wuzha.events.batch import conform
from wuzha.store import log
from wuzha.store.log import Batch

BASE = datetime(2026, 3, 2, 8, tzinfo=UTC)


def calls(ids: Sequence[str], *, source: str = "carrier-a", seconds: Sequence[float] | None = None) -> pa.Table:
    """One call an id; ``seconds`` after BASE (default 0, 1, 2 …)."""
    after = seconds if seconds is not None else range(len(ids))
    return conform(
        TABLES["calls"],
        pa.table(
            {
                "source": pa.array([source] * len(ids), pa.string()),
                "event_id": pa.array(list(ids), pa.string()),
                "ts": pa.array([BASE + timedelta(seconds=s) for s in after], pa.timestamp("us", tz="UTC")),
                "caller": pa.array(["+8613800000001"] * len(ids)),
                "callee": pa.array([f"+86139{i % 10**8:08d}" for i in range(len(ids))], pa.string()),
            }
        ),
    )


def batch(ids: Sequence[str], *, source: str = "carrier-a", seconds: Sequence[float] | None = None) -> Batch:
    """The same as a batch for the log."""
    return Batch(table="calls", rows=calls(ids, source=source, seconds=seconds), source=source, basis="holder_own")


def append_all(conninfo: str, seed: int, n: int, out: Any) -> None:
    """The events e0 … in an order of its own, 25 at a time; puts how many were accepted."""
    order = list(range(n))
    random.Random(seed).shuffle(order)
    accepted = 0
    with psycopg.connect(conninfo, autocommit=True) as conn:
        for at in range(0, n, 25):
            part = order[at : at + 25]
            (result,) = log.append(conn, batch([f"e{i}" for i in part], seconds=[float(i) for i in part]))
            assert result.accepted + len(result.duplicates) == len(part) and not result.rejects
            accepted += result.accepted
    out.put(accepted)
