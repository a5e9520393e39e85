"""Waves: one work item for all whom one site, message, app, account, line or seized list has touched.

Kept true here: a wave holds alerts, so that whatever is done to one of its people is a step on that person's alert and
nobody has two files; people who are found later join by themselves while the wave is open; a wave that is made twice,
by two presses or two officers, is one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row

from wuzha.command.public import Actor, Refused, require
from wuzha.events import clock
from wuzha.store import audit

KINDS = ("site", "message", "app", "account", "line")
#: People who share a mark before it is shown as a wave in the making.
SHARED = 3
_OPEN = "a.state <> 'closed' AND a.merged_into IS NULL"


@dataclass(frozen=True, kw_only=True)
class Making:
    """A mark that people with open alerts share; ``suspect`` to the engine, ``warned`` of by a warning."""

    mark: str
    people: int
    urgent: int
    suspect: bool
    warned: bool


def in_the_making(conn: psycopg.Connection[Any], actor: Actor, *, limit: int = 20) -> list[Making]:
    """Marks that `SHARED` or more people with open alerts in sight share and no open wave of this unit holds."""
    require(actor, "desk.read")
    found = conn.execute(
        "WITH marks AS (SELECT m.mark, count(DISTINCT a.person_id) AS people,"
        "   count(DISTINCT a.person_id) FILTER (WHERE a.level_rank >= 2) AS urgent, bool_or(m.warned) AS warned"
        "  FROM wuzha.alerts a JOIN wuzha.evidence e USING (alert_id) JOIN wuzha.evidence_marks m USING (evidence_id)"
        f" WHERE {_OPEN} AND e.withdrawn_at IS NULL GROUP BY 1 HAVING count(DISTINCT a.person_id) >= %s)"
        " SELECT k.mark, k.people, k.urgent, EXISTS (SELECT 1 FROM wuzha.suspects s JOIN wuzha.subjects b"
        "   USING (subject_id) WHERE b.value = substr(k.mark, strpos(k.mark, ':') + 1)) AS suspect, k.warned"
        " FROM marks k WHERE NOT EXISTS (SELECT 1 FROM wuzha.waves w WHERE w.mark = k.mark AND w.closed_at IS NULL"
        "   AND w.unit_id = %s)"
        " ORDER BY suspect DESC, k.warned DESC, k.urgent DESC, k.people DESC, k.mark LIMIT %s",
        (SHARED, actor.unit_id, limit),
    ).fetchall()
    return [Making(mark=r[0], people=r[1], urgent=r[2], suspect=r[3], warned=r[4]) for r in found]


def make(
    conn: psycopg.Connection[Any],
    actor: Actor,
    *,
    mark: str,
    title: str,
    key: str,
    case_no: str | None = None,
    now: datetime | None = None,
) -> int:
    """A wave of everybody in sight whom ``mark`` (``site:…``, ``list:<case number>``) has touched; its number.

    One that is open already is returned as it is. Refused: no_title, unknown_mark, no_case.
    """
    require(actor, "desk.act")
    now = now or clock.now()
    kind, _, value = mark.partition(":")
    if not 8 <= len(key) <= 80:
        raise Refused("no_key")
    if not title.strip():
        raise Refused("no_title")
    if kind == "list" and len((case_no or "").strip()) < 4:
        raise Refused("no_case")
    if kind not in (*KINDS, "list") or not value.strip():
        raise Refused("unknown_mark")
    conn.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"wave:{actor.unit_id}:{mark}",))
    row = conn.execute(
        "SELECT wave_id FROM wuzha.waves WHERE (unit_id = %s AND mark = %s AND closed_at IS NULL) OR key = %s",
        (actor.unit_id, mark, f"{actor.user_id}:{key}"),
    ).fetchone()
    if row is not None:
        return int(row[0])
    row = conn.execute(
        "INSERT INTO wuzha.waves (unit_id, kind, mark, title, case_no, made_by, made_at, key)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s) RETURNING wave_id",
        (actor.unit_id, kind, mark, title.strip()[:200], case_no, actor.user_id, now, f"{actor.user_id}:{key}"),
    ).fetchone()
    assert row is not None
    n = gather(conn, row[0], now=now)
    _audit(conn, actor, row[0], "made", now, kind=kind, people=n, case_no=case_no)
    return int(row[0])


def gather(conn: psycopg.Connection[Any], wave_id: int, *, now: datetime) -> int:
    """Alerts in sight that the wave's mark has touched since it was last looked at join it; how many."""
    return conn.execute(
        "INSERT INTO wuzha.wave_alerts (wave_id, alert_id, joined_at)"
        " SELECT DISTINCT w.wave_id, a.alert_id, %(now)s::timestamptz FROM wuzha.waves w"
        " JOIN wuzha.evidence_marks m ON m.mark = w.mark AND m.evidence_id > w.seen"
        " JOIN wuzha.evidence e USING (evidence_id)"
        f" JOIN wuzha.alerts a USING (alert_id) WHERE w.wave_id = %(wave)s AND e.withdrawn_at IS NULL AND {_OPEN}"
        " UNION SELECT w.wave_id, a.alert_id, %(now)s FROM wuzha.waves w"
        " JOIN wuzha.alert_warnings x ON x.source = 'desk' AND x.source_no = w.mark"
        f" JOIN wuzha.alerts a USING (alert_id) WHERE w.wave_id = %(wave)s AND w.kind = 'list' AND {_OPEN}"
        " ON CONFLICT DO NOTHING",
        {"wave": wave_id, "now": now},
    ).rowcount


