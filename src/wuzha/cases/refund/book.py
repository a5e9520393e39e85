"""Reading refunds: one, a case's, all that are open, each with its plan, its victims and what became of it.

Kept true here: what is read is in the officer's scope; the plan shown is the round in force; a victim's figures are the
sums of their own shares.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row

from wuzha.command.public import Actor, Refused, require

from . import planning, standing

PAGE = 60
_SELECT = """
SELECT r.*, k.case_no, k.state AS case_state, k.unit_id, k.scam_type, n.name AS unit_name, n.code AS unit_code,
       n.kind AS unit_kind, s.value AS account, a.bank, h.name AS holder, o.name AS opener
  FROM wuzha.refunds r JOIN wuzha.cases k USING (case_id) JOIN wuzha.units n USING (unit_id)
  JOIN wuzha.subjects s ON s.subject_id = r.account_id
  LEFT JOIN wuzha.case_accounts a ON a.case_id = r.case_id AND a.account_id = r.account_id
  LEFT JOIN wuzha.persons h ON h.person_id = a.holder_id
  LEFT JOIN wuzha.users o ON o.user_id = r.opened_by
"""
#: What hangs on a refund: name -> the query over its numbers.
_PARTS = {
    "rounds": "SELECT p.*, u.name AS officer FROM wuzha.refund_rounds p"
              " LEFT JOIN wuzha.users u ON u.user_id = p.made_by WHERE p.refund_id = ANY(%s) ORDER BY p.round",
    "shares": "SELECT h.*, l.at, l.account_id AS original_id, a.value AS original, c.bank AS original_bank,"
              " q.value AS payee FROM wuzha.refund_shares h JOIN wuzha.case_losses l USING (loss_id)"
              " JOIN wuzha.refunds r USING (refund_id) LEFT JOIN wuzha.subjects a ON a.subject_id = l.account_id"
              " LEFT JOIN wuzha.case_accounts c ON c.case_id = r.case_id AND c.account_id = l.account_id"
              " JOIN wuzha.subjects q ON q.subject_id = l.payee_id"
              " WHERE h.refund_id = ANY(%s) AND h.round = r.round ORDER BY l.at, h.loss_id",
    "applications": "SELECT p.*, u.name AS officer, s.value AS other FROM wuzha.refund_applications p"
                    " JOIN wuzha.users u ON u.user_id = p.taken_by"
                    " LEFT JOIN wuzha.subjects s ON s.subject_id = p.account_id"
                    " WHERE p.refund_id = ANY(%s) ORDER BY p.application_id",
    "handovers": "SELECT p.*, u.name AS officer, s.name AS sender, v.name AS receiver FROM wuzha.refund_handovers p"
                 " JOIN wuzha.users u ON u.user_id = p.asked_by LEFT JOIN wuzha.users s ON s.user_id = p.sent_by"
                 " LEFT JOIN wuzha.users v ON v.user_id = p.received_by"
                 " WHERE p.refund_id = ANY(%s) ORDER BY p.handover_id",
    "notices": "SELECT p.*, u.name AS officer FROM wuzha.refund_notices p JOIN wuzha.users u ON u.user_id = p.posted_by"
               " WHERE p.refund_id = ANY(%s) ORDER BY p.round",
    "objections": "SELECT p.*, u.name AS officer, d.name AS decider, h.name FROM wuzha.refund_objections p"
                  " JOIN wuzha.users u ON u.user_id = p.taken_by LEFT JOIN wuzha.users d ON d.user_id = p.decided_by"
                  " LEFT JOIN wuzha.persons h ON h.person_id = p.person_id"
                  " WHERE p.refund_id = ANY(%s) ORDER BY p.objection_id",
    "approvals": "SELECT p.*, u.name AS asker, d.name AS decider, n.name AS decided_unit_name"
                 " FROM wuzha.refund_approvals p JOIN wuzha.users u ON u.user_id = p.asked_by"
                 " LEFT JOIN wuzha.users d ON d.user_id = p.decided_by"
                 " LEFT JOIN wuzha.units n ON n.unit_id = p.decided_unit"
                 " WHERE p.refund_id = ANY(%s) ORDER BY p.approval_id",
    "decisions": "SELECT p.*, u.name AS sealer FROM wuzha.refund_decisions p"
                 " JOIN wuzha.users u ON u.user_id = p.sealed_by WHERE p.refund_id = ANY(%s) ORDER BY p.round",
    "payments": "SELECT p.*, s.value AS account, u.name AS officer, m.title AS member FROM wuzha.refund_payments p"
                " JOIN wuzha.subjects s ON s.subject_id = p.account_id JOIN wuzha.users u ON u.user_id = p.sent_by"
                " LEFT JOIN wuzha.sources m USING (source_id)"
                " WHERE p.refund_id = ANY(%s) ORDER BY p.payment_id",
}  # fmt: skip
_SUMS = ("lost_fen", "outstanding_fen", "traced_fen", "share_fen", "paid_fen")


def one(conn: psycopg.Connection[Any], actor: Actor, refund_id: int, *, now: datetime) -> dict[str, Any]:
    """A refund with everything. Refused("not_found") out of scope."""
    found = _read(conn, actor, " WHERE r.refund_id = %s", (refund_id,), now)
    if not found:
        raise Refused("not_found")
    return found[0]


def of_case(conn: psycopg.Connection[Any], actor: Actor, case_id: int, *, now: datetime) -> list[dict[str, Any]]:
    """A case's refunds, the newest first."""
    return _read(conn, actor, " WHERE r.case_id = %s ORDER BY r.refund_id DESC", (case_id,), now)


