"""Call-backs: those who called 96110 and found nobody, and those who asked an automatic call for an officer.

Kept true here: a number waits once, however often it calls; the order is the danger of its open file, then how often
it called, then how long it waits; one officer at a time has it, and what came of it is recorded.
"""

from __future__ import annotations

import contextlib
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row

from wuzha.command.public import Actor, Refused, require
from wuzha.events import clock
from wuzha.store import audit

from . import merged, sign
from .codes import codes
from .ladder import ladder
from .safety import check_other
from .step import lock, record

#: Results of a call back, as of a call of ours.
RESULTS = ("self", "told_other", "busy", "refused", "no_answer", "off", "suspended", "empty_number", "forwarded")
#: Results after which the number waits on, up to a while.
AGAIN = ("busy", "no_answer", "refused", "off")


#: When nobody had answered a call: the earliest that was told of it.
_MISSED_AT = "least(p.missed_at, p.ended_at)"


def missed(conn: psycopg.Connection[Any], unit_id: int, call: dict[str, Any], now: datetime) -> None:
    """A missed call (a row of phone_calls) waits, with those that this number missed before; unless the number has been
    spoken with since."""
    callback_id = call["callback_id"]
    if callback_id is None:
        at = min(t for t in (call["missed_at"], call["ended_at"]) if t is not None)
        if _spoken_since(conn, call["number"], at):
            return
        callback_id = wanted(
            conn, unit_id, number=call["number"], alert_id=call["alert_id"], line_id=call["line_id"], at=at,
            why="missed",
        )  # fmt: skip
        conn.execute("UPDATE wuzha.phone_calls SET callback_id = %s WHERE call_id = %s", (callback_id, call["call_id"]))
    _count(conn, callback_id)
    row = conn.execute("SELECT state, last_at FROM wuzha.call_backs WHERE callback_id = %s", (callback_id,)).fetchone()
    if row is not None and row[0] != "done" and _spoken_since(conn, call["number"], row[1]):
        _answered(conn, callback_id, now)


def _spoken_since(conn: psycopg.Connection[Any], number: str, at: datetime) -> bool:
    row = conn.execute(
        "SELECT 1 FROM wuzha.phone_calls WHERE direction = 'in' AND number = %s AND answered_at >= %s LIMIT 1",
        (number, at),
    ).fetchone()
    return row is not None


def _answered(conn: psycopg.Connection[Any], callback_id: int, now: datetime) -> None:
    conn.execute(
        "UPDATE wuzha.call_backs SET state = 'done', done_at = %s, result = 'answered' WHERE callback_id = %s",
        (now, callback_id),
    )


def wanted(
    conn: psycopg.Connection[Any],
    unit_id: int,
    *,
    number: str,
    alert_id: int | None,
    line_id: int | None,
    at: datetime,
    why: str,
) -> int:
    """A number that wants to be called, once however often it does."""
    row = conn.execute(
        "INSERT INTO wuzha.call_backs (unit_id, number, alert_id, line_id, why, first_at, last_at)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s)"
        " ON CONFLICT (unit_id, number) WHERE state <> 'done' DO UPDATE SET"
        " first_at = least(call_backs.first_at, excluded.first_at),"
        " last_at = greatest(call_backs.last_at, excluded.last_at),"
        " alert_id = coalesce(excluded.alert_id, call_backs.alert_id),"
        " why = CASE WHEN call_backs.why = 'asks_officer' THEN call_backs.why ELSE excluded.why END"
        " RETURNING callback_id",
        (unit_id, number, alert_id, line_id, why, at, at),
    ).fetchone()
    assert row is not None
    return int(row[0])


def _count(conn: psycopg.Connection[Any], callback_id: int) -> None:
    """How often they called, and from when to when, from the calls themselves."""
    conn.execute(
        "UPDATE wuzha.call_backs b SET n = c.n, first_at = c.first_at, last_at = c.last_at"
        f" FROM (SELECT count(*) AS n, min({_MISSED_AT}) AS first_at, max({_MISSED_AT}) AS last_at"
        "         FROM wuzha.phone_calls p WHERE p.callback_id = %s)"
        " c WHERE b.callback_id = %s AND c.n > 0 AND b.why = 'missed'",
        (callback_id, callback_id),
    )


