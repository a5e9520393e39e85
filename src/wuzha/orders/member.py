"""Orders as a member unit sees them: its own, sealed, not answered yet.

Kept true here: a member unit sees only orders that a named officer has sealed and that go to it through its interface;
what it gets is what the law lets it be asked: whose account, which transfer, how much, on what ground.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row

from .law import law_of
from .paper import number
from .states import SELECT, stated


def waiting(conn: psycopg.Connection[Any], source_id: int, *, limit: int, now: datetime) -> list[dict[str, Any]]:
    """What this member unit has to answer, the oldest first. ``conn`` has the scope of the whole house."""
    rows = (
        conn.cursor(row_factory=dict_row)
        .execute(
            SELECT + " WHERE o.source_id = %s AND o.channel = 'api' AND o.sealed_at IS NOT NULL"
            " AND o.answered_at IS NULL ORDER BY o.sealed_at, o.order_id LIMIT %s",
            (source_id, limit),
        )
        .fetchall()
    )
    return [message(order) for order in stated(rows, now)]


def message(order: dict[str, Any]) -> dict[str, Any]:
    """An order as a member unit gets it."""
    kind = law_of(order["law_from"]).kind[order["kind"]]
    hours = law_of(order["law_from"]).stop_hours if order["kind"] == "stop" else None
    return {
        "order": order["order_id"], "kind": order["kind"], "document": number(order), "account": order["account"],
        "holder": order["holder"], "transfer_fen": order["transfer_fen"], "transfer_at": order["transfer_at"],
        "amount_fen": order["amount_fen"], "hours": hours, "months": order["months"], "law": kind.law_zh,
        "releases": order["of_order"] if order["kind"] == "release" else None, "sealed_at": order["sealed_at"],
        "officer": order["sealer"], "unit": order["unit_name"], "reason": order["reason"],
        "taken": order["entered_at"] is not None,
    }  # fmt: skip


def belongs(conn: psycopg.Connection[Any], order_id: int, source_id: int) -> bool:
    """Whether the order was sealed for this member unit's interface."""
    row = conn.execute(
        "SELECT 1 FROM wuzha.orders WHERE order_id = %s AND source_id = %s AND channel = 'api'"
        " AND sealed_at IS NOT NULL",
        (order_id, source_id),
    ).fetchone()
    return row is not None
