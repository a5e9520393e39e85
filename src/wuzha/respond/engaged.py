"""A line that stays engaged, or whose calls are forwarded, is evidence: somebody holds it.

Kept true here: what counts is in `ladder.toml`; a call that was undone counts nothing, and so the finding is written
when its undo is past, once.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pyarrow as pa
from psycopg.rows import dict_row

from wuzha.command.public import Actor
from wuzha.events import TABLES, batch, clock, subjects
from wuzha.store import log

from .ladder import ladder
from .tiers import tiers

#: Rungs that ring the person's own line.
CALLS = ("call", "own_phone", "robot")
#: What stands in the column ``source`` of the desk's findings.
SOURCE = "desk"
_BACK = timedelta(days=1)


def held(steps: Sequence[dict[str, Any]], line_id: int | None) -> str | None:
    """``engaged`` or ``forwarded`` where the last calls to the line say so, None where they do not.

    ``steps``: standing contacts, oldest first, with ``kind, code, at, to_id``.
    """
    calls = [s for s in steps if s["kind"] in CALLS and s["code"] != "listed" and s["to_id"] in (None, line_id)]
    if calls and calls[-1]["code"] == "forwarded":
        return "forwarded"
    run: list[datetime] = []
    for step in reversed(calls):
        if step["code"] != "busy":
            break
        run.append(step["at"])
    limits = ladder()
    if len(run) >= limits.times and max(run) - min(run) >= clock.stretch(limits.over_s):
        return "engaged"
    return None


def round(conn: psycopg.Connection[Any], actor: Actor, now: datetime) -> int:
    """Write a finding for each line that was found engaged or forwarded since the last round; how many."""
    settled = now - clock.stretch(tiers(now).undo_s)
    waiting = conn.execute(
        "SELECT c.contact_id, c.alert_id FROM wuzha.contacts c"
        " WHERE c.code IN ('busy', 'forwarded') AND c.at > %s AND c.at < %s AND c.kind = ANY(%s)"
        " AND NOT EXISTS (SELECT 1 FROM wuzha.line_findings f WHERE f.contact_id = c.contact_id)"
        " ORDER BY c.contact_id LIMIT 200",
        (settled - max(_BACK, clock.stretch(3600)), settled, list(CALLS)),
    ).fetchall()
    found: list[dict[str, Any]] = []
    for contact_id, alert_id in waiting:
        steps, line = _until(conn, alert_id, contact_id)
        code = held(steps, line[0]) if line and steps and steps[-1]["contact_id"] == contact_id else None
        conn.execute(
            "INSERT INTO wuzha.line_findings (contact_id, alert_id, at, code) VALUES (%s, %s, %s, %s)"
            " ON CONFLICT DO NOTHING",
            (contact_id, alert_id, now, code),
        )
        if code is not None and line is not None:
            found.append(_row(line[1], code, contact_id, steps[-1]["at"], now))
    if found:
        table = TABLES["findings"]
        rows = pa.Table.from_pylist(found, schema=pa.schema([pa.field(f.name, f.type) for f in table.schema]))
        taken = batch.conform(table, rows)
        log.append(conn, [log.Batch(table="findings", rows=taken, source=SOURCE, basis="warning", received_at=now)])
    return len(found)


def _until(
    conn: psycopg.Connection[Any], alert_id: int, contact_id: int
) -> tuple[list[dict[str, Any]], tuple[int, str] | None]:
    """The standing contacts of an alert up to one of them, and the line that it called."""
    steps = (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT c.contact_id, c.kind, c.code, c.at, c.to_id FROM wuzha.contacts c"
            " WHERE c.alert_id = %s AND c.contact_id <= %s AND c.undoes IS NULL"
            " AND NOT EXISTS (SELECT 1 FROM wuzha.contacts u WHERE u.undoes = c.contact_id) ORDER BY c.contact_id",
            (alert_id, contact_id),
        )
        .fetchall()
    )
    line = conn.execute(
        "SELECT s.subject_id, s.value FROM wuzha.contacts c JOIN wuzha.alerts a ON a.alert_id = c.alert_id"
        " JOIN wuzha.subjects s ON s.subject_id = coalesce(c.to_id, a.line_id) AND s.kind = 'line'"
        " WHERE c.contact_id = %s",
        (contact_id,),
    ).fetchone()
    return steps, line


def _row(line: str, code: str, contact_id: int, at: datetime, now: datetime) -> dict[str, Any]:
    return {
        "source": SOURCE, "event_id": f"line-{code}-{contact_id}", "ts": at, "subject": subjects.key("line", line),
        "kind": "line_engaged", "code": code, "known_at": now,
    }  # fmt: skip
