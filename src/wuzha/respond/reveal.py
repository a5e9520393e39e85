"""Reveal a file's names and numbers to one officer, for a purpose, until an end.

Kept true here: nobody sees a name or number in full without a row here that says what for; every read of a revealed
file happens inside its time.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg

from wuzha.command.public import Actor, Refused, require
from wuzha.events import clock

from .codes import codes
from .step import audit_step, lock
from .tiers import tiers


def reveal(
    conn: psycopg.Connection[Any],
    actor: Actor,
    alert_id: int,
    *,
    purpose: str,
    words: str = "",
    now: datetime | None = None,
) -> datetime:
    """Open the file to this officer; returns the end. Refused("no_purpose") where the purpose is no code of ours."""
    require(actor, "reveal")
    now = now or clock.now()
    check_purpose(purpose)
    alert = lock(conn, alert_id)
    open_until = revealed_until(conn, actor, alert_id, now=now)
    if open_until is not None:
        return open_until
    until = now + clock.stretch(tiers(now).reveal_s)
    full = f"{purpose}: {words.strip()[:500]}" if words.strip() else purpose
    conn.execute(
        "INSERT INTO wuzha.reveals (user_id, alert_id, purpose, at, until) VALUES (%s, %s, %s, %s, %s)",
        (actor.user_id, alert_id, full, now, until),
    )
    # Their own words may hold a name; the audit, which others read, has the code.
    audit_step(conn, actor, alert, "reveal", at=now, detail={"purpose": purpose, "until": until.isoformat()})
    return until


def check_purpose(purpose: str) -> None:
    """Refused("no_purpose") where the purpose is no code of ours; so asks whatever lets names or numbers leave."""
    if purpose not in codes()["purpose"]:
        raise Refused("no_purpose")


def revealed_until(
    conn: psycopg.Connection[Any], actor: Actor, alert_id: int, *, now: datetime | None = None
) -> datetime | None:
    """Until when the file is open to this officer; None where it is masked."""
    row = conn.execute(
        "SELECT max(until) FROM wuzha.reveals WHERE user_id = %s AND alert_id = %s AND until > %s",
        (actor.user_id, alert_id, now or clock.now()),
    ).fetchone()
    return row[0] if row else None
