"""民警身份核验码: the code that an officer says and the person reads back to 96110.

Kept true here: a code is true for one officer, one file and one while; while it is, no other in sight reads the same.
"""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any

import psycopg

from wuzha.command.public import Actor
from wuzha.events import clock

from .tiers import tiers


def issue_code(
    conn: psycopg.Connection[Any], actor: Actor, alert_id: int, *, now: datetime, user_id: int | None = None
) -> str:
    """A fresh officer's code for this officer (or ``user_id``) and file; no other code in force in sight reads the
    same."""
    until = now + clock.stretch(tiers(now).code_s)
    for _ in range(200):
        code = f"{secrets.randbelow(900_000) + 100_000}"
        taken = conn.execute("SELECT 1 FROM wuzha.officer_codes WHERE code = %s AND until > %s", (code, now)).fetchone()
        if taken is None:
            break
    conn.execute(
        "INSERT INTO wuzha.officer_codes (code, alert_id, user_id, at, until) VALUES (%s, %s, %s, %s, %s)"
        " ON CONFLICT DO NOTHING",
        (code, alert_id, user_id or actor.user_id, now, until),
    )
    return code


def verify_code(conn: psycopg.Connection[Any], code: str, *, now: datetime | None = None) -> dict[str, Any] | None:
    """Who gave this officer's code, for those who answer 96110: ``{alert_id, officer, badge_no, unit}`` or None."""
    row = conn.execute(
        "SELECT c.alert_id, u.name, u.badge_no, n.name FROM wuzha.officer_codes c"
        " JOIN wuzha.users u ON u.user_id = c.user_id JOIN wuzha.units n ON n.unit_id = u.unit_id"
        " JOIN wuzha.alerts a ON a.alert_id = c.alert_id"
        " WHERE c.code = %s AND c.until > %s AND a.signed_by = c.user_id AND a.state <> 'closed' AND u.active"
        " ORDER BY c.at DESC LIMIT 1",
        (code, now or clock.now()),
    ).fetchone()
    return None if row is None else {"alert_id": row[0], "officer": row[1], "badge_no": row[2], "unit": row[3]}