def every(
    conn: psycopg.Connection[Any], actor: Actor, *, now: datetime, closed: bool = False, after: int | None = None
) -> list[dict[str, Any]]:
    """Open refunds in the officer's scope, or closed ones, the newest first; one more than a page where there are
    more."""
    where = f" WHERE r.closed_at IS {'NOT ' if closed else ''}NULL AND (%s::bigint IS NULL OR r.refund_id < %s)"
    return _read(conn, actor, f"{where} ORDER BY r.refund_id DESC LIMIT {PAGE + 1}", (after, after), now)


def _read(
    conn: psycopg.Connection[Any], actor: Actor, where: str, values: tuple[Any, ...], now: datetime
) -> list[dict[str, Any]]:
    require(actor, "cases.read")
    cursor = conn.cursor(row_factory=dict_row)
    found = cursor.execute(_SELECT + where, values).fetchall()
    ids = [r["refund_id"] for r in found]
    for name, sql in _PARTS.items():
        theirs: dict[int, list[dict[str, Any]]] = {}
        for row in cursor.execute(sql, (ids,)).fetchall() if ids else []:
            theirs.setdefault(row["refund_id"], []).append(row)
        for r in found:
            r[name] = theirs.get(r["refund_id"], [])
    people = _people(cursor, {r["case_id"] for r in found})
    for r in found:
        _join(conn, r, people, now)
    return found


def _people(cursor: psycopg.Cursor[dict[str, Any]], cases: set[int]) -> dict[int, dict[str, Any]]:
    rows = cursor.execute(
        "SELECT r.report_id, r.case_id, r.person_id, r.verified_at, r.dispute, r.reported_at, p.name, p.id_no,"
        " l.value AS line FROM wuzha.case_reports r LEFT JOIN wuzha.persons p ON p.person_id = r.person_id"
        " LEFT JOIN wuzha.subjects l ON l.subject_id = r.line_id WHERE r.case_id = ANY(%s) ORDER BY r.report_id",
        (list(cases),),
    )
    return {row["report_id"]: row for row in rows}


def _join(conn: psycopg.Connection[Any], r: dict[str, Any], people: dict[int, dict[str, Any]], now: datetime) -> None:
    for name, rows in (("plan", "rounds"), ("notice", "notices"), ("decision", "decisions")):
        r[name] = next((x for x in r[rows] if x["round"] == r["round"]), None)
    r["asked"] = next((a for a in reversed(r["approvals"]) if a["round"] == r["round"]), None)
    for share in r["shares"]:
        share["payments"] = [p for p in r["payments"] if p["share_id"] == share["share_id"]]
        share["paid_fen"] = sum(p["paid_fen"] or 0 for p in share["payments"])
        share["weighed_fen"] = share["outstanding_fen"] if share["came"] else 0
    applied = {a["report_id"]: a for a in r["applications"]}
    handed = {h["report_id"]: h for h in r["handovers"]}
    r["victims"] = []
    for report_id in dict.fromkeys(s["report_id"] for s in r["shares"]):
        mine = [s for s in r["shares"] if s["report_id"] == report_id]
        r["victims"].append(
            people.get(report_id, {"report_id": report_id, "name": None, "verified_at": None})
            | {name: sum(s[name] for s in mine) for name in (*_SUMS, "weighed_fen")}
            | {"came": any(s["came"] for s in mine), "shares": mine, "application": applied.get(report_id),
               "handover": handed.get(report_id)}
        )  # fmt: skip
    r["whole_fen"] = sum(v["weighed_fen"] for v in r["victims"])
    r["frozen"] = None if r["closed_at"] else planning.frozen(conn, r["case_id"], r["account_id"], now=now)
    r["changed"] = changed(conn, r)
    r["waits"] = standing.waits(r, now)
    r["state"] = r["waits"][0].state


def changed(conn: psycopg.Connection[Any], r: dict[str, Any]) -> bool:
    """Whether the plan would be another by what is known now; never once it was decided."""
    plan, held = r["plan"], r["frozen"]
    if plan is None or held is None or r["decision"] is not None or r["closed_at"] is not None:
        return False
    if planning.digest(conn, r["case_id"], held, r["rule"]) == plan["digest"]:
        return False
    made = planning.compute(conn, r["case_id"], r["account"], held, r["rule"])
    stands = (plan["way"], plan["balance_fen"], {s["loss_id"]: s["share_fen"] for s in r["shares"]})
    return stands != (made.way, made.balance_fen, {p.loss_id: p.share_fen for p in made.parts})
