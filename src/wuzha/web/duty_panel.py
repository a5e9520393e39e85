"""What the desk and a file show of duty: what is left, given, late, overflowed; transfers, visits, who uses the line.

Kept true here: everything is asked in the officer's own transaction; the desk's lines cost a handful of counts.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg

from wuzha.command.public import Actor, on_duty, own_shift
from wuzha.respond import dispatch, escalate, handover, locate, overflow, presence, queue, releases, transfers
from wuzha.respond.file import File


def desk(conn: psycopg.Connection[Any], actor: Actor, *, now: datetime) -> dict[str, Any]:
    """The desk's lines: ``on_duty`` people, ``left``, ``given``, ``told``, ``overflow``, ``received``, ``visits``,
    ``releases`` that ask for an answer."""
    left, given, visits = conn.execute(
        "SELECT (SELECT count(*) FROM wuzha.alerts a WHERE a.state <> 'closed' AND a.merged_into IS NULL"
        f" AND {queue.LEFT}), (SELECT count(*) FROM wuzha.alerts a WHERE {queue.GIVEN}),"
        " (SELECT count(*) FROM wuzha.dispatches WHERE unit_id = %s AND state IN ('sent', 'going'))",
        (now, now, actor.unit_id, actor.user_id, actor.unit_id),
    ).fetchone() or (0, 0, 0)
    return {
        "people": on_duty(conn, actor, now=now),
        "left": left,
        "releases": releases.waiting(conn, actor),
        "given": given,
        "visits": visits,
        "told": escalate.told(conn, actor),
        "overflow": overflow.line(conn, now=now),
        "received": [h for h in handover.received(conn, actor, now=now) if h["open"]],
        "own": own_shift(conn, actor, now=now),
    }


def of_file(conn: psycopg.Connection[Any], actor: Actor, file: File, *, now: datetime) -> dict[str, Any]:
    """The file's panels: ``people`` who have it open, ``transfers``, ``visits``, ``judged``, and where it may go."""
    alert = file.alert
    presence.here(conn, actor, alert["alert_id"], now=now)
    mine = alert["signed_by"] == actor.user_id and alert["state"] != "closed"
    past = transfers.history(conn, alert["alert_id"])
    last = past[-1] if past else None
    offered = alert["offered_at"] is not None
    to_sign = offered and "desk.act" in actor.may and transfers.may_sign(conn, actor, alert)
    return {
        "people": presence.others(conn, actor, alert["alert_id"], now=now),
        "transfers": past,
        "offered": offered and alert["state"] != "closed",
        "acted_last": transfers.acted_last(conn, alert["alert_id"]) if offered else None,
        "to_sign": to_sign,
        "to_return": last is not None
        and last["state"] in ("offered", "signed")
        and last["to_unit"] == alert["unit_id"]
        and (to_sign if offered else mine),
        "returned_before": any(t["state"] == "returned" for t in past),
        "to_recall": offered and mine and last is not None and last["state"] == "offered",
        "targets": transfers.targets(conn, alert) if mine and not offered else [],
        "visits": [{**d, "discreet": bool(file.kin_rule.forbidden)} for d in dispatch.of_file(conn, alert["alert_id"])],
        "stations": dispatch.stations(conn, alert) if mine else [],
        "judged": locate.standing(conn, alert["alert_id"]),
        "overflowed": alert["robot_at"] is not None or _overflowed(conn, alert["alert_id"]),
    }


def _overflowed(conn: psycopg.Connection[Any], alert_id: int) -> bool:
    row = conn.execute(
        "SELECT 1 FROM wuzha.overflows WHERE alert_id = %s AND undone_at IS NULL LIMIT 1", (alert_id,)
    ).fetchone()
    return row is not None
