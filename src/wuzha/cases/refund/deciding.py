"""Asking for approval, approving or returning, issuing the decision.

Kept true here: nobody approves what they opened or asked for, nobody below the level that the dated table names, and
nothing against which `standing` has a reason – looked at again with each press; the decision rests on an approval, and
a named officer who keeps the seal issues it. The database holds the same.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg

from wuzha.command.public import Actor, Refused, require
from wuzha.events import clock
from wuzha.orders.public import Done, record, repeated

from . import progress, standing
from .law import LEVELS, law_of
from .opening import locked


def ask(conn: psycopg.Connection[Any], actor: Actor, refund_id: int, *, key: str, now: datetime | None = None) -> Done:
    """Ask for approval (呈请返还资金报告书). Refused: refund_not_now (asked before), refund_against (why)."""
    require(actor, "refund.write")
    now = now or clock.now()
    if done := repeated(conn, actor, key):
        return done
    case, r = locked(conn, actor, refund_id, now)
    if r["closed_at"] or r["decision"] or (r["asked"] is not None and r["asked"]["granted"] is not False):
        raise Refused("refund_not_now")
    _nothing_against(r, now)
    level = law_of(r["law_from"]).procedure[r["procedure"]].level
    conn.execute(
        "INSERT INTO wuzha.refund_approvals (refund_id, round, level, asked_at, asked_by) VALUES (%s, %s, %s, %s, %s)",
        (refund_id, r["round"], level, now, actor.user_id),
    )
    progress.tell(conn, refund_id, now=now)
    return record(conn, actor, case, "refund_asked", at=now, key=key, detail={"refund": refund_id, "level": level})


def answer(
    conn: psycopg.Connection[Any], actor: Actor, refund_id: int, *, granted: bool, words: str = "", key: str,
    now: datetime | None = None,
) -> Done:  # fmt: skip
    """Approve, or return with the reason. Refused: forbidden, order_own (whoever opened it or asked), refund_level,
    no_words, refund_not_now, refund_against."""
    require(actor, "refund.approve")
    now = now or clock.now()
    if not granted and not words.strip():
        raise Refused("no_words")
    if done := repeated(conn, actor, key):
        return done
    case, r = locked(conn, actor, refund_id, now)
    asked = r["asked"]
    if r["closed_at"] or asked is None or asked["granted"] is not None:
        raise Refused("refund_not_now")
    if actor.user_id in (asked["asked_by"], r["opened_by"]):
        raise Refused("order_own")
    if not high_enough(conn, actor, asked["level"]):
        raise Refused("refund_level")
    if granted:
        _nothing_against(r, now)
    conn.execute(
        "UPDATE wuzha.refund_approvals SET decided_at = %s, decided_by = %s, decided_unit = %s, granted = %s,"
        " words = %s WHERE approval_id = %s",
        (now, actor.user_id, actor.unit_id, granted, words.strip()[:500] or None, asked["approval_id"]),
    )
    progress.tell(conn, refund_id, now=now)
    return record(
        conn, actor, case, "refund_approved" if granted else "refund_returned", at=now, key=key, words=words,
        detail={"refund": refund_id, "level": asked["level"]},
    )  # fmt: skip


def high_enough(conn: psycopg.Connection[Any], actor: Actor, level: str) -> bool:
    """Whether the officer's unit stands at the level or above."""
    row = conn.execute("SELECT kind FROM wuzha.units WHERE unit_id = %s", (actor.unit_id,)).fetchone()
    return row is not None and row[0] in LEVELS[level]


def decide(
    conn: psycopg.Connection[Any], actor: Actor, refund_id: int, *, key: str, now: datetime | None = None
) -> Done:
    """Issue 冻结资金返还决定书 under its number. Refused: forbidden, refund_not_now (not approved, or issued),
    refund_against."""
    require(actor, "orders.seal")
    now = now or clock.now()
    if actor.user_id == 0:
        raise Refused("forbidden", act="orders.seal")
    if done := repeated(conn, actor, key):
        return done
    case, r = locked(conn, actor, refund_id, now)
    asked = r["asked"]
    if r["closed_at"] or r["decision"] or asked is None or not asked["granted"]:
        raise Refused("refund_not_now")
    _nothing_against(r, now)
    number = _number(conn, r, asked["decided_unit"], now)
    conn.execute(
        "INSERT INTO wuzha.refund_decisions (refund_id, round, approval_id, decision_no, decided_at, sealed_by)"
        " VALUES (%s, %s, %s, %s, %s, %s)",
        (refund_id, r["round"], asked["approval_id"], number, now, actor.user_id),
    )
    progress.tell(conn, refund_id, now=now)
    return record(conn, actor, case, "refund_decided", at=now, key=key, detail={"refund": refund_id, "number": number})


def _number(conn: psycopg.Connection[Any], r: dict[str, Any], unit_id: int, now: datetime) -> str:
    """``<unit>刑返字〔2026〕7号``; a later round of the same refund ``…之二``."""
    row = conn.execute("SELECT code FROM wuzha.units WHERE unit_id = %s", (unit_id,)).fetchone()
    code = row[0] if row is not None else r["unit_code"]
    again = f"之{r['round']}" if r["round"] > 1 else ""
    return f"{code}刑返字〔{now.astimezone(clock.zone()).year}〕{r['refund_id']}号{again}"


def _nothing_against(r: dict[str, Any], now: datetime) -> None:
    if found := standing.against(r, now):
        raise Refused("refund_against", code=found[0].code, **found[0].values)
