"""Refunds as the freezing bank's interface sees them: its own, decided and sealed, not answered yet.

Kept true here: a member unit sees only payments that a named officer has sent to it, and what it needs to make them:
which document, from which account, to which account, how much, until when.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.rows import dict_row

from .law import law_of
from .words import free

_SELECT = """
SELECT p.*, r.law_from, r.procedure, d.decision_no, d.decided_at, f.value AS source_account, h.name AS source_holder,
       t.value AS account, v.name AS holder, u.name AS officer, n.name AS unit_name
  FROM wuzha.refund_payments p JOIN wuzha.refunds r USING (refund_id)
  JOIN wuzha.refund_decisions d ON d.refund_id = p.refund_id AND d.round = p.round
  JOIN wuzha.cases k USING (case_id) JOIN wuzha.units n ON n.unit_id = k.unit_id
  JOIN wuzha.refund_shares s USING (share_id) JOIN wuzha.case_reports c USING (report_id)
  JOIN wuzha.subjects f ON f.subject_id = r.account_id JOIN wuzha.subjects t ON t.subject_id = p.account_id
  LEFT JOIN wuzha.case_accounts a ON a.case_id = r.case_id AND a.account_id = r.account_id
  LEFT JOIN wuzha.persons h ON h.person_id = a.holder_id
  LEFT JOIN wuzha.persons v ON v.person_id = c.person_id
  JOIN wuzha.users u ON u.user_id = p.sent_by
"""


def waiting(conn: psycopg.Connection[Any], source_id: int, *, limit: int) -> list[dict[str, Any]]:
    """What this member unit has to pay, the oldest first. ``conn`` has the scope of the whole house."""
    rows = (
        conn.cursor(row_factory=dict_row)
        .execute(
            _SELECT + " WHERE p.source_id = %s AND p.channel = 'api' AND p.answered_at IS NULL"
            " ORDER BY p.sent_at, p.payment_id LIMIT %s",
            (source_id, limit),
        )
        .fetchall()
    )
    return [message(row) for row in rows]


def message(p: dict[str, Any]) -> dict[str, Any]:
    """A payment as a member unit gets it."""
    return {
        "refund": p["payment_id"], "document": p["decision_no"], "account": p["source_account"],
        "holder": p["source_holder"], "to_account": p["account"], "to_holder": p["holder"],
        "to_bank": p["account_bank"],
        "other_account_why": p["other_why"], "amount_fen": p["amount_fen"], "due_at": p["due_at"],
        "law": law_of(p["law_from"]).procedure[p["procedure"]].law_zh, "sealed_at": p["sent_at"],
        "officer": p["officer"], "unit": p["unit_name"], "note": free(), "taken": p["taken_at"] is not None,
    }  # fmt: skip


def belongs(conn: psycopg.Connection[Any], payment_id: int, source_id: int) -> bool:
    """Whether the payment was sent to this member unit's interface."""
    row = conn.execute(
        "SELECT 1 FROM wuzha.refund_payments WHERE payment_id = %s AND source_id = %s AND channel = 'api'",
        (payment_id, source_id),
    ).fetchone()
    return row is not None


def state(conn: psycopg.Connection[Any], payment_id: int) -> str:
    """``sent``, ``taken``, ``paid``, ``partial``, ``failed``."""
    row = conn.execute(
        "SELECT taken_at, answered_at, paid_fen, amount_fen FROM wuzha.refund_payments WHERE payment_id = %s",
        (payment_id,),
    ).fetchone()
    assert row is not None
    if row[1] is None:
        return "sent" if row[0] is None else "taken"
    return "failed" if not row[2] else "paid" if row[2] == row[3] else "partial"
