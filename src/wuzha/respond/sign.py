"""Sign for an alert, or for the next one in the queue; take one over from the officer who has it.

Kept true here: of officers who sign for one alert at once exactly one has it, and the others learn who.
"""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any

import psycopg

from wuzha.command.public import Actor, Refused, require
from wuzha.events import clock

from . import queue
from .step import Done, lock, record, repeated
from .tiers import joins, tiers


def sign(
    conn: psycopg.Connection[Any], actor: Actor, alert_id: int, *, version: int, key: str, now: datetime | None = None
) -> Done:
    """Sign for an alert. Refused("taken", who, at) where another was first, Refused("not_found") out of scope."""
    require(actor, "desk.act")
    now = now or clock.now()
    if done := repeated(conn, actor, key):
        return done
    alert = lock(conn, alert_id)
    if alert["state"] == "closed":
        raise Refused("closed")
    if alert["state"] != "new":
        if alert["signed_by"] == actor.user_id:
            raise Refused("already_yours")
        raise Refused("taken", who=alert["signed_name"], at=alert["signed_at"])
    if alert["version"] != version:
        raise Refused("changed")
    return _hand_to(conn, actor, alert, "sign", key=key, now=now)


def sign_next(
    conn: psycopg.Connection[Any], actor: Actor, filters: queue.Filters, *, key: str, now: datetime | None = None
) -> Done:
    """Sign for the first unsigned alert that nobody is signing for at this moment. Refused("queue_empty")."""
    require(actor, "desk.act")
    now = now or clock.now()
    if done := repeated(conn, actor, key):
        return done
    alert_id = queue.first_unsigned(conn, actor, filters, now=now)
    if alert_id is None:
        raise Refused("queue_empty")
    return _hand_to(conn, actor, lock(conn, alert_id), "sign", key=key, now=now)


def take_over(
    conn: psycopg.Connection[Any], actor: Actor, alert_id: int, *, version: int, key: str, now: datetime | None = None
) -> Done:
    """Take an open alert over from the officer who has it (end of a shift, absence); stands in the audit."""
    require(actor, "desk.take_over")
    now = now or clock.now()
    if done := repeated(conn, actor, key):
        return done
    alert = lock(conn, alert_id)
    if alert["state"] == "closed":
        raise Refused("closed")
    if alert["state"] == "new":
        raise Refused("not_signed")
    if alert["signed_by"] == actor.user_id:
        raise Refused("already_yours")
    if alert["version"] != version:
        raise Refused("changed")
    return _hand_to(conn, actor, alert, "take_over", key=key, now=now)


def _hand_to(
    conn: psycopg.Connection[Any], actor: Actor, alert: dict[str, Any], kind: str, *, key: str, now: datetime
) -> Done:
    changes: dict[str, Any] = {"signed_by": actor.user_id}
    if kind == "sign":
        due = conn.execute(
            f"SELECT sign_due, contact_due FROM wuzha.alerts a {joins(now)} WHERE a.alert_id = %s",
            (alert["alert_id"],),
        ).fetchone()
        assert due is not None
        changes |= {"state": "signed", "signed_at": now, "sign_by": due[0], "contact_by": due[1]}
    done = record(conn, actor, alert, kind, key=key, changes=changes, at=now)
    issue_code(conn, actor, alert["alert_id"], now=now)
    return done


def issue_code(conn: psycopg.Connection[Any], actor: Actor, alert_id: int, *, now: datetime) -> str:
    """A fresh officer's code for this officer and file; no other code in force in sight reads the same."""
    until = now + clock.stretch(tiers(now).code_s)
    for _ in range(50):
        code = f"{secrets.randbelow(9000) + 1000}"
        taken = conn.execute("SELECT 1 FROM wuzha.officer_codes WHERE code = %s AND until > %s", (code, now)).fetchone()
        if taken is None:
            break
    else:
        code = f"{secrets.randbelow(90_000_000) + 10_000_000}"
    conn.execute(
        "INSERT INTO wuzha.officer_codes (code, alert_id, user_id, at, until) VALUES (%s, %s, %s, %s, %s)"
        " ON CONFLICT DO NOTHING",
        (code, alert_id, actor.user_id, now, until),
    )
    return code


def verify_code(conn: psycopg.Connection[Any], code: str, *, now: datetime | None = None) -> dict[str, Any] | None:
    """Who gave this officer's code, for those who answer 96110: ``{alert_id, officer, badge_no, unit}`` or None."""
    row = conn.execute(
        "SELECT c.alert_id, u.name, u.badge_no, n.name FROM wuzha.officer_codes c"
        " JOIN wuzha.users u ON u.user_id = c.user_id JOIN wuzha.units n ON n.unit_id = u.unit_id"
        " WHERE c.code = %s AND c.until > %s ORDER BY c.at DESC LIMIT 1",
        (code, now or clock.now()),
    ).fetchone()
    return None if row is None else {"alert_id": row[0], "officer": row[1], "badge_no": row[2], "unit": row[3]}
