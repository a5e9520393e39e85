"""落地: before the call, who uses the number and where they are.

Kept true here: the desk's word is a judgement with its officer and time, written beside what registers say (source
``desk``), never over it; taking it back ends its relations and gives the file its line back; nothing here moves the
alert to another person, which only the engine does.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row

from wuzha.command.public import Actor, Refused, require
from wuzha.events import clock, subjects

from .step import Done, lock, mine, record, repeated

#: own: the registrant uses it; other: somebody else does; nobody: it cannot be found out.
CODES = ("own", "other", "nobody")
SOURCE = "desk"


def judge(
    conn: psycopg.Connection[Any],
    actor: Actor,
    alert_id: int,
    *,
    code: str,
    version: int,
    key: str,
    person_id: int | None = None,
    name: str = "",
    line: str = "",
    place: str = "",
    now: datetime | None = None,
) -> Done:
    """Say who uses the alert's line and where they are.

    ``code`` other wants one of: ``person_id`` (somebody joined with the file), ``name``, ``line`` (a number to call
    instead). Refused: unknown_code, no_user, line_form, no_own_line, those of `mine`.
    """
    require(actor, "desk.act")
    now = now or clock.now()
    if code not in CODES:
        raise Refused("unknown_code", code=code)
    if done := repeated(conn, actor, key):
        return done
    alert = lock(conn, alert_id)
    mine(alert, actor, version)
    name, line, place = name.strip()[:60], line.strip(), place.strip()[:60]
    number = _number(line) if line and code == "other" else None
    if code == "other" and not (person_id or name or number):
        raise Refused("no_user")
    if code == "other" and alert["line_id"] is None and number is None:
        raise Refused("no_own_line")
    if person_id is not None and not _near(conn, alert, person_id):
        raise Refused("unknown_code", code=person_id)
    call_id = _subject(conn, "line", number) if number else None
    user = alert["person_id"] if code == "own" else None
    if code == "other":
        user = person_id or _subject(conn, "person", f"line:{number}" if number else f"desk-{uuid.uuid4().hex}")
        if name and person_id is None:
            conn.execute(
                "INSERT INTO wuzha.persons (person_id, name) VALUES (%s, %s) ON CONFLICT DO NOTHING", (user, name)
            )
    row = conn.execute(
        "INSERT INTO wuzha.judgements (alert_id, user_id, at, code, person_id, line_id, call_id, place, line_before)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING judgement_id",
        (alert_id, actor.user_id, now, code, user, alert["line_id"], call_id, place or None, alert["line_id"]),
    ).fetchone()
    assert row is not None
    for what, subject in (("line", alert["line_id"]), ("call", call_id)):
        if user is not None and subject is not None:
            conn.execute(
                "INSERT INTO wuzha.relations (subject_id, other_id, role, valid_from, source, event_id, confidence)"
                " VALUES (%s, %s, 'user', %s, %s, %s, 1)",
                (subject, user, now, SOURCE, f"judgement-{row[0]}-{what}"),
            )
    return record(
        conn, actor, alert, "locate", key=key, at=now, code=code, words=place, to_id=call_id,
        changes={"line_id": call_id} if call_id else {},
    )  # fmt: skip


def take_back(
    conn: psycopg.Connection[Any],
    actor: Actor,
    alert_id: int,
    *,
    judgement_id: int,
    version: int,
    key: str,
    now: datetime | None = None,
) -> Done:
    """Take a judgement back. Refused: not_found (none such, or taken back already), those of `mine`."""
    require(actor, "desk.act")
    now = now or clock.now()
    if done := repeated(conn, actor, key):
        return done
    alert = lock(conn, alert_id)
    mine(alert, actor, version)
    row = (
        conn.cursor(row_factory=dict_row)
        .execute(
            "UPDATE wuzha.judgements SET undone_at = %s, undone_by = %s WHERE judgement_id = %s AND alert_id = %s"
            " AND undone_at IS NULL RETURNING *",
            (now, actor.user_id, judgement_id, alert_id),
        )
        .fetchone()
    )
    if row is None:
        raise Refused("not_found")
    conn.execute(
        "UPDATE wuzha.relations SET valid_to = %s WHERE source = %s AND event_id = ANY(%s) AND valid_to IS NULL",
        (now, SOURCE, [f"judgement-{judgement_id}-{what}" for what in ("line", "call")]),
    )
    back = row["call_id"] is not None and alert["line_id"] == row["call_id"]
    return record(
        conn, actor, alert, "locate_back", key=key, at=now, code=row["code"],
        changes={"line_id": row["line_before"]} if back else {},
    )  # fmt: skip


def standing(conn: psycopg.Connection[Any], alert_id: int) -> dict[str, Any] | None:
    """The newest judgement that stands, with ``officer``, the user's ``name`` and ``value``; None where none does."""
    return (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT j.*, u.name AS officer, p.name, s.value FROM wuzha.judgements j JOIN wuzha.users u USING (user_id)"
            " LEFT JOIN wuzha.subjects s ON s.subject_id = j.person_id"
            " LEFT JOIN wuzha.persons p ON p.person_id = j.person_id"
            " WHERE j.alert_id = %s AND j.undone_at IS NULL ORDER BY j.judgement_id DESC LIMIT 1",
            (alert_id,),
        )
        .fetchone()
    )


def _number(text: str) -> str:
    value = subjects.line_value(text)
    if value is None or not value.startswith("+"):  # a short code or a sender's name is nobody's own line
        raise Refused("line_form")
    return value


def _subject(conn: psycopg.Connection[Any], kind: str, value: str) -> int:
    conn.execute("INSERT INTO wuzha.subjects (kind, value) VALUES (%s, %s) ON CONFLICT DO NOTHING", (kind, value))
    row = conn.execute("SELECT subject_id FROM wuzha.subjects WHERE kind = %s AND value = %s", (kind, value)).fetchone()
    assert row is not None
    return int(row[0])


def _near(conn: psycopg.Connection[Any], alert: dict[str, Any], person_id: int) -> bool:
    row = conn.execute(
        "SELECT 1 FROM wuzha.relations r JOIN wuzha.subjects s ON s.subject_id = %(p)s AND s.kind = 'person'"
        " WHERE (r.subject_id = %(a)s AND r.other_id = %(p)s) OR (r.other_id = %(a)s AND r.subject_id = %(p)s) LIMIT 1",
        {"p": person_id, "a": alert["person_id"]},
    ).fetchone()
    return row is not None or person_id == alert["person_id"]
