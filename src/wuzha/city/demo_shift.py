"""The demo's night shift: a simulated officer who has handled what the history left, before anybody looks.

Kept true here: it acts as an officer of the desk does, through the desk's own steps; what it finds out by calling is
what the city knows of that person; some whom nobody reached are sent a visit or given to automatic calls, and stay
open; urgent and high alerts and the last hours' are left to whoever watches.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from wuzha.command.public import Actor, Refused
from wuzha.respond import contact, dispatch, outcome, sign
from wuzha.store import Connection, transaction

from . import files
from .demo_seed import officer

LOGIN = "yeban"
#: What was raised within this time before the demo's morning is left.
_LEFT = timedelta(hours=2)
#: The station that visits.
_STATION = "350212-01"
#: How often a person answers the first or the second call.
_ANSWERS = 0.6


@dataclass
class Left:
    """How many of those whom nobody reached are still to be given to automatic calls, and to a station to visit."""

    robot: int = 3
    visits: int = 2


def work(conn: Connection, city: Path, start: datetime) -> int:
    """Handle the alerts that were raised long enough before ``start`` (UTC); returns how many. ``conn`` as role web.

    An alert that somebody else has signed for meanwhile stays theirs.
    """
    actor = officer(conn, LOGIN)
    if actor is None:  # a folder from before there was a night shift
        return 0
    deceived = _deceived(city, start)
    left = Left()
    with transaction(conn, unit=actor.unit_id, user=actor.user_id):
        found = conn.execute(
            "SELECT a.alert_id, s.value FROM wuzha.alerts a JOIN wuzha.subjects s ON s.subject_id = a.person_id"
            " WHERE a.state = 'new' AND a.merged_into IS NULL AND a.level IN ('low', 'medium') AND a.raised_at < %s"
            " AND a.last_evidence_at < %s ORDER BY a.raised_at, a.alert_id",
            (start - _LEFT, start - _LEFT / 2),
        ).fetchall()
    return sum(_handle(conn, actor, alert_id, deceived.get(person), left) for alert_id, person in found)


def _handle(conn: Connection, actor: Actor, alert_id: int, lost: bool | None, left: Left) -> bool:
    chance = random.Random(alert_id)

    def step(verb: Any, **values: Any) -> None:
        with transaction(conn, unit=actor.unit_id, user=actor.user_id):
            row = conn.execute("SELECT version FROM wuzha.alerts WHERE alert_id = %s", (alert_id,)).fetchone()
            assert row is not None
            key = f"night-{alert_id}-{verb.__name__}-{values.get('result', '')}{chance.random()}"[:80]
            verb(conn, actor, alert_id, version=row[0], key=key, **values)

    try:
        step(sign.sign)
        for result in ("no_answer", "busy"):
            if reached := chance.random() < _ANSWERS:
                step(contact.contact, channel="call", result="self")
                break
            step(contact.contact, channel="call", result=result)
        if not reached and left.robot:
            step(contact.contact, channel="robot", result="listed")
            left.robot -= 1
            return True
        if not reached and left.visits and (station := _station(conn)) is not None:
            step(dispatch.send, unit_id=station, words="白天联系不上，请上门")
            left.visits -= 1
            return True
        if not reached:
            code = "not_reached"
        elif lost is None:
            code = "false_alarm"
        else:
            code = "deceived" if lost else "dissuaded"
        step(outcome.outcome, code=code)
        step(outcome.close)
    except Refused:
        return False
    return True


def _station(conn: Connection) -> int | None:
    row = conn.execute("SELECT unit_id FROM wuzha.units WHERE code = %s", (_STATION,)).fetchone()
    return int(row[0]) if row else None


def _deceived(city: Path, start: datetime) -> dict[str, bool]:
    """Persons whom a scam has reached before ``start``, and whether they have paid by then."""
    labels = files.read(city, "labels", ["ts", "scam_id", "step", "person"])
    labels = labels.filter(
        pc.and_(pc.and_(pc.is_valid(labels["scam_id"]), pc.is_valid(labels["person"])), pc.less(labels["ts"], start))
    )
    out: dict[str, bool] = {}
    for person, step in zip(labels["person"].to_pylist(), labels["step"].to_pylist(), strict=True):
        out[person] = out.get(person, False) or step == "loss"
    return out
