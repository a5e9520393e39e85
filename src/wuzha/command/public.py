"""What the other desks need of command: who acts, what their roles let them do, and who is on duty.

Kept true here: `MAY` is the only table of rights; a right is asked by `require` before anything is read or written. On
duty is who is on shift and signed in; a unit that keeps no roster (none within a week) goes by who is signed in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import dict_row

from wuzha.events import clock

ROLES = ("admin", "commander", "dissuader", "station", "analyst", "auditor", "sealer")

#: Roles that do the desk's work.
WORKING = ("commander", "dissuader", "station")
#: How far from now a roster counts as kept.
KEPT = timedelta(days=7)
#: An officer was here so lately that they count as present.
ON_DUTY_S = 1800

#: What each role may do. A user has the union of their roles.
MAY: dict[str, frozenset[str]] = {
    "admin": frozenset({"wall.read", "units.write", "users.write", "sources.write", "clocks.write", "health.read"}),
    "commander": frozenset(
        {
            "desk.read",
            "desk.act",
            "desk.take_over",
            "reveal",
            "wall.read",
            "audit.read",
            "health.read",
            "measure.approve",
            "phrases.review",
            "duty.write",
            "clocks.write",
            "rules.read",
            "rules.write",
            "rules.promote",
            "cases.read",
            "cases.write",
            "orders.draft",
            "orders.enter",
            "orders.approve",
            "refund.write",
            "refund.approve",
            "workbench",
        }
    ),
    "dissuader": frozenset(
        {
            "desk.read",
            "desk.act",
            "desk.take_over",
            "reveal",
            "wall.read",
            "phrases.review",
            "cases.read",
            "cases.write",
            "orders.draft",
            "orders.enter",
            "refund.write",
        }
    ),
    "station": frozenset({"desk.read", "desk.act", "reveal", "wall.read", "door.pair", "cases.read", "cases.write"}),
    "analyst": frozenset(
        {
            "desk.read",
            "reveal",
            "wall.read",
            "rules.read",
            "rules.write",
            "rules.promote",
            "cases.read",
            "orders.draft",
            "workbench",
        }
    ),
    "auditor": frozenset({"desk.read", "wall.read", "audit.read", "rules.read", "cases.read"}),
    # Whoever keeps the seal: nothing on money leaves without their name.
    "sealer": frozenset({"cases.read", "reveal", "orders.draft", "orders.enter", "orders.seal"}),
}
#: What runs by itself may move work on and draft; it never opens a file's names, approves, or sets a seal.
_MACHINE = frozenset(
    {"desk.read", "desk.act", "desk.take_over", "cases.read", "cases.write", "orders.draft", "orders.enter"}
)
ACTS = frozenset().union(*MAY.values())


class Refused(Exception):
    """A command was refused and nothing was changed.

    ``reason`` is a stable code whose sentence stands in the catalogue as ``refused.<reason>``; ``args`` fill it.
    """

    def __init__(self, reason: str, **values: object) -> None:
        super().__init__(reason)
        self.reason = reason
        self.values: dict[str, object] = values


@dataclass(frozen=True, kw_only=True)
class Actor:
    """The officer who acts: their user, unit (the scope of every transaction), roles and language.

    ``user_id`` 0 is the machine (`machine`), which has no roles.
    """

    user_id: int
    unit_id: int
    login: str
    name: str
    roles: frozenset[str]
    language: str = "zh"
    badge_no: str | None = None
    unit_name: str = ""
    must_change: bool = False
    may: frozenset[str] = field(default=frozenset())

    def __post_init__(self) -> None:
        unknown = self.roles - MAY.keys()
        if unknown:
            raise ValueError(f"unknown roles {', '.join(sorted(unknown))}")
        object.__setattr__(self, "may", frozenset().union(*(MAY[r] for r in self.roles)))


def machine(unit_id: int, what: str) -> Actor:
    """The machine itself, acting in a unit's scope; ``what`` says which part of it, for the audit."""
    actor = Actor(user_id=0, unit_id=unit_id, login=f"machine:{what}", name="", roles=frozenset())
    object.__setattr__(actor, "may", _MACHINE)
    return actor


def require(actor: Actor, act: str) -> None:
    """Refused("forbidden") where none of the actor's roles may do ``act``. ValueError where nobody knows the act."""
    if act not in ACTS:
        raise ValueError(f"unknown act {act!r}")
    if act not in actor.may:
        raise Refused("forbidden", act=act)


