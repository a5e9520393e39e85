"""Give a file to another place or unit: it goes at once, must be signed for there, and may be returned once.

Kept true here: a transfer changes no deadline — level, level_at, sign_by and contact_by go along as they are; until the
receiving unit signs, the sender still has the file (a grant) and answers for it; of two that sign one has it; a second
return goes to the common superior instead, and from there nothing is returned.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import dict_row

from wuzha.command.public import Actor, Refused, require
from wuzha.events import clock

from .officer_code import issue_code
from .step import Done, lock, mine, record, repeated

#: A sender's grant ends with the receiver's signature; this is only its outermost end.
GRANT = timedelta(days=30)


def history(conn: psycopg.Connection[Any], alert_id: int) -> list[dict[str, Any]]:
    """The file's transfers, oldest first, with ``from_name, to_name, sender``."""
    return (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT t.*, f.name AS from_name, o.name AS to_name, u.name AS sender, r.name AS raised_name"
            " FROM wuzha.transfers t JOIN wuzha.units f ON f.unit_id = t.from_unit"
            " JOIN wuzha.units o ON o.unit_id = t.to_unit JOIN wuzha.users u ON u.user_id = t.sent_by"
            " LEFT JOIN wuzha.units r ON r.unit_id = t.raised_to WHERE t.alert_id = %s ORDER BY t.transfer_id",
            (alert_id,),
        )
        .fetchall()
    )


def targets(conn: psycopg.Connection[Any], alert: dict[str, Any]) -> list[dict[str, Any]]:
    """Units that a file can be given to: ``unit_id, name``, by code, without its own."""
    return (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT unit_id, name FROM wuzha.units WHERE active AND unit_id <> %s"
            " AND kind NOT IN ('bank', 'carrier', 'platform', 'post') ORDER BY code LIMIT 500",
            (alert["unit_id"],),
        )
        .fetchall()
    )


def offer(
    conn: psycopg.Connection[Any],
    actor: Actor,
    alert_id: int,
    *,
    to_unit: int,
    reason: str,
    version: int,
    key: str,
    now: datetime | None = None,
) -> Done:
    """Give the file to ``to_unit``.

    Refused: no_transfer_reason, not_found (the unit), same_unit, offered, and those of `mine`.
    """
    require(actor, "desk.act")
    now = now or clock.now()
    if done := repeated(conn, actor, key):
        return done
    alert = lock(conn, alert_id)
    mine(alert, actor, version)
    if alert["offered_at"] is not None:
        raise Refused("offered")
    if not reason.strip():
        raise Refused("no_transfer_reason")
    if to_unit == alert["unit_id"]:
        raise Refused("same_unit")
    target = conn.execute(
        "SELECT name FROM wuzha.units WHERE unit_id = %s AND active AND kind NOT IN ('bank', 'carrier', 'platform')",
        (to_unit,),
    ).fetchone()
    if target is None:
        raise Refused("not_found")
    _keep_in_sight(conn, actor, alert_id, "transfer", now)
    done = record(
        conn, actor, alert, "transfer", key=key, at=now, words=f"→ {target[0]}：{reason.strip()[:500]}",
        changes={"unit_id": to_unit, "moved_at": now, "offered_at": now},
    )  # fmt: skip
    conn.execute(
        "INSERT INTO wuzha.transfers (alert_id, from_unit, to_unit, sent_by, sent_at, reason)"
        " VALUES (%s, %s, %s, %s, %s, %s)",
        (alert_id, alert["unit_id"], to_unit, actor.user_id, now, reason.strip()[:500]),
    )
    return done


def sign_for(
    conn: psycopg.Connection[Any], actor: Actor, alert_id: int, *, key: str, now: datetime | None = None
) -> Done:
    """Sign for a file that was given to the officer's unit. Refused: not_offered, not_for_you."""
    require(actor, "desk.act")
    now = now or clock.now()
    if done := repeated(conn, actor, key):
        return done
    return accept(conn, actor, lock(conn, alert_id), key=key, now=now)


