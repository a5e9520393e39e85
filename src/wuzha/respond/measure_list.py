"""Reading measures: the state of each at a moment, the sum of the days, what waits and what runs out.

Kept true here: a state is computed on reading, from the times alone; a measure is in force only from its receipt until
its end, its release or the withdrawal, whichever comes first.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import dict_row

from wuzha.command.public import Actor, Refused, require
from wuzha.events import clock

from . import merged

STATES = ("draft", "approved", "sent", "in_force", "ended", "lapsed", "released", "declined")
#: States in which somebody still has to do something.
OPEN = ("draft", "approved", "sent", "in_force")
PAGE = 100


def state(measure: dict[str, Any], now: datetime) -> str:
    """The state of a measure's row at ``now``: one of STATES. ``lapsed``: its end came before any receipt."""
    if measure["declined_at"] is not None:
        return "declined"
    if measure["released_at"] is not None and measure["released_at"] <= now:
        return "released"
    if measure["approved_at"] is None:
        return "draft"
    if now >= measure["ends_at"]:
        return "ended" if measure["began_at"] is not None else "lapsed"
    if measure["began_at"] is not None and measure["began_at"] <= now:
        return "in_force"
    return "sent" if measure["sent_at"] is not None else "approved"


def over_at(measure: dict[str, Any]) -> datetime | None:
    """When it is or was over, None where nobody has decided it yet."""
    ends: datetime | None = measure["ends_at"]
    return ends if measure["released_at"] is None or ends is None else min(ends, measure["released_at"])


def days(measures: Iterable[dict[str, Any]], now: datetime) -> float:
    """Days in force until ``now`` of these measures together, time that two of them cover counted once."""
    spans = sorted((m["began_at"], min(over_at(m) or now, now)) for m in measures if m["began_at"] is not None)
    total, reached = timedelta(), None
    for begin, end in spans:
        begin = begin if reached is None else max(begin, reached)
        if end > begin:
            total += end - begin
            reached = end
    return total / timedelta(days=1)


def targets(conn: psycopg.Connection[Any], alert: dict[str, Any], now: datetime) -> list[dict[str, Any]]:
    """The person's own lines, accounts and wallets: subject_id, kind, value, role; the alert's line first."""
    return (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT DISTINCT ON (s.subject_id) s.subject_id, s.kind, s.value, r.role FROM ("
            " SELECT %(line)s::bigint AS id, 'user' AS role UNION ALL"
            " SELECT CASE WHEN subject_id = %(person)s THEN other_id ELSE subject_id END, role FROM wuzha.relations"
            "  WHERE (subject_id = %(person)s OR other_id = %(person)s)"
            "  AND coalesce(valid_from, '-infinity') <= %(now)s AND coalesce(valid_to, 'infinity') > %(now)s) r"
            " JOIN wuzha.subjects s ON s.subject_id = r.id WHERE s.kind IN ('line', 'account', 'wallet')"
            " ORDER BY s.subject_id, r.role = 'user' DESC",
            {"line": alert["line_id"], "person": alert["person_id"], "now": now},
        )
        .fetchall()
    )


def chain_of(conn: psycopg.Connection[Any], kind: str, target_id: int, basis: str) -> list[dict[str, Any]]:
    """Every decision of this kind on this line or account on this basis that was not declined, oldest first; ``until``
    is when each is over, for one that is not decided yet the far future."""
    rows = (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT * FROM wuzha.measures WHERE kind = %s AND target_id = %s AND basis = %s AND declined_at IS NULL"
            " ORDER BY measure_id",
            (kind, target_id, basis),
        )
        .fetchall()
    )
    for row in rows:
        row["until"] = over_at(row) or datetime.max.replace(tzinfo=row["requested_at"].tzinfo)
    return rows


