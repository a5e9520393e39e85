"""Late ones, of the clocks of signing, contact and meeting: first the next person on duty, then the unit above.

Kept true here: each rung of a clock is climbed once for a level, whatever happens between; a reminder changes nothing
of the file — not its officer, not its version — it only tells; every late alert has its first rung within one round.
The database keeps the next moment with each alert, by the clocks that stand in it, so that a round touches what is due
and nothing else.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row

from wuzha.command.public import Actor, OnDuty, on_duty

from .queue import STILL_LATE
from .step import lock, record

#: Alerts told of in one round.
TELL = 300


def round(conn: psycopg.Connection[Any], actor: Actor, now: datetime) -> int:
    """Climb every rung whose time has come. Returns how many."""
    late = _late(conn, now)
    if not late:
        return 0
    officers = on_duty(conn, actor, now=now)
    load = Counter(
        dict(
            conn.execute(
                "SELECT signed_by, count(*) FROM wuzha.alerts WHERE state <> 'closed' AND signed_by = ANY(%s)"
                " GROUP BY signed_by",
                ([o.user_id for o in officers],),
            ).fetchall()
        )
    )
    above: dict[int, list[int]] = {}
    for unit, ancestor in conn.execute(
        "SELECT descendant, ancestor FROM wuzha.unit_closure WHERE descendant = ANY(%s) ORDER BY descendant, depth",
        ([row["unit_id"] for row in late],),
    ):
        above.setdefault(unit, []).append(ancestor)
    rungs: list[tuple[dict[str, Any], int, int | None, int]] = []
    for row in late:  # the most dangerous first: they get who has the least to do
        path = above[row["unit_id"]]
        if not row["first"]:
            to = _next_person(officers, load, path, row["signed_by"])
            rungs.append((row, 1, to, row["unit_id"]))
            if to is None:  # nobody is there to be told: at once to the unit above
                rungs.append((row, 2, None, _up(path)))
        else:
            rungs.append((row, 2, None, _up(path)))
    # Locks are taken in one order by all.
    rungs.sort(key=lambda rung: (rung[0]["alert_id"], rung[1]))
    return sum(_tell(conn, actor, row, rung, user, unit, now) for row, rung, user, unit in rungs)


def _up(path: list[int]) -> int:
    """The unit above, or the unit itself at the top, whose commander it then is."""
    return path[1] if len(path) > 1 else path[0]


def _late(conn: psycopg.Connection[Any], now: datetime) -> list[dict[str, Any]]:
    """Alerts whose next rung is due, in the queue's order."""
    return (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT l.alert_id, l.unit_id, l.level, l.signed_by, l.clock, l.rung > 0 AS first FROM ("
            "  SELECT a.*, s.clock, coalesce((a.rungs ->> (s.clock || ':' || a.level))::int, 0) AS rung"
            "  FROM wuzha.alerts a CROSS JOIN LATERAL"
            "   (SELECT wuzha.escalation_clock(a.state, a.level, a.rungs) AS clock) s"
            "  WHERE a.escalate_at <= %(now)s) l"
            " WHERE l.rung > 0 OR l.escalate_at < %(now)s"  # late is what is past its clock, not what is at it
            " ORDER BY l.rank_no, l.rank_at, l.alert_id LIMIT %(n)s",
            {"now": now, "n": TELL},
        )
        .fetchall()
    )


def _next_person(officers: list[OnDuty], load: Counter[int], path: list[int], holder: int | None) -> int | None:
    """On duty, nearest to the alert's unit going up, with the fewest open files; not the one who has it."""
    for unit in path:
        here = [o for o in officers if o.unit_id == unit and o.user_id != holder]
        if here:
            chosen = min(here, key=lambda o: (load[o.user_id], o.user_id)).user_id
            load[chosen] += 1
            return chosen
    return None


def _tell(
    conn: psycopg.Connection[Any], actor: Actor, row: dict[str, Any], rung: int, to_user: int | None, to_unit: int,
    now: datetime,
) -> int:  # fmt: skip
    fresh = conn.execute(
        "INSERT INTO wuzha.escalations (alert_id, clock, level, rung, at, to_user, to_unit)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (alert_id, clock, level, rung) DO NOTHING"
        " RETURNING escalation_id",
        (row["alert_id"], row["clock"], row["level"], rung, now, to_user, to_unit),
    ).fetchone()
    if fresh is None:
        return 0
    name = conn.execute(
        "SELECT coalesce((SELECT name FROM wuzha.users WHERE user_id = %s),"
        " (SELECT name FROM wuzha.units WHERE unit_id = %s))",
        (to_user, to_unit),
    ).fetchone()
    record(
        conn, actor, lock(conn, row["alert_id"]), "escalate", key=f"escalate-{fresh[0]}", changes={}, at=now,
        code="unit_above" if rung == 2 else "next_person" if to_user else "nobody_on_duty",
        words=f"→ {name[0]}" if name else None, quiet=True,
    )  # fmt: skip
    return 1


def told(conn: psycopg.Connection[Any], actor: Actor) -> dict[str, int]:
    """Late and still open: ``me`` told to this officer, ``unit`` told to their unit (second rung)."""
    row = conn.execute(
        "SELECT count(DISTINCT e.alert_id) FILTER (WHERE e.to_user = %s),"
        " count(DISTINCT e.alert_id) FILTER (WHERE e.rung = 2 AND e.to_unit = %s)"
        " FROM wuzha.escalations e JOIN wuzha.alerts a USING (alert_id)"
        f" WHERE {STILL_LATE} AND (e.to_user = %s OR e.to_unit = %s)",
        (actor.user_id, actor.unit_id, actor.user_id, actor.unit_id),
    ).fetchone()
    return {"me": int(row[0]), "unit": int(row[1])} if row else {"me": 0, "unit": 0}
