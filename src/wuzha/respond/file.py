"""The file of one alert: everything that an officer needs while the phone rings.

Kept true here: what is returned is what the officer's scope allows, full values; masking is the face's, by
`reveal.revealed_until`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row

from wuzha.command.public import Actor, Refused
from wuzha.events import clock

from . import merged, queue, safety

#: Events drawn at most, the newest; the count of all is told beside them.
EVENTS = 400


@dataclass(frozen=True, kw_only=True)
class File:
    """An alert with what belongs to it; rows are mappings with the columns of their tables."""

    alert: dict[str, Any]
    lines: list[dict[str, Any]]
    kin: list[dict[str, Any]]
    warnings: list[dict[str, Any]]
    evidence: list[dict[str, Any]]
    events: list[dict[str, Any]]
    events_n: int
    contacts: list[dict[str, Any]]
    earlier: list[dict[str, Any]]
    audit: list[dict[str, Any]]
    code: str | None
    flags: list[dict[str, Any]]
    kin_rule: safety.KinRule


def read(conn: psycopg.Connection[Any], actor: Actor, alert_id: int, *, now: datetime | None = None) -> File:
    """The file of an alert. Refused("not_found") where it is not in the officer's scope."""
    now = now or clock.now()
    alert = queue.one(conn, actor, alert_id, now=now)
    if alert is None:
        raise Refused("not_found")

    def many(sql: str, *values: Any) -> list[dict[str, Any]]:
        return conn.cursor(row_factory=dict_row).execute(sql, values).fetchall()

    person = alert["person_id"]
    joined = many(
        "SELECT r.role, r.confidence, s.subject_id, s.kind, s.value, p.name, p.place, p.gender, p.born"
        " FROM wuzha.relations r"
        " JOIN wuzha.subjects s ON s.subject_id = CASE WHEN r.subject_id = %s THEN r.other_id ELSE r.subject_id END"
        " LEFT JOIN wuzha.persons p ON p.person_id = s.subject_id"
        " WHERE (r.subject_id = %s OR r.other_id = %s)"
        " AND coalesce(r.valid_from, '-infinity') <= %s AND coalesce(r.valid_to, 'infinity') > %s"
        " ORDER BY s.kind, r.confidence DESC NULLS LAST, s.subject_id LIMIT 60",
        person, person, person, now, now,
    )  # fmt: skip
    # Two sources may tell of one relation: each subject stands once, by what was told with the most confidence.
    joined = list({row["subject_id"]: row for row in reversed(joined)}.values())[::-1]
    kin = [row for row in joined if row["kind"] == "person"]
    for row in kin:
        own = many(
            "SELECT s.subject_id, s.value FROM wuzha.relations r"
            " JOIN wuzha.subjects s ON s.subject_id = CASE WHEN r.subject_id = %s THEN r.other_id ELSE r.subject_id END"
            " WHERE (r.subject_id = %s OR r.other_id = %s) AND s.kind = 'line'"
            " AND coalesce(r.valid_from, '-infinity') <= %s AND coalesce(r.valid_to, 'infinity') > %s LIMIT 1",
            row["subject_id"], row["subject_id"], row["subject_id"], now, now,
        )  # fmt: skip
        row["line_id"], row["line"] = (own[0]["subject_id"], own[0]["value"]) if own else (None, None)
    kin.sort(key=lambda row: row["line"] is None)
    evidence = many(
        "SELECT * FROM wuzha.evidence WHERE alert_id = %s ORDER BY withdrawn_at IS NOT NULL, weight DESC, at", alert_id
    )
    events = many(
        "SELECT DISTINCT ON (x.table_name, x.source, x.event_id)"
        " x.evidence_id, x.table_name, x.source, x.event_id, x.ts, x.event"
        " FROM wuzha.evidence_events x JOIN wuzha.evidence e USING (evidence_id) WHERE e.alert_id = %s"
        " ORDER BY x.table_name, x.source, x.event_id, x.evidence_id",
        alert_id,
    )
    events.sort(key=lambda row: (row["ts"], row["table_name"], row["source"], row["event_id"]))
    cited = many(
        "SELECT x.evidence_id, x.table_name, x.source, x.event_id FROM wuzha.evidence_events x"
        " JOIN wuzha.evidence e USING (evidence_id) WHERE e.alert_id = %s",
        alert_id,
    )
    by_id = {(row["table_name"], row["source"], row["event_id"]): row for row in events}
    for item in evidence:
        item["events"] = sorted(
            (
                by_id[c["table_name"], c["source"], c["event_id"]]
                for c in cited
                if c["evidence_id"] == item["evidence_id"]
            ),
            key=lambda row: row["ts"],
        )
    code = conn.execute(
        "SELECT code FROM wuzha.officer_codes WHERE alert_id = %s AND user_id = %s AND until > %s"
        " ORDER BY at DESC LIMIT 1",
        (alert_id, actor.user_id, now),
    ).fetchone()
    return File(
        alert=alert,
        lines=[row for row in joined if row["kind"] != "person"],
        kin=kin,
        warnings=many(
            "SELECT w.*, coalesce(w.issued_by, q.title, w.source) AS issuer FROM wuzha.alert_warnings w"
            " LEFT JOIN wuzha.sources q ON q.name = w.source WHERE w.alert_id = %s"
            # The one whose clock governs stands first, however many there are; those taken off stand last.
            " ORDER BY w.off_from IS NOT DISTINCT FROM w.alert_id,"
            " CASE WHEN %s THEN w.sign_by ELSE w.feedback_by END NULLS LAST, w.ts, w.warning_id",
            alert_id,
            alert["state"] == "new",
        ),
        evidence=evidence,
        events=events[-EVENTS:],
        events_n=len(events),
        contacts=many(
            "SELECT c.*, u.name AS officer, s.kind AS to_kind, s.value AS to_value,"
            " EXISTS (SELECT 1 FROM wuzha.contacts x WHERE x.undoes = c.contact_id) AS undone"
            " FROM wuzha.contacts c LEFT JOIN wuzha.users u ON u.user_id = c.user_id"
            " LEFT JOIN wuzha.subjects s ON s.subject_id = c.to_id WHERE c.alert_id = ANY(%s) ORDER BY c.contact_id",
            merged.family(conn, alert_id),
        ),
        earlier=many(
            "SELECT alert_id, episode, raised_at, level, scam_type, state, outcome FROM wuzha.alerts"
            " WHERE person_id = %s AND alert_id <> %s ORDER BY episode DESC LIMIT 10",
            person,
            alert_id,
        ),
        audit=many(
            "SELECT at, actor, action, detail FROM wuzha.audit WHERE object = %s ORDER BY audit_id DESC LIMIT 50",
            f"alert:{alert_id}",
        ),
        code=code[0] if code else None,
        flags=safety.standing(conn, alert),
        kin_rule=safety.kin_rule(conn, alert),
    )