def accept(conn: psycopg.Connection[Any], actor: Actor, alert: dict[str, Any], *, key: str, now: datetime) -> Done:
    """The same for an alert that is locked already."""
    alert_id = alert["alert_id"]
    if alert["state"] == "closed":
        raise Refused("closed")
    if alert["offered_at"] is None:
        raise Refused("not_offered")
    if not may_sign(conn, actor, alert):
        raise Refused("not_for_you")
    done = record(
        conn, actor, alert, "transfer_sign", key=key, at=now, changes={"signed_by": actor.user_id, "offered_at": None}
    )
    conn.execute(
        "UPDATE wuzha.transfers SET state = 'signed', state_by = %s, state_at = %s"
        " WHERE alert_id = %s AND state = 'offered'",
        (actor.user_id, now, alert_id),
    )
    issue_code(conn, actor, alert_id, now=now)
    _end_grants(conn, alert_id, "transfer")
    return done


def may_sign(conn: psycopg.Connection[Any], actor: Actor, alert: dict[str, Any]) -> bool:
    """True for the receiving unit's officers, and for commanders above it; never for the sender."""
    if alert["signed_by"] == actor.user_id:
        return False
    if alert["unit_id"] == actor.unit_id:
        return True
    above = conn.execute(
        "SELECT 1 FROM wuzha.unit_closure WHERE ancestor = %s AND descendant = %s", (actor.unit_id, alert["unit_id"])
    ).fetchone()
    return above is not None and "duty.write" in actor.may


def acted_last(conn: psycopg.Connection[Any], alert_id: int) -> dict[str, Any] | None:
    """The newest step of an officer on the file that stands and is more than a word about where it lies: ``kind, code,
    at, officer``; so two units do not work one file unknowingly while it waits for a signature."""
    return (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT c.kind, c.code, c.at, u.name AS officer FROM wuzha.contacts c JOIN wuzha.users u USING (user_id)"
            " WHERE c.alert_id = %s AND c.undoes IS NULL AND c.kind NOT IN ('transfer', 'transfer_return',"
            " 'transfer_raise', 'transfer_recall')"
            " AND NOT EXISTS (SELECT 1 FROM wuzha.contacts x WHERE x.undoes = c.contact_id)"
            " ORDER BY c.contact_id DESC LIMIT 1",
            (alert_id,),
        )
        .fetchone()
    )


def returned_before(conn: psycopg.Connection[Any], alert_id: int) -> bool:
    """Whether the file has come back once already."""
    row = conn.execute(
        "SELECT 1 FROM wuzha.transfers WHERE alert_id = %s AND state IN ('returned', 'raised') LIMIT 1", (alert_id,)
    ).fetchone()
    return row is not None


