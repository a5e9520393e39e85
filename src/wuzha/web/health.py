"""How the machine fares, for whoever runs it: what is looked at, the worst first, each with what to do next.

Kept true here: figures only; whoever may see this page need not be allowed to see a file.
"""

from __future__ import annotations

import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
import psycopg
from fastapi import APIRouter, Depends
from fastapi.responses import Response

from wuzha.command.public import require
from wuzha.events import clock
from wuzha.live import aside
from wuzha.live.settings import settings
from wuzha.live.watching import findings, standing

from . import words
from .context import Context, signed_in

router = APIRouter()

#: Rows that came and were refused are counted over so long, and among so many of the newest batches.
_LATELY_S = 600
_BATCHES = 40_000


@router.get("/health")
def show(ctx: Context = Depends(signed_in)) -> Response:
    """The page."""
    require(ctx.actor, "health.read")
    told = settings()
    with ctx.pool.connection() as conn:
        now = standing(conn)
        rows, rejected, reasons = _lately(conn, now.head)
        rebuilding = conn.execute(
            "SELECT share, why IS NOT NULL FROM wuzha.feature_rebuilds WHERE ended_at IS NULL"
            " ORDER BY change_id LIMIT 1"
        ).fetchone()
        waiting = conn.execute("SELECT min(created_at) FROM wuzha.outbox WHERE receipted_at IS NULL").fetchone()
    oldest = waiting[0] if waiting is not None else None
    found = findings(
        now, told, free=_free(told.home), memory=psutil.virtual_memory().total,
        aside=aside.count(told.home), rows=rows, rejected=rejected,
        rebuilt=float(rebuilding[0]) if rebuilding else 0.0, stuck=bool(rebuilding and rebuilding[1]),
        waiting_s=0.0 if oldest is None else max((clock.now() - oldest) / clock.stretch(1.0), 0.0),
    )  # fmt: skip
    looked = [(f.name, f.state, {key: _said(key, value) for key, value in f.values.items()}) for f in found]
    return ctx.page("health.html", looked=looked, rules=now.engine.get("rules", []), reasons=reasons)


def _free(home: Path) -> int:
    """Free bytes where the data are; none where there is no such folder."""
    try:
        return shutil.disk_usage(home).free
    except OSError:
        return 0


def _lately(conn: psycopg.Connection[Any], head: int) -> tuple[int, int, list[tuple[str, str, str, int]]]:
    """Rows taken, rows refused, and whose: (source, table, reason, rows), the most first."""
    since = clock.now() - clock.stretch(_LATELY_S)
    row = conn.execute(
        "SELECT coalesce(sum(n), 0) FROM wuzha.log WHERE position > %s AND received_at > %s", [head - _BATCHES, since]
    ).fetchone()
    refused = conn.execute(
        "SELECT source, table_name, reason, count(*) FROM (SELECT * FROM wuzha.rejects ORDER BY reject_id DESC"
        " LIMIT %s) r WHERE received_at > %s GROUP BY 1, 2, 3 ORDER BY 4 DESC",
        [_BATCHES, since],
    ).fetchall()
    assert row is not None
    return int(row[0]), sum(n for *_, n in refused), refused[:10]


def _said(key: str, value: Any) -> str:
    """A figure as people read it."""
    if value is None:
        return "—"
    if key in ("free", "keep", "bytes", "memory", "size"):
        return f"{value / 2**30:,.1f} GiB" if value >= 2**30 else f"{value / 2**20:,.0f} MiB"
    if key == "at":
        return words.full(datetime.fromisoformat(value))
    if key == "share":
        return f"{100 * value:.1f}%"
    return f"{value:,}" if isinstance(value, int) else str(value)
