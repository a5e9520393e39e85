"""Calls that come in: who it is, whose screen shows it, and what is left when nobody answered.

Kept true here: an exchange may tell of a call twice and in any order, and the call is the same; a caller is matched to
open files by their own line first and by their kin's then; an answered call of a file is a contact of it, once; a
missed one waits in `callbacks`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import psycopg
from psycopg.rows import dict_row

from wuzha.command.public import Actor, machine
from wuzha.events import clock

from . import callbacks
from .ladder import ladder
from .step import lock, record

#: What the events of a call are merged into.
_MERGED = ("answered_at", "missed_at", "ended_at", "number", "extension", "answered_on", "recording")
#: A call that was answered and of whose end nobody told is shown so long, in an officer's own seconds.
_TALK_S = 3600
EVENTS = ("ringing", "answered", "missed", "ended")
Event = Literal["ringing", "answered", "missed", "ended"]
Direction = Literal["in", "out"]


@dataclass(frozen=True, kw_only=True)
class Told:
    """One thing that an exchange told of a call. ``number``: the caller's bare line value, None where withheld."""

    call: str
    event: Event
    at: datetime
    number: str | None = None
    extension: str | None = None
    recording: str | None = None
    #: A call of ours: what we had told the exchange of it (`dialling.Request.reference`).
    reference: str | None = None


def tell(
    conn: psycopg.Connection[Any], source: str, unit_id: int, told: Told, *, now: datetime | None = None
) -> Literal["new", "known", "unknown_reference"]:
    """Take one event of a call; the connection has the scope of the source's unit. ``known``: nothing new in it."""
    now = now or clock.now()
    if told.reference is not None:
        return _of_ours(conn, told, now)
    conn.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 1))", (f"{source}/{told.call}",))
    cursor = conn.cursor(row_factory=dict_row)
    before = cursor.execute(
        "SELECT * FROM wuzha.phone_calls WHERE source = %s AND ref = %s AND direction = 'in' FOR UPDATE",
        (source, told.call),
    ).fetchone()
    if before is None:
        line_id, alert_id = match(conn, told.number)
        before = cursor.execute(
            "INSERT INTO wuzha.phone_calls (direction, unit_id, at, state, state_at, number, line_id, alert_id, source,"
            " ref) VALUES ('in', %s, %s, 'ringing', %s, %s, %s, %s, %s, %s) RETURNING *",
            (unit_id, told.at, now, told.number, line_id, alert_id, source, told.call),
        ).fetchone()
        assert before is not None
        fresh = True
    else:
        fresh = False
    after = _merged(before, told)
    if not fresh and all(before[name] == value for name, value in after.items()):
        return "known"
    if after["number"] != before["number"] and before["alert_id"] is None:
        line_id, alert_id = match(conn, after["number"])
        after |= {"line_id": line_id, "alert_id": alert_id}
    telephone = after["answered_on"] or after["extension"]
    if after["answered_at"] is not None and telephone:
        after["user_id"] = _officer(conn, unit_id, str(telephone), alert_id=after.get("alert_id", before["alert_id"]))
    after["state_at"] = now
    names = ", ".join(f"{name} = %s" for name in after)
    conn.execute(f"UPDATE wuzha.phone_calls SET {names} WHERE call_id = %s", [*after.values(), before["call_id"]])
    _follow(conn, unit_id, {**before, **after}, now)
    return "new"


def _merged(before: Mapping[str, Any], told: Told) -> dict[str, Any]:
    """The call's columns with this event in them: the same in whatever order events come."""
    after = {name: before[name] for name in _MERGED}
    after["at"] = min(before["at"], told.at)
    column = {"answered": "answered_at", "missed": "missed_at", "ended": "ended_at"}.get(told.event)
    if column is not None:
        after[column] = min(t for t in (before[column], told.at) if t is not None)
    after["number"] = before["number"] or told.number
    # Of several telephones the least by name, so that the order of telling is nothing.
    if told.extension is not None:
        column = "answered_on" if told.event == "answered" else "extension"
        after[column] = min(e for e in (before[column], told.extension) if e)
    after["recording"] = before["recording"] or told.recording
    if after["answered_at"] is not None:
        after["state"] = "ended" if after["ended_at"] is not None else "answered"
    elif after["missed_at"] is not None or after["ended_at"] is not None:
        after["state"] = "missed"
    else:
        after["state"] = "ringing"
    return after


