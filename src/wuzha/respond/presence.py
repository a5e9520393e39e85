"""Who has which file open now.

Kept true here: presence is told, never a lock — signing is; it costs one small write a `BEAT_S`, and is forgotten
by itself.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg

from wuzha.command.public import Actor
from wuzha.events import clock

#: Seconds (the officer's own) between two beats, and after which somebody counts as gone.
BEAT_S, GONE_S = 8.0, 25.0


def here(conn: psycopg.Connection[Any], actor: Actor, alert_id: int, *, now: datetime | None = None) -> None:
    """This officer has this file open. Nothing where they do not see it."""
    conn.execute(
        "INSERT INTO wuzha.presence (alert_id, user_id, seen_at) SELECT a.alert_id, %s, %s FROM wuzha.alerts a"
        " WHERE a.alert_id = %s ON CONFLICT (alert_id, user_id) DO UPDATE SET seen_at = excluded.seen_at",
        (actor.user_id, now or clock.now(), alert_id),
    )


def gone(conn: psycopg.Connection[Any], actor: Actor, alert_id: int, *, last: datetime | None = None) -> None:
    """This officer has closed it. ``last``: this page's last beat; a later one is another page's, which stands."""
    conn.execute(
        "DELETE FROM wuzha.presence WHERE alert_id = %s AND user_id = %s"
        " AND seen_at <= coalesce(%s::timestamptz, 'infinity')",
        (alert_id, actor.user_id, last),
    )


def others(conn: psycopg.Connection[Any], actor: Actor, alert_id: int, *, now: datetime | None = None) -> list[str]:
    """Names of the other officers who have the file open, by name."""
    since = (now or clock.now()) - clock.stretch(GONE_S)
    return [
        row[0]
        for row in conn.execute(
            "SELECT u.name FROM wuzha.presence p JOIN wuzha.users u USING (user_id)"
            " WHERE p.alert_id = %s AND p.user_id <> %s AND p.seen_at > %s ORDER BY u.name, u.user_id",
            (alert_id, actor.user_id, since),
        )
    ]
