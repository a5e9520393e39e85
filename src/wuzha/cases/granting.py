"""A case shared with a partner unit: sight of it, for a reason, until an end.

Kept true here: a grant gives sight and nothing else – the database lets a partner write nothing of the case but that
its officer opened the names; only the case's own unit, or one above it, shares it; every grant has a reason, an end
within `LONGEST` and an audit row; one that has ended gives nothing from that second on.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import dict_row

from wuzha.command.public import Actor, Refused, require
from wuzha.events import clock
from wuzha.orders.public import Done, lock, record, repeated

#: A grant ends by then; another one may follow, with its own reason.
LONGEST = timedelta(days=90)


def grant(
    conn: psycopg.Connection[Any], actor: Actor, case_id: int, *, unit_id: int, reason: str, until: datetime, key: str,
    now: datetime | None = None,
) -> Done:  # fmt: skip
    """Share the case. Refused: no_words, not_found (no such unit, or the case is not the actor's own), grant_own (the
    unit sees it anyway), grant_until (no end ahead, or one too far), grant_stands."""
    require(actor, "cases.write")
    now = now or clock.now()
    if not reason.strip():
        raise Refused("no_words")
    if not now < until <= now + LONGEST:
        raise Refused("grant_until", limit=LONGEST.days)
    if done := repeated(conn, actor, key):
        return done
    case = lock(conn, case_id)  # a case that was only shared with us cannot be locked, and is not shared on
    row = conn.execute(
        "SELECT u.unit_id, EXISTS (SELECT 1 FROM wuzha.unit_closure c WHERE c.ancestor = u.unit_id"
        " AND c.descendant = %s) FROM wuzha.units u WHERE u.unit_id = %s",
        (case["unit_id"], unit_id),
    ).fetchone()
    if row is None:
        raise Refused("not_found")
    if row[1]:
        raise Refused("grant_own")
    standing = conn.execute(
        "SELECT 1 FROM wuzha.grants WHERE table_name = 'cases' AND row_id = %s AND unit_id = %s AND until > %s",
        (case_id, unit_id, now),
    ).fetchone()
    if standing is not None:
        raise Refused("grant_stands")
    conn.execute(
        "INSERT INTO wuzha.grants (table_name, row_id, unit_id, reason, granted_by, granted_at, until)"
        " VALUES ('cases', %s, %s, %s, %s, %s, %s)",
        (case_id, unit_id, reason.strip()[:500], actor.user_id, now, until),
    )
    return record(
        conn, actor, case, "case_granted", at=now, key=key, words=reason,
        detail={"unit": unit_id, "until": until.isoformat()},
    )  # fmt: skip


def end(
    conn: psycopg.Connection[Any], actor: Actor, case_id: int, grant_id: int, *, key: str, now: datetime | None = None
) -> Done:
    """End a grant now. Refused("not_found") where there is none in the actor's own case."""
    require(actor, "cases.write")
    now = now or clock.now()
    if done := repeated(conn, actor, key):
        return done
    case = lock(conn, case_id)
    row = conn.execute(
        "UPDATE wuzha.grants SET ended_at = %s WHERE grant_id = %s AND table_name = 'cases' AND row_id = %s"
        " AND until > %s RETURNING unit_id",
        (now, grant_id, case_id, now),
    ).fetchone()
    if row is None:
        raise Refused("not_found")
    return record(conn, actor, case, "grant_ended", at=now, key=key, detail={"unit": row[0], "grant": grant_id})


def of_case(conn: psycopg.Connection[Any], case_id: int, *, now: datetime) -> list[dict[str, Any]]:
    """Grants of a case, the newest first, each with ``stands``."""
    return (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT g.*, n.name AS unit_name, u.name AS officer, g.until > %s AS stands FROM wuzha.grants g"
            " JOIN wuzha.units n ON n.unit_id = g.unit_id LEFT JOIN wuzha.users u ON u.user_id = g.granted_by"
            " WHERE g.table_name = 'cases' AND g.row_id = %s ORDER BY g.grant_id DESC LIMIT 50",
            (now, case_id),
        )
        .fetchall()
    )


def ours(conn: psycopg.Connection[Any], actor: Actor, unit_id: int) -> bool:
    """Whether a case of this unit is the actor's own to work on, and not only shared with them."""
    row = conn.execute(
        "SELECT 1 FROM wuzha.unit_closure WHERE ancestor = %s AND descendant = %s", (actor.unit_id, unit_id)
    ).fetchone()
    return row is not None


def partners(conn: psycopg.Connection[Any], actor: Actor, unit_id: int) -> list[dict[str, Any]]:
    """Units that a case of ``unit_id`` may be shared with: all that do not see it anyway."""
    return (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT u.unit_id, u.name FROM wuzha.units u WHERE NOT EXISTS (SELECT 1 FROM wuzha.unit_closure c"
            " WHERE c.ancestor = u.unit_id AND c.descendant = %s) ORDER BY u.name, u.unit_id LIMIT 500",
            (unit_id,),
        )
        .fetchall()
    )
