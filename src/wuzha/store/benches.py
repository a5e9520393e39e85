"""Workbenches whose end has come.

Kept true here: a bench goes with all its files and what was read of them, and the audit says so.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg

from . import audit
from .queries import q


def ended(conn: psycopg.Connection[Any], now: datetime) -> int:
    """Let go of benches that ended by ``now``; how many. As wuzha_engine."""
    with conn.transaction():
        rows = conn.execute(q("benches.ended"), {"now": now}).fetchall()
        for number, unit_id in rows:
            audit.append(
                conn, at=now, actor="keeping", unit_id=unit_id, action="workbench.ended", object=f"workbench:{number}"
            )
    return len(rows)