def join_later(conn: psycopg.Connection[Any], actor: Actor, now: datetime) -> int:
    """The round: every open wave in sight takes in whom its mark has touched since."""
    newest = conn.execute("SELECT coalesce(max(evidence_id), 0) FROM wuzha.evidence").fetchone() or (0,)
    waves = conn.execute("SELECT wave_id FROM wuzha.waves WHERE closed_at IS NULL ORDER BY wave_id").fetchall()
    joined = sum(gather(conn, wave_id, now=now) for (wave_id,) in waves)
    # What a maker saw is less than what the whole tree sees: only the round says that evidence has been looked at.
    conn.execute("UPDATE wuzha.waves SET seen = %s WHERE closed_at IS NULL AND seen < %s", (newest[0], newest[0]))
    return joined


def close(conn: psycopg.Connection[Any], actor: Actor, wave_id: int, *, now: datetime | None = None) -> None:
    """End the wave: nobody joins it any more; its people's files stay as they are. Refused("not_found", "closed")."""
    require(actor, "desk.act")
    now = now or clock.now()
    done = conn.execute(
        "UPDATE wuzha.waves SET closed_at = %s, closed_by = %s WHERE wave_id = %s AND closed_at IS NULL"
        " AND unit_id IN (SELECT descendant FROM wuzha.unit_closure WHERE ancestor = %s)",
        (now, actor.user_id, wave_id, actor.unit_id),
    ).rowcount
    if not done:
        raise Refused("closed" if _exists(conn, wave_id) else "not_found")
    _audit(conn, actor, wave_id, "closed", now)


def hand_out(conn: psycopg.Connection[Any], actor: Actor, wave_id: int, *, now: datetime | None = None) -> int:
    """Hand every other unit whose people are in the wave its share, in one press; how many units are newly handed one.

    A share is signed for by its unit; the people's files are that unit's already.
    """
    require(actor, "desk.act")
    now = now or clock.now()
    if not _exists(conn, wave_id):
        raise Refused("not_found")
    handed = conn.execute(
        "INSERT INTO wuzha.wave_shares (wave_id, unit_id, handed_at, handed_by)"
        " SELECT DISTINCT wa.wave_id, a.unit_id, %s::timestamptz, %s::bigint FROM wuzha.wave_alerts wa"
        " JOIN wuzha.alerts a USING (alert_id) JOIN wuzha.waves w USING (wave_id)"
        f" WHERE wa.wave_id = %s AND w.closed_at IS NULL AND a.unit_id <> w.unit_id AND {_OPEN} ON CONFLICT DO NOTHING",
        (now, actor.user_id, wave_id),
    ).rowcount
    if handed:
        _audit(conn, actor, wave_id, "handed_out", now, units=handed)
    return handed


def sign_share(conn: psycopg.Connection[Any], actor: Actor, wave_id: int, *, now: datetime | None = None) -> int:
    """Sign for what one's own units have been handed; how many shares. Refused("nothing_handed")."""
    require(actor, "desk.act")
    now = now or clock.now()
    signed = conn.execute(
        "UPDATE wuzha.wave_shares SET signed_at = %s, signed_by = %s WHERE wave_id = %s AND signed_at IS NULL"
        " AND unit_id IN (SELECT descendant FROM wuzha.unit_closure WHERE ancestor = %s)",
        (now, actor.user_id, wave_id, actor.unit_id),
    ).rowcount
    if not signed:
        raise Refused("nothing_handed")
    _audit(conn, actor, wave_id, "share_signed", now, shares=signed)
    return signed


@dataclass(frozen=True, kw_only=True)
class Wave:
    """A wave and its figures; ``units``: one row a unit with people in it, ``total`` over all of them."""

    wave: dict[str, Any]
    total: dict[str, Any]
    units: list[dict[str, Any]]


_FIGURES = """
    count(*) AS people, count(*) FILTER (WHERE a.state = 'new') AS unsigned,
    count(*) FILTER (WHERE a.contacted_at IS NOT NULL) AS contacted,
    count(*) FILTER (WHERE a.reached_at IS NOT NULL) AS reached, count(*) FILTER (WHERE a.state = 'closed') AS closed,
    count(*) FILTER (WHERE a.outcome = 'dissuaded') AS dissuaded,
    count(*) FILTER (WHERE a.outcome = 'deceived') AS deceived, sum(a.avoided_fen) AS avoided_fen,
    sum(a.lost_fen) AS lost_fen
"""


