"""Contacts: each try to reach the person, by a channel, with the result in the desk's codes; and notes.

Kept true here: the person counts as reached only by a result that says that they were spoken to.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg

from wuzha.command.public import Actor, Refused, require
from wuzha.events import clock

from . import dispatch, robot
from .codes import codes
from .links import link_in
from .mind import mind_of
from .phrase_book import note_said
from .safety import check_kin, check_other
from .step import Done, lock, mine, record, repeated


def contact(
    conn: psycopg.Connection[Any],
    actor: Actor,
    alert_id: int,
    *,
    channel: str,
    result: str,
    version: int,
    key: str,
    to_id: int | None = None,
    words: str | None = None,
    reason: str | None = None,
    said: str = "",
    now: datetime | None = None,
) -> Done:
    """Record a try to reach the person. ``channel`` and ``result`` are codes; ``to_id`` the line or kin that was tried.

    ``said``: the words that stood on the screen (`phrase_book.packed`), kept where the person was spoken to.
    Kin are told by `safety.check_kin` only, and others by `safety.check_other`: ``reason`` says why, ``words`` what
    they were told. Refused: taken, changed, closed, not_signed, unknown_code; of kin: kin_forbidden, kin_reason,
    kin_words; of others: other_reason, other_words.
    """
    require(actor, "desk.act")
    now = now or clock.now()
    rung = codes()["channel"].get(channel)
    if rung is None or result not in rung.results:
        raise Refused("unknown_code", code=result)
    if channel == "sms" and link_in(words or ""):
        raise Refused("link_in_text")
    if done := repeated(conn, actor, key):
        return done
    alert = lock(conn, alert_id)
    mine(alert, actor, version)
    if to_id is not None and not theirs(conn, alert, to_id):
        raise Refused("unknown_code", code=to_id)
    if rung.to == "kin" or (to_id is not None and of_kin(conn, alert, to_id)):
        check_kin(conn, alert, result=result, reason=reason, words=words)
        kept = reason if rung.to == "kin" else None
    else:
        kept = check_other(conn, alert, result=result, reason=reason, words=words)
    reached = codes()["result"][result].reached and rung.to == "person"
    changes: dict[str, Any] = {}
    if alert["contacted_at"] is None:
        changes["contacted_at"] = now
    if reached and alert["reached_at"] is None:
        changes["reached_at"] = now
    if reached:
        changes["state"] = "reached"
    elif alert["state"] == "signed":
        changes["state"] = "contacting"
    if codes()["result"][result].silent and rung.to == "person":
        changes["tries"] = alert["tries"] + 1
    done = record(
        conn, actor, alert, channel, key=key, changes=changes, at=now, code=result, words=words, to_id=to_id,
        reason=kept,
    )  # fmt: skip
    if reached and said:
        note_said(conn, alert_id, done.contact_id, said=said, mind=mind_of(alert))
    if channel == "visit" and result in dispatch.RESULTS:
        dispatch.answered(conn, actor, alert_id, result, now)
    if result == "listed":
        robot.list_one(conn, alert_id, now)
    return done


def theirs(conn: psycopg.Connection[Any], alert: dict[str, Any], to_id: int) -> bool:
    """True where ``to_id`` is the alert's line, one joined to the person, or one of somebody joined to the person."""
    if to_id in (alert["line_id"], alert["person_id"]):
        return True
    joined = conn.execute(
        "WITH near AS (SELECT other_id AS id FROM wuzha.relations WHERE subject_id = %(person)s"
        " UNION SELECT subject_id FROM wuzha.relations WHERE other_id = %(person)s)"
        " SELECT 1 FROM near WHERE id = %(to)s UNION ALL"
        " SELECT 1 FROM wuzha.relations r JOIN near n ON n.id = r.subject_id WHERE r.other_id = %(to)s UNION ALL"
        " SELECT 1 FROM wuzha.relations r JOIN near n ON n.id = r.other_id WHERE r.subject_id = %(to)s LIMIT 1",
        {"person": alert["person_id"], "to": to_id},
    ).fetchone()
    return joined is not None


def of_kin(conn: psycopg.Connection[Any], alert: dict[str, Any], to_id: int) -> bool:
    """True where ``to_id``, which is `theirs`, is somebody else joined to the person, or a line of somebody else."""
    if to_id in (alert["line_id"], alert["person_id"]):
        return False
    own = conn.execute(
        "SELECT 1 FROM wuzha.subjects s WHERE s.subject_id = %(to)s AND s.kind <> 'person' AND EXISTS"
        " (SELECT 1 FROM wuzha.relations WHERE subject_id = %(person)s AND other_id = %(to)s UNION ALL"
        " SELECT 1 FROM wuzha.relations WHERE other_id = %(person)s AND subject_id = %(to)s)",
        {"person": alert["person_id"], "to": to_id},
    ).fetchone()
    return own is None


def note(
    conn: psycopg.Connection[Any], actor: Actor, alert_id: int, *, words: str, key: str, now: datetime | None = None
) -> Done:
    """Add a note to a file; allowed to every officer who may act on it, signed for or not, closed or not."""
    require(actor, "desk.act")
    if done := repeated(conn, actor, key):
        return done
    if not words.strip():
        raise Refused("no_words")
    alert = lock(conn, alert_id)
    return record(conn, actor, alert, "note", key=key, changes={}, at=now, words=words)