def give_back(
    conn: psycopg.Connection[Any],
    actor: Actor,
    alert_id: int,
    *,
    reason: str,
    key: str,
    now: datetime | None = None,
) -> str:
    """Return the file to its sender, with a reason: ``returned``. It may come back once; the second return is not done
    and the file goes to the common superior: ``raised``.

    Refused: no_transfer_reason, not_offered, not_for_you, decided (the superior has decided), no_superior.
    """
    require(actor, "desk.act")
    now = now or clock.now()
    if done := repeated(conn, actor, key):
        row = conn.execute("SELECT kind FROM wuzha.contacts WHERE contact_id = %s", (done.contact_id,)).fetchone()
        return "raised" if row and row[0] == "transfer_raise" else "returned"
    alert = lock(conn, alert_id)
    if not reason.strip():
        raise Refused("no_transfer_reason")
    past = history(conn, alert_id)
    last = past[-1] if past else None
    if last is None or last["to_unit"] != alert["unit_id"] or last["state"] not in ("offered", "signed"):
        raise Refused("decided" if last is not None and last["state"] == "raised" else "not_offered")
    theirs = alert["offered_at"] is not None and may_sign(conn, actor, alert)
    if not theirs and alert["signed_by"] != actor.user_id:
        raise Refused("not_for_you")
    if alert["offered_at"] is not None and not theirs:
        raise Refused("not_for_you")  # the sender takes it back by `recall`
    _keep_in_sight(conn, actor, alert_id, "return", now)
    raised = any(t["state"] in ("returned", "raised") for t in past)
    words = reason.strip()[:500]
    # Until it is signed for, whoever has it now answers for it: a colleague may have taken it over since.
    back_to = alert["signed_by"] if theirs else last["sent_by"]
    if raised:
        superior = _superior(conn, last["from_unit"], last["to_unit"])
        record(
            conn, actor, alert, "transfer_raise", key=key, at=now, words=f"→ {superior[1]}：{words}",
            changes={"unit_id": superior[0], "offered_at": now, "signed_by": back_to},
        )  # fmt: skip
    else:
        _end_grants(conn, alert_id, "transfer")  # while the file is still this unit's, which alone may end it
        record(
            conn, actor, alert, "transfer_return", key=key, at=now, words=f"→ {last['from_name']}：{words}",
            changes={"unit_id": last["from_unit"], "offered_at": None, "signed_by": back_to},
        )  # fmt: skip
    conn.execute(
        "UPDATE wuzha.transfers SET state = %s, state_by = %s, state_at = %s, return_reason = %s, raised_to = %s"
        " WHERE transfer_id = %s",
        (
            "raised" if raised else "returned", actor.user_id, now, words, superior[0] if raised else None,
            last["transfer_id"],
        ),
    )  # fmt: skip
    _end_grants(conn, alert_id, "return")
    return "raised" if raised else "returned"


def recall(
    conn: psycopg.Connection[Any], actor: Actor, alert_id: int, *, key: str, now: datetime | None = None
) -> Done:
    """The sender takes the file back before it was signed for. Refused: not_offered, not_for_you."""
    require(actor, "desk.act")
    now = now or clock.now()
    if done := repeated(conn, actor, key):
        return done
    alert = lock(conn, alert_id)
    past = history(conn, alert_id)
    if alert["offered_at"] is None or not past or past[-1]["state"] != "offered":
        raise Refused("not_offered")
    if alert["signed_by"] != actor.user_id:
        raise Refused("not_for_you")
    done = record(
        conn, actor, alert, "transfer_recall", key=key, at=now, words=f"→ {past[-1]['from_name']}",
        changes={"unit_id": past[-1]["from_unit"], "offered_at": None},
    )  # fmt: skip
    conn.execute(
        "UPDATE wuzha.transfers SET state = 'recalled', state_by = %s, state_at = %s WHERE transfer_id = %s",
        (actor.user_id, now, past[-1]["transfer_id"]),
    )
    _end_grants(conn, alert_id, "transfer")
    return done


def _superior(conn: psycopg.Connection[Any], one: int, other: int) -> tuple[int, str]:
    """The lowest unit above both."""
    row = conn.execute(
        "SELECT u.unit_id, u.name FROM wuzha.unit_closure a JOIN wuzha.unit_closure b USING (ancestor)"
        " JOIN wuzha.units u ON u.unit_id = a.ancestor WHERE a.descendant = %s AND b.descendant = %s"
        " ORDER BY a.depth + b.depth LIMIT 1",
        (one, other),
    ).fetchone()
    if row is None:
        raise Refused("no_superior")
    return int(row[0]), str(row[1])


def _keep_in_sight(conn: psycopg.Connection[Any], actor: Actor, alert_id: int, reason: str, now: datetime) -> None:
    """A grant for the actor's unit: nobody may write a row that he then could not read."""
    conn.execute(
        "INSERT INTO wuzha.grants (table_name, row_id, unit_id, reason, granted_by, granted_at, until)"
        " VALUES ('alerts', %s, %s, %s, %s, %s, %s)",
        (alert_id, actor.unit_id, reason, actor.user_id, now, now + GRANT),
    )


def _end_grants(conn: psycopg.Connection[Any], alert_id: int, reason: str) -> None:
    conn.execute(
        "UPDATE wuzha.grants SET ended_at = until WHERE table_name = 'alerts' AND row_id = %s AND reason = %s"
        " AND ended_at IS NULL",
        (alert_id, reason),
    )
