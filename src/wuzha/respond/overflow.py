"""Overflow: what the officers on duty cannot begin in its time goes by itself to the next unit or to automatic calls.

The arithmetic, per desk (a unit that has a chain, with all below it up to the next such unit): officers on duty ×
``calls_per_hour`` of the tier table conversations get begun an hour, in the queue's order; an alert whose turn comes
after its contact deadline is late before it is begun. Kept true here: only low and medium alerts without an upstream
deadline ever leave, never an urgent or high one, and no level or deadline changes; each is a step of the machine that
the commander sees and can take back, after which it stays; a unit without a chain loses nothing. An alert that is on
the automatic-call list can still be signed for by anybody.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import dict_row

from wuzha.command.public import Actor, Refused, in_reach, on_duty, require
from wuzha.events import clock
from wuzha.store import audit

from .step import Done, lock, record, repeated
from .tiers import _tier_join, tiers

LEAVING = ("medium", "low")
#: Alerts looked at, and alerts moved, in one round.
LOOK, MOVE = 20_000, 200
#: Units that a chain may name before automatic calls.
STEPS = 3


def routes(conn: psycopg.Connection[Any], actor: Actor) -> list[dict[str, Any]]:
    """Chains in sight: ``unit_id, unit_name, steps`` (a list of ``{to, name}``, null: automatic calls)."""
    return (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT r.unit_id, n.name AS unit_name, jsonb_agg(jsonb_build_object('to', r.to_unit_id, 'name', t.name)"
            " ORDER BY r.step) AS steps FROM wuzha.overflow_routes r JOIN wuzha.units n USING (unit_id)"
            " LEFT JOIN wuzha.units t ON t.unit_id = r.to_unit_id GROUP BY r.unit_id, n.name, n.code ORDER BY n.code"
        )
        .fetchall()
    )


def set_route(
    conn: psycopg.Connection[Any],
    actor: Actor,
    unit_id: int,
    to: list[int],
    *,
    automatic: bool,
    now: datetime | None = None,
) -> None:
    """Set a unit's chain: units in order, then automatic calls where ``automatic``; an empty one ends it.

    Refused: forbidden, not_found, route (itself, twice, a unit above or below it, or too many).
    """
    require(actor, "duty.write")
    in_reach(conn, actor, unit_id)
    now = now or clock.now()
    if len(to) > STEPS or len(set(to)) < len(to):
        raise Refused("route")
    for other in to:
        row = conn.execute(
            "SELECT active, EXISTS (SELECT 1 FROM wuzha.unit_closure"
            " WHERE (ancestor, descendant) IN ((%s, %s), (%s, %s))) FROM wuzha.units WHERE unit_id = %s",
            (unit_id, other, other, unit_id, other),
        ).fetchone()
        if row is None or not row[0]:
            raise Refused("not_found")
        if row[1]:
            raise Refused("route")
    conn.execute("DELETE FROM wuzha.overflow_routes WHERE unit_id = %s", (unit_id,))
    for step, target in enumerate([*to, *([None] if automatic else [])], 1):
        conn.execute(
            "INSERT INTO wuzha.overflow_routes (unit_id, step, to_unit_id, set_by, set_at) VALUES (%s, %s, %s, %s, %s)",
            (unit_id, step, target, actor.user_id, now),
        )
    audit.append(
        conn, at=now, actor=actor.login, user_id=actor.user_id, unit_id=actor.unit_id, action="overflow.route",
        object=f"unit:{unit_id}", detail={"to": to, "automatic": automatic},
    )  # fmt: skip


class Desk:
    """One desk's capacity, used up in the queue's order."""

    def __init__(self, officers: int, per_hour: float, now: datetime) -> None:
        self.rate, self.now, self.taken = officers * per_hour, now, 0

    def start(self, extra: int = 0) -> datetime | None:
        """When the next one could be begun; None where nobody is on duty."""
        if not self.rate:
            return None
        return self.now + clock.stretch(3600 * (self.taken + extra) / self.rate)

    def fits(self, due: datetime) -> bool:
        """Whether one more would be begun by ``due``."""
        start = self.start()
        return start is not None and start <= due


def round(conn: psycopg.Connection[Any], actor: Actor, now: datetime) -> int:
    """Move what cannot be begun in time. Returns how many alerts were moved."""
    chains: dict[int, list[int | None]] = defaultdict(list)
    for unit, to in conn.execute("SELECT unit_id, to_unit_id FROM wuzha.overflow_routes ORDER BY unit_id, step"):
        chains[unit].append(to)
    if not chains:
        return 0
    named = {*chains, *(to for chain in chains.values() for to in chain if to is not None)}
    desk_of: dict[int, int] = dict(
        conn.execute(
            "SELECT DISTINCT ON (descendant) descendant, ancestor FROM wuzha.unit_closure WHERE ancestor = ANY(%s)"
            " ORDER BY descendant, depth",
            (list(named),),
        ).fetchall()
    )
    officers = Counter(desk_of.get(one.unit_id) for one in on_duty(conn, actor, now=now))
    per_hour = tiers(now).calls_per_hour
    desks = {unit: Desk(officers[unit], per_hour, now) for unit in named}
    waiting: list[tuple[Any, int, datetime | None]] = []
    for row in _work(conn, now, list(desk_of)):
        desk = desk_of[row["unit_id"]]
        if _may_leave(row) and desk in chains and not desks[desk].fits(row["due"]):
            waiting.append((row, desk, desks[desk].start()))
        else:
            desks[desk].taken += 1
    moved = 0
    for row, desk, start in waiting:
        if moved >= MOVE:
            break
        moved += _move(conn, actor, row, desk, start, chains[desk], desks, now)
    return moved


def _may_leave(row: dict[str, Any]) -> bool:
    return (
        row["level"] in LEAVING
        and row["state"] == "new"
        and not row["upstream"]
        and row["kept_at"] is None
        and row["offered_at"] is None
    )


def _work(conn: psycopg.Connection[Any], now: datetime, units: list[int]) -> list[dict[str, Any]]:
    """Open work that nobody has begun, in the queue's order."""
    return (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT a.alert_id, a.unit_id, a.level, a.state, a.moved_at, a.kept_at, a.offered_at,"
            " least(a.level_at + tier.contact, a.own_feedback_by) AS due,"
            " (a.own_sign_by IS NOT NULL OR a.own_feedback_by IS NOT NULL) AS upstream"
            f" FROM wuzha.alerts a {_tier_join(now)}"
            " WHERE a.state IN ('new', 'signed') AND a.state <> 'closed' AND a.contacted_at IS NULL"
            " AND a.robot_at IS NULL AND a.merged_into IS NULL AND a.unit_id = ANY(%s)"
            " ORDER BY a.rank_no, a.rank_at, a.alert_id LIMIT %s",
            (units, LOOK),
        )
        .fetchall()
    )


