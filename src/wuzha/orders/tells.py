"""What a unit's officers are told of orders, each thing once, until one of them has seen it.

Kept true here: the same thing is told once however often its round runs (its key); what is told holds codes and
numbers, never a name or an account; who has seen it is kept.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from wuzha.command.public import Actor, Refused, require
from wuzha.events import clock

#: What is told; words: ``order_tell.<kind>``.
KINDS = ("entry_late", "stop_ended", "release_overdue", "freeze_ends", "queue_in_force", "reconciled", "not_compared")
PAGE = 50


def tell(
    conn: psycopg.Connection[Any], *, unit_id: int, kind: str, key: str, at: datetime, case_id: int | None = None,
    order_id: int | None = None, detail: dict[str, Any] | None = None,
) -> bool:  # fmt: skip
    """Tell the unit; False where this was told before."""
    assert kind in KINDS, kind
    row = conn.execute(
        "INSERT INTO wuzha.order_tells (unit_id, case_id, order_id, kind, at, detail, key)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (key) DO NOTHING RETURNING tell_id",
        (unit_id, case_id, order_id, kind, at, Jsonb(detail or {}), key),
    ).fetchone()
    return row is not None


def unseen(conn: psycopg.Connection[Any], actor: Actor) -> list[dict[str, Any]]:
    """What nobody has seen yet, the newest first."""
    require(actor, "cases.read")
    return (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT t.*, k.case_no, o.kind AS order_kind, s.value AS account FROM wuzha.order_tells t"
            " LEFT JOIN wuzha.cases k USING (case_id) LEFT JOIN wuzha.orders o ON o.order_id = t.order_id"
            " LEFT JOIN wuzha.subjects s ON s.subject_id = o.account_id"
            " WHERE t.seen_at IS NULL ORDER BY t.at DESC, t.tell_id DESC LIMIT %s",
            (PAGE,),
        )
        .fetchall()
    )


def count(conn: psycopg.Connection[Any]) -> int:
    """How many things nobody has seen yet."""
    row = conn.execute("SELECT count(*) FROM wuzha.order_tells WHERE seen_at IS NULL").fetchone()
    return int(row[0]) if row else 0


def seen(conn: psycopg.Connection[Any], actor: Actor, tell_id: int, *, now: datetime | None = None) -> None:
    """An officer has seen it; who came first stays. Refused("not_found") out of scope."""
    require(actor, "cases.write" if "cases.write" in actor.may else "orders.enter")
    row = conn.execute("SELECT 1 FROM wuzha.order_tells WHERE tell_id = %s", (tell_id,)).fetchone()
    if row is None:
        raise Refused("not_found")
    conn.execute(
        "UPDATE wuzha.order_tells SET seen_at = %s, seen_by = %s WHERE tell_id = %s AND seen_at IS NULL",
        (now or clock.now(), actor.user_id, tell_id),
    )
