"""How far a refund has come, as its victims may follow it outside: told with every change to the public pages' zones.

Kept true here: what leaves holds steps, times and the unit that works on it – no name, number, account or amount; it is
queued in the transaction of what it tells, under a hash of the victim's code.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import psycopg

from wuzha.command.public import machine
from wuzha.respond import public as outside

from . import book

#: A refund that is over can be looked at so long.
KEPT = timedelta(days=180)
#: One that is not over is told anew long before.
OPEN_FOR = timedelta(days=800)


def tell(conn: psycopg.Connection[Any], refund_id: int, *, now: datetime) -> int:
    """Queue the refund's state for each victim who has a code; how many letters."""
    rows = conn.execute(
        "SELECT application_id, report_id, code_hash FROM wuzha.refund_applications WHERE refund_id = %s", (refund_id,)
    ).fetchall()
    if not rows or not outside.public_zones():
        return 0
    unit = conn.execute(
        "SELECT k.unit_id FROM wuzha.refunds r JOIN wuzha.cases k USING (case_id) WHERE refund_id = %s", (refund_id,)
    ).fetchone()
    assert unit is not None
    r = book.one(conn, machine(unit[0], "refund"), refund_id, now=now)
    until = now + (KEPT if r["closed_at"] else OPEN_FOR)
    return sum(
        outside.tell_progress(
            conn, bytes(code), matter="refund", ref=str(application), told=told(r, report), until=until, now=now
        )
        for application, report, code in rows
    )


def end(conn: psycopg.Connection[Any], application_id: int, *, now: datetime) -> None:
    """The code of an application ends: whoever types it finds nothing."""
    row = conn.execute(
        "SELECT code_hash FROM wuzha.refund_applications WHERE application_id = %s", (application_id,)
    ).fetchone()
    if row is not None:
        outside.tell_progress(
            conn, bytes(row[0]), matter="refund", ref=str(application_id), told=None, until=now, now=now
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
