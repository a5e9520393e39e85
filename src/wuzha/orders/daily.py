"""What orders do by themselves each day: the platform reconciled, overdue releases and coming ends told.

Kept true here: each unit with orders or rows of the platform is reconciled once a day after `law`'s hour, with what it
sees itself; a day without an export since the day before says that nothing could be compared, and never "no
difference"; nothing is told twice.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import dict_row

from wuzha.command.public import Actor, machine
from wuzha.events import clock
from wuzha.store import transaction

from . import tells
from .law import law
from .states import SELECT, stated

#: An export older than this says nothing of today.
FRESH = timedelta(hours=24)
#: A freeze that ends so soon is told of once, while a renewal can still be approved in time.
FREEZE_ENDS = timedelta(days=7)


def reconciled(conn: psycopg.Connection[Any], actor: Actor, now: datetime) -> int:
    """Reconcile every unit whose day has not been reconciled yet; each in a transaction of its own."""
    local = now.astimezone(clock.zone())
    if local.hour < law(now).reconcile_hour:
        return 0
    day = local.date()
    with transaction(conn, unit=actor.unit_id, user=None, now=now):
        units = conn.execute(
            "SELECT u.unit_id FROM (SELECT k.unit_id FROM wuzha.cases k JOIN wuzha.orders o USING (case_id)"
            "  WHERE o.channel = 'platform' AND o.sealed_at IS NOT NULL"
            " UNION SELECT unit_id FROM wuzha.platform_rows) u"
            " WHERE NOT EXISTS (SELECT 1 FROM wuzha.reconciliations r WHERE r.unit_id = u.unit_id AND r.day = %s)"
            " AND u.unit_id IN (SELECT descendant FROM wuzha.unit_closure WHERE ancestor = %s) ORDER BY 1",
            (day, actor.unit_id),
        ).fetchall()
    for (unit,) in units:
        with transaction(conn, unit=unit, user=None, now=now):
            _unit(conn, machine(unit, "reconcile"), day, now)
    return len(units)


def _unit(conn: psycopg.Connection[Any], actor: Actor, day: Any, now: datetime) -> None:
    from . import reconcile  # reading books takes libraries that a process which only waits does without

    diff = reconcile.differences(conn, actor, now=now)
    row = conn.execute("SELECT max(read_at) FROM wuzha.platform_rows").fetchone()
    exported = row[0] if row else None
    stale = exported is None or now - exported > FRESH
    counts = {name: len(rows) for name, rows in diff.items()}
    made = conn.execute(
        "INSERT INTO wuzha.reconciliations (unit_id, day, at, exported_at, stale, there, here, late)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING RETURNING day",
        (actor.unit_id, day, now, exported, stale, counts["there"], counts["here"], counts["late"]),
    ).fetchone()
    if made is None:
        return
    if stale:
        tells.tell(
            conn, unit_id=actor.unit_id, kind="not_compared", key=f"not_compared:{actor.unit_id}:{day}", at=now,
            detail=counts,
        )  # fmt: skip
    elif any(counts.values()):
        tells.tell(
            conn, unit_id=actor.unit_id, kind="reconciled", key=f"reconciled:{actor.unit_id}:{day}", at=now,
            detail=counts,
        )  # fmt: skip


def days(conn: psycopg.Connection[Any], *, limit: int = 14) -> list[dict[str, Any]]:
    """The last days' reconciliations of the units in scope, the newest first."""
    return (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT r.*, n.name AS unit_name FROM wuzha.reconciliations r JOIN wuzha.units n USING (unit_id)"
            " ORDER BY r.day DESC, r.unit_id LIMIT %s",
            (limit,),
        )
        .fetchall()
    )


def due(conn: psycopg.Connection[Any], actor: Actor, now: datetime) -> int:
    """Tell of first-level stops that were not entered in time, of releases whose days are over, of stops that ended
    while money lay there, of freezes that end soon."""
    rows = stated(
        conn.cursor(row_factory=dict_row)
        .execute(
            SELECT + " WHERE k.unit_id IN (SELECT descendant FROM wuzha.unit_closure WHERE ancestor = %(root)s)"
            " AND o.kind IN ('stop', 'freeze') AND o.released_at IS NULL AND (o.unrelated_at IS NOT NULL"
            "  OR o.kind = 'stop' AND o.level = 1 AND o.entered_at IS NULL AND o.dropped_at IS NULL"
            "   AND o.drafted_at > %(lately)s AND k.state NOT IN ('withdrawn', 'not_filed')"
            "  OR o.executed_at IS NOT NULL AND (o.kind = 'freeze' AND o.ends_at > %(now)s AND o.ends_at <= %(soon)s"
            "   OR o.kind = 'stop' AND o.ends_at <= %(now)s AND o.ends_at > %(lately)s))"
            " ORDER BY o.order_id LIMIT 2000",
            {"root": actor.unit_id, "now": now, "soon": now + FREEZE_ENDS, "lately": now - timedelta(days=3)},
        )
        .fetchall(),
        now,
    )
    told = 0
    for o in rows:
        kind = None
        if o["release_due"] is not None and o["release_due"] <= now:
            kind, of = "release_overdue", o["unrelated_at"]
        elif o["kind"] == "freeze" and o["in_force"] and o["ends_at"] <= now + FREEZE_ENDS:
            kind, of = "freeze_ends", o["ends_at"]
        elif o["kind"] == "stop" and o["state"] == "expired":
            kind, of = "stop_ended", o["ends_at"]
        elif o["entered_at"] is None and o["entry_due"] is not None and o["entry_due"] <= now:
            kind, of = "entry_late", o["entry_due"]
        if kind is not None:
            told += tells.tell(
                conn, unit_id=o["unit_id"], kind=kind, key=f"{kind}:{o['order_id']}:{of.isoformat()}", at=now,
                case_id=o["case_id"], order_id=o["order_id"],
            )  # fmt: skip
    return told
