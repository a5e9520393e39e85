"""The roster: who is to be on duty, from when to when, at which post. Who is, now, tells `public.on_duty`.

Kept true here: commanders make the roster of their own unit and of those below; nobody stands twice at one time; a
shift is struck out, never deleted.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any

import psycopg
from psycopg.rows import dict_row

from wuzha.events import clock
from wuzha.store import audit

from .public import WORKING, Actor, Refused, in_reach, require, shift_rows

#: The longest shift.
LONGEST = timedelta(hours=26)


def monday(day: date) -> date:
    """The Monday of a day's week."""
    return day - timedelta(days=day.weekday())


def _week(day: date) -> tuple[datetime, datetime]:
    begin = datetime.combine(monday(day), time(), clock.zone())
    return begin, begin + timedelta(days=7)


def week(conn: psycopg.Connection[Any], actor: Actor, day: date) -> list[dict[str, Any]]:
    """Shifts of the week of ``day`` in sight, by start: the columns of the table with ``name, unit_name``."""
    require(actor, "desk.read")
    begin, end = _week(day)
    return shift_rows(
        conn, "h.starts_at < %s AND h.ends_at > %s ORDER BY h.starts_at, n.code, u.name LIMIT 2000", (end, begin)
    )  # fmt: skip


def people(conn: psycopg.Connection[Any], actor: Actor) -> list[dict[str, Any]]:
    """Officers of the actor's units who can be put on a shift: ``user_id, name, unit_id, unit_name``."""
    return (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT u.user_id, u.name, u.unit_id, n.name AS unit_name FROM wuzha.users u JOIN wuzha.units n"
            " USING (unit_id) WHERE u.active AND u.unit_id IN (SELECT descendant FROM wuzha.unit_closure"
            " WHERE ancestor = %s) AND EXISTS (SELECT 1 FROM wuzha.user_roles r WHERE r.user_id = u.user_id"
            " AND r.role = ANY(%s)) ORDER BY n.code, u.name",
            (actor.unit_id, list(WORKING)),
        )
        .fetchall()
    )


def add(
    conn: psycopg.Connection[Any],
    actor: Actor,
    *,
    user_id: int,
    starts_at: datetime,
    ends_at: datetime,
    post: str = "",
    unit_id: int | None = None,
    now: datetime | None = None,
) -> int:
    """A new shift at ``unit_id`` (the officer's own where None).

    Refused: forbidden, not_found, shift_times (it ends before it begins, or is longer than a day and its hand-over),
    shift_overlap.
    """
    require(actor, "duty.write")
    if not starts_at < ends_at <= starts_at + LONGEST:
        raise Refused("shift_times")
    # The officer's row is held, so that two commanders cannot put one officer on two shifts at once.
    found = conn.execute("SELECT unit_id, active FROM wuzha.users WHERE user_id = %s FOR UPDATE", (user_id,)).fetchone()
    if found is None or not found[1]:
        raise Refused("not_found")
    in_reach(conn, actor, found[0])
    unit_id = unit_id or int(found[0])
    in_reach(conn, actor, unit_id)
    if shift_rows(
        conn, "h.user_id = %s AND h.starts_at < %s AND h.ends_at > %s LIMIT 1", (user_id, ends_at, starts_at)
    ):
        raise Refused("shift_overlap")
    now = now or clock.now()
    row = conn.execute(
        "INSERT INTO wuzha.shifts (unit_id, user_id, post, starts_at, ends_at, made_by, made_at)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s) RETURNING shift_id",
        (unit_id, user_id, post.strip()[:40], starts_at, ends_at, actor.user_id, now),
    ).fetchone()
    assert row is not None
    detail = {"user": user_id, "unit": unit_id, "from": starts_at.isoformat(), "to": ends_at.isoformat()}
    _audit(conn, actor, "shift.added", row[0], detail, now)
    return int(row[0])


def remove(conn: psycopg.Connection[Any], actor: Actor, shift_id: int, *, now: datetime | None = None) -> None:
    """Strike a shift out. Refused: forbidden, not_found."""
    require(actor, "duty.write")
    now = now or clock.now()
    row = conn.execute(
        "UPDATE wuzha.shifts SET removed_at = %s, removed_by = %s WHERE shift_id = %s AND removed_at IS NULL"
        " RETURNING user_id",
        (now, actor.user_id, shift_id),
    ).fetchone()
    if row is None:
        raise Refused("not_found")
    _audit(conn, actor, "shift.removed", shift_id, {"user": row[0]}, now)


def copy_week(
    conn: psycopg.Connection[Any], actor: Actor, day: date, *, now: datetime | None = None
) -> tuple[int, int]:
    """Copy the week before into the week of ``day``: (how many were added, how many stood in the way)."""
    require(actor, "duty.write")
    added = left_out = 0
    begin = _week(day)[0]
    for row in week(conn, actor, day - timedelta(days=7)):
        if row["starts_at"] < begin - timedelta(days=7):
            continue  # it began in the week before that one
        zone = clock.zone()
        moved = [row[c].astimezone(zone) + timedelta(days=7) for c in ("starts_at", "ends_at")]
        try:
            with conn.transaction():
                add(
                    conn, actor, user_id=row["user_id"], unit_id=row["unit_id"], post=row["post"], starts_at=moved[0],
                    ends_at=moved[1], now=now,
                )  # fmt: skip
            added += 1
        except Refused as refused:
            if refused.reason == "forbidden":
                raise
            left_out += 1
    return added, left_out


def _audit(
    conn: psycopg.Connection[Any], actor: Actor, action: str, shift_id: int, detail: dict[str, Any], now: datetime
) -> None:
    audit.append(
        conn, at=now, actor=actor.login, user_id=actor.user_id, unit_id=actor.unit_id, action=action,
        object=f"shift:{shift_id}", detail=detail,
    )  # fmt: skip
