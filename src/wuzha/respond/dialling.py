"""Dialling: what the desk asks of the telephone, and what the telephone answers.

Kept true here: a request is a row before anything rings; it is dialled at most once, whatever dies; a call of which
nobody knows any more says so; the telephone proposes a result and only an officer records it. Without a telephone
(mode ``manual``) nothing else of the desk changes: the officer dials by hand and records the result.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import psycopg
from psycopg.rows import dict_row

from wuzha.command.public import Actor, Refused, require
from wuzha.events import clock

from .codes import codes
from .contact import of_kin, theirs
from .ladder import ladder
from .step import audit_step, lock

Mode = Literal["manual", "sip"]
#: Rungs that the telephone dials.
DIALLED = ("call", "kin")
#: States of a call that still goes on, and those after which nothing more comes.
LIVE = ("asked", "taken", "officer", "dialling", "ringing")
OVER = ("talking", "ended", "failed", "unknown")


@dataclass(frozen=True, kw_only=True)
class Request:
    """A call to be made: the officer's extension is rung first, then the line. ``number`` is a bare line value."""

    call_id: int
    alert_id: int
    extension: str
    number: str

    @property
    def reference(self) -> str:
        """What the exchange is told, and may tell us again with the recording."""
        return f"w{self.call_id}"


def mode() -> Mode:
    """How this deployment dials: ``sip`` where ``WUZHA_SIP_SERVER`` names an exchange."""
    return "sip" if os.environ.get("WUZHA_SIP_SERVER", "").strip() else "manual"


def extension(conn: psycopg.Connection[Any], actor: Actor) -> str | None:
    """The officer's telephone."""
    row = conn.execute("SELECT extension FROM wuzha.users WHERE user_id = %s", (actor.user_id,)).fetchone()
    return row[0] if row else None


def dial(
    conn: psycopg.Connection[Any],
    actor: Actor,
    alert_id: int,
    *,
    to_id: int,
    key: str,
    channel: str = "call",
    now: datetime | None = None,
) -> int:
    """Ask the telephone to call a line of this file from the officer's extension; returns the call's number.

    Refused: no_telephone, no_extension, dialling (one call at a time), unknown_code, and as any step: closed,
    not_signed, taken, not_found.
    """
    require(actor, "desk.act")
    now = now or clock.now()
    if not 8 <= len(key) <= 80:
        raise Refused("no_key")
    full = f"{actor.user_id}:{key}"
    conn.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (full,))
    done = conn.execute("SELECT call_id FROM wuzha.phone_calls WHERE key = %s", (full,)).fetchone()
    if done is not None:
        return int(done[0])
    if mode() == "manual":
        raise Refused("no_telephone")
    own = extension(conn, actor)
    if own is None:
        raise Refused("no_extension")
    alert = lock(conn, alert_id)
    if alert["state"] == "closed":
        raise Refused("closed")
    if alert["state"] == "new":
        raise Refused("not_signed")
    if alert["signed_by"] != actor.user_id:
        raise Refused("taken", who=alert["signed_name"], at=alert["signed_at"])
    if channel not in DIALLED or not theirs(conn, alert, to_id) or _line(conn, to_id) is None:
        raise Refused("unknown_code", code=channel)
    others = of_kin(conn, alert, to_id)
    if channel == "kin" or others:
        check_may_call_kin(conn, alert)
    if others and channel != "kin":
        raise Refused("unknown_code", code=channel)
    lapse(conn, actor, now)
    try:
        with conn.transaction():
            row = conn.execute(
                "INSERT INTO wuzha.phone_calls (direction, unit_id, alert_id, user_id, extension, at, state, state_at,"
                " channel, to_id, key) VALUES ('out', %s, %s, %s, %s, %s, 'asked', %s, %s, %s, %s) RETURNING call_id",
                (actor.unit_id, alert_id, actor.user_id, own, now, now, channel, to_id, full),
            ).fetchone()
    except psycopg.errors.UniqueViolation as error:
        raise Refused("dialling") from error
    assert row is not None
    audit_step(conn, actor, alert, "dial", at=now, detail={"call": row[0], "channel": channel})
    return int(row[0])


def check_may_call_kin(conn: psycopg.Connection[Any], alert: dict[str, Any]) -> None:
    """Refused where kin may not be called at all (`safety.kin_rule`): the telephone keeps the desk's rule."""
    from . import safety

    if safety.kin_rule(conn, alert).forbidden:
        raise Refused("kin_forbidden")


def _line(conn: psycopg.Connection[Any], subject_id: int) -> str | None:
    row = conn.execute(
        "SELECT value FROM wuzha.subjects WHERE subject_id = %s AND kind = 'line'", (subject_id,)
    ).fetchone()
    return None if row is None or row[0].startswith("alpha:") else row[0]


def shown(
    conn: psycopg.Connection[Any], actor: Actor, alert_id: int, *, now: datetime | None = None
) -> dict[str, Any] | None:
    """The officer's call on this file that the page shows: one that goes on, or whose result is not recorded yet."""
    now = now or clock.now()
    return (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT p.*, s.value AS to_line FROM wuzha.phone_calls p"
            " LEFT JOIN wuzha.subjects s ON s.subject_id = coalesce(p.to_id, p.line_id)"
            " WHERE p.alert_id = %s AND p.put_away_at IS NULL AND p.user_id = %s AND p.state_at > %s"
            " AND (p.direction = 'out' AND p.contact_id IS NULL)"
            " ORDER BY p.call_id DESC LIMIT 1",
            (alert_id, actor.user_id, now - clock.stretch(ladder().offer_s)),
        )
        .fetchone()
    )