def read(conn: psycopg.Connection[Any], actor: Actor, wave_id: int) -> Wave:
    """A wave as far as the officer sees its people. Refused("not_found")."""
    require(actor, "desk.read")
    many = conn.cursor(row_factory=dict_row)
    wave = many.execute(
        "SELECT w.*, n.name AS unit_name, u.name AS maker FROM wuzha.waves w JOIN wuzha.units n USING (unit_id)"
        " JOIN wuzha.users u ON u.user_id = w.made_by WHERE w.wave_id = %s",
        (wave_id,),
    ).fetchone()
    if wave is None:
        raise Refused("not_found")
    total = many.execute(
        f"SELECT {_FIGURES} FROM wuzha.wave_alerts x JOIN wuzha.alerts a USING (alert_id) WHERE x.wave_id = %s",
        (wave_id,),
    ).fetchone()
    units = many.execute(
        f"SELECT n.unit_id, n.name, max(s.handed_at) AS handed_at, max(s.signed_at) AS signed_at, {_FIGURES}"
        " FROM wuzha.wave_alerts x JOIN wuzha.alerts a USING (alert_id) JOIN wuzha.units n ON n.unit_id = a.unit_id"
        " LEFT JOIN wuzha.wave_shares s ON s.wave_id = x.wave_id AND s.unit_id = a.unit_id"
        " WHERE x.wave_id = %s GROUP BY 1, 2 ORDER BY people DESC, n.name",
        (wave_id,),
    ).fetchall()
    assert total is not None
    return Wave(wave=wave, total=total, units=units)


def waves(conn: psycopg.Connection[Any], actor: Actor, *, limit: int = 100) -> list[dict[str, Any]]:
    """The waves in sight with their figures, open ones first, the newest first."""
    require(actor, "desk.read")
    return (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT w.wave_id, w.kind, w.mark, w.title, w.case_no, w.made_at, w.closed_at, n.name AS unit_name, f.*,"
            " EXISTS (SELECT 1 FROM wuzha.wave_shares s WHERE s.wave_id = w.wave_id AND s.signed_at IS NULL"
            "   AND s.unit_id IN (SELECT descendant FROM wuzha.unit_closure WHERE ancestor = %s)"
            "   AND w.unit_id <> %s) AS handed"
            " FROM wuzha.waves w JOIN wuzha.units n USING (unit_id) CROSS JOIN LATERAL"
            f" (SELECT {_FIGURES} FROM wuzha.wave_alerts x JOIN wuzha.alerts a USING (alert_id)"
            "   WHERE x.wave_id = w.wave_id) f"
            " ORDER BY w.closed_at IS NOT NULL, w.made_at DESC, w.wave_id DESC LIMIT %s",
            (actor.unit_id, actor.unit_id, limit),
        )
        .fetchall()
    )


def people(conn: psycopg.Connection[Any], actor: Actor, wave_id: int) -> list[dict[str, Any]]:
    """The feedback table: one row a person in sight with what was done and what came of it, in the queue's order."""
    require(actor, "desk.read")
    return (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT a.alert_id, p.name, l.value AS line, n.name AS unit_name, a.level, a.scam_type, a.state,"
            " a.signed_at, o.name AS officer, a.contacted_at, a.reached_at, a.outcome, a.avoided_fen, a.lost_fen,"
            " (SELECT count(*) FROM wuzha.contacts c WHERE c.alert_id = a.alert_id AND c.code IS NOT NULL) AS contacts"
            " FROM wuzha.wave_alerts x JOIN wuzha.alerts a USING (alert_id) JOIN wuzha.units n ON n.unit_id = a.unit_id"
            " LEFT JOIN wuzha.persons p ON p.person_id = a.person_id"
            " LEFT JOIN wuzha.subjects l ON l.subject_id = a.line_id"
            " LEFT JOIN wuzha.users o ON o.user_id = a.signed_by"
            " WHERE x.wave_id = %s ORDER BY a.level_rank DESC, a.committed_at, a.alert_id",
            (wave_id,),
        )
        .fetchall()
    )


def of_alert(conn: psycopg.Connection[Any], alert_id: int) -> list[dict[str, Any]]:
    """The waves that hold an alert."""
    return (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT w.wave_id, w.title, w.kind FROM wuzha.wave_alerts x JOIN wuzha.waves w USING (wave_id)"
            " WHERE x.alert_id = %s ORDER BY w.wave_id",
            (alert_id,),
        )
        .fetchall()
    )


def _exists(conn: psycopg.Connection[Any], wave_id: int) -> bool:
    return conn.execute("SELECT 1 FROM wuzha.waves WHERE wave_id = %s", (wave_id,)).fetchone() is not None


def _audit(conn: psycopg.Connection[Any], actor: Actor, wave_id: int, what: str, at: datetime, **detail: Any) -> None:
    audit.append(
        conn, at=at, actor=actor.login, user_id=actor.user_id or None, unit_id=actor.unit_id, action=f"wave.{what}",
        object=f"wave:{wave_id}", detail={k: v for k, v in detail.items() if v is not None},
    )  # fmt: skip