_SELECT = """
SELECT m.*, s.kind AS target_kind, s.value AS target, q.name AS requester, p.name AS approver, v.name AS person_name,
       a.unit_id, a.level, a.scam_type, a.state AS alert_state, n.name AS unit_name, n.code AS unit_code,
       r.request_id, r.asked_at, r.due_at AS answer_by, r.asked_by, r.words AS request_words, r.escalated_at,
       r.raised_at, up.name AS raised_name,
       g.result AS notice_result, g.at AS notice_at
  FROM wuzha.measures m
  JOIN wuzha.alerts a ON a.alert_id = m.alert_id
  LEFT JOIN wuzha.units n ON n.unit_id = a.unit_id
  JOIN wuzha.subjects s ON s.subject_id = m.target_id
  LEFT JOIN wuzha.users q ON q.user_id = m.requested_by
  LEFT JOIN wuzha.users p ON p.user_id = m.approved_by
  LEFT JOIN wuzha.persons v ON v.person_id = m.person_id
  LEFT JOIN wuzha.release_requests r ON r.measure_id = m.measure_id AND r.answered_at IS NULL
  LEFT JOIN wuzha.units up ON up.unit_id = r.raised_to
  LEFT JOIN LATERAL (SELECT result, at FROM wuzha.measure_notices x WHERE x.measure_id = m.measure_id
                      ORDER BY x.notice_id DESC LIMIT 1) g ON true
"""
_STILL_OPEN = (
    "m.declined_at IS NULL AND (r.request_id IS NOT NULL OR (m.released_at IS NULL AND (m.ends_at IS NULL OR"
    " m.ends_at > %(now)s)) OR (m.released_at IS NOT NULL AND m.lifted_at IS NULL AND m.began_at IS NOT NULL"
    " AND m.ends_at > %(now)s))"
)


def _stated(rows: list[dict[str, Any]], now: datetime) -> list[dict[str, Any]]:
    for row in rows:
        row["state"] = state(row, now)
        row["over_at"] = over_at(row)
    return rows


def of_person(
    conn: psycopg.Connection[Any], alert: dict[str, Any], *, now: datetime | None = None
) -> list[dict[str, Any]]:
    """Every measure on the alert's person that is in sight, newest first, each with ``state``, ``over_at`` and the
    ``days`` that its kind has been in force on its target on its basis."""
    now = now or clock.now()
    rows = (
        conn.cursor(row_factory=dict_row)
        .execute(
            _SELECT + " WHERE m.alert_id IN (SELECT alert_id FROM wuzha.alerts WHERE person_id = %(person)s"
            " OR alert_id = ANY(%(files)s)) ORDER BY m.measure_id DESC",
            {"person": alert["person_id"], "files": merged.family(conn, alert["alert_id"])},
        )
        .fetchall()
    )
    for row in _stated(rows, now):
        same = [
            m for m in rows if (m["kind"], m["target_id"], m["basis"]) == (row["kind"], row["target_id"], row["basis"])
        ]
        row["days"] = days(same, now)
        row["renewed"] = any(m["renews"] == row["measure_id"] and m["declined_at"] is None for m in rows)
    return rows


def radar(
    conn: psycopg.Connection[Any], actor: Actor, *, state: str = "open", after: int | None = None,
    now: datetime | None = None,
) -> list[dict[str, Any]]:  # fmt: skip
    """A page of measures in the officer's scope. ``open``: what asks for something, by what runs out first; ``asked``:
    where a request for release waits; ``all``: every one, newest first, from below ``after``. PAGE + 1 rows at most;
    one more than a page means more."""
    require(actor, "desk.read")
    now = now or clock.now()
    cursor = conn.cursor(row_factory=dict_row)
    if state in ("open", "asked"):
        order = "least(r.due_at, m.ends_at) NULLS FIRST, m.measure_id"
        asks = _STILL_OPEN if state == "open" else "r.request_id IS NOT NULL"
        rows = cursor.execute(f"{_SELECT} WHERE {asks} ORDER BY {order} LIMIT {PAGE * 5}", {"now": now}).fetchall()
    else:
        rows = cursor.execute(
            f"{_SELECT} WHERE (%(after)s::bigint IS NULL OR m.measure_id < %(after)s)"
            f" ORDER BY m.measure_id DESC LIMIT {PAGE + 1}",
            {"after": after},
        ).fetchall()
    return _stated(rows, now)


def one(conn: psycopg.Connection[Any], actor: Actor, measure_id: int, *, now: datetime | None = None) -> dict[str, Any]:
    """A measure with what belongs to it. Refused("not_found") out of scope."""
    require(actor, "desk.read")
    now = now or clock.now()
    row = (
        conn.cursor(row_factory=dict_row)
        .execute(_SELECT + " WHERE m.measure_id = %(id)s", {"id": measure_id})
        .fetchone()
    )
    if row is None:
        raise Refused("not_found")
    _stated([row], now)
    chain = [m for m in chain_of(conn, row["kind"], row["target_id"], row["basis"]) if m["measure_id"] <= measure_id]
    row["days"], row["decisions"] = days(chain, now), len(chain)
    return row
