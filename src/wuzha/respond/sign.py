"""Sign for an alert, or for the next one in the queue; take one over from the officer who has it.

Kept true here: of officers who sign for one alert at once exactly one has it, and the others learn who.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg

from wuzha.command.public import Actor, Refused, require
from wuzha.events import clock

from . import queue, transfers
from .officer_code import issue_code as issue_code
from .officer_code import verify_code as verify_code
from .step import Done, lock, record, repeated
from .tiers import joins


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
    alert = lock(conn, alert_id)
    if alert["state"] != "new":  # given to our unit by another
        return transfers.accept(conn, actor, alert, key=key, now=now)
    return _hand_to(conn, actor, alert, "sign", key=key, now=now)


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
    if alert["offered_at"] is not None and transfers.may_sign(conn, actor, alert):
        return transfers.accept(conn, actor, alert, key=key, now=now)  # who it was given to takes it by signing
    return _hand_to(conn, actor, alert, "take_over", key=key, now=now)


def _hand_to(
    conn: psycopg.Connection[Any], actor: Actor, alert: dict[str, Any], kind: str, *, key: str, now: datetime
) -> Done:
    changes: dict[str, Any] = {"signed_by": actor.user_id}
    if alert["robot_at"] is not None:  # an officer has it: no machine calls as well
        changes["robot_at"] = None
        conn.execute(
            "UPDATE wuzha.robot_calls SET state = 'signed', state_at = %s WHERE alert_id = %s AND state = 'listed'",
            (now, alert["alert_id"]),
        )
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
