"""Take back the last step within the seconds that the tier table allows.

Kept true here: only the newest standing step of an alert can be undone, once, by the officer who made it, in time; what
it had changed is as before, and both the step and its undoing stay on record.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row

from wuzha.command.public import Actor, Refused, require
from wuzha.events import clock

from . import merged
from .step import COLUMNS, Done, lock, record, repeated
from .tiers import tiers

#: Steps that cannot be taken back: a close has told the engine; an undo is final.
FINAL = (
    "close", "undo", "reveal", "reopen", "loss_reported", "flag_cleared", "warning_off", "warning_on", "visit_record",
)  # fmt: skip
#: What stands in tables of its own is not taken back by a step's columns: a measure is released, a flag taken down.
FINAL_FAMILIES = ("measure_", "release_", "notice_", "flag_", "followup_", "transfer", "overflow", "locate")


def undoable(
    conn: psycopg.Connection[Any], actor: Actor, alert_id: int, *, now: datetime | None = None
) -> dict[str, Any] | None:
    """The step that this officer can still take back: ``{contact_id, kind, code, at, until}``, or None."""
    now = now or clock.now()
    last = (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT contact_id, kind, code, at, user_id, before FROM wuzha.contacts c WHERE alert_id = %s"
            " AND undoes IS NULL AND NOT EXISTS (SELECT 1 FROM wuzha.contacts u WHERE u.undoes = c.contact_id)"
            " ORDER BY contact_id DESC LIMIT 1",
            (alert_id,),
        )
        .fetchone()
    )
    if last is None or last["user_id"] != actor.user_id:
        return None
    if last["kind"] in FINAL or last["kind"].startswith(FINAL_FAMILIES):
        return None
    until = last["at"] + clock.stretch(tiers(now).undo_s)
    return None if now > until else {**last, "until": until}


def undo(
    conn: psycopg.Connection[Any],
    actor: Actor,
    alert_id: int,
    *,
    contact_id: int,
    key: str,
    now: datetime | None = None,
) -> Done:
    """Undo the officer's step ``contact_id``. Refused("too_late") where it is not the last one or its time is over."""
    require(actor, "desk.act")
    now = now or clock.now()
    if done := repeated(conn, actor, key):
        return done
    alert = lock(conn, alert_id)
    last = undoable(conn, actor, alert_id, now=now)
    if last is None or last["contact_id"] != contact_id or alert["state"] == "closed":
        raise Refused("too_late")
    before = last["before"] if isinstance(last["before"], dict) else json.loads(last["before"])
    changes = {name: before.get(name) for name in COLUMNS} if last["kind"] != "note" else {}
    files = merged.family(conn, alert_id)
    if last["kind"] == "visit":  # with the step goes the order to the station, or its answer
        conn.execute(
            "UPDATE wuzha.dispatches SET state = 'recalled', done_at = %s WHERE alert_id = ANY(%s)"
            " AND sent_by = %s AND sent_at = %s AND state = 'sent'",
            (now, files, actor.user_id, last["at"]),
        )
        conn.execute(
            "UPDATE wuzha.dispatches SET state = CASE WHEN going_at IS NULL THEN 'sent' ELSE 'going' END,"
            " done_by = NULL, done_at = NULL, result = NULL WHERE alert_id = ANY(%s) AND done_by = %s"
            " AND done_at = %s AND state = 'done'",
            (files, actor.user_id, last["at"]),
        )
    elif last["kind"] == "visit_going":
        conn.execute(
            "UPDATE wuzha.dispatches SET state = 'sent', going_by = NULL, going_at = NULL WHERE alert_id = ANY(%s)"
            " AND going_by = %s AND going_at = %s AND state = 'going'",
            (files, actor.user_id, last["at"]),
        )
    _telephone(conn, actor, alert_id, last, now)
    return record(conn, actor, alert, "undo", key=key, changes=changes, at=now, code=last["kind"], undoes=contact_id)


def _telephone(
    conn: psycopg.Connection[Any], actor: Actor, alert_id: int, last: dict[str, Any], now: datetime
) -> None:  # fmt: skip
    """The call whose result was taken back waits for another; who was put on the list for automatic calls leaves it,
    unless the list is with the platform already. A call-back that this step settled is the officer's to make again,
    unless another has it now or the number waits anew."""
    conn.execute(
        "UPDATE wuzha.phone_calls SET contact_id = NULL WHERE contact_id = %s AND direction = 'out'",
        (last["contact_id"],),
    )
    conn.execute(
        "UPDATE wuzha.call_backs b SET state = 'taken', taken_by = %(me)s, taken_at = %(now)s, done_by = NULL,"
        " done_at = NULL, result = NULL, words = NULL, contact_id = NULL WHERE b.contact_id = %(step)s"
        " AND b.state <> 'taken' AND NOT EXISTS (SELECT 1 FROM wuzha.call_backs o WHERE o.unit_id = b.unit_id"
        "  AND o.number = b.number AND o.state <> 'done' AND o.callback_id <> b.callback_id)",
        {"me": actor.user_id, "now": now, "step": last["contact_id"]},
    )
    if last["kind"] == "robot" and last["code"] == "listed":
        conn.execute(
            "UPDATE wuzha.robot_calls c SET state = 'taken_back', state_at = %s WHERE c.alert_id = %s"
            " AND c.state = 'listed' AND c.listed_at = %s"
            " AND NOT EXISTS (SELECT 1 FROM wuzha.robot_rows r WHERE r.robot_id = c.call_id)",
            (now, alert_id, last["at"]),
        )
