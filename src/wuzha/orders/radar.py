"""Orders of all cases on one list: what waits for entry, what runs out, what waits its turn, what is to be let go.

Kept true here: what has run out by now is not "in force" whatever a row says; the list shows first what is due first.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import dict_row

from wuzha.command.public import Actor, require

from .states import PAGE, SELECT, stated

LISTS = ("open", "expiring", "queued", "release", "all")
#: A stop that ends so soon, a freeze that ends within so many days, is on the radar.
SOON = {"stop": timedelta(hours=12), "freeze": timedelta(days=30)}


def radar(
    conn: psycopg.Connection[Any], actor: Actor, *, which: str, after: int | None = None, now: datetime
) -> list[dict[str, Any]]:
    """Orders of a list: ``open`` (somebody has to do something), ``expiring`` (in force, soon over), ``queued`` (waits
    behind another's freeze, or its turn was only presumed), ``release`` (found unrelated, its days run), ``all``."""
    require(actor, "cases.read")
    where = {
        "open": "o.dropped_at IS NULL AND o.answered_at IS NULL",
        "expiring": "o.executed_at IS NOT NULL AND o.released_at IS NULL AND o.ends_at > %(now)s"
        " AND o.ends_at < %(now)s + CASE o.kind WHEN 'stop' THEN %(stop)s ELSE %(freeze)s END",
        "queued": "o.queued_at IS NOT NULL AND o.released_at IS NULL AND o.failed_code IS NULL"
        " AND (o.executed_at IS NULL OR o.effect_presumed AND o.ends_at > %(now)s)",
        "release": "o.unrelated_at IS NOT NULL AND o.released_at IS NULL"
        " AND (o.executed_at IS NULL OR o.ends_at > %(now)s)",
        "all": "(%(after)s::bigint IS NULL OR o.order_id < %(after)s)",
    }[which]
    order = {
        "open": "o.level, o.order_id", "expiring": "o.ends_at, o.order_id",
        "queued": "o.queued_until NULLS LAST, o.queued_at, o.order_id", "release": "o.unrelated_at, o.order_id",
        "all": "o.order_id DESC",
    }[which]  # fmt: skip
    rows = (
        conn.cursor(row_factory=dict_row)
        .execute(
            f"{SELECT} WHERE {where} ORDER BY {order} LIMIT %(limit)s",
            {"now": now, "after": after, "limit": PAGE + 1, "stop": SOON["stop"], "freeze": SOON["freeze"]},
        )
        .fetchall()
    )
    found = stated(rows, now)
    if which == "open":
        far = datetime.max.replace(tzinfo=now.tzinfo)
        found.sort(key=lambda o: (o["entered_at"] is not None, o["entry_due"] or far, o["order_id"]))
    return found
