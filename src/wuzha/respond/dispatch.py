"""A visit under way while the officer calls: an order to a station, with a clock of its own.

Kept true here: a station has one open order for a file at a time; sending it is an attempt to reach the person, and
meeting them makes the file reached, whoever holds it; the station sees the file until its order is old.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import dict_row

from wuzha.command.public import Actor, Refused, require
from wuzha.events import clock

from . import merged
from .codes import codes
from .safety import check_other
from .step import Done, lock, mine, record, repeated
from .tiers import joins

#: How long a station outside the officer's units sees a file that it was sent to.
GRANT = timedelta(days=3)
#: What a station may answer.
RESULTS = tuple(r for r in codes()["channel"]["visit"].results if r != "dispatched")


def stations(conn: psycopg.Connection[Any], alert: dict[str, Any]) -> list[dict[str, Any]]:
    """Units that can go, those below the file's own unit (or it itself) first: ``unit_id, name, near``."""
    return (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT u.unit_id, u.name, c.descendant IS NOT NULL AS near FROM wuzha.units u"
            " LEFT JOIN wuzha.unit_closure c ON c.descendant = u.unit_id AND c.ancestor = %s"
            " WHERE u.active AND u.kind IN ('station', 'community', 'zone', 'county')"
            " ORDER BY c.descendant IS NULL, u.kind <> 'station', u.unit_id <> %s, u.code LIMIT 300",
            (alert["unit_id"], alert["unit_id"]),
        )
        .fetchall()
    )


def send(
    conn: psycopg.Connection[Any],
    actor: Actor,
    alert_id: int,
    *,
    unit_id: int,
    version: int,
    key: str,
    words: str = "",
    now: datetime | None = None,
) -> Done:
    """Send a visit. Refused: not_found (no such unit), sent_already, those of `mine`."""
    require(actor, "desk.act")
    now = now or clock.now()
    if done := repeated(conn, actor, key):
        return done
    alert = lock(conn, alert_id)
    mine(alert, actor, version)
    unit = conn.execute("SELECT name FROM wuzha.units WHERE unit_id = %s AND active", (unit_id,)).fetchone()
    if unit is None:
        raise Refused("not_found")
    open_ = conn.execute(
        "SELECT 1 FROM wuzha.dispatches WHERE alert_id = %s AND unit_id = %s AND state IN ('sent', 'going')",
        (alert_id, unit_id),
    ).fetchone()
    if open_ is not None:
        raise Refused("sent_already")
    due = conn.execute(
        f"SELECT clocks.meet_due FROM wuzha.alerts a {joins(now)} WHERE a.alert_id = %s", (alert_id,)
    ).fetchone()
    assert due is not None
    conn.execute(
        "INSERT INTO wuzha.grants (table_name, row_id, unit_id, reason, granted_by, granted_at, until)"
        " SELECT 'alerts', %(alert)s, %(unit)s, 'visit', %(user)s, %(now)s, %(until)s WHERE NOT EXISTS"
        " (SELECT 1 FROM wuzha.unit_closure WHERE ancestor = %(unit)s AND descendant = %(own)s)",
        {
            "alert": alert_id, "unit": unit_id, "user": actor.user_id, "now": now, "until": now + GRANT,
            "own": alert["unit_id"],
        },
    )  # fmt: skip
    changes: dict[str, Any] = {} if alert["contacted_at"] else {"contacted_at": now}
    if alert["state"] == "signed":
        changes["state"] = "contacting"
    full = f"→ {unit[0]}" + (f"：{words.strip()[:500]}" if words.strip() else "")
    done = record(conn, actor, alert, "visit", key=key, changes=changes, at=now, code="dispatched", words=full)
    conn.execute(
        "INSERT INTO wuzha.dispatches (alert_id, unit_id, sent_by, sent_at, meet_by, words)"
        " VALUES (%s, %s, %s, %s, %s, %s)",
        (alert_id, unit_id, actor.user_id, now, due[0], words.strip()[:500] or None),
    )
    return done


def going(
    conn: psycopg.Connection[Any], actor: Actor, dispatch_id: int, *, key: str, now: datetime | None = None
) -> Done:
    """The station takes the order: somebody is on the way. Refused: not_found, not_for_you, order_state."""
    require(actor, "desk.act")
    now = now or clock.now()
    if done := repeated(conn, actor, key):
        return done
    order, alert = _order(conn, actor, dispatch_id, ("sent",))
    conn.execute(
        "UPDATE wuzha.dispatches SET state = 'going', going_by = %s, going_at = %s WHERE dispatch_id = %s",
        (actor.user_id, now, dispatch_id),
    )
    return record(
        conn, actor, alert, "visit_going", key=key, changes={}, at=now, words=order["unit_name"], quiet=True
    )  # fmt: skip