def _move(
    conn: psycopg.Connection[Any], actor: Actor, row: dict[str, Any], desk: int, start: datetime | None,
    chain: list[int | None], desks: dict[int, Desk], now: datetime,
) -> int:  # fmt: skip
    """Move one alert along the chain; 0 where nothing of the chain can have it, or an officer has it this moment."""
    fitting = [to for to in chain if to is None or (row["moved_at"] is None and desks[to].fits(row["due"]))]
    if not fitting:
        return 0
    target = fitting[0]
    held = conn.execute(
        "SELECT 1 FROM wuzha.alerts WHERE alert_id = %s AND state = 'new' AND robot_at IS NULL FOR UPDATE SKIP LOCKED",
        (row["alert_id"],),
    ).fetchone()
    if held is None:
        return 0
    alert = lock(conn, row["alert_id"])
    name = None
    if target is None:
        changes: dict[str, Any] = {"robot_at": now}
        conn.execute(
            "INSERT INTO wuzha.robot_calls (alert_id, listed_at, state_at) VALUES (%s, %s, %s)"
            " ON CONFLICT (alert_id) WHERE state = 'listed' DO NOTHING",  # an officer had listed it before
            (row["alert_id"], now, now),
        )
    else:
        changes = {"unit_id": target, "moved_at": now}
        desks[target].taken += 1
        found = conn.execute("SELECT name FROM wuzha.units WHERE unit_id = %s", (target,)).fetchone()
        name = f"→ {found[0]}" if found else None
    done = record(
        conn, actor, alert, "overflow", key=f"overflow-{row['alert_id']}-{alert['version']}", changes=changes, at=now,
        code="robot" if target is None else "next_unit", words=name,
    )  # fmt: skip
    conn.execute(
        "INSERT INTO wuzha.overflows (alert_id, at, from_unit, to_unit, level, start_at, due_at)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s)",
        (done.alert_id, now, row["unit_id"], target, row["level"], start, row["due"]),
    )
    return 1


def take_back(
    conn: psycopg.Connection[Any], actor: Actor, alert_id: int, *, key: str, now: datetime | None = None
) -> Done:
    """The commander takes an overflow back: the alert stays with its unit from now on.

    Refused: forbidden, not_overflowed (it never left, was taken back, or an officer has signed for it).
    """
    require(actor, "duty.write")
    now = now or clock.now()
    if done := repeated(conn, actor, key):
        return done
    alert = lock(conn, alert_id)
    row = (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT * FROM wuzha.overflows WHERE alert_id = %s AND undone_at IS NULL ORDER BY overflow_id DESC LIMIT 1",
            (alert_id,),
        )
        .fetchone()
    )
    if row is None or alert["state"] != "new":
        raise Refused("not_overflowed")
    conn.execute(
        "UPDATE wuzha.overflows SET undone_at = %s, undone_by = %s WHERE alert_id = %s AND undone_at IS NULL",
        (now, actor.user_id, alert_id),
    )
    conn.execute(
        "UPDATE wuzha.robot_calls SET state = 'taken_back', state_at = %s WHERE alert_id = %s AND state = 'listed'",
        (now, alert_id),
    )
    return record(
        conn, actor, alert, "overflow_back", key=key, at=now, code="robot" if row["to_unit"] is None else "next_unit",
        changes={"unit_id": row["from_unit"], "robot_at": None, "moved_at": now, "kept_at": now},
    )  # fmt: skip


