"""The tree of units.

Kept true here: an administrator sees and changes only their own unit and what stands below it; every change is in the
audit; a unit is never deleted, since files name it.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.rows import dict_row

from wuzha.events import clock
from wuzha.store import audit

from .public import Actor, Refused, in_reach, require

KINDS = (
    "ministry", "province", "city", "county", "station", "community", "zone", "post", "bank", "carrier", "platform",
)  # fmt: skip


def tree(conn: psycopg.Connection[Any], actor: Actor) -> list[dict[str, Any]]:
    """The actor's unit and all below it, in tree order, each with its ``depth`` under the actor's and its users."""
    return (
        conn.cursor(row_factory=dict_row)
        .execute(
            "WITH RECURSIVE t AS ("
            " SELECT u.*, 0 AS depth, ARRAY[u.code] AS path FROM wuzha.units u WHERE unit_id = %s"
            " UNION ALL SELECT u.*, t.depth + 1, t.path || u.code FROM wuzha.units u JOIN t ON u.parent_id = t.unit_id)"
            " SELECT t.*, (SELECT count(*) FROM wuzha.users x WHERE x.unit_id = t.unit_id AND x.active) AS users,"
            " (SELECT count(*) FROM wuzha.alerts a WHERE a.unit_id = t.unit_id AND a.state <> 'closed') AS open_alerts"
            " FROM t ORDER BY path",
            (actor.unit_id,),
        )
        .fetchall()
    )


def add(
    conn: psycopg.Connection[Any],
    actor: Actor,
    *,
    code: str,
    name: str,
    kind: str,
    parent_id: int,
    place: str | None = None,
) -> int:
    """A new unit below one in reach. Refused: not_found, unknown_code, empty, code_taken."""
    require(actor, "units.write")
    in_reach(conn, actor, parent_id)
    code, name = code.strip(), name.strip()
    if not code or not name:
        raise Refused("empty")
    if kind not in KINDS:
        raise Refused("unknown_code", code=kind)
    if place is not None and not (place.isascii() and place.isdigit() and len(place) in (2, 4, 6, 9, 12)):
        raise Refused("place")
    row = conn.execute(
        "INSERT INTO wuzha.units (code, name, kind, parent_id, place) VALUES (%s, %s, %s, %s, %s)"
        " ON CONFLICT (code) DO NOTHING RETURNING unit_id",
        (code[:60], name[:100], kind, parent_id, place),
    ).fetchone()
    if row is None:
        raise Refused("code_taken", code=code)
    _audit(conn, actor, "unit.added", row[0], {"code": code, "name": name, "kind": kind, "parent": parent_id})
    return int(row[0])


def change(
    conn: psycopg.Connection[Any], actor: Actor, unit_id: int, *, name: str, parent_id: int | None, active: bool
) -> None:
    """Rename, move or (de)activate a unit. The actor's own unit cannot be moved nor deactivated.

    Refused: not_found, empty, own_unit, circle, has_open_alerts.
    """
    require(actor, "units.write")
    in_reach(conn, actor, unit_id)
    if not name.strip():
        raise Refused("empty")
    now = conn.execute(
        "SELECT name, parent_id, active FROM wuzha.units WHERE unit_id = %s FOR UPDATE", (unit_id,)
    ).fetchone()
    assert now is not None
    if unit_id == actor.unit_id:
        if not active:
            raise Refused("own_unit")
        parent_id = now[1]
    elif parent_id is None:
        parent_id = now[1]
    else:
        in_reach(conn, actor, parent_id)
    if now[2] and not active:
        held = conn.execute(
            "SELECT 1 FROM wuzha.alerts WHERE unit_id = %s AND state <> 'closed' LIMIT 1", (unit_id,)
        ).fetchone()
        if held:
            raise Refused("has_open_alerts")
    try:
        with conn.transaction():
            conn.execute(
                "UPDATE wuzha.units SET name = %s, parent_id = %s, active = %s WHERE unit_id = %s",
                (name.strip()[:100], parent_id, active, unit_id),
            )
    except psycopg.errors.CheckViolation as error:
        raise Refused("circle") from error
    _audit(
        conn, actor, "unit.changed", unit_id,
        {"before": {"name": now[0], "parent": now[1], "active": now[2]},
         "after": {"name": name.strip(), "parent": parent_id, "active": active}},
    )  # fmt: skip


def _audit(conn: psycopg.Connection[Any], actor: Actor, action: str, unit_id: int, detail: dict[str, Any]) -> None:
    audit.append(
        conn, at=clock.now(), actor=actor.login, user_id=actor.user_id, unit_id=actor.unit_id, action=action,
        object=f"unit:{unit_id}", detail=detail,
    )  # fmt: skip