def match(conn: psycopg.Connection[Any], number: str | None) -> tuple[int | None, int | None]:
    """The line's subject and the open file that a caller belongs to: their own line first, then a line joined to the
    person, then one of their kin; of several files the most dangerous."""
    if number is None:
        return None, None
    line = conn.execute(
        "SELECT subject_id FROM wuzha.subjects WHERE kind = 'line' AND value = %s", (number,)
    ).fetchone()
    if line is None:
        return None, None
    row = conn.execute(
        "WITH near AS ("
        " SELECT a.alert_id, 0 AS far FROM wuzha.alerts a WHERE a.line_id = %(line)s"
        " UNION ALL SELECT a.alert_id, 1 FROM wuzha.alerts a WHERE a.person_id IN"
        "  (SELECT r.subject_id FROM wuzha.relations r WHERE r.other_id = %(line)s"
        "   UNION SELECT r.other_id FROM wuzha.relations r WHERE r.subject_id = %(line)s)"
        " UNION ALL SELECT a.alert_id, 2 FROM wuzha.alerts a WHERE a.person_id IN"
        "  (SELECT CASE WHEN k.subject_id = p.id THEN k.other_id ELSE k.subject_id END FROM wuzha.relations k JOIN"
        "    (SELECT r.subject_id AS id FROM wuzha.relations r WHERE r.other_id = %(line)s"
        "     UNION SELECT r.other_id FROM wuzha.relations r WHERE r.subject_id = %(line)s) p"
        "    ON k.subject_id = p.id OR k.other_id = p.id))"
        " SELECT a.alert_id FROM near JOIN wuzha.alerts a USING (alert_id) WHERE a.state <> 'closed'"
        " AND a.merged_into IS NULL ORDER BY near.far, a.level_rank DESC, a.raised_at LIMIT 1",
        {"line": line[0]},
    ).fetchone()
    return int(line[0]), (int(row[0]) if row else None)


def _officer(conn: psycopg.Connection[Any], unit_id: int, extension: str, *, alert_id: int | None) -> int | None:
    """Who sits at a telephone: of several, the one who has the file; None where nobody can be told."""
    rows = conn.execute(
        "SELECT u.user_id, u.user_id = (SELECT signed_by FROM wuzha.alerts WHERE alert_id = %s) FROM wuzha.users u"
        " WHERE u.active AND u.extension = %s"
        " AND u.unit_id IN (SELECT descendant FROM wuzha.unit_closure WHERE ancestor = %s) ORDER BY u.user_id",
        (alert_id, extension, unit_id),
    ).fetchall()
    if len(rows) == 1:
        return int(rows[0][0])
    return next((int(user) for user, has in rows if has), None)


def _follow(conn: psycopg.Connection[Any], unit_id: int, call: dict[str, Any], now: datetime) -> None:
    """What an answered or missed call leaves behind."""
    if call["answered_at"] is not None:
        if call["callback_id"] is not None:
            callbacks.missed_no_more(conn, call, now)
        callbacks.came_through(conn, call, now)
        if call["alert_id"] is not None and call["contact_id"] is None:
            _contact(conn, unit_id, call)
    elif call["state"] == "missed" and call["number"] is not None:
        callbacks.missed(conn, unit_id, call, now)