def finish(
    conn: psycopg.Connection[Any],
    actor: Actor,
    dispatch_id: int,
    *,
    result: str,
    key: str,
    words: str = "",
    reason: str | None = None,
    now: datetime | None = None,
) -> Done:
    """The station's answer. Refused: not_found, not_for_you, order_state, unknown_code, other_reason, other_words."""
    require(actor, "desk.act")
    now = now or clock.now()
    if result not in RESULTS:
        raise Refused("unknown_code", code=result)
    if done := repeated(conn, actor, key):
        return done
    _, alert = _order(conn, actor, dispatch_id, ("sent", "going"))
    kept = check_other(conn, alert, result=result, reason=reason, words=words)
    conn.execute(
        "UPDATE wuzha.dispatches SET state = 'done', done_by = %s, done_at = %s, result = %s WHERE dispatch_id = %s",
        (actor.user_id, now, result, dispatch_id),
    )
    changes: dict[str, Any] = {}
    if codes()["result"][result].reached and alert["state"] in ("signed", "contacting"):
        changes = {"state": "reached"} | ({} if alert["reached_at"] else {"reached_at": now})
    return record(
        conn, actor, alert, "visit", key=key, changes=changes, at=now, code=result, words=words, reason=kept,
        quiet=not changes,
    )  # fmt: skip


def answered(conn: psycopg.Connection[Any], actor: Actor, alert_id: int, result: str, now: datetime) -> None:
    """What the officer on the telephone recorded of a visit answers the order that is under way, where there is one
    only: one meeting is not told twice."""
    files = merged.family(conn, alert_id)
    conn.execute(
        "UPDATE wuzha.dispatches SET state = 'done', done_by = %s, done_at = %s, result = %s"
        " WHERE alert_id = ANY(%s) AND state IN ('sent', 'going') AND 1 = (SELECT count(*) FROM wuzha.dispatches d"
        "  WHERE d.alert_id = ANY(%s) AND d.state IN ('sent', 'going'))",
        (actor.user_id, now, result, files, files),
    )


def _order(
    conn: psycopg.Connection[Any], actor: Actor, dispatch_id: int, states: tuple[str, ...]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """An order of the officer's units with its alert, both locked, the alert first as everywhere."""
    cursor = conn.cursor(row_factory=dict_row)
    found = cursor.execute("SELECT alert_id FROM wuzha.dispatches WHERE dispatch_id = %s", (dispatch_id,)).fetchone()
    if found is None:
        raise Refused("not_found")
    alert = lock(conn, merged.living(conn, found["alert_id"]))
    order = cursor.execute(
        "SELECT d.*, u.name AS unit_name, EXISTS (SELECT 1 FROM wuzha.unit_closure c WHERE c.ancestor = %s"
        " AND c.descendant = d.unit_id) AS ours FROM wuzha.dispatches d JOIN wuzha.units u USING (unit_id)"
        " WHERE d.dispatch_id = %s FOR UPDATE OF d",
        (actor.unit_id, dispatch_id),
    ).fetchone()
    if order is None or not order["ours"]:
        raise Refused("not_for_you")
    if order["state"] not in states:
        raise Refused("order_state")
    return order, alert


_COLUMNS = (
    "SELECT d.*, u.name AS unit_name, s.name AS sender, g.name AS goer, x.name AS doer FROM wuzha.dispatches d"
    " JOIN wuzha.units u USING (unit_id) JOIN wuzha.users s ON s.user_id = d.sent_by"
    " LEFT JOIN wuzha.users g ON g.user_id = d.going_by LEFT JOIN wuzha.users x ON x.user_id = d.done_by"
)


def of_file(conn: psycopg.Connection[Any], alert_id: int) -> list[dict[str, Any]]:
    """A file's orders that stand, with those of the files that it has taken in, oldest first."""
    return (
        conn.cursor(row_factory=dict_row)
        .execute(
            f"{_COLUMNS} WHERE d.alert_id = ANY(%s) AND d.state <> 'recalled' ORDER BY d.dispatch_id",
            (merged.family(conn, alert_id),),
        )
        .fetchall()
    )


def ours(conn: psycopg.Connection[Any], actor: Actor) -> list[dict[str, Any]]:
    """Open orders to the officer's own unit, the most pressing first, at most a hundred: with ``level, scam_type,
    name, born, gender`` of the file and ``line``."""
    return (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT d.*, a.level, a.scam_type, p.name, p.born, p.gender, l.value AS line FROM ("
            f"{_COLUMNS} WHERE d.unit_id = %s AND d.state IN ('sent', 'going') ORDER BY d.meet_by, d.dispatch_id"
            " LIMIT 100) d JOIN wuzha.alerts a USING (alert_id) LEFT JOIN wuzha.persons p ON p.person_id = a.person_id"
            " LEFT JOIN wuzha.subjects l ON l.subject_id = a.line_id ORDER BY d.meet_by, d.dispatch_id",
            (actor.unit_id,),
        )
        .fetchall()
    )
