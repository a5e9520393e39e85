"""How far a refund has come, as its victims may follow it outside: told to the public pages' zones after every change.

Kept true here: what leaves holds steps, times and the unit that works on it – no name, number, account or amount; that
there is something to tell stands in the transaction of what happened, and the machine tells it, under a hash of the
victim's code; where no public page is known yet, it waits.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import psycopg

from wuzha.command.public import Actor
from wuzha.respond import public as outside

from . import book

#: A refund that is over can be looked at so long.
KEPT = timedelta(days=180)
#: One that is not over is told anew long before.
OPEN_FOR = timedelta(days=800)
#: Refunds told in one round; the others come with the next.
_MOST = 50


def tell(conn: psycopg.Connection[Any], refund_id: int, *, now: datetime) -> None:
    """Something has happened that the refund's victims may see."""
    conn.execute(
        "INSERT INTO wuzha.refund_tells (refund_id, at) VALUES (%s, %s) ON CONFLICT DO NOTHING", (refund_id, now)
    )


def end(conn: psycopg.Connection[Any], application_id: int, *, now: datetime) -> None:
    """The code of an application ends: whoever types it finds nothing."""
    conn.execute(
        "INSERT INTO wuzha.refund_tells (refund_id, ended_hash, at) SELECT refund_id, code_hash, %s"
        " FROM wuzha.refund_applications WHERE application_id = %s",
        (now, application_id),
    )


def round(conn: psycopg.Connection[Any], actor: Actor, now: datetime) -> int:
    """Queue what is to be told to every public zone; how many letters. In the machine's scope."""
    if not outside.public_zones():
        return 0
    waiting = conn.execute(
        "SELECT tell_id, refund_id, ended_hash FROM wuzha.refund_tells ORDER BY tell_id LIMIT %s",
        (_MOST,),
    ).fetchall()
    queued = 0
    for tell_id, refund_id, ended in waiting:
        if ended is not None:
            queued += outside.tell_progress(
                conn, bytes(ended), matter="refund", ref=f"ended-{tell_id}", told=None, until=now, now=now
            )
        else:
            queued += _queue(conn, actor, refund_id, now)
        conn.execute("DELETE FROM wuzha.refund_tells WHERE tell_id = %s", (tell_id,))
    return queued


def _queue(conn: psycopg.Connection[Any], actor: Actor, refund_id: int, now: datetime) -> int:
    rows = conn.execute(
        "SELECT application_id, report_id, code_hash FROM wuzha.refund_applications WHERE refund_id = %s", (refund_id,)
    ).fetchall()
    if not rows:
        return 0
    r = book.one(conn, actor, refund_id, now=now)
    until = now + (KEPT if r["closed_at"] else OPEN_FOR)
    return sum(
        outside.tell_progress(
            conn, bytes(code), matter="refund", ref=str(application), told=told(r, report), until=until, now=now
        )
        for application, report, code in rows
    )


def told(r: dict[str, Any], report_id: int) -> dict[str, Any]:
    """What one victim may know: the steps that are done, each with its time, and the one that is going on."""
    victim = next((v for v in r["victims"] if v["report_id"] == report_id), None)
    application = next((a for a in r["applications"] if a["report_id"] == report_id), None)
    steps: list[dict[str, Any]] = []

    def step(code: str, at: datetime | None, until: datetime | None = None) -> None:
        if at is not None:
            steps.append({"code": code, "at": at.isoformat()} | ({"until": until.isoformat()} if until else {}))

    step("applied", application["applied_at"] if application else None)
    plan, notice, asked = r["plan"], r["notice"], r["asked"]
    step("planned", plan["made_at"])
    if notice is not None:
        step("noticed", notice["posted_at"], notice["ends_at"])
    if asked is not None:
        step("asked", asked["asked_at"])
        step("approved" if asked["granted"] else "returned", asked["decided_at"])
    if r["decision"] is not None:
        step("decided", r["decision"]["decided_at"])
    payments = [p for s in (victim["shares"] if victim else []) for p in s["payments"]]
    if payments:
        step("sent", min(p["sent_at"] for p in payments), max(p["due_at"] for p in payments))
        if all(p["answered_at"] for p in payments):
            whole = victim is not None and victim["paid_fen"] >= victim["share_fen"]
            step("paid" if whole else "failed", max(p["answered_at"] for p in payments))
    if r["closed_how"] == "stopped":
        step("stopped", r["closed_at"])
    return {
        "unit": r["unit_name"], "way": plan["way"], "round": r["round"],
        "share": bool(victim and victim["share_fen"]), "steps": steps,
    }  # fmt: skip