def in_reach(conn: psycopg.Connection[Any], actor: Actor, unit_id: int) -> None:
    """Refused("not_found") where the unit is not the actor's nor below it."""
    row = conn.execute(
        "SELECT 1 FROM wuzha.unit_closure WHERE ancestor = %s AND descendant = %s", (actor.unit_id, unit_id)
    ).fetchone()
    if row is None:
        raise Refused("not_found")


@dataclass(frozen=True, kw_only=True)
class OnDuty:
    """An officer who is on duty now; ``until`` is their shift's end, None where the unit keeps no roster."""

    user_id: int
    name: str
    unit_id: int
    unit_name: str
    roles: frozenset[str]
    post: str
    until: datetime | None


def shift_rows(conn: psycopg.Connection[Any], where: str, values: tuple[Any, ...]) -> list[dict[str, Any]]:
    """Shifts that stand, with the columns ``name`` and ``unit_name``; ``where`` is SQL over ``h`` and ``u``."""
    return (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT h.*, u.name, n.name AS unit_name FROM wuzha.shifts h JOIN wuzha.users u USING (user_id)"
            f" JOIN wuzha.units n ON n.unit_id = h.unit_id WHERE h.removed_at IS NULL AND {where}",
            values,
        )
        .fetchall()
    )


def on_duty(conn: psycopg.Connection[Any], actor: Actor, *, now: datetime | None = None) -> list[OnDuty]:
    """Who is on duty in the actor's units, by name."""
    now = now or clock.now()
    rows = conn.execute(
        "SELECT u.user_id, u.name, n.unit_id, n.name, ARRAY(SELECT role FROM wuzha.user_roles r"
        " WHERE r.user_id = u.user_id), coalesce(h.post, ''), h.ends_at FROM wuzha.users u"
        " LEFT JOIN LATERAL (SELECT s.unit_id, s.post, s.ends_at FROM wuzha.shifts s WHERE s.user_id = u.user_id"
        "  AND s.removed_at IS NULL AND s.starts_at <= %(now)s AND s.ends_at > %(now)s LIMIT 1) h ON true"
        " JOIN wuzha.units n ON n.unit_id = coalesce(h.unit_id, u.unit_id)"
        " WHERE u.active AND n.unit_id IN (SELECT descendant FROM wuzha.unit_closure WHERE ancestor = %(unit)s)"
        " AND EXISTS (SELECT 1 FROM wuzha.user_roles r WHERE r.user_id = u.user_id AND r.role = ANY(%(roles)s))"
        " AND EXISTS (SELECT 1 FROM wuzha.sessions x WHERE x.user_id = u.user_id AND x.seen_at > %(seen)s)"
        " AND (h.ends_at IS NOT NULL OR NOT EXISTS (SELECT 1 FROM wuzha.shifts k WHERE k.unit_id = u.unit_id"
        "  AND k.removed_at IS NULL AND k.ends_at > %(from)s AND k.starts_at < %(to)s))"
        " ORDER BY u.name, u.user_id",
        {
            "now": now, "unit": actor.unit_id, "roles": list(WORKING), "seen": now - clock.stretch(ON_DUTY_S),
            "from": now - KEPT, "to": now + KEPT,
        },
    ).fetchall()  # fmt: skip
    return [
        OnDuty(user_id=r[0], name=r[1], unit_id=r[2], unit_name=r[3], roles=frozenset(r[4]), post=r[5], until=r[6])
        for r in rows
    ]


def coming_shifts(conn: psycopg.Connection[Any], actor: Actor, *, now: datetime | None = None) -> list[dict[str, Any]]:
    """Shifts of the actor's own unit that run now or begin within twelve hours, others' only, by start."""
    now = now or clock.now()
    return shift_rows(
        conn,
        "h.unit_id = %s AND h.user_id <> %s AND u.active AND h.ends_at > %s AND h.starts_at <= %s"
        " ORDER BY h.starts_at, u.name LIMIT 60",
        (actor.unit_id, actor.user_id, now, now + timedelta(hours=12)),
    )


def own_shift(conn: psycopg.Connection[Any], actor: Actor, *, now: datetime | None = None) -> dict[str, Any] | None:
    """The actor's shift that runs now, or their last one that ended within half a day; None where there is none."""
    now = now or clock.now()
    found = shift_rows(
        conn, "h.user_id = %s AND h.starts_at <= %s AND h.ends_at > %s ORDER BY h.ends_at DESC LIMIT 1",
        (actor.user_id, now, now - timedelta(hours=12)),
    )  # fmt: skip
    return found[0] if found else None
