"""Which files are a report's person's, and when the loss was.

Kept true here: a person is found under their own key, under their lines and accounts as a provisional person, and under
the lines that the report itself names as the victim's.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg

from .codes import codes

#: Subjects that are the person's own: those that the report names as the victim's, theirs by relation, and themself.
_OWN = """own AS (
    SELECT i.subject_id AS id FROM wuzha.report_identifiers i
     WHERE i.source = %(source)s AND i.report = %(report)s AND i.role = 'victim'
    UNION SELECT CASE WHEN r.subject_id = %(person)s THEN r.other_id ELSE r.subject_id END
      FROM wuzha.relations r WHERE (r.subject_id = %(person)s OR r.other_id = %(person)s)
       AND r.role IN ('user', 'holder', 'owner', 'registrant')
    UNION SELECT %(person)s::bigint)"""


def subjects(conn: psycopg.Connection[Any], report: dict[str, Any]) -> list[int]:
    """The person's own subjects with every one that the report names."""
    rows = conn.execute(
        f"WITH {_OWN} SELECT id FROM own WHERE id IS NOT NULL UNION SELECT i.subject_id FROM wuzha.report_identifiers i"
        " WHERE i.source = %(source)s AND i.report = %(report)s",
        {"source": report["source"], "report": report["report"], "person": report["person_id"]},
    ).fetchall()
    return [row[0] for row in rows]


def files(conn: psycopg.Connection[Any], report: dict[str, Any], *, since: datetime) -> list[int]:
    """The alerts on the report's person or their lines and accounts that were raised after ``since``."""
    rows = conn.execute(
        f"""
        WITH {_OWN},
        things AS (
            SELECT s.subject_id, s.kind, s.value FROM wuzha.subjects s JOIN own ON own.id = s.subject_id
             WHERE s.kind IN ('line', 'account', 'wallet', 'person')),
        people AS (
            SELECT subject_id FROM things WHERE kind = 'person' AND (subject_id = %(person)s OR subject_id IN (
                SELECT i.subject_id FROM wuzha.report_identifiers i WHERE i.source = %(source)s
                   AND i.report = %(report)s AND i.role = 'victim'))
            UNION SELECT p.subject_id FROM things t JOIN wuzha.subjects p
                ON p.kind = 'person' AND p.value = t.kind || ':' || t.value
            UNION SELECT CASE WHEN r.subject_id = t.subject_id THEN r.other_id ELSE r.subject_id END
              FROM things t JOIN wuzha.relations r ON r.subject_id = t.subject_id OR r.other_id = t.subject_id
             WHERE %(person)s::bigint IS NULL AND t.kind <> 'person' AND r.role = 'user')
        -- two walks of an index; with OR the planner reads every alert there is
        SELECT a.alert_id FROM people p JOIN wuzha.alerts a ON a.person_id = p.subject_id
         WHERE a.raised_at >= %(since)s
        UNION
        SELECT a.alert_id FROM things t JOIN wuzha.alerts a ON a.line_id = t.subject_id
         WHERE t.kind = 'line' AND a.raised_at >= %(since)s
         ORDER BY 1
        """,
        {
            "source": report["source"],
            "report": report["report"],
            "person": report["person_id"],
            "since": since,
        },
    ).fetchall()
    return [row[0] for row in rows]


def loss_at(conn: psycopg.Connection[Any], report: dict[str, Any], alert_ids: list[int]) -> datetime:
    """When the money left: the report's own time, or the earliest transfer that evidence cites to an account which the
    report names as the payee's, where that is earlier."""
    row = conn.execute(
        "SELECT min(x.ts) FROM wuzha.evidence e JOIN wuzha.evidence_events x USING (evidence_id)"
        " JOIN wuzha.report_identifiers i ON i.source = %s AND i.report = %s AND i.role IN ('payee', 'suspect')"
        " JOIN wuzha.subjects s ON s.subject_id = i.subject_id"
        " WHERE e.alert_id = ANY(%s) AND x.table_name = 'transfers' AND x.event->>'payee' = s.value AND x.ts <= %s",
        (report["source"], report["report"], alert_ids, report["ts"]),
    ).fetchone()
    at: datetime = report["ts"]
    return min(at, row[0]) if row and row[0] is not None else at


def firsts(steps: list[tuple[str, str | None, datetime]]) -> dict[str, datetime | None]:
    """The first sign, try, word with the person and meeting among standing steps (kind, code, at), oldest first."""
    found: dict[str, datetime | None] = dict.fromkeys(("signed_at", "contacted_at", "reached_at", "met_at"))
    channels, results = codes()["channel"], codes()["result"]
    for kind, code, at in steps:
        channel = channels.get(kind)
        result = results.get(code or "")
        names = ["signed_at"] if kind == "sign" else ["contacted_at"] if channel else []
        if channel and result and result.reached and channel.to == "person":
            names += ["reached_at", *(["met_at"] if code == "met" else [])]
        for name in names:
            found[name] = found[name] or at
    return found
