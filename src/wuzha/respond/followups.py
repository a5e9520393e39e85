"""Follow-ups: the person is asked again 24 hours, 72 hours, 7 and 30 days after the close.

Kept true here: follow-ups are planned in the transaction that closes; each is settled once; one who has paid again has
their file opened again in the same press; a file that is open again has no follow-ups waiting.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from importlib.resources import files
from typing import Any

import psycopg
from psycopg.rows import dict_row

from wuzha.command.public import Actor, Refused, require
from wuzha.events import clock, datafile

from . import merged
from .codes import codes
from .reopen import reopen
from .step import Done, lock, record, repeated

RESULTS = ("fine", "wavering", "paid_again", "not_reached")
#: The extra one for somebody who wavers.
AGAIN = "again"
PAGE = 100


@dataclass(frozen=True, kw_only=True)
class After:
    """One dated table; ``step``: hours by code, in order."""

    since: date
    outcomes: tuple[str, ...]
    tries: int
    again_h: int
    reopen_days: int
    window_days: int
    step: dict[str, dict[str, Any]]
    result: dict[str, dict[str, Any]]


def read(text: str, name: str = "after.toml") -> list[After]:
    """The dated tables, oldest first. DataFileError with file, line and what is wrong."""
    file = datafile.parse(text, name)
    tables = []
    rows: list[dict[str, Any]] = file.data.get("after", [])
    for i, row in enumerate(rows):
        at = f"after[{i}]"
        try:
            given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in row.items()}
            given["since"] = given.pop("from", None)
            table = After(**given)
        except TypeError as error:
            raise file.error(at, "", str(error)) from error
        if unknown := set(table.outcomes) - codes()["outcome"].keys():
            raise file.error(at, "outcomes", f"the unknown outcome {', '.join(sorted(unknown))}")
        if tuple(table.result) != RESULTS:
            raise file.error("after.result", "", f"the results are {', '.join(RESULTS)}")
        hours = [s["hours"] for s in table.step.values()]
        if not hours or hours != sorted(set(hours)) or hours[0] <= 0:
            raise file.error("after.step", "", "want hours that grow from step to step")
        tables.append(table)
    if not tables:
        raise file.error("", "", "no [[after]]")
    return sorted(tables, key=lambda t: t.since)


@lru_cache(maxsize=1)
def _shipped() -> list[After]:
    return read((files(__package__) / "after.toml").read_text("utf-8"))


def after(at: datetime) -> After:
    """The table in force at ``at``."""
    day = at.astimezone(clock.zone()).date()
    return next((t for t in reversed(_shipped()) if t.since <= day), _shipped()[0])


def words() -> dict[str, dict[str, str]]:
    """What the pages call steps and results, by catalogue key."""
    found: dict[str, dict[str, str]] = {}
    for table in _shipped():
        for part in ("step", "result"):
            rows = getattr(table, part)
            found |= {f"followup_{part}.{c}": {"zh": r["zh"], "en": r["en"]} for c, r in rows.items()}
    return found


def plan(conn: psycopg.Connection[Any], alert: dict[str, Any], closed: Done) -> int:
    """The follow-ups of a file that ``closed`` has just closed; how many. ``alert`` is the row as it was before."""
    table = after(closed.at)
    if alert["outcome"] not in table.outcomes or alert["reached_at"] is None:
        return 0
    for code, step in table.step.items():
        conn.execute(
            "INSERT INTO wuzha.followups (alert_id, closed_by_step, step, due_at) VALUES (%s, %s, %s, %s)"
            " ON CONFLICT DO NOTHING",
            (alert["alert_id"], closed.contact_id, code, closed.at + timedelta(hours=step["hours"])),
        )
    return len(table.step)


def answer(
    conn: psycopg.Connection[Any],
    actor: Actor,
    followup_id: int,
    *,
    code: str,
    key: str,
    words: str = "",
    now: datetime | None = None,
) -> Done:
    """Record what a follow-up found. ``not_reached`` leaves it due until the tries are used up; ``wavering`` adds one;
    ``paid_again`` opens the file again. Refused: unknown_code, followup_done, followup_early."""
    require(actor, "desk.act")
    now = now or clock.now()
    if code not in RESULTS:
        raise Refused("unknown_code", code=code)
    if done := repeated(conn, actor, key):
        return done
    row = conn.execute("SELECT alert_id FROM wuzha.followups WHERE followup_id = %s", (followup_id,)).fetchone()
    if row is None:
        raise Refused("not_found")
    alert = lock(conn, merged.living(conn, row[0]))
    found = (
        conn.cursor(row_factory=dict_row)
        .execute("SELECT * FROM wuzha.followups WHERE followup_id = %s FOR UPDATE", (followup_id,))
        .fetchone()
    )
    assert found is not None
    if found["done_at"] is not None or found["dropped_at"] is not None:
        raise Refused("followup_done")
    if found["due_at"] > now + timedelta(hours=12):
        raise Refused("followup_early")
    table = after(now)
    tries = found["tries"] + 1
    settled = code != "not_reached" or tries >= table.tries
    conn.execute(
        "UPDATE wuzha.followups SET tries = %s, tried_at = %s, done_at = %s, done_by = %s, code = %s, words = %s"
        " WHERE followup_id = %s",
        (tries, now, now if settled else None, actor.user_id if settled else None, code,
         words.strip()[:2000] or None, followup_id),
    )  # fmt: skip
    if code == "wavering":
        conn.execute(
            "INSERT INTO wuzha.followups (alert_id, closed_by_step, step, due_at) VALUES (%s, %s, %s, %s)",
            (
                found["alert_id"],
                found["closed_by_step"],
                f"{AGAIN}_{followup_id}",
                now + timedelta(hours=table.again_h),
            ),
        )
    done = record(conn, actor, alert, f"followup_{code}", key=key, changes={}, at=now, words=words)
    if code == "paid_again" and alert["state"] == "closed" and alert["merged_into"] is None:
        reopen(conn, actor, lock(conn, alert["alert_id"]), key=f"{key[:60]}-reopen", at=now, words=words)
    return done


def of_alert(conn: psycopg.Connection[Any], alert_id: int) -> list[dict[str, Any]]:
    """The follow-ups of a file, by the time at which they are due."""
    return (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT f.*, u.name AS officer FROM wuzha.followups f LEFT JOIN wuzha.users u ON u.user_id = f.done_by"
            " WHERE f.alert_id = %s ORDER BY f.due_at, f.followup_id",
            (alert_id,),
        )
        .fetchall()
    )


def due(
    conn: psycopg.Connection[Any],
    actor: Actor,
    *,
    after: tuple[datetime, int] | None = None,
    now: datetime | None = None,
) -> list[dict[str, Any]]:
    """A page of what is due now in the officer's scope, the longest due first; ``after`` is the last row's
    (due_at, followup_id). One row more than PAGE means that there is more."""
    require(actor, "desk.read")
    now = now or clock.now()
    at, number = after if after is not None else (None, None)
    return (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT f.*, a.scam_type, a.outcome, a.closed_at, a.avoided_fen, n.name AS unit_name, p.name,"
            " l.value AS line, o.name AS officer FROM wuzha.followups f JOIN wuzha.alerts a USING (alert_id)"
            " LEFT JOIN wuzha.units n ON n.unit_id = a.unit_id LEFT JOIN wuzha.persons p ON p.person_id = a.person_id"
            " LEFT JOIN wuzha.subjects l ON l.subject_id = a.line_id LEFT JOIN wuzha.users o ON o.user_id = a.closed_by"
            " WHERE f.done_at IS NULL AND f.dropped_at IS NULL AND f.due_at <= %(now)s"
            " AND (%(at)s::timestamptz IS NULL OR (f.due_at, f.followup_id) > (%(at)s, %(number)s))"
            f" ORDER BY f.due_at, f.followup_id LIMIT {PAGE + 1}",
            {"now": now, "at": at, "number": number},
        )
        .fetchall()
    )


def counts(conn: psycopg.Connection[Any], actor: Actor, *, now: datetime | None = None) -> dict[str, int]:
    """How many are ``due`` now, and how many come ``tomorrow`` (the next 24 hours)."""
    require(actor, "desk.read")
    now = now or clock.now()
    row = conn.execute(
        "SELECT count(*) FILTER (WHERE due_at <= %(now)s), count(*) FILTER (WHERE due_at > %(now)s)"
        " FROM wuzha.followups WHERE done_at IS NULL AND dropped_at IS NULL"
        " AND due_at <= %(now)s::timestamptz + interval '24 hours'",
        {"now": now},
    ).fetchone()
    return {"due": row[0], "tomorrow": row[1]} if row else {"due": 0, "tomorrow": 0}