def missed_no_more(conn: psycopg.Connection[Any], call: dict[str, Any], now: datetime) -> None:
    """The call was answered after all (it was told as missed before): it waits for nothing."""
    conn.execute("UPDATE wuzha.phone_calls SET callback_id = NULL WHERE call_id = %s", (call["call_id"],))
    conn.execute(
        "UPDATE wuzha.call_backs SET state = 'done', done_at = %s, result = 'answered' WHERE callback_id = %s"
        " AND state <> 'done' AND why = 'missed'"
        " AND NOT EXISTS (SELECT 1 FROM wuzha.phone_calls p WHERE p.callback_id = call_backs.callback_id)",
        (now, call["callback_id"]),
    )
    _count(conn, call["callback_id"])


def came_through(conn: psycopg.Connection[Any], call: dict[str, Any], now: datetime) -> None:
    """Somebody of ours speaks with this number: what it missed before is done with."""
    if call["number"] is None:
        return
    conn.execute(
        "UPDATE wuzha.call_backs SET state = 'done', done_at = %s, result = 'answered' WHERE number = %s"
        " AND state <> 'done' AND last_at <= %s",
        (now, call["number"], call["answered_at"]),
    )


def listed(conn: psycopg.Connection[Any], actor: Actor, *, now: datetime | None = None) -> list[dict[str, Any]]:
    """The call-backs that wait, in their order; those whose person was reached since are left out."""
    require(actor, "desk.read")
    now = now or clock.now()
    limits = ladder()
    return (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT b.*, b.state = 'taken' AND b.taken_at > %(fresh)s AS held, u.name AS taken_name, a.level,"
            " a.level_rank, a.scam_type, a.stage, a.amount_fen, a.state AS alert_state, n.name AS unit_name,"
            " v.name AS person_name"
            " FROM wuzha.call_backs b LEFT JOIN wuzha.alerts a ON a.alert_id = b.alert_id AND a.state <> 'closed'"
            " LEFT JOIN wuzha.users u ON u.user_id = b.taken_by JOIN wuzha.units n ON n.unit_id = b.unit_id"
            " LEFT JOIN wuzha.persons v ON v.person_id = a.person_id"
            " WHERE b.state <> 'done' AND b.last_at > %(past)s"
            " AND (a.reached_at IS NULL OR a.reached_at < b.last_at)"
            " ORDER BY coalesce(a.level_rank, -1) DESC, b.n DESC, b.first_at, b.callback_id LIMIT 200",
            {"fresh": now - clock.stretch(limits.take_s), "past": now - clock.stretch(limits.past_s)},
        )
        .fetchall()
    )


def take(conn: psycopg.Connection[Any], actor: Actor, callback_id: int, *, now: datetime | None = None) -> None:
    """This officer calls back; an open file of the number that nobody has signed for becomes theirs with it.

    Refused: call_back_taken (who), call_back_done, not_found.
    """
    require(actor, "desk.act")
    now = now or clock.now()
    row, alert = _locked(conn, callback_id)
    if row["state"] == "done":
        raise Refused("call_back_done")
    mine = row["taken_by"] == actor.user_id
    if row["state"] == "taken" and not mine and row["taken_at"] > now - clock.stretch(ladder().take_s):
        raise Refused("call_back_taken", who=row["taken_name"])
    conn.execute(
        "UPDATE wuzha.call_backs SET state = 'taken', taken_by = %s, taken_at = %s WHERE callback_id = %s",
        (actor.user_id, now, callback_id),
    )
    if alert is not None and alert["state"] == "new":
        key = f"call-back-{callback_id}-{alert['version']}"
        sign.sign(conn, actor, alert["alert_id"], version=alert["version"], key=key, now=now)
    _audit(conn, actor, row, "taken", now, {})


