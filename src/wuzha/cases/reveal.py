"""Reveal a case's names and account numbers to one officer, for a purpose, until an end.

Kept true here: nobody sees a name or number of a case in full without a row here that says what for; each is audited.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import psycopg

from wuzha.command.public import Actor, Refused, require
from wuzha.events import clock
from wuzha.orders.public import record

from .listing import revealed_until
from .money import one

#: An order's card and papers are worked on for so long.
OPEN_FOR = timedelta(minutes=30)
PURPOSES = ("order", "verify", "trace", "refund", "audit")


def reveal(
    conn: psycopg.Connection[Any], actor: Actor, case_id: int, *, purpose: str, now: datetime | None = None
) -> datetime:
    """Open the case to this officer; returns the end. Refused("no_purpose") where the purpose is no code of ours."""
    require(actor, "reveal")
    now = now or clock.now()
    if purpose not in PURPOSES:
        raise Refused("no_purpose")
    case = one(conn, actor, case_id)  # a partner unit's officer, who may change nothing of it, opens it too
    until = revealed_until(conn, actor, case_id, now=now)
    if until is not None:
        return until
    until = now + OPEN_FOR
    conn.execute(
        "INSERT INTO wuzha.case_reveals (user_id, case_id, purpose, at, until) VALUES (%s, %s, %s, %s, %s)",
        (actor.user_id, case_id, purpose, now, until),
    )
    record(conn, actor, case, "revealed", at=now, detail={"purpose": purpose, "until": until.isoformat()})
    return until