def settle(conn: psycopg.Connection[Any], actor: Actor, call_id: int, contact_id: int) -> None:
    """The officer has recorded what came of the call: it is this contact."""
    conn.execute(
        "UPDATE wuzha.phone_calls SET contact_id = %s WHERE call_id = %s AND user_id = %s AND contact_id IS NULL"
        " AND alert_id = (SELECT alert_id FROM wuzha.contacts WHERE contact_id = %s)",
        (contact_id, call_id, actor.user_id, contact_id),
    )


def put_away(conn: psycopg.Connection[Any], actor: Actor, call_id: int, *, now: datetime | None = None) -> None:
    """The officer does not want to see this call any more; a request that nobody has taken is called off with it."""
    require(actor, "desk.act")
    now = now or clock.now()
    conn.execute(
        "UPDATE wuzha.phone_calls SET put_away_at = %s,"
        " state_at = CASE WHEN state = 'asked' THEN %s ELSE state_at END,"
        " why = CASE WHEN state = 'asked' THEN 'called_off' ELSE why END,"
        " state = CASE WHEN state = 'asked' THEN 'failed' ELSE state END"
        " WHERE call_id = %s AND user_id = %s AND direction = 'out'",
        (now, now, call_id, actor.user_id),
    )


# ---------------------------------------------------------------- the telephony process's side


def take(conn: psycopg.Connection[Any], who: str, *, now: datetime, most: int = 20) -> list[Request]:
    """Requests for this process, each taken by it alone; from the commit on they are never taken again."""
    until = now + clock.stretch(ladder().hold_s)
    fresh = now - clock.stretch(ladder().wait_s)
    rows = conn.execute(
        "WITH mine AS (SELECT call_id FROM wuzha.phone_calls WHERE state = 'asked' AND direction = 'out' AND at > %s"
        "               ORDER BY call_id LIMIT %s FOR UPDATE SKIP LOCKED)"
        " UPDATE wuzha.phone_calls p SET state = 'taken', state_at = %s, taken_by = %s, taken_until = %s"
        " FROM mine, wuzha.subjects s WHERE p.call_id = mine.call_id AND s.subject_id = p.to_id"
        " RETURNING p.call_id, p.alert_id, p.extension, s.value",
        (fresh, most, now, who, until),
    ).fetchall()
    return [Request(call_id=r[0], alert_id=r[1], extension=r[2], number=r[3]) for r in sorted(rows)]


def hold(conn: psycopg.Connection[Any], who: str, call_ids: list[int], *, now: datetime) -> None:
    """This process still has these calls."""
    conn.execute(
        "UPDATE wuzha.phone_calls SET taken_until = %s WHERE call_id = ANY(%s) AND taken_by = %s AND state = ANY(%s)",
        (now + clock.stretch(ladder().hold_s), call_ids, who, list(LIVE)),
    )


def told(
    conn: psycopg.Connection[Any],
    who: str,
    call_id: int,
    state: str,
    *,
    now: datetime,
    sip: int | None = None,
    why: str | None = None,
    forwarded: bool = False,
) -> bool:
    """What the exchange says of a call that this process has. A final status proposes its result; returns False where
    the call is no longer this process's (its hold had run out)."""
    answer = ladder().answer(sip) if sip is not None else None
    elsewhere = forwarded or (answer is not None and answer.forwarded)
    proposed = answer.result if answer is not None and state == "ended" else None
    row = conn.execute(
        "UPDATE wuzha.phone_calls SET state = %(state)s, state_at = %(now)s, sip = coalesce(%(sip)s, sip),"
        " why = %(why)s, forwarded = forwarded OR %(elsewhere)s, taken_until = CASE WHEN %(live)s THEN taken_until END,"
        " answered_at = CASE WHEN %(state)s = 'talking' THEN %(now)s ELSE answered_at END,"
        " ended_at = CASE WHEN %(over)s THEN %(now)s ELSE ended_at END,"
        " proposed = CASE WHEN %(over)s OR %(state)s = 'talking'"
        "                 THEN CASE WHEN forwarded OR %(elsewhere)s THEN 'forwarded' ELSE %(proposed)s END END"
        " WHERE call_id = %(call)s AND taken_by = %(who)s AND state = ANY(%(before)s) RETURNING call_id",
        {
            "state": state, "now": now, "sip": sip, "why": why, "elsewhere": elsewhere, "live": state in LIVE,
            "over": state in ("ended", "failed", "unknown"), "proposed": proposed, "call": call_id, "who": who,
            "before": [s for s in LIVE if s != "asked"],
        },
    ).fetchone()  # fmt: skip
    return row is not None


def lapse(conn: psycopg.Connection[Any], actor: Actor, now: datetime) -> int:
    """A round: requests that nobody took are called off; calls whose process is gone are not known any more."""
    limits = ladder()
    waited = conn.execute(
        "UPDATE wuzha.phone_calls SET state = 'failed', why = 'nobody_took', state_at = %s, ended_at = %s"
        " WHERE direction = 'out' AND state = 'asked' AND at <= %s",
        (now, now, now - clock.stretch(limits.wait_s)),
    ).rowcount
    lost = conn.execute(
        "UPDATE wuzha.phone_calls SET state = 'unknown', why = 'process_gone', state_at = %s, taken_until = NULL"
        " WHERE direction = 'out' AND state IN ('taken','officer','dialling','ringing') AND taken_until <= %s",
        (now, now),
    ).rowcount
    return int(waited + lost)


def results(call: dict[str, Any]) -> list[tuple[str, str]]:
    """The results that an officer may record of a call, each with its key: what the telephone proposes first."""
    keys = ladder().keys
    offered = [r for r in codes()["channel"][call["channel"]].results if r in keys]
    offered.sort(key=lambda r: r != call["proposed"])
    return [(r, keys[r]) for r in offered]