def _contact(conn: psycopg.Connection[Any], unit_id: int, call: dict[str, Any]) -> None:
    """The contact of an answered call: they came to us. Who it was the officer says with their next key."""
    alert = lock(conn, call["alert_id"])
    if alert["state"] == "closed":
        return
    changes: dict[str, Any] = {"contacted_at": call["answered_at"]} if alert["contacted_at"] is None else {}
    done = record(
        conn, machine(unit_id, "telephone"), alert, "call_back", key=f"call-{call['call_id']}", changes=changes,
        at=call["answered_at"], code="answered", to_id=call["line_id"], quiet=True,
    )  # fmt: skip
    conn.execute("UPDATE wuzha.phone_calls SET contact_id = %s WHERE call_id = %s", (done.contact_id, call["call_id"]))


def _of_ours(conn: psycopg.Connection[Any], told: Told, now: datetime) -> Literal["new", "known", "unknown_reference"]:
    """An event of a call that we had asked for: its recording, its end."""
    reference = told.reference or ""
    number = reference.removeprefix("w")
    if not (reference.startswith("w") and number.isascii() and number.isdigit() and len(number) < 19):
        return "unknown_reference"
    row = conn.execute(
        "SELECT recording, ended_at, state FROM wuzha.phone_calls WHERE call_id = %s AND direction = 'out' FOR UPDATE",
        (int(number),),
    ).fetchone()
    if row is None:
        return "unknown_reference"
    recording = row[0] or told.recording
    ended = row[1] or (told.at if told.event == "ended" else None)
    if (recording, ended) == (row[0], row[1]):
        return "known"
    conn.execute(
        "UPDATE wuzha.phone_calls SET recording = %s, ended_at = %s, ref = coalesce(ref, %s), state_at = %s,"
        " state = CASE WHEN state = 'talking' AND %s THEN 'ended' ELSE state END WHERE call_id = %s",
        (recording, ended, told.call, now, told.event == "ended", int(number)),
    )
    return "new"


# ---------------------------------------------------------------- screens


def popping(conn: psycopg.Connection[Any], actor: Actor, *, now: datetime | None = None) -> list[dict[str, Any]]:
    """The calls that this officer's open page shows now, the newest first: those that ring at their telephone or on a
    file of theirs, those that they have answered, and those that ring at no telephone of anybody's."""
    now = now or clock.now()
    return (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT p.call_id, p.number, p.alert_id, p.state, p.at, p.answered_at, a.level, a.scam_type, a.signed_by,"
            " a.state AS alert_state, l.value AS own_line"
            " FROM wuzha.phone_calls p LEFT JOIN wuzha.alerts a ON a.alert_id = p.alert_id"
            " LEFT JOIN wuzha.subjects l ON l.subject_id = a.line_id"
            " WHERE p.direction = 'in' AND p.at > %(long)s AND p.at <= %(now)s + interval '1 minute'"
            " AND (p.state = 'ringing' AND p.at > %(since)s AND (p.extension IS NULL OR a.signed_by = %(me)s"
            "      OR p.extension = (SELECT extension FROM wuzha.users WHERE user_id = %(me)s)"
            "      OR NOT EXISTS (SELECT 1 FROM wuzha.users u WHERE u.extension = p.extension AND u.active))"
            "   OR p.state = 'answered' AND p.user_id = %(me)s)"
            " ORDER BY p.at DESC LIMIT 5",
            {
                "me": actor.user_id,
                "now": now,
                "since": now - clock.stretch(ladder().ring_s),
                "long": now - clock.stretch(_TALK_S),
            },
        )
        .fetchall()
    )


def fingerprint(conn: psycopg.Connection[Any], *, now: datetime) -> str:
    """Changes whenever a call in sight begins or changes; asked each second by the pages that are open."""
    row = conn.execute(
        "SELECT count(*), max(state_at) FROM wuzha.phone_calls WHERE state_at > %s",
        (now - max(clock.stretch(ladder().ring_s), timedelta(seconds=1)),),
    ).fetchone()
    return str(row)
