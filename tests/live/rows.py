"""Small batches for the tests of this folder."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from wuzha.events import TABLES
from wuzha.events.batch import conform

START = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)


def table(name: str, rows: list[dict[str, Any]], source: str = "carrier") -> pa.Table:
    """Rows of one table as the doors hand them on."""
    columns = {c.name: [r.get(c.name) for r in rows] for c in TABLES[name].all_columns}
    columns["source"] = [source] * len(rows)
    arrays = {n: pa.array(v, TABLES[name].column(n).type) for n, v in columns.items()}
    return conform(TABLES[name], pa.table(arrays))


def calls(n: int, *, first: int = 0, source: str = "carrier", step_s: int = 60) -> pa.Table:
    """``n`` calls of one line to many, ``step_s`` apart."""
    return table(
        "calls",
        [
            {
                "event_id": f"c{i}", "ts": START + timedelta(seconds=i * step_s), "caller": "+85251234567",
                "callee": f"+861380013{i % 10000:04d}", "duration_s": i % 600,
            }
            for i in range(first, first + n)
        ],
        source,
    )  # fmt: skip
