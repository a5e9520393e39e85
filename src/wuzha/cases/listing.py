"""Cases on a list and one case with its reports, accounts and steps.

Kept true here: what is listed is what the officer's unit sees; a page is a key set, so none is skipped or told twice.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row

from wuzha.command.public import Actor, require

PAGE = 60


def rows(conn: psycopg.Connection[Any], actor: Actor, *, after: int | None = None) -> list[dict[str, Any]]:
    """Cases, the newest first, one more than a page where there are more."""
    require(actor, "cases.read")
    return (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT k.*, n.name AS unit_name, r.n AS reports, r.amount_fen, r.lost_at, r.reported_at,"
            " r.unverified, o.drafted, o.sent, o.done"
            " FROM wuzha.cases k JOIN wuzha.units n USING (unit_id)"
            " LEFT JOIN LATERAL (SELECT count(DISTINCT r.report_id) AS n, sum(l.amount_fen)::bigint AS amount_fen,"
            "  min(l.at) AS lost_at, min(r.reported_at) AS reported_at, bool_or(r.verified_at IS NULL) AS unverified"
            "  FROM wuzha.case_reports r JOIN wuzha.case_losses l USING (report_id) WHERE r.case_id = k.case_id) r"
            "  ON true"
            " LEFT JOIN LATERAL (SELECT count(*) FILTER (WHERE sealed_at IS NULL) AS drafted,"
            "  count(*) FILTER (WHERE sealed_at IS NOT NULL AND answered_at IS NULL) AS sent,"
            "  coalesce(sum(done_fen) FILTER (WHERE kind = 'stop'), 0)::bigint AS done"
            "  FROM wuzha.orders o WHERE o.case_id = k.case_id AND o.dropped_at IS NULL) o ON true"
            " WHERE %(after)s::bigint IS NULL OR k.case_id < %(after)s ORDER BY k.case_id DESC LIMIT %(limit)s",
            {"after": after, "limit": PAGE + 1},
        )
        .fetchall()
    )


def reports(conn: psycopg.Connection[Any], case_id: int) -> list[dict[str, Any]]:
    """The case's reports, each with its ``losses``; the first first."""
    cursor = conn.cursor(row_factory=dict_row)
    found = cursor.execute(
        "SELECT r.*, p.name, p.id_no, l.value AS line, u.name AS officer, v.name AS verifier"
        " FROM wuzha.case_reports r LEFT JOIN wuzha.persons p ON p.person_id = r.person_id"
        " LEFT JOIN wuzha.subjects l ON l.subject_id = r.line_id LEFT JOIN wuzha.users u ON u.user_id = r.taken_by"
        " LEFT JOIN wuzha.users v ON v.user_id = r.verified_by WHERE r.case_id = %s ORDER BY r.report_id",
        (case_id,),
    ).fetchall()
    losses = cursor.execute(
        "SELECT l.*, a.value AS account, q.value AS payee, h.name AS payee_name, c.bank AS payee_bank"
        " FROM wuzha.case_losses l LEFT JOIN wuzha.subjects a ON a.subject_id = l.account_id"
        " JOIN wuzha.subjects q ON q.subject_id = l.payee_id"
        " LEFT JOIN wuzha.case_accounts c ON c.case_id = l.case_id AND c.account_id = l.payee_id"
        " LEFT JOIN wuzha.persons h ON h.person_id = c.holder_id WHERE l.case_id = %s ORDER BY l.at, l.loss_id",
        (case_id,),
    ).fetchall()
    for report in found:
        report["losses"] = [x for x in losses if x["report_id"] == report["report_id"]]
    return found


def steps(conn: psycopg.Connection[Any], case_id: int, *, limit: int = 60) -> list[dict[str, Any]]:
    """What was done, the newest first."""
    return (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT s.*, coalesce(u.name, m.title) AS officer, o.kind AS order_kind, a.value AS account"
            " FROM wuzha.case_steps s LEFT JOIN wuzha.users u USING (user_id)"
            " LEFT JOIN wuzha.sources m ON s.actor = 'machine:source:' || m.name"
            " LEFT JOIN wuzha.orders o USING (order_id)"
            " LEFT JOIN wuzha.subjects a ON a.subject_id = o.account_id"
            " WHERE s.case_id = %s AND NOT (s.kind = 'answer_taken' AND coalesce(s.detail->>'rows', '0') = '0')"
            " ORDER BY s.step_id DESC LIMIT %s",
            (case_id, limit),
        )
        .fetchall()
    )


def fingerprint(conn: psycopg.Connection[Any], case_id: int) -> str:
    """What an open page of the case looks at: it moves with every step."""
    row = conn.execute("SELECT version FROM wuzha.cases WHERE case_id = %s", (case_id,)).fetchone()
    return str(row)


def revealed_until(conn: psycopg.Connection[Any], actor: Actor, case_id: int, *, now: datetime) -> datetime | None:
    """Until when the case is open to this officer; None where it is masked."""
    row = conn.execute(
        "SELECT max(until) FROM wuzha.case_reveals WHERE user_id = %s AND case_id = %s AND until > %s",
        (actor.user_id, case_id, now),
    ).fetchone()
    return row[0] if row else None
