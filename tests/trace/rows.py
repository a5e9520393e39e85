"""Rows of the transfers table for tests, in seconds and fen."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from wuzha.events import TABLES
from wuzha.events.batch import conform

#: Moment that times in tests count from, µs.
T0 = 1_750_000_000_000_000


def table(rows: list[dict[str, Any]]) -> pa.Table:
    """The rows as the transfers table; ``ts`` in µs after `T0`; ``source`` and ``event_id`` where they are missing."""
    schema = TABLES["transfers"].schema
    filled = [
        {"source": "bank", "event_id": f"e{i}", **row, "ts": T0 + row["ts"]} for i, row in enumerate(rows)
    ]  # fmt: skip
    names = list(dict.fromkeys(name for row in filled for name in row)) or ["source", "event_id", "ts", "amount_fen"]
    columns = {}
    for name in names:
        kind = schema.field(name).type
        values = [row.get(name) for row in filled]
        columns[name] = (
            pa.array(values, pa.int64()).cast(pa.timestamp("us")).cast(kind) if name == "ts" else pa.array(values, kind)
        )
    return conform(TABLES["transfers"], pa.table(columns))


def pay(second: float, payer: str | None, payee: str | None, fen: int, **more: Any) -> dict[str, Any]:
    """One transfer at ``second``."""
    return {"ts": round(second * 1_000_000), "payer": payer, "payee": payee, "amount_fen": fen, **more}
