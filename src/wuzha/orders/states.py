"""The state of an order at a moment, and reading orders.

Kept true here: a state is computed on reading, from the times alone; a stop or a freeze is in force only from its
execution until its end or its release, so that one that nobody renews lapses by itself; a freeze that waits its turn
holds nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import dict_row

from wuzha.command.public import Actor, Refused, require

from .law import law_of

#: 已起草, 已签发, 已录入平台, 平台已受理, 轮候, 已止付（已冻结、已答复）, 未成功, 到期, 已解除, 已撤下.
STATES = ("drafted", "sealed", "entered", "accepted", "queued", "done", "failed", "expired", "released", "dropped")
#: States of an order that nobody has answered yet: it may still hold what it asks for.
UNDER_WAY = ("sealed", "entered", "accepted")
#: States in which somebody still has to do something.
OPEN = ("drafted", "sealed", "entered", "accepted")
PAGE = 200

SELECT = """
SELECT o.*, s.value AS account, h.name AS holder, k.case_no, k.unit_id, k.opened_at, k.state AS case_state,
       n.name AS unit_name, n.code AS unit_code, d.name AS drafter, p.name AS approver, e.name AS sealer,
       w.unrelated_at AS found_at, m.title AS member, ca.kind AS account_kind, ca.role AS account_role,
       (SELECT max(r.reported_at) FROM wuzha.case_reports r JOIN wuzha.case_losses l USING (report_id)
         WHERE r.case_id = o.case_id AND l.payee_id = o.account_id AND r.taken_at <= o.drafted_at
           AND NOT EXISTS (SELECT 1 FROM wuzha.orders p WHERE p.case_id = o.case_id AND p.account_id = o.account_id
                              AND p.kind = 'stop' AND p.executed_at < o.drafted_at)) AS reported_at
  FROM wuzha.orders o
  JOIN wuzha.cases k USING (case_id)
  JOIN wuzha.subjects s ON s.subject_id = o.account_id
  LEFT JOIN wuzha.orders w ON w.order_id = o.of_order
  LEFT JOIN wuzha.case_accounts ca ON ca.case_id = o.case_id AND ca.account_id = o.account_id
  LEFT JOIN wuzha.persons h ON h.person_id = coalesce(o.holder_id, ca.holder_id)
  LEFT JOIN wuzha.units n ON n.unit_id = k.unit_id
  LEFT JOIN wuzha.users d ON d.user_id = o.drafted_by
  LEFT JOIN wuzha.users p ON p.user_id = o.approved_by
  LEFT JOIN wuzha.users e ON e.user_id = o.sealed_by
  LEFT JOIN wuzha.sources m ON m.source_id = o.source_id
"""


def state(order: dict[str, Any], now: datetime) -> str:
    """The state of an order's row at ``now``: one of STATES."""
    if order["dropped_at"] is not None:
        return "dropped"
    if order["failed_code"] is not None:
        return "failed"
    if order["released_at"] is not None and order["released_at"] <= now:
        return "released"
    if order["executed_at"] is not None:
        return "expired" if order["ends_at"] is not None and order["ends_at"] <= now else "done"
    if order["queued_at"] is not None:
        return "queued"
    for name, column in (("accepted", "accepted_at"), ("entered", "entered_at"), ("sealed", "sealed_at")):
        if order[column] is not None:
            return name
    return "drafted"


def in_force(order: dict[str, Any], now: datetime) -> bool:
    """Whether a stop or a freeze holds money at ``now``."""
    return order["kind"] in ("stop", "freeze") and state(order, now) == "done" and order["executed_at"] <= now


def holds(order: dict[str, Any], now: datetime) -> int:
    """How much a stop or a freeze holds at ``now`` (fen): what was done of it, without what was let go again."""
    return (order["done_fen"] or 0) - order["released_fen"] if in_force(order, now) else 0


def claims(order: dict[str, Any], now: datetime) -> int:
    """How much it holds, or will hold without anybody's pressing again: under way to its bank, or waiting its turn."""
    if order["kind"] in ("stop", "freeze") and order["state"] in (*UNDER_WAY, "queued"):
        return order["queued_fen"] if order["queued_fen"] is not None else order["amount_fen"] or 0
    return holds(order, now)


def release_due(order: dict[str, Any], now: datetime) -> datetime | None:
    """Until when what was found unrelated must be let go: so many days after it was found, whoever found it."""
    if order["unrelated_at"] is None or not (in_force(order, now) or order["state"] == "queued"):
        return None
    found: datetime = order["unrelated_at"]
    return found + timedelta(days=law_of(order["law_from"]).release_unrelated_days)


def entry_due(order: dict[str, Any]) -> datetime | None:
    """Until when an order must have been entered: a first-level account's first stop so long after the report that
    named it, a release so long after somebody found that it is due; None for what has no such duty."""
    if order["kind"] == "release":
        found: datetime = order["found_at"] or order["drafted_at"]
        return found + timedelta(days=law_of(order["law_from"]).release_unrelated_days)
    if order["kind"] != "stop" or order["level"] != 1 or order["reported_at"] is None:
        return None
    due: datetime = order["reported_at"] + timedelta(minutes=law_of(order["law_from"]).entry_minutes)
    return due


def stated(rows: list[dict[str, Any]], now: datetime) -> list[dict[str, Any]]:
    """The rows with ``state``, ``in_force``, ``holds_fen``, ``entry_due``, ``release_due`` and ``word``, the catalogue
    key of the state."""
    for row in rows:
        row["state"], row["in_force"], row["entry_due"] = state(row, now), in_force(row, now), entry_due(row)
        row["holds_fen"], row["release_due"] = holds(row, now), release_due(row, now)
        on_its_way = row["state"] in UNDER_WAY
        row["word"] = f"order_state.{row['channel'] if on_its_way else row['kind']}.{row['state']}"
    return rows


def of_case(conn: psycopg.Connection[Any], case_id: int, *, now: datetime) -> list[dict[str, Any]]:
    """Every order of a case that was not dropped, oldest first."""
    cursor = conn.cursor(row_factory=dict_row)
    sql = SELECT + " WHERE o.case_id = %s AND o.dropped_at IS NULL ORDER BY o.order_id"
    return stated(cursor.execute(sql, (case_id,)).fetchall(), now)


def one(conn: psycopg.Connection[Any], actor: Actor, order_id: int, *, now: datetime) -> dict[str, Any]:
    """An order. Refused("not_found") out of scope."""
    require(actor, "cases.read")
    found = conn.cursor(row_factory=dict_row).execute(SELECT + " WHERE o.order_id = %s", (order_id,)).fetchone()
    if found is None:
        raise Refused("not_found")
    return stated([found], now)[0]
