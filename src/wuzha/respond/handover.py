"""Hand-over at the end of a shift: everything that is open goes to the next in one press, with a note.

Kept true here: either all open files of the officer are handed over or none; each file's trail says from whom to whom;
clocks run on; a file that was closed or taken meanwhile is left where it is.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import dict_row

from wuzha.command.public import Actor, Refused, coming_shifts, on_duty, own_shift, require
from wuzha.events import clock

from . import file, queue
from .next_step import NextStep, next_step
from .officer_code import issue_code
from .step import lock, record

#: Files of a sheet whose next step is worked out; beyond that the row alone stands there.
STEPS = 60
#: How long the receiver is told of a hand-over.
TOLD = timedelta(hours=12)


def sheet(
    conn: psycopg.Connection[Any], actor: Actor, *, now: datetime | None = None
) -> list[tuple[dict[str, Any], NextStep | None]]:
    """What is open with this officer, in the queue's order: each row with its next step."""
    now = now or clock.now()
    found: list[dict[str, Any]] = []
    f = queue.Filters(scope="mine")
    while True:
        rows, after = queue.rows(conn, actor, f, now=now)
        found += rows
        if not after or len(found) >= 1000:
            break
        f = replace(f, after=after)
    return [
        (row, next_step(file.read(conn, actor, row["alert_id"], now=now), actor) if i < STEPS else None)
        for i, row in enumerate(found)
    ]


def receivers(conn: psycopg.Connection[Any], actor: Actor, *, now: datetime | None = None) -> list[dict[str, Any]]:
    """Who can take over: ``user_id, name, starts_at, next``.

    First those on shifts, whose shift begins nearest to the end of the officer's own (``next``: within an hour of it),
    then those who are signed in (``starts_at`` null).
    """
    now = now or clock.now()
    own = own_shift(conn, actor, now=now)
    change = own["ends_at"] if own else now
    found: dict[int, dict[str, Any]] = {}
    for row in sorted(coming_shifts(conn, actor, now=now), key=lambda r: abs(r["starts_at"] - change)):
        near = abs(row["starts_at"] - change) <= timedelta(hours=1)
        one = {"user_id": row["user_id"], "name": row["name"], "starts_at": row["starts_at"], "next": near}
        found.setdefault(row["user_id"], one)
    for here in on_duty(conn, actor, now=now):
        if here.user_id != actor.user_id and here.unit_id == actor.unit_id:
            one = {"user_id": here.user_id, "name": here.name, "starts_at": None, "next": False}
            found.setdefault(here.user_id, one)
    return list(found.values())


def hand_over(
    conn: psycopg.Connection[Any],
    actor: Actor,
    *,
    to: list[int],
    note: str,
    key: str,
    now: datetime | None = None,
) -> int:
    """Hand all open files over, dealt out in the queue's order to ``to``; returns how many.

    Refused: no_receiver (nobody, oneself, or somebody who is not of the unit), nothing_open, no_key.
    """
    require(actor, "desk.act")
    now = now or clock.now()
    if not 8 <= len(key) <= 60:
        raise Refused("no_key")
    full = f"{actor.user_id}:{key}"
    conn.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (full,))
    before = conn.execute("SELECT jsonb_array_length(files) FROM wuzha.handovers WHERE key = %s", (full,)).fetchone()
    if before is not None:
        return int(before[0])
    names = {r["user_id"]: r["name"] for r in receivers(conn, actor, now=now)}
    if not to or any(user not in names for user in to):
        raise Refused("no_receiver")
    mine = conn.execute(
        "SELECT alert_id FROM wuzha.alerts WHERE signed_by = %s AND state <> 'closed' AND merged_into IS NULL"
        " ORDER BY rank_no, rank_at, alert_id",
        (actor.user_id,),
    ).fetchall()
    target = {row[0]: to[i % len(to)] for i, row in enumerate(mine)}
    files: list[dict[str, int]] = []
    for alert_id in sorted(target):  # locks are taken in one order by all
        alert = lock(conn, alert_id)
        if alert["signed_by"] != actor.user_id or alert["state"] == "closed":
            continue
        user = target[alert_id]
        record(
            conn, actor, alert, "hand_over", key=f"{key}-{alert_id}", at=now, changes={"signed_by": user},
            words=f"→ {names[user]}" + (f"：{note.strip()[:500]}" if note.strip() else ""),
        )  # fmt: skip
        issue_code(conn, actor, alert_id, now=now, user_id=user)
        files.append({"alert": alert_id, "to": user})
    if not files:
        raise Refused("nothing_open")
    conn.execute(
        "INSERT INTO wuzha.handovers (unit_id, from_user, at, note, files, key) VALUES (%s, %s, %s, %s, %s, %s)",
        (actor.unit_id, actor.user_id, now, note.strip()[:500] or None, json.dumps(files), full),
    )
    return len(files)


def received(conn: psycopg.Connection[Any], actor: Actor, *, now: datetime | None = None) -> list[dict[str, Any]]:
    """Hand-overs to this officer of the last hours, newest first: ``handover_id, at, note, name, n, open``."""
    now = now or clock.now()
    return (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT h.handover_id, h.at, h.note, u.name, count(*) AS n,"
            " count(*) FILTER (WHERE a.state <> 'closed' AND a.signed_by = %(me)s) AS open"
            " FROM wuzha.handovers h JOIN wuzha.users u ON u.user_id = h.from_user,"
            ' jsonb_to_recordset(h.files) AS f (alert bigint, "to" bigint)'
            " LEFT JOIN wuzha.alerts a ON a.alert_id = f.alert"
            " WHERE f.to = %(me)s AND h.at > %(since)s AND h.at <= %(now)s GROUP BY h.handover_id, u.name"
            " ORDER BY h.at DESC LIMIT 5",
            {"me": actor.user_id, "since": now - TOLD, "now": now},
        )
        .fetchall()
    )