def settle(
    conn: psycopg.Connection[Any],
    actor: Actor,
    callback_id: int,
    *,
    result: str,
    key: str,
    words: str | None = None,
    reason: str | None = None,
    now: datetime | None = None,
) -> None:
    """Record what came of a call back. Where the number belongs to an open file it is a contact of that file.

    Refused: unknown_code, call_back_taken, call_back_not_yours, call_back_done, not_found, other_reason, other_words.
    """
    require(actor, "desk.act")
    now = now or clock.now()
    if result not in RESULTS:
        raise Refused("unknown_code", code=result)
    if not 8 <= len(key) <= 80:
        raise Refused("no_key")
    row, alert = _locked(conn, callback_id)
    full = f"{actor.user_id}:{key}"
    if row["key"] == full:
        return
    if row["state"] == "done":
        raise Refused("call_back_done")
    if row["state"] != "taken" or row["taken_by"] != actor.user_id:
        if row["state"] == "taken":
            raise Refused("call_back_taken", who=row["taken_name"])
        raise Refused("call_back_not_yours")
    words = (words or "").strip()[:2000] or None
    contact_id = None
    if alert is not None and alert["state"] != "closed":
        contact_id = _contact(conn, actor, row, alert, result, words, reason, key, now)
    again = result in AGAIN
    conn.execute(
        "UPDATE wuzha.call_backs SET state = %s, taken_by = CASE WHEN %s THEN NULL ELSE taken_by END, done_by = %s,"
        " done_at = %s, result = %s, words = %s, contact_id = coalesce(%s, contact_id), key = %s"
        " WHERE callback_id = %s",
        (
            "open" if again else "done", again, actor.user_id, None if again else now, result, words, contact_id, full,
            callback_id,
        ),
    )  # fmt: skip
    _audit(conn, actor, row, "settled", now, {"result": result})


def _contact(
    conn: psycopg.Connection[Any],
    actor: Actor,
    row: dict[str, Any],
    alert: dict[str, Any],
    result: str,
    words: str | None,
    reason: str | None,
    key: str,
    now: datetime,
) -> int:
    kept = check_other(conn, alert, result=result, reason=reason, words=words)
    own = row["line_id"] is None or row["line_id"] == alert["line_id"]
    changes: dict[str, Any] = {"contacted_at": now} if alert["contacted_at"] is None else {}
    if own and codes()["result"][result].reached and alert["state"] != "new":
        changes["state"] = "reached"
        changes["reached_at"] = alert["reached_at"] or now
    elif alert["state"] == "signed":
        changes["state"] = "contacting"
    if own and codes()["result"][result].silent:
        changes["tries"] = alert["tries"] + 1
    done = record(
        conn, actor, alert, "call", key=f"back-{key}"[:80], changes=changes, at=now, code=result, words=words,
        to_id=row["line_id"], reason=kept,
    )  # fmt: skip
    return done.contact_id


def _locked(conn: psycopg.Connection[Any], callback_id: int) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The call-back and the living file of its number, both locked, the file first as everywhere; no file where there
    is none or it has gone out of the officer's sight."""
    found = conn.execute("SELECT alert_id FROM wuzha.call_backs WHERE callback_id = %s", (callback_id,)).fetchone()
    alert = None
    if found is not None and found[0] is not None:
        with contextlib.suppress(Refused):
            alert = lock(conn, merged.living(conn, found[0]))
    row = (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT b.*, (SELECT name FROM wuzha.users u WHERE u.user_id = b.taken_by) AS taken_name"
            " FROM wuzha.call_backs b WHERE callback_id = %s FOR UPDATE",
            (callback_id,),
        )
        .fetchone()
    )
    if row is None:
        raise Refused("not_found")
    return row, alert


def _audit(
    conn: psycopg.Connection[Any], actor: Actor, row: dict[str, Any], what: str, now: datetime, detail: dict[str, Any]
) -> None:
    audit.append(
        conn, at=now, actor=actor.login, user_id=actor.user_id or None, unit_id=row["unit_id"],
        action=f"call_back.{what}", object=f"call_back:{row['callback_id']}", detail=detail,
    )  # fmt: skip