#: What can be taken back: it left, nobody has taken it back or signed for it.
_STANDS = "o.undone_at IS NULL AND a.state = 'new'"


def take_back_all(
    conn: psycopg.Connection[Any], actor: Actor, unit_id: int, *, upto: int, key: str, now: datetime | None = None
) -> int:
    """The commander takes back everything that has left a unit and that their list showed, ``upto`` its newest
    overflow; what an officer has signed for meanwhile stays with them. Returns how many came back, the same however
    often it is pressed. Refused: forbidden, not_found (the unit), no_key, not_overflowed (there was nothing)."""
    require(actor, "duty.write")
    in_reach(conn, actor, unit_id)
    now = now or clock.now()
    if not 8 <= len(key) <= 60:
        raise Refused("no_key")
    conn.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"{actor.user_id}:{key}",))
    done = conn.execute(
        "SELECT count(*) FROM wuzha.contacts WHERE kind = 'overflow_back' AND starts_with(key, %s)",
        (f"{actor.user_id}:{key}-",),
    ).fetchone()
    if done is not None and done[0]:
        return int(done[0])
    found = conn.execute(
        f"SELECT DISTINCT o.alert_id FROM wuzha.overflows o JOIN wuzha.alerts a USING (alert_id) WHERE {_STANDS}"
        " AND o.from_unit = %s AND o.overflow_id <= %s ORDER BY 1",  # locks are taken in one order by all
        (unit_id, upto),
    ).fetchall()
    n = 0
    for (alert_id,) in found:
        try:
            take_back(conn, actor, alert_id, key=f"{key}-{alert_id}", now=now)
            n += 1
        except Refused as refused:
            if refused.reason not in ("not_overflowed", "not_found"):
                raise
    if not n:
        raise Refused("not_overflowed")
    audit.append(
        conn, at=now, actor=actor.login, user_id=actor.user_id, unit_id=actor.unit_id, action="overflow.back_all",
        object=f"unit:{unit_id}", detail={"n": n},
    )  # fmt: skip
    return n


def by_unit(conn: psycopg.Connection[Any]) -> list[dict[str, Any]]:
    """Units in sight with what can be taken back of theirs: ``unit_id, name, n, upto`` (its newest overflow)."""
    return (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT o.from_unit AS unit_id, u.name, count(DISTINCT o.alert_id) AS n, max(o.overflow_id) AS upto"
            " FROM wuzha.overflows o JOIN wuzha.alerts a USING (alert_id) JOIN wuzha.units u ON u.unit_id = o.from_unit"
            f" WHERE {_STANDS} GROUP BY o.from_unit, u.name ORDER BY n DESC, u.name"
        )
        .fetchall()
    )


def rows(conn: psycopg.Connection[Any], *, unit: int | None = None, most: int = 300) -> list[dict[str, Any]]:
    """Overflows, newest first; of one unit only those that can be taken back."""
    where = f"WHERE {_STANDS} AND o.from_unit = %(unit)s" if unit is not None else ""
    return (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT o.*, a.state, a.scam_type, a.level AS level_now, f.name AS from_name, t.name AS to_name,"
            " p.name, s.value AS person, l.value AS line FROM wuzha.overflows o"
            " JOIN wuzha.alerts a USING (alert_id) JOIN wuzha.units f ON f.unit_id = o.from_unit"
            " LEFT JOIN wuzha.units t ON t.unit_id = o.to_unit JOIN wuzha.subjects s ON s.subject_id = a.person_id"
            " LEFT JOIN wuzha.subjects l ON l.subject_id = a.line_id"
            f" LEFT JOIN wuzha.persons p ON p.person_id = a.person_id {where}"
            " ORDER BY o.overflow_id DESC LIMIT %(most)s",
            {"unit": unit, "most": most},
        )
        .fetchall()
    )


def line(conn: psycopg.Connection[Any], *, now: datetime) -> dict[str, Any] | None:
    """The desk's line on overflow of the last day: ``n`` by level, ``robot``, ``units``, ``wait_s`` (the deployment's
    seconds, mean, of those still on the automatic-call list); None where there was none."""
    row = (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT count(*) AS n, count(*) FILTER (WHERE o.level = 'low') AS low,"
            " count(*) FILTER (WHERE o.level = 'medium') AS medium, count(*) FILTER (WHERE o.to_unit IS NULL) AS robot,"
            " count(*) FILTER (WHERE o.to_unit IS NOT NULL) AS units,"
            " extract(epoch FROM avg(%(now)s - a.robot_at))::float8 AS wait_s"
            " FROM wuzha.overflows o JOIN wuzha.alerts a USING (alert_id)"
            " WHERE o.undone_at IS NULL AND o.at > %(since)s AND a.state <> 'closed'",
            {"now": now, "since": now - timedelta(days=1)},
        )
        .fetchone()
    )
    return row if row and row["n"] else None
